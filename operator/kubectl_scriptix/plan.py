"""What a set of manifests would start, when, and which trainings it would delay.

The answer comes from the operator's own decisions: what asks for a run (core/requests), the order
of the start queue and the rate limiter (schedule.py), and the estimate of the end (core/eta).
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubectl_scriptix.live import Live
from kubectl_scriptix.schedule import Waiting, start_times
from scriptix_operator.api.reasons import Ownership, Phase, Reason
from scriptix_operator.core.eta.estimate import LATE, SPREAD, Estimate, Running, estimate
from scriptix_operator.core.eta.timeline import REFERENCE, PastRun
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.requests.requests import begin_run, is_run_asked_for
from scriptix_operator.core.scheduling.start_queue import QueueEntry, queue_entry_of
from scriptix_operator.core.status.conditions import may_be_running, phase_of, reason_of
from scriptix_operator.core.status.used_requests import repeated_request

__all__ = ["Delay", "Plan", "PlannedRun", "Span", "Unstarted", "duration_of", "make_plan"]

LEAST_DELAY = timedelta(minutes=1)
"""A shorter delay of another training is not reported."""


@dataclass(frozen=True, slots=True)
class Span:
    """An expected time (p50), and the time by which nine of ten are over (p90)."""

    likely: datetime
    late: datetime


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that the manifests would start.

    Attributes:
        key: The resource.
        fingerprint: The API key; None: nothing shows it yet.
        start: When it starts.
        end: When it ends.
    """

    key: TrainingKey
    fingerprint: str | None
    start: Span
    end: Span


@dataclass(frozen=True, slots=True)
class Unstarted:
    """A manifest that would start nothing.

    Attributes:
        key: The resource.
        why: A clause.
    """

    key: TrainingKey
    why: str


