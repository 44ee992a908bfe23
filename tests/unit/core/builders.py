"""Builders for the core's tests, and `Life`: a resource that goes through reconciles.

`Life` does what engine/reconciler.py does, without the engine. `check_status` holds each status
against the invariants of all statuses, whatever the test observes.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from scriptix_operator.api.reasons import LogState, Ownership, Phase, Reason
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import (
    HistoryEntry,
    LogStatus,
    Metrics,
    Queue,
    Run,
    TrainingStatus,
)
from scriptix_operator.core.decide import decide
from scriptix_operator.core.ledger.ledger import (
    InFlightStart,
    Ledger,
    with_start_begun,
    with_start_resolved,
)
from scriptix_operator.core.model.remote import (
    CallFailure,
    FailureKind,
    LogReply,
    RemoteMetrics,
    RemoteModel,
    TrainingState,
)
from scriptix_operator.core.model.training import Training, TrainingKey, UnreadableField
from scriptix_operator.core.reconcile.call_results import LogExtent, LogStored, Posted, PostFailed
from scriptix_operator.core.reconcile.context import Durations, ReconcileContext
from scriptix_operator.core.reconcile.in_process_state import InProcessState
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Action,
    CheckQueue,
    Decision,
    FetchLog,
    KeyUse,
    ModelPolled,
    Observation,
    Poll,
    PollFailed,
    Post,
    PublishFailed,
    QueueReached,
    RequeueAfter,
    StartGranted,
    StartQueued,
    Triggered,
)
from scriptix_operator.core.status.conditions import (
    awaits_retry,
    has_ended,
    is_finished,
    is_unpublished,
)
from scriptix_operator.core.status.events import EventRecord, transition_events
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.gate_condition import gate_condition, without_judgement
from scriptix_operator.kube.trainings import dump_status

__all__ = [
    "EIGHT",
    "KEY",
    "OTHER_KEY",
    "WHOLE_LOG",
    "Life",
    "a_context",
    "a_model",
    "a_run",
    "a_status",
    "a_training",
    "at",
    "call_failed",
    "check_status",
    "edited",
    "failure",
    "followed",
    "metrics",
    "truths",
    "whole_status",
]

EIGHT = datetime(2025, 1, 16, 8, 0, tzinfo=UTC)
"""The time at which each test begins; the document's training starts at the same time."""

KEY = KeyUse("Secret/team-a/scriptix-api-key/api-key", "0123456789ab")
OTHER_KEY = KeyUse(KEY.source, "ba9876543210")

WHOLE_LOG = LogExtent(LogReply(3, 3), of_run=3, known=3)
"""The extent of a log whose entries are all present and stored."""


