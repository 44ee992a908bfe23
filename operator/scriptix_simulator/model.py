"""A model and its runs: its state at a time, and the effect of a start.

Everything is a value: `begin` and `change`, for instance, return a new `Model`. Instants are unix
seconds on the real clock; only durations are scaled, so eight simulated hours at speed 480 lie
between two instants one minute apart.
"""

import math
from dataclasses import dataclass, replace
from enum import IntEnum

from .scripts import FAILURES, ModelChange, ModelScript
from .timeline import Timeline
from .units import HOUR

__all__ = ["Model", "NoRunError", "Run", "Status", "begin", "change", "create"]


class Status(IntEnum):
    """The training_status of the API."""

    NOT_READY = 1
    READY = 2
    RUNNING = 3
    SUCCEEDED = 4
    FAILED = 5


class NoRunError(Exception):
    """A run was to end, but none is under way."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training run; its end is determined when it begins.

    Attributes:
        run_start_time: started_training_at in unix seconds, unique within the model.
        began: The exact start in unix seconds.
        ends: The exact end in unix seconds.
        seconds: Real seconds of the whole run, unless it is ended before.
        hours: The same in simulated hours.
        timeline: The progress of the run.
        error: Message of the failure; None: the run succeeds.
        key: Fingerprint of the key that started the run; None: not started by the API.
    """

    run_start_time: int
    began: float
    ends: float
    seconds: float
    hours: float
    timeline: Timeline
    error: str | None
    key: str | None

    def share(self, now: float) -> float:
        """Return the share of the run that is done at `now`, from 0 to 1."""
        return min(max((min(now, self.ends) - self.began) / self.seconds, 0.0), 1.0)

    def progress(self, now: float) -> float:
        """Return the percent done at `now`."""
        return self.timeline.progress_at(self.share(now))

    def has_results(self, now: float, after: float) -> bool:
        """Return whether `after` simulated hours have passed since the end at `now`."""
        return now >= self.ends + after * self.seconds / self.hours

    def status(self, now: float) -> Status:
        """Return the status at `now`."""
        if now < self.ends:
            return Status.RUNNING
        return Status.SUCCEEDED if self.error is None else Status.FAILED


@dataclass(frozen=True, slots=True)
class Model:
    """One custom model.

    Attributes:
        id: Its number.
        script: The script of the model.
        created: When the simulator created the model, in unix seconds.
        changed: When the model last got data or a status by the admin API, in unix seconds.
        runs: All runs, oldest first.
        idle: The status while no run counts; None: the status is that of the last run.
        ready_at: When an idle status 1 becomes 2, in unix seconds.
    """

    id: int
    script: ModelScript
    created: float
    changed: float
    runs: tuple[Run, ...] = ()
    idle: int | None = None
    ready_at: float | None = None

    @property
    def last(self) -> Run | None:
        """The newest run."""
        return self.runs[-1] if self.runs else None

    def status(self, now: float) -> int:
        """Return the training_status at `now`, which may be outside `Status`."""
        if self.idle is None and self.runs:
            return self.runs[-1].status(now)
        if self.ready_at is not None and now >= self.ready_at:
            return Status.READY
        return Status.NOT_READY if self.idle is None else self.idle

    def running(self, now: float) -> Run | None:
        """Return the run under way at `now`."""
        return self.last if self.status(now) == Status.RUNNING else None


def create(model: int, script: ModelScript, now: float, speed: float) -> Model:
    """Return the model that a script describes, at `now`."""
    made = Model(model, script, created=now, changed=now)
    whole = script.duration * HOUR / speed
    match script.status:
        case Status.RUNNING:
            began = now - script.shape.share_at(script.progress) * whole
            return replace(made, runs=(_run(made, began, speed, key=None),))
        case Status.SUCCEEDED:
            run = _run(made, now - whole, speed, key=None)
            return replace(made, runs=(replace(run, ends=now, error=None),))
        case Status.FAILED:
            run = _run(made, now - whole, speed, key=None)
            error = run.error or script.error or FAILURES["system_error"].message
            return replace(made, runs=(replace(run, ends=min(run.ends, now), error=error),))
        case idle:
            wait = script.ready_after
            return replace(
                made, idle=idle, ready_at=None if wait is None else now + wait * HOUR / speed
            )


def begin(model: Model, now: float, speed: float, key: str | None) -> Model:
    """Return the model with another run that begins at `now` and ends one under way."""
    run = _run(model, now, speed, key)
    return replace(model, runs=(*_cut_off(model, now), run), idle=None, ready_at=None)


def change(model: Model, wanted: ModelChange, now: float, speed: float) -> Model:
    """Return the model after a PATCH.

    Raises:
        NoRunError: A run is to end and none is under way.
        pydantic.ValidationError: The changed script is invalid.
    """
    if wanted.script:
        merged = model.script.model_dump(exclude_unset=True) | wanted.script
        model = replace(model, script=ModelScript.model_validate(merged))
    if wanted.status is not None:
        runs = _cut_off(model, now)
        return replace(model, runs=runs, idle=wanted.status, ready_at=None, changed=now)
    if wanted.start:
        return begin(model, now, speed, key=None)
    if wanted.finish:
        return _end(model, None, now)
    if wanted.fail is not None:
        return _end(model, model.script.error or FAILURES[wanted.fail].message, now)
    return model


def _end(model: Model, error: str | None, now: float) -> Model:
    run = model.running(now)
    if run is None:
        raise NoRunError(f"model {model.id} has no run under way")
    return replace(model, runs=(*model.runs[:-1], replace(run, ends=now, error=error)))


def _cut_off(model: Model, now: float) -> tuple[Run, ...]:
    return tuple(
        replace(run, ends=now, error="Cut off") if now < run.ends else run for run in model.runs
    )


def _run(model: Model, began: float, speed: float, key: str | None) -> Run:
    script = model.script
    timeline = script.shape
    outcome = script.outcome_of(len(model.runs))
    seconds = script.duration * HOUR / speed
    share, error = 1.0, None
    if outcome != "success":
        failure = FAILURES[outcome]
        share = timeline.share_at(failure.at if script.fail_at is None else script.fail_at)
        error = script.error or failure.message
    run_start_time = math.floor(began)
    if model.last is not None:
        run_start_time = max(run_start_time, model.last.run_start_time + 1)
    return Run(
        run_start_time=run_start_time,
        began=began,
        ends=began + share * seconds,
        seconds=seconds,
        hours=script.duration,
        timeline=timeline,
        error=error,
        key=key,
    )
