"""The operator's decisions: the real core, called once for each input, with the model's values.

A status keeps only what decisions read. Texts, conditions and wall-clock times are dropped, so that
states with the same future decisions are the same state.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.decide import decide
from scriptix_operator.core.ledger.ledger import (
    InFlightStart,
    LatestRun,
    Ledger,
    StartInFlightError,
    StartOutcome,
    with_start_begun,
    with_start_resolved,
)
from scriptix_operator.core.ledger.rebuild import rebuilt
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.call_results import Posted, PostFailed
from scriptix_operator.core.reconcile.in_process_state import InProcessState, PollState, StartState
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Decision,
    ModelPolled,
    NoStartInFlight,
    Observation,
    Poll,
    Post,
    RequeueAfter,
    StartAborted,
    StartGranted,
    Triggered,
)
from scriptix_operator.core.start.competing_trainings import is_start_of
from scriptix_operator.core.status.conditions import is_end_pending, is_finished, is_followed
from tests.model.rules import TIMEOUT, Mutation, Rules
from tests.model.translation import (
    Numbers,
    OneLedger,
    number_of,
    observed,
    plain,
    remote,
)
from tests.model.values import Answer, Outcome, Recall, Thing, View
from tests.unit.core.builders import EIGHT, KEY, a_training

__all__ = ["Decisions", "Facts", "NumberedDecision", "Seen"]

MANY = 100
"""The serials of a rebuilt ledger begin here, above all serials of the lost ledger."""


class NumberedDecision(NamedTuple):
    """A Decision: the status to record, the action, the in-process state, the start outcome."""

    status: int
    action: str
    recall: Recall
    start_outcome: Outcome | None


class Facts(NamedTuple):
    """Facts that a status records."""

    run: int | None
    """Number of the run with all of its fields, as the engine compares runs."""
    attempt: int | None
    """Attempt of the intent."""
    ownership: str | None
    run_start: int | None
    followed: bool
    finished: bool
    end_seen: int | None
    """Second in which the end of the run was seen, while its results are awaited."""
    token: str
    """Run token of the run in status."""
    used: frozenset[str]
    """Tokens of earlier runs, and of requests that ended without a run."""
    reason: str | None
    """Reason of the failure, or of the block."""

    def __str__(self) -> str:
        if self.run is None:
            return "no run"
        if self.finished:
            return (
                f"ended, {self.ownership or 'without one'}{f', {self.reason}' * bool(self.reason)}"
            )
        if self.followed:
            pending = "" if self.end_seen is None else ", its end pending"
            return f"Running, {self.ownership}{pending}"
        return f"intent of attempt {self.attempt}" if self.attempt else "no intent"


class Seen(NamedTuple):
    """A poll and what the process knew when it read the reply."""

    view: View
    in_flight: int | None
    latest_run: LatestRun | None
    competitors: tuple[tuple[int, Thing], ...]
    unlisted: tuple[int, ...] = ()


class Decisions:
    """The core, under the rules of one search."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.statuses: Numbers[TrainingStatus] = Numbers()
        self.runs: Numbers[Run] = Numbers()
        self.starts_in_flight: Numbers[InFlightStart] = Numbers()
        self.ledgers: Numbers[OneLedger] = Numbers()
        self.blank = self.number(TrainingStatus())
        self.empty = self.ledgers.of(OneLedger.of(Ledger()))
        # Results are cached, because a search meets the same input in thousands of states.
        self.triggered = lru_cache(maxsize=None)(self._triggered)
        self.seen = lru_cache(maxsize=None)(self._seen)
        self.idle = lru_cache(maxsize=None)(self._idle)
        self.granted = lru_cache(maxsize=None)(self._granted)
        self.answered = lru_cache(maxsize=None)(self._answered)
        self.facts = lru_cache(maxsize=None)(self._facts)
        self.with_start_begun = lru_cache(maxsize=None)(self._opened)
        self.with_start_resolved = lru_cache(maxsize=None)(self._closed)
        self.rebuilt = lru_cache(maxsize=None)(self._rebuilt)

    # Decisions.

    def _triggered(
        self, second: int, resource: int, thing: Thing, recall: Recall
    ) -> NumberedDecision:
        return self._decide(second, resource, thing, recall, Triggered())

    def _seen(
        self, second: int, resource: int, thing: Thing, recall: Recall, poll: Seen
    ) -> NumberedDecision:
        in_flight = None if poll.in_flight is None else self.starts_in_flight[poll.in_flight]
        if in_flight is None and self.rules.mutation is Mutation.INTENT_IS_AMBIGUOUS:
            in_flight = self._imagined_start(resource, thing)
        competitors = tuple(
            self.training(number, competitor) for number, competitor in poll.competitors
        )
        view = poll.view
        if self.rules.mutation is Mutation.UNREADABLE_IS_ABSENT and view.unreadable:
            view = View(view.status, None)
        observation = ModelPolled(
            remote(view),
            KEY,
            competitors,
            in_flight,
            poll.latest_run,
            is_starter_unlisted=self.whose(poll.in_flight)[0] in poll.unlisted,
            has_hidden_competitor=bool(poll.unlisted),
        )
        return self._decide(second, resource, thing, recall, observation)

    def _idle(self, second: int, resource: int, thing: Thing, recall: Recall) -> NumberedDecision:
        return self._decide(second, resource, thing, recall, NoStartInFlight())

    def _granted(
        self, second: int, resource: int, thing: Thing, recall: Recall, view: View
    ) -> NumberedDecision:
        return self._decide(second, resource, thing, recall, StartGranted(remote(view), KEY))

    def _answered(
        self, second: int, resource: int, thing: Thing, recall: Recall, answer: Answer
    ) -> NumberedDecision:
        observation = StartAborted() if answer.kind == "Aborted" else self._observed(answer)
        return self._decide(second, resource, thing, recall, observation)

    def _observed(self, answer: Answer) -> Posted | PostFailed:
        match self.rules.mutation:
            case Mutation.GATEWAY_TRUSTED if answer.gateway:
                return observed(Answer("Unauthorized"))
            case Mutation.ERROR_TRUSTED if answer.flawed:
                return observed(Answer("RateLimited"))
            case Mutation.SUCCESS_TRUSTED if answer.flawed:
                return Posted(None)
            case _:
                return observed(answer)

    def _decide(
        self, second: int, resource: int, thing: Thing, recall: Recall, observation: Observation
    ) -> NumberedDecision:
        process = second % 2
        now = EIGHT + timedelta(seconds=second - process * self.rules.same_clock)
        state = self._in_process_state(recall, now)
        training = self.training(resource, thing)
        decision = decide(training, observation, now, state, self.rules.durations)
        if self.rules.mutation is Mutation.REPLY_COMPARED and isinstance(observation, Posted):
            decision = _as_polled(decision)
        return self._numbered(decision, now, thing)

    # The start ledger.

    def in_flight(self, ledger: int | None) -> int | None:
        """The in-flight start of a ledger."""
        in_flight = None if ledger is None else self.ledgers[ledger].in_flight
        return None if in_flight is None else self.starts_in_flight.of(in_flight)

    def has_start_in_flight(self, resource: int, thing: Thing, ledger: int) -> bool:
        """Whether the in-flight start of the ledger belongs to the intent of the resource."""
        in_flight = self.ledgers[ledger].in_flight
        return in_flight is not None and is_start_of(in_flight, self.training(resource, thing))

    def latest_run(self, ledger: int | None) -> LatestRun | None:
        """The latest run of the model that the ledger records."""
        return None if ledger is None else self.ledgers[ledger].latest_run

    def serial(self, in_flight: int | None) -> int | None:
        """Serial of an in-flight start."""
        return None if in_flight is None else self.starts_in_flight[in_flight].serial

    def whose(self, in_flight: int | None) -> tuple[int, int]:
        """Resource and uid of an in-flight start; (-1, -1) without one."""
        if in_flight is None:
            return -1, -1
        _, resource, uid = self.starts_in_flight[in_flight].uid.rsplit("-", 2)
        return int(resource), int(uid)

    def owner(self, in_flight: int) -> str:
        """Describe an in-flight start in a trace."""
        found = self.starts_in_flight[in_flight]
        again = self.whose(in_flight)[1]
        return f"of {found.name}, attempt {found.attempt}" + (" (re-created)" if again else "")

    def counted(self, ledger: int) -> int:
        """The ledger as a new leader writes it, with the next serial."""
        found = self.ledgers[ledger]
        return self.ledgers.of(found._replace(serial=found.serial + 1))

    def _opened(self, resource: int, thing: Thing, ledger: int) -> tuple[int, int] | None:
        """The ledger with a new in-flight start, and the start; None if one is in flight."""
        try:
            updated, in_flight = with_start_begun(
                self.ledgers[ledger].whole(), self.training(resource, thing), EIGHT
            )
        except StartInFlightError:
            return None
        return self.ledgers.of(OneLedger.of(updated)), self.starts_in_flight.of(in_flight)

    def _closed(self, ledger: int, outcome: Outcome) -> int:
        in_flight = self.starts_in_flight[outcome.in_flight]
        start_outcome = StartOutcome(in_flight, outcome.acted, outcome.run_start, outcome.sent)
        return self.ledgers.of(
            OneLedger.of(with_start_resolved(self.ledgers[ledger].whole(), start_outcome, EIGHT))
        )

    def _rebuilt(self, things: tuple[tuple[int, Thing], ...]) -> int:
        trainings = [self.training(number, thing) for number, thing in things]
        return self.ledgers.of(OneLedger.of(rebuilt(trainings, MANY)))

    # Translation between the core and the model.

    def number(self, status: TrainingStatus) -> int:
        """The number of a status, by the fields that decisions read."""
        run = status.run
        if self.rules.mutation is Mutation.NEW_BASELINE and run is not None:
            if run.attempt > 1 and run.intent is None and run.ownership is None:
                run = replace(run, baseline=None)
            status = replace(status, run=run)
        return self.statuses.of(plain(status))

    def training(self, resource: int, thing: Thing) -> Training:
        """A resource as the core sees it."""
        training = a_training(
            name=f"r{resource}",
            uid=f"uid-{resource}-{thing.uid}",
            created_at=EIGHT + timedelta(minutes=resource + 10 * thing.uid),
            status=self.statuses[thing.status],
            run_token=thing.token,
            poll_interval_seconds=1,
            timeout_seconds=TIMEOUT,
            log={"collect": "Never"},
            suspend=thing.suspended,
            existing_training=self.rules.existing,
        )
        is_known = thing.doomed and self.rules.mutation is not Mutation.DELETION_UNSEEN
        return replace(training, is_being_deleted=is_known)

    def adopted(self, view: View) -> int:
        """The status of a resource that has adopted the training of the model."""
        training = a_training(log={"collect": "Never"})
        decision = decide(training, ModelPolled(remote(view), KEY), EIGHT)
        return self.number(decision.status)

    def _facts(self, status: int) -> Facts:
        real = self.statuses[status]
        run = real.run
        intent = run.intent if run else None
        return Facts(
            None if run is None else self.runs.of(run),
            None if intent is None else intent.attempt,
            None if run is None else run.ownership,
            None if real.started_at is None else number_of(real.started_at),
            is_followed(real),
            is_finished(real),
            _end_seen(real),
            "" if run is None else run.token,
            _used(real),
            None if real.failure is None else real.failure.reason,
        )

    def _in_process_state(self, recall: Recall, now: datetime) -> InProcessState:
        def then(age: int | None) -> datetime | None:
            return None if age is None else now - timedelta(seconds=age)

        return InProcessState(
            start=StartState(
                refusals=recall.refusals,
                in_flight=None
                if recall.in_flight is None
                else self.starts_in_flight[recall.in_flight],
                reply=None if recall.reply is None else self._observed(recall.reply),
                intent_seen_at=then(recall.age),
                reset_seen=recall.reset,
                not_happened_at=then(recall.not_happened),
                unconfirmed_run_at=then(recall.unconfirmed_run),
            ),
            polls=PollState(results_due_at=then(recall.results)),
        )

    def _numbered(self, decision: Decision, now: datetime, thing: Thing) -> NumberedDecision:
        is_left_alone = thing.doomed or is_finished(decision.status)
        state, start_outcome, action = decision.state, decision.start_outcome, decision.action

        def age(at: datetime | None) -> int | None:
            return None if at is None else int((now - at).total_seconds())

        if isinstance(action, RequeueAfter) and action.seconds is None and not is_left_alone:
            assert decision.status.phase == "Suspended", (
                "the resource is never requeued, without a reason"
            )
        recall = Recall(
            None
            if state.start.in_flight is None
            else self.starts_in_flight.of(state.start.in_flight),
            None,  # a reply is processed in the reconcile that receives it
            age(state.start.intent_seen_at),
            state.start.reset_seen,
            age(state.start.not_happened_at),
            age(state.start.unconfirmed_run_at),
            age(state.polls.results_due_at),
            min(state.start.refusals, 2),
        )
        outcome = None
        if start_outcome is not None:
            in_flight = self.starts_in_flight.of(start_outcome.in_flight)
            outcome = Outcome(
                in_flight, start_outcome.acted, start_outcome.run_start_time, start_outcome.sent
            )
        names = {Poll: "poll", AcquireStart: "acquire", Post: "post", RequeueAfter: "requeue"}
        return NumberedDecision(self.number(decision.status), names[type(action)], recall, outcome)

    def _imagined_start(self, resource: int, thing: Thing) -> InFlightStart | None:
        run = self.statuses[thing.status].run
        if run is None or run.intent is None:
            return None
        training = self.training(resource, thing)
        return with_start_begun(Ledger(serial=-run.attempt - 1), training, EIGHT)[1]


def _as_polled(decision: Decision) -> Decision:
    """The decision on a reply to a POST, as if a poll had shown its start time."""
    status, start_outcome = decision.status, decision.start_outcome
    assert status.run is not None
    assert start_outcome is not None
    run = replace(status.run, started_training_at=status.started_at)
    return replace(
        decision,
        status=replace(status, run=run),
        start_outcome=replace(start_outcome, run_start_time=status.started_at),
    )


def _end_seen(status: TrainingStatus) -> int | None:
    end = status.run.pending_end if status.run is not None else None
    if end is None or not is_end_pending(status):
        return None
    return int((end.seen_at - EIGHT).total_seconds())


def _used(status: TrainingStatus) -> frozenset[str]:
    runs = [past.token for past in status.history if past.ownership or past.finished_at]
    if status.run is not None and (status.run.ownership or status.finished_at):
        runs.append(status.run.token)
    return frozenset(runs)