@dataclass(frozen=True, slots=True)
class Delay:
    """A queued training that would start later than without the plan.

    Attributes:
        key: The resource; None: the caller may not see it.
        by: How much later.
    """

    key: TrainingKey | None
    by: timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole answer.

    Attributes:
        runs: In the order of their starts.
        unstarted: What starts nothing, and why.
        delays: Delayed trainings.
        uses: Quota by fingerprint: starts in the window now, the plan's, and the limits as text.
        notes: What limits the answer.
    """

    runs: tuple[PlannedRun, ...]
    unstarted: tuple[Unstarted, ...]
    delays: tuple[Delay, ...]
    uses: Mapping[str, str]
    notes: tuple[str, ...]


def make_plan(applied: Sequence[Training], live: Live) -> Plan:
    """The plan.

    Args:
        applied: The resources of the manifests, as they are once applied, with their status.
        live: The cluster now.
    """
    before = {training.key: training for training in live.trainings}
    starting: defaultdict[str | None, list[Training]] = defaultdict(list)
    assumed: list[TrainingKey] = []
    unstarted, models = [], {t.spec.model_id: t for t in live.trainings}
    for training in applied:
        why = _obstacle(training, before.get(training.key), models)
        if why is not None:
            unstarted.append(Unstarted(training.key, why))
            continue
        fingerprint = live.key_of(training)
        if fingerprint is None:
            fingerprint = live.only_key
            assumed.append(training.key)
        starting[fingerprint].append(training)
        models[training.spec.model_id] = training
    runs: list[PlannedRun] = []
    delays: list[Delay] = []
    uses = {}
    for fingerprint, trainings in starting.items():
        more, later = _of_key(fingerprint, trainings, live)
        runs, delays = runs + more, delays + later
        quota = live.quota(fingerprint)
        used = sum(quota.starts_by_namespace().values())
        limits = ", ".join(map(str, quota.limits))
        uses[fingerprint or "not known"] = f"{limits}: {used} used, {len(trainings)} planned"
    return Plan(
        tuple(sorted(runs, key=lambda run: (run.start.likely, run.key))),
        tuple(unstarted),
        tuple(delays),
        uses,
        (*live.notes, *_notes(starting, assumed, live)),
    )


def _notes(
    starting: Mapping[str | None, Sequence[Training]], assumed: Sequence[TrainingKey], live: Live
) -> Iterator[str]:
    if live.document is None:
        yield "The documented limit of 5 starts an hour is assumed."
    if starting:
        yield "Assumed: models are ready to run, and no other client starts trainings."
    new = [t.key for trainings in starting.values() for t in trainings if not t.status.conditions]
    if new:
        yield (
            "A model that was trained before its resource is created starts nothing: "
            "spec.existingTraining decides."
        )
    if assumed:
        names = ", ".join(map(str, assumed))
        key = "an unused key" if live.only_key is None else f"key {live.only_key}, the only one,"
        yield f"No training shows the API key of {names} yet: {key} is assumed."


def _obstacle(
    training: Training, live: Training | None, models: Mapping[int, Training]
) -> str | None:
    """Why a manifest starts nothing; None: it starts a run."""
    if training.unreadable:
        fields = ", ".join(field.path for field in training.unreadable)
        return f"cannot be read: {fields}"
    if live is not None and live.spec.model_id != training.spec.model_id:
        return "refused by the API server: spec.modelId cannot be changed"
    if training.spec.suspend:
        return "suspended: spec.suspend is set"
    other = models.get(training.spec.model_id)
    if other is not None and other.key != training.key and live is None:
        return f"waits: the model {training.spec.model_id} belongs to {other.key}"
    if live is None or _waits_for_start(live):
        return None
    if training.status.run is not None and is_run_asked_for(training):
        return None
    return _unasked(training, live)


def _unasked(training: Training, live: Training) -> str | None:
    """Why a resource without a new request starts nothing."""
    repeated = repeated_request(training, training.status)
    if repeated is not None:
        return repeated.rstrip(".")
    phase = phase_of(training.spec, training.status)
    if live.spec.suspend and phase is Phase.PENDING:
        return None
    run = training.status.run
    change = "unchanged" if live.spec == training.spec else "changed, without a new spec.runToken"
    if run is not None and run.ownership == Ownership.ADOPTED:
        return f"{change}: its run was adopted"
    if run is None or phase is Phase.PENDING:
        return f"{change}: it waits ({reason_of(training.status)})"
    return f"{change}: {phase}"


def _waits_for_start(training: Training) -> bool:
    """Whether a resource is in the start queue, or about to join it."""
    phase = phase_of(training.spec, training.status)
    is_new = phase is Phase.PENDING and reason_of(training.status) in {None, Reason.OBSERVED}
    return phase is Phase.QUEUED or is_new


def _of_key(
    fingerprint: str | None, planned: Sequence[Training], live: Live
) -> tuple[list[PlannedRun], list[Delay]]:
    """The runs with one API key, and the delays of others."""
    quota, now = live.quota(fingerprint), live.now
    waiting = _queue(fingerprint, live)
    own = {training.key for training in planned}
    others = [one for one in waiting if one.entry.key not in own]
    likely = start_times(quota, [*others, *(_waiting(t, now, is_late=False) for t in planned)])
    late = start_times(
        quota, [*others, *(_waiting(t, now, is_late=True) for t in planned)], is_late=True
    )
    without = start_times(quota, waiting)
    past = live.past_runs(fingerprint)
    runs = []
    for training in planned:
        poll = training.status.poll_interval_seconds or training.spec.poll_interval_seconds
        seconds = max(late[training.key], likely[training.key]) + poll
        start = Span(_after(now, likely[training.key]), _after(now, seconds))
        lasting = duration_of(training.spec.model_id, past)
        end = Span(_after(start.likely, lasting.likely), _after(start.late, lasting.late))
        runs.append(PlannedRun(training.key, fingerprint, start, end))
    delays = []
    for one in others:
        by = timedelta(seconds=likely[one.entry.key] - without[one.entry.key])
        if by >= LEAST_DELAY:
            is_shown = live.may_show(one.entry.key.namespace)
            delays.append(Delay(one.entry.key if is_shown else None, by))
    return runs, delays


def duration_of(model_id: int, past: Sequence[PastRun]) -> Estimate:
    """How long a run of a model takes that has not begun.

    As the operator estimates it, but for p90 while past runs are few: of ten of them, the ninth in
    length is exceeded by two of eleven runs. Without past runs, the document's run counts.
    """
    found = estimate(Running(model_id, 0, 0.0, 0.0, ()), past)
    if found is None:
        return Estimate(REFERENCE.seconds, REFERENCE.seconds * (1 + SPREAD))
    lasted = sorted(
        [run.seconds for run in past if run.model_id == model_id] or [run.seconds for run in past]
    )
    place = min(math.ceil(LATE * (len(lasted) + 1)), len(lasted))
    return Estimate(found.likely, max(found.late, lasted[place - 1]))


def _after(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=round(seconds))


def _waiting(training: Training, now: datetime, *, is_late: bool) -> Waiting:
    """A planned run in the start queue: at once, or once the present run has ended."""
    status = training.status
    ready_at = now
    if may_be_running(status):
        expected = status.estimated_completion_at
        if is_late:
            expected = status.estimated_completion_p90_at or expected
        ready_at = max(expected or now, now)
    if status.run is not None and is_run_asked_for(training):
        training = training.with_status(begin_run(training))
    return Waiting(queue_entry_of(training, ready_at), (ready_at - now).total_seconds())


def _queue(fingerprint: str | None, live: Live) -> list[Waiting]:
    """The live start queue of a key: the visible trainings, and the others by their position."""
    waiting = [one for one in live.trainings if _waits_for_start(one) and not one.spec.suspend]
    own = [one for one in waiting if live.key_of(one) == fingerprint]
    known = {one.key for one in own}
    entries = [queue_entry_of(one, live.now) for one in own]
    for namespace, names in live.queued(fingerprint or "").items():
        for place, name in enumerate(names):
            key = TrainingKey(namespace, name)
            if key not in known and not live.may_show(namespace):
                # Its own times are not known; each that waits already is older than the plan.
                since = live.now - timedelta(days=1) + timedelta(seconds=place)
                entries.append(
                    QueueEntry(
                        key=key,
                        uid=name,
                        is_repeated=False,
                        priority=0,
                        is_rerun=False,
                        created_at=since,
                        joined_at=since,
                    )
                )
    return [Waiting(entry) for entry in entries]
