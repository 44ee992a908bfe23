"""Trainings of two teams in all phases, for the golden files."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import (
    Failure,
    HistoryEntry,
    LearningPoint,
    LogStatus,
    Metrics,
    ModelStatus,
    Queue,
    Run,
    ServedBy,
    TrainingStatus,
)
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.scheduling.key_scheduler import KeyScheduler
from scriptix_operator.core.scheduling.quota_document import QuotaDocument, quota_document
from scriptix_operator.core.scheduling.start_queue import queue_entry_of
from scriptix_operator.core.status.conditions import ConditionReason, derive_status
from tests.plugin.fake import OPERATOR, FakeCluster
from tests.plugin.states import NOW

__all__ = ["KEY", "LOG", "METRICS", "cluster", "of_team_a", "of_team_b", "with_facts"]

KEY = "9f86d081884c"
STAGE = "The run is in stage MainTraining, at 45%."
HOUR = timedelta(hours=1)
SERVED = ServedBy(namespace=OPERATOR, renewed_at=NOW)
LOG = (
    "2026-11-30T05:00:03 INFO Starting training of model 7\n"
    "2026-11-30T05:40:00 WARNING 3 files have no transcript\n"
    "2026-11-30T06:30:00 INFO Epoch 1/8, WER 31.0%\n"
    "2026-11-30T07:00:00 INFO Epoch 2/8, WER 24.5%\n"
    "2026-11-30T07:30:00 ERROR Worker 2 restarted\n"
)
METRICS = Metrics(
    word_error_rate="12.4",
    character_error_rate="5.1",
    accuracy_improvement="18.5",
    training_hours="20.5",
    rating="VeryGood",
)


def _curve(*rates: str) -> tuple[LearningPoint, ...]:
    return tuple(
        LearningPoint(epoch=epoch, of=8, word_error_rate=rate)
        for epoch, rate in enumerate(rates, start=1)
    )


def _run(name: str, started_at: datetime | None, token: str = "") -> Run:
    owned = Ownership.OWNED.value if started_at is not None else None
    return Run(
        id=name,
        token=token,
        asked_by=("RunToken",) if token else (),
        ownership=owned,
        claimed_at=started_at,
        key_fingerprint=KEY,
        key_source="Secret/speech/scriptix-api-key/api-key",
    )


BEFORE = HistoryEntry(
    id="3f0c2a9d41",
    ownership=Ownership.OWNED.value,
    key_fingerprint=KEY,
    started_at=NOW - 50 * HOUR,
    finished_at=NOW - 43 * HOUR,
    outcome="Succeeded",
    word_error_rate="14.0",
    metrics=Metrics(word_error_rate="14.0", character_error_rate="5.1", rating="VeryGood"),
    learning_curve=_curve("38", "30.5", "26", "22", "19", "16.5", "15", "14.0"),
)


def _training(
    name: str,
    model_id: int,
    reason: Reason | FailureReason,
    message: str,
    status: TrainingStatus,
    **spec: Any,  # noqa: ANN401 - as a manifest has it
) -> Training:
    namespace, _, name = name.partition("/")
    training = Training(
        key=TrainingKey(namespace, name),
        uid=f"uid-{name}",
        generation=1,
        resource_version="7",
        created_at=NOW - 60 * HOUR,
        requested_at="",
        spec=TrainingSpec.model_validate({"modelId": model_id, **spec}),
        status=TrainingStatus(),
    )
    facts = replace(status, served_by=SERVED)
    why = ConditionReason(reason.value, message)
    return training.with_status(derive_status(training, facts, NOW - HOUR, why))


def of_team_a() -> list[Training]:
    """The trainings of namespace speech."""
    running = TrainingStatus(
        run=_run("e35c5d2eba", NOW - 3 * HOUR, "data-v2"),
        progress=45,
        stage="MainTraining",
        model=ModelStatus(key="cardiology_en", name="Cardiology", training_status=3),
        started_at=NOW - 3 * HOUR,
        estimated_completion_at=NOW + 4 * HOUR,
        estimated_completion_p90_at=NOW + 5 * HOUR,
        learning_curve=_curve("31", "24.5", "20", "17.5"),
        log=LogStatus(config_maps=("cardiology-en-log",), entries=5, state="Collecting"),
        history=(BEFORE,),
    )
    done = TrainingStatus(
        run=_run("77aa00bb11", NOW - 9 * HOUR),
        progress=100,
        model=ModelStatus(key="dermatology", training_status=4),
        started_at=NOW - 9 * HOUR,
        finished_at=NOW - 2 * HOUR,
        metrics=METRICS,
        history=(replace(BEFORE, id="dd00dd00dd", token="data-v2"),),
    )
    missed = replace(
        done,
        run=_run("c0ffee0001", NOW - 6 * HOUR, "data-v3"),
        started_at=NOW - 6 * HOUR,
        finished_at=NOW - timedelta(minutes=30),
        metrics=replace(METRICS, word_error_rate="31.0", rating="Poor"),
        failure=Failure(
            reason=FailureReason.QUALITY_GATE_FAILED.value,
            message="The run misses its quality gate: word error rate is 31.0% (at most 25%).",
            solution="Add or correct training data, then change spec.runToken to train again.",
        ),
        history=(replace(BEFORE, id="aa11bb22cc"),),
    )
    blocked = TrainingStatus(
        failure=Failure(
            reason=FailureReason.SECRET_NOT_FOUND.value,
            message='Secret "other-key" with the Scriptix API key is not in namespace "speech".',
            solution="Create the Secret with the API key.",
        ),
    )
    queued = TrainingStatus(
        run=replace(_run("0a1b2c3d4e", None), queued_at=NOW - timedelta(minutes=20)),
        queue=Queue(position=1, of=2, estimated_start_at=NOW + timedelta(minutes=12)),
    )
    return [
        _training("speech/cardiology-en", 7, Reason.TRAINING, STAGE, running, runToken="data-v2"),
        _training(
            "speech/dermatology-en", 8, Reason.TRAINING_SUCCEEDED, "The model is trained.", done
        ),
        _training("speech/oncology-de", 9, Reason.OBSERVED, "", missed, runToken="data-v3"),
        _training("speech/pathology-en", 10, Reason.OBSERVED, "", blocked),
        _training(
            "speech/radiology-en", 11, Reason.WAITING_FOR_START_QUOTA, "The run waits.", queued
        ),
        _training("speech/urology-en", 12, Reason.SUSPENDED, "", TrainingStatus(), suspend=True),
    ]


def of_team_b() -> list[Training]:
    """The trainings of namespace team-b."""
    queued = TrainingStatus(
        run=replace(_run("1111111111", None), queued_at=NOW - timedelta(minutes=10)),
        queue=Queue(position=2, of=2, estimated_start_at=NOW + timedelta(minutes=20)),
    )
    running = TrainingStatus(
        run=_run("2222222222", NOW - timedelta(minutes=40)),
        progress=5,
        stage="DataPreprocessing",
        started_at=NOW - timedelta(minutes=40),
    )
    return [
        _training("team-b/legal-de", 20, Reason.WAITING_FOR_START_QUOTA, "The run waits.", queued),
        _training("team-b/notary-de", 21, Reason.TRAINING, "The run is at 5%.", running),
    ]


def quota(queued: Sequence[Training] | None = None) -> QuotaDocument:
    """The quota of the only key: five starts in the last hour, and the queues of both teams."""
    limits = {
        Call.START: (Limit(5, 3600.0),),
        Call.STATUS: (Limit(100, 60.0),),
        Call.LOG: (Limit(20, 3600.0),),
    }
    monotonic = 1_000_000.0
    scheduler = KeyScheduler(limits, monotonic)
    scheduler.limiters[Call.START].restore(
        PastCall(monotonic - 60.0 * minutes, space)
        for minutes, space in (
            (48, "gone"),
            (40, "team-b"),
            (30, "gone"),
            (25, "gone"),
            (5, "gone"),
        )
    )
    for training in (of_team_a()[4], of_team_b()[0]) if queued is None else queued:
        scheduler.queue_position(queue_entry_of(training, NOW), monotonic)
    return quota_document({KEY: scheduler}, monotonic, NOW)


def with_facts(training: Training, why: ConditionReason, **facts: Any) -> Training:  # noqa: ANN401
    """The training with other facts, as the operator writes them."""
    changed = replace(training.status, **facts)
    return training.with_status(derive_status(training, changed, NOW, why))


def events() -> list[Any]:
    """The events of cardiology-en."""

    def event(minutes: int, reason: str, message: str) -> Any:  # noqa: ANN401
        return SimpleNamespace(
            involved_object=SimpleNamespace(name="cardiology-en"),
            last_timestamp=NOW - timedelta(minutes=minutes),
            event_time=None,
            count=1,
            type="Normal",
            reason=reason,
            message=message,
        )

    return [
        event(185, "TrainingQueued", "The run waits for the start quota."),
        event(180, "TrainingStarted", "The training has started."),
    ]


def cluster(
    refused: frozenset[str] = frozenset(), more: Mapping[str, Mapping[str, str]] | None = None
) -> FakeCluster:
    """A cluster with the trainings of both teams."""
    maps = {"speech/cardiology-en-log": {"log": LOG}, **(more or {})}
    found = FakeCluster([*of_team_a(), *of_team_b()], maps, quota(), refused)
    found.all_events = events()
    return found