def at(*, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
    """The time this long after the test begins."""
    return EIGHT + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def a_training(  # noqa: PLR0913 - each has a default
    *,
    name: str = "cardiology",
    namespace: str = "team-a",
    uid: str = "",
    created_at: datetime = EIGHT,
    requested_at: str = "",
    status: TrainingStatus | None = None,
    **spec: Any,  # noqa: ANN401 - values of spec fields
) -> Training:
    """A resource for model 7 that has not been observed."""
    return Training(
        key=TrainingKey(namespace, name),
        uid=uid or f"uid-of-{namespace}-{name}",
        generation=1,
        resource_version="1",
        created_at=created_at,
        requested_at=requested_at,
        spec=TrainingSpec.model_validate({"model_id": 7, **spec}),
        status=status or TrainingStatus(),
    )


def edited(training: Training, **spec: Any) -> Training:  # noqa: ANN401 - values of spec fields
    """The resource after an edit of its spec."""
    whole = {**training.spec.model_dump(), **spec}
    return replace(
        training,
        spec=TrainingSpec.model_validate(whole),
        generation=training.generation + 1,
    )


def a_status(**facts: Any) -> TrainingStatus:  # noqa: ANN401 - values of status fields
    """A status with these facts."""
    return TrainingStatus.model_validate(facts)


def a_run(**facts: Any) -> Run:  # noqa: ANN401 - values of run fields
    """A run with these facts."""
    return Run.model_validate({"id": "run-1", **facts})


def followed(**facts: Any) -> TrainingStatus:  # noqa: ANN401 - values of status fields
    """The status of a run that is followed and that polls show since `started_at`."""
    facts = {"started_at": EIGHT, **facts}
    start = facts["started_at"]
    run = a_run(ownership=Ownership.OWNED, claimed_at=EIGHT, started_training_at=start)
    return a_status(**{"run": run, **facts})


def whole_status() -> TrainingStatus:
    """The status of a run that has succeeded, with a value in each field that there is."""
    run = a_run(
        token="v1",
        requested_at="t1",
        attempt=2,
        asked_by=("RunToken",),
        ownership="Owned",
        key_source=KEY.source,
        key_fingerprint=KEY.fingerprint,
        claimed_at=EIGHT,
        started_training_at=EIGHT,
    )
    figures = dict.fromkeys(Metrics.model_fields, "12.5") | {"rating": "VeryGood"}
    point = {"epoch": 1, "of": 20, "word_error_rate": "18.2", "at": EIGHT}
    condition = {"type": "Succeeded", "status": "True", "reason": "r", "message": "m"}
    status = a_status(
        observed_generation=1,
        phase="Succeeded",
        message="The model is trained.",
        progress=100,
        stage="FinalEvaluation",
        model={"key": "custom_model_7", "training_status": 4},
        started_at=EIGHT,
        finished_at=at(hours=8),
        estimated_completion_at=at(hours=8),
        estimated_completion_p90_at=at(hours=9),
        last_progress_at=at(hours=7),
        progress_stalled_at=at(hours=7),
        timeline=tuple(range(600, 6600, 600)),
        last_observed_at=at(hours=8),
        poll_interval_seconds=600,
        queue={"position": 1, "of": 2},
        metrics=figures,
        published={"run_id": "run-0", "model_key": "custom_model_7", "word_error_rate": "12.5"},
        learning_curve=[point],
        forecast={"word_error_rate": "12.5", "low": "11.0", "high": "14.0", "at": EIGHT},
        failure={"reason": "SystemError", "message": "m", "solution": "s"},
        run=run,
        log={"config_maps": ("x-log",), "state": "NameTaken", "next_segment": 3},
        history=[{"id": "run-0", "outcome": "Succeeded", "learning_curve": [point]}],
        used_requests=("0123456789abcdef",),
        pending_request='spec.runToken "v3"',
        repeated_request="v0 was used before.",
        served_by={"namespace": "scriptix-system", "renewed_at": at(hours=8)},
        pending_notifications=[{"type": "Succeeded", "run_id": "run-1", "at": at(hours=8)}],
        display={"progress": "100%"},
        conditions=[{**condition, "observed_generation": 1, "last_transition_time": EIGHT}],
    )
    unset = {n for n, f in TrainingStatus.model_fields.items() if getattr(status, n) == f.default}
    assert not unset, (
        f"set {unset} here, and name its fate in test_status_fields and test_cancellation "
        "(docs/dev/add-a-status-field.md, step 4)"
    )
    kept = Run.model_fields.keys() & HistoryEntry.model_fields.keys()
    lost = {name for name in kept if getattr(run, name) == Run.model_fields[name].default}
    assert not lost, f"set {lost} of run here: the test of a cancelled request compares them"
    return status


def a_context(
    training: Training, now: datetime = EIGHT, state: InProcessState | None = None
) -> ReconcileContext:
    """The context of one reconcile of a resource."""
    return ReconcileContext(training, now, state or InProcessState())


def a_model(status: int = 2, **facts: Any) -> RemoteModel:  # noqa: ANN401 - values of its fields
    """A reply with model 7; an ended model has results unless `facts` has others."""
    given: dict[str, Any] = {"id": 7, "key": "custom_model_7", "training_status": status}
    if status == TrainingState.SUCCEEDED:
        given["metrics"] = metrics()
    if status == TrainingState.FAILED and not facts.get("error"):
        given["status_message"] = "Training failed"
    return RemoteModel(**{**given, **facts})


def metrics(
    wer: str | None = "12.5", cer: str | None = "8.3", improvement: str | None = "18.7"
) -> RemoteMetrics:
    """training_metrics of a finished run; by default those of the API's document."""

    def number(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    return RemoteMetrics(
        word_error_rate=number(wer),
        character_error_rate=number(cer),
        accuracy_improvement=number(improvement),
    )


def call_failed(kind: FailureKind, message: str = "HTTP 500: oops", **facts: Any) -> CallFailure:  # noqa: ANN401 - values of its fields
    """A failed call."""
    return CallFailure(kind, message, **facts)


def truths(status: TrainingStatus) -> dict[str, str]:
    """The conditions, by type."""
    return {condition.type: condition.status for condition in status.conditions}


def check_status(training: Training, status: TrainingStatus) -> None:
    """Check the invariants of every derived status."""
    # The written status is within all bounds, and the same when it is read again.
    assert TrainingStatus.model_validate(dump_status(status)) == status
    # Each part of the status observes the current spec, but for the judgement by an earlier gate.
    derived = without_judgement(status.conditions)
    generations = {status.observed_generation, *(c.observed_generation for c in derived)}
    assert generations == {training.generation}
    judged = gate_condition(status.conditions)
    assert judged is None or 0 < judged.observed_generation <= training.generation
    assert judged is None or (judged.last_transition_time is not None and has_ended(status))
    # Conditions are a map, and never contradict one another.
    counted = Counter(condition.type for condition in status.conditions)
    assert set(counted.values()) == {1}
    shown = truths(status)
    assert shown["Succeeded"] == shown["Ready"]
    assert len({"Reconciling", "Stalled", "Suspended"} & set(shown)) <= 1
    # Terminal phases outrank Suspended, which outranks the others.
    finished = is_finished(status)
    assert (status.phase in {Phase.SUCCEEDED, Phase.FAILED}) == finished
    assert finished or (status.phase == Phase.SUSPENDED) == training.spec.suspend
    assert status.message
    # A run that awaits its retry has the time of the retry, and never a terminal phase.
    assert awaits_retry(status) == (status.run is not None and status.run.retry_at is not None)
    waits = awaits_retry(status) and not training.spec.suspend
    reasons = {condition.reason for condition in derived} - {Reason.UNREADABLE}
    assert (reasons == {Reason.WAITING_FOR_RETRY}) == waits
    assert (status.queue is not None) == (status.phase == Phase.QUEUED)
    if status.display is not None and status.display.eta is not None:
        assert status.phase == Phase.RUNNING


@dataclass
class Life:
    """A resource and its in-process state, through time.

    Args:
        refusal: The cluster's reply to each published result, and whether the cluster refuses it
            for good; None: the cluster accepts results.
        checked: Whether each status is checked and its events are collected. That takes most of
            the time of a long test.
        durations: Without time between the log fetches after the end, unless a test is about
            them.
    """

    training: Training = field(default_factory=a_training)
    now: datetime = EIGHT
    state: InProcessState = field(default_factory=InProcessState)
    action: Action | None = None
    events: list[EventRecord] = field(default_factory=list)
    writes: int = 0
    published: int = 0
    refusal: tuple[str, bool] | None = None
    checked: bool = True
    ledger: Ledger = field(default_factory=Ledger)
    durations: Durations = field(default_factory=lambda: Durations(log=0.0))
    _recorded: TrainingStatus | None = None

    @property
    def status(self) -> TrainingStatus:
        """The status last decided."""
        return self.training.status

    @property
    def run(self) -> Run:
        """The run in status."""
        assert self.status.run is not None
        return self.status.run

    @property
    def reason(self) -> str:
        """The reason of the first condition."""
        return self.status.conditions[0].reason

    @property
    def event_reasons(self) -> list[str]:
        """Reasons of the events so far."""
        return [item.reason.value for item in self.events]

    def learns(self, observation: Observation) -> Decision:
        """Decide, record where the engine would, and check the result."""
        before = self._recorded or self.training.status
        decision = decide(self.training, observation, self.now, self.state, self.durations)
        is_derived = True
        if decision.publish and self.refusal is not None:
            message, refused = self.refusal
            failed = PublishFailed(decision, message, refused=refused)
            recorded = self.training.with_status(before)
            decision = decide(recorded, failed, self.now, decision.state, self.durations)
            # Until the failure is shown, an edit does not count as observed.
            is_derived = is_unpublished(decision.status)
        if self.checked and decision.status is not before:
            if is_derived:
                check_status(self.training, decision.status)
            answered = isinstance(observation, Posted | PostFailed)
            self._recorded = before
            if answered or isinstance(decision.action, RequeueAfter | Post | FetchLog):
                self.events += transition_events(
                    before, decision.status, self.training.spec.backoff_limit
                )
                self.writes += dump_status(before) != dump_status(decision.status)
                self._recorded = decision.status
        self.training = self.training.with_status(decision.status)
        self.state, self.action = decision.state, decision.action
        self.published += decision.publish
        if decision.start_outcome is not None:
            self.ledger = with_start_resolved(self.ledger, decision.start_outcome, self.now)
        return decision

    @property
    def entry(self) -> InFlightStart | None:
        """The in-flight start of the model in the ledger."""
        return self.ledger.in_flight_starts.get(self.training.spec.model_id)

    def opens(self) -> "Life":
        """Write the ledger, as the engine does between the intent and the POST."""
        self.ledger, entry = with_start_begun(self.ledger, self.training, self.now)
        self.state = replace(
            self.state, start=replace(self.state.start, in_flight=entry, intent_seen_at=self.now)
        )
        return self

    def sees(
        self, model: RemoteModel, *, key: KeyUse = KEY, competitors: tuple[Training, ...] = ()
    ) -> Decision:
        """The requested poll shows `model`."""
        latest_run = self.ledger.latest_runs.get(self.training.spec.model_id)
        return self.learns(
            ModelPolled(model, key, competitors, self.entry, latest_run, self.ledger.serial)
        )

    def waits(self, seconds: float) -> "Life":
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        return self

    def edit(self, **spec: Any) -> "Life":  # noqa: ANN401 - values of spec fields
        """Edit the spec."""
        self.training = edited(self.training, **spec)
        return self

    def edit_unreadably(self, *paths: str, **spec: Any) -> "Life":  # noqa: ANN401 - values of spec fields
        """Edit the resource so that these fields cannot be read; none: all can be read."""
        self.training = replace(
            edited(self.training, **spec),
            unreadable=tuple(
                UnreadableField(".".join(path.split(".")[:2]), path, "input should be simple")
                for path in paths
            ),
        )
        return self

    def annotate(self, requested_at: str) -> "Life":
        """Request a run by the annotation, which is no edit of the spec."""
        self.training = replace(self.training, requested_at=requested_at)
        return self

    def is_deleted(self) -> "Life":
        """Set its deletionTimestamp, which counts as an edit."""
        deleted = edited(self.training)
        self.training = replace(deleted, is_being_deleted=True)
        return self

    def restarts(self) -> "Life":
        """Lose the in-process state."""
        self.state = InProcessState()
        return self

    def wake_ups(self) -> Decision:
        """Trigger a reconcile: a watch event, or a due time."""
        return self.learns(Triggered())

    def polls(
        self, model: RemoteModel, *, key: KeyUse = KEY, competitors: tuple[Training, ...] = ()
    ) -> Decision:
        """Trigger a reconcile, get a start if one is queued, and see `model`."""
        decision = self.wake_ups()
        if isinstance(decision.action, CheckQueue):
            decision = self.learns(QueueReached())
        if isinstance(decision.action, Poll):
            decision = self.sees(model, key=key, competitors=competitors)
        return decision

    def poll_fails(self, kind: FailureKind, **facts: Any) -> Decision:  # noqa: ANN401 - CallFailure's fields
        """Trigger a reconcile whose poll fails."""
        assert isinstance(self.wake_ups().action, Poll)
        return self.learns(PollFailed(call_failed(kind, **facts)))

    def is_queued(self, position: int = 3, of: int = 12, wait: float = 600) -> Decision:
        """Trigger a reconcile without quota for its poll."""
        assert isinstance(self.action, AcquireStart)
        in_ten_minutes = self.now + timedelta(minutes=10)
        queue = Queue(position=position, of=of, estimated_start_at=in_ten_minutes)
        return self.learns(StartQueued(queue, wait))

    def intends(self, model: RemoteModel | None = None, *, key: KeyUse = KEY) -> "Life":
        """Record the intent: the POST is next."""
        decision = self.polls(model or a_model(2), key=key)
        assert isinstance(decision.action, AcquireStart)
        decision = self.learns(StartGranted(decision.action.model, decision.action.key))
        assert isinstance(decision.action, Post)
        return self.opens()

    def is_accepted(self, reply: RemoteModel | None = None) -> "Life":
        """The API accepts the start."""
        self.learns(Posted(reply))
        return self

    def is_refused(self, kind: FailureKind, **facts: Any) -> "Life":  # noqa: ANN401 - CallFailure's fields
        """The POST fails."""
        self.learns(PostFailed(call_failed(kind, **facts)))
        return self

    def stores_log(self) -> Decision:
        """Fetch the log that is due."""
        assert isinstance(self.action, FetchLog)
        stored = LogStatus(config_maps=("cardiology-log",), entries=3, bytes=99)
        return self.learns(LogStored(stored, (), self.action.due_in, WHOLE_LOG))

    def runs(self, run_start_time: datetime = EIGHT) -> "Life":
        """Start, and poll the run at 0 %."""
        self.intends().is_accepted(a_model(3, progress=0, started_at=run_start_time))
        assert self.status.phase == Phase.RUNNING
        return self

    def succeeds(self, run_start_time: datetime = EIGHT, **facts: Any) -> "Life":  # noqa: ANN401 - a model's fields
        """Poll the end of the run, and store its log."""
        self.polls(a_model(4, **{"started_at": run_start_time, "metrics": metrics(), **facts}))
        if isinstance(self.action, FetchLog):
            self.stores_log()
            assert self.status.log is not None
            assert self.status.log.state == LogState.COMPLETE
        return self
