"""Plays a story over the real decisions, and fills in what users see after each step.

The resource and the replies of the API are read by the parsers that read them in a cluster. Time
and the quota are arguments of the core, so the story gives them; nothing waits.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import LogStatus, Queue
from scriptix_operator.api.times import parse_time
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RemoteModel
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.model.wording import duration
from scriptix_operator.core.reconcile.call_results import LogStored, Posted, PostFailed
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Action,
    Blocked,
    CheckQueue,
    FetchLog,
    KeyUse,
    ModelPolled,
    Observation,
    Poll,
    Post,
    QueueReached,
    RequeueAfter,
    StartGranted,
    StartQueued,
    Triggered,
)
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.result import result_data
from scriptix_operator.core.status.texts import secret_texts
from scriptix_operator.kube.merge_patch import merge_patch
from scriptix_operator.kube.trainings import dump_status, parse_training
from scriptix_operator.scriptix.jsontext import read_object
from scriptix_operator.scriptix.refusals import refusal
from scriptix_operator.scriptix.replies import read_model
from tests.unit.core.builders import WHOLE_LOG, Life

__all__ = ["played"]

Document = dict[str, Any]

NOT_SHOWN = ("observedGeneration", "lastObservedAt", "usedRequests", "display", "log")
"""Fields of status that repeat others, or have tests of their own."""
SPEC_FIELDS = frozenset(field.alias for field in TrainingSpec.model_fields.values())
SHOWN_OF_CONDITION = ("type", "status", "reason")
SECRET, SECRET_KEY = "scriptix-api-key", "api-key"
TRIGGERS = frozenset({"edit", "secret", "start", "startQueue"})
"""Parts of a step that cause a reconcile before it is due."""
INPUTS = frozenset({"at", "edit", "poll", "secret", "startQueue", "start"})
OUTPUTS = ("then", "changes", "events", "result")


def played(story: Document) -> Document:
    """The story with the outputs of its steps, and the status at the end."""
    player = _Player(story["resource"], parse_time(story["steps"][0]["at"]))
    steps = []
    for number, step in enumerate(story["steps"], 1):
        unknown = step.keys() - INPUTS - set(OUTPUTS)
        assert not unknown, f"step {number} has unknown parts: {', '.join(sorted(unknown))}"
        inputs = {name: value for name, value in step.items() if name in INPUTS}
        steps.append({**inputs, **player.play(inputs, number)})
    parts = {name: value for name, value in story.items() if name not in {"steps", "status"}}
    return {**parts, "steps": steps, "status": player.shown()}


@dataclass
class _Player:
    """A resource in the cluster, its reconciles, and the API, through time."""

    resource: Document
    created_at: datetime
    generation: int = 1
    due: datetime | None = None
    """When the operator reconciles next without a change of the resource or the start queue."""
    life: Life = field(init=False)

    def __post_init__(self) -> None:
        self.due = self.created_at
        self.life = Life(training=self._parsed({}), now=self.created_at, durations=Durations())

    def _parsed(self, status: Document) -> Training:
        """The resource as the operator reads it from the API server."""
        metadata = self.resource["metadata"]
        created = self.created_at.isoformat().replace("+00:00", "Z")
        unknown = self.resource["spec"].keys() - SPEC_FIELDS
        assert not unknown, f"spec has no {', '.join(sorted(unknown))}"
        return parse_training(
            {
                **self.resource,
                "metadata": {
                    **metadata,
                    "uid": f"uid-of-{metadata['name']}",
                    "resourceVersion": str(self.generation),
                    "creationTimestamp": created,
                    "generation": self.generation,
                },
                "status": status,
            }
        )

    def play(self, step: Document, number: int) -> Document:
        """Play one step.

        Returns:
            Its outputs; one that is empty is absent.
        """
        life, before, events = self.life, self.shown(), len(self.life.events)
        published = life.published
        life.now = parse_time(step["at"])
        is_early = self.due is None or life.now < self.due
        assert not is_early or TRIGGERS & step.keys(), f"step {number}: nothing is due"
        if "edit" in step:
            self._edit(step["edit"])
        given = dict(step)
        is_sent = isinstance(life.action, Post)
        assert is_sent == ("start" in step), f"step {number}: the action is {life.action}"
        life.learns(self._reply(given.pop("start")) if is_sent else Triggered())
        while (observation := self._observed(life.action, given)) is not None:
            life.learns(observation)
        assert "poll" not in given, f"step {number}: the operator does not poll: {life.action}"
        self.life.training = self._parsed(dump_status(life.status))  # what is recorded is enough
        self.due = _due(life.action, life.now)
        outputs = {
            "then": _described(life.action),
            "changes": merge_patch(before, self.shown()),
            "events": [
                f"{'Warning' if item.is_warning else 'Normal'} {item.reason}: {item.message}"
                for item in life.events[events:]
            ],
            "result": self._result() if life.published > published else {},
        }
        return {name: value for name, value in outputs.items() if value}

    def _edit(self, patch: Document) -> None:
        spec = {**self.resource["spec"], **patch}
        self.resource = {**self.resource, "spec": {k: v for k, v in spec.items() if v is not None}}
        self.generation += 1
        self.life.training = self._parsed(dump_status(self.life.status))

    def _observed(self, action: Action | None, given: Document) -> Observation | None:
        """What the engine observes after an action; None: the step is over."""
        match action:
            case Poll() | AcquireStart() if given.get("secret") == "missing":
                namespace = self.life.training.key.namespace
                text = secret_texts.secret_missing(namespace, SECRET)
                return Blocked(failure(FailureReason.SECRET_NOT_FOUND, text))
            case Poll():
                assert "poll" in given, "the operator polls, and the step has no poll"
                return self._polled(given.pop("poll"))
            case CheckQueue():
                return self._queued(given) or QueueReached()
            case AcquireStart():
                return self._queued(given) or StartGranted(action.model, action.key)
            case Post():
                self.life.opens()
                return None
            case FetchLog():
                names = (f"{self.life.training.key.name}-log",)
                log = LogStatus(config_maps=names, entries=3, bytes=99)
                return LogStored(log, (), action.due_in, WHOLE_LOG)
            case _:
                return None

    def _polled(self, body: Document) -> ModelPolled:
        life = self.life
        model_id = life.training.spec.model_id
        namespace = life.training.key.namespace
        return ModelPolled(
            self._model(body),
            KeyUse(f"Secret/{namespace}/{SECRET}/{SECRET_KEY}", "0123456789ab"),
            in_flight=life.entry,
            latest_run=life.ledger.latest_runs.get(model_id),
            revision=life.ledger.serial,
        )

    def _model(self, body: Document) -> RemoteModel:
        read = read_object(json.dumps(body).encode(), "application/json", str)
        return read_model(read, self.life.training.spec.model_id)

    @staticmethod
    def _queued(given: Document) -> StartQueued | None:
        if "startQueue" not in given:
            return None
        queue = given["startQueue"]
        return StartQueued(Queue.model_validate(queue), wait=600.0)

    def _reply(self, reply: Any) -> Posted | PostFailed:  # noqa: ANN401 - a text or JSON
        """The reply to a POST: accepted with a model, refused with an HTTP status, or lost."""
        if reply == "lost reply":
            lost = "no whole reply within 30 s"
            return PostFailed(CallFailure(FailureKind.AMBIGUOUS, lost))
        if "http" in reply:
            body, headers = json.dumps(reply["body"]).encode(), {"Content-Type": "application/json"}
            return PostFailed(refusal(reply["http"], headers, body, None, str))
        return Posted(self._model(reply))

    def shown(self) -> Document:
        """The status as users read it, without what is not shown."""
        status = dump_status(self.life.status)
        conditions = [
            {name: condition[name] for name in SHOWN_OF_CONDITION}
            for condition in status.get("conditions", ())
        ]
        shown = {name: value for name, value in status.items() if name not in NOT_SHOWN}
        return _without_empty({**shown, "conditions": conditions}) if conditions else {}

    def _result(self) -> dict[str, str]:
        """The data of the result ConfigMap, as the engine publishes it."""
        training, status = self.life.training, self.life.status
        return result_data(
            model_id=training.spec.model_id,
            model=status.model,
            metrics=status.metrics,
            run_id=self.life.run.id,
            started_at=status.started_at,
            finished_at=status.finished_at,
        )


def _due(action: Action | None, now: datetime) -> datetime | None:
    seconds = action.seconds if isinstance(action, RequeueAfter) else None
    return None if seconds is None else now + timedelta(seconds=seconds)


def _without_empty(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """A document without empty texts and lists."""
    if isinstance(value, dict):
        inner = {name: _without_empty(each) for name, each in value.items()}
        return {name: each for name, each in inner.items() if each not in ("", [])}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


def _described(action: Action | None) -> str:
    match action:
        case Post():
            return "POST the start"
        case RequeueAfter(None):
            return "wait for a change of the resource"
        case RequeueAfter(float(seconds)):
            return f"reconcile again in {duration(round(seconds))}"
        case _:
            raise AssertionError(f"a step does not end with {action}")
