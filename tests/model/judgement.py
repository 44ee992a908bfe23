"""The operator's judgement: the real core, asked once for each question, in the model's terms.

Only what plays a part in decisions is kept of a status: texts, conditions and times by the clock
are dropped, so that states in which the same will be decided are the same state.
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
from scriptix_operator.core.reconcile.protocol import (
    AcquireStart,
    Decision,
    InProcessState,
    ModelPolled,
    NoStartInFlight,
    Observation,
    Poll,
    Post,
    Posted,
    PostFailed,
    RequeueAfter,
    StartAborted,
    StartGranted,
    Triggered,
)
from scriptix_operator.core.start.contention import is_start_of
from scriptix_operator.core.status.conditions import is_end_pending, is_finished, is_followed
from tests.model.rules import TIMEOUT, Mutation, Rules
from tests.model.terms import (
    Numbers,
    OneLedger,
    number_of,
    observed,
    plain,
    remote,
)
from tests.model.values import Answer, Outcome, Recall, Thing, View
from tests.unit.core.builders import EIGHT, KEY, a_training

__all__ = ["Facts", "Judgement", "ObservedOutcome", "Seen"]

MANY = 100
"""The numbers of a rebuilt ledger begin here, past all that the lost one has reached."""


class ObservedOutcome(NamedTuple):
    """A Decision: the status to record, what is next, what to remember, what to close."""

    status: int
    action: str
    recall: Recall
    settled: Outcome | None


class Facts(NamedTuple):
    """What a status says."""

    run: int | None
    """Number of the run with all that is written of it: as the engine compares runs."""
    attempt: int | None
    """Of the intent."""
    ownership: str | None
    marker: int | None
    followed: bool
    finished: bool
    end_seen: int | None
    """When its end was seen, in seconds, where its results are awaited."""
    token: str
    """That the run in status answers."""
    used: frozenset[str]
    """The tokens of runs that there were, or that have ended without one."""
    reason: str | None
    """Why it has failed, or is blocked."""

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
    """A look, as a process takes it in."""

    view: View
    entry: int | None
    latest_run: LatestRun | None
    competitors: tuple[tuple[int, Thing], ...]
    unlisted: tuple[int, ...] = ()


class Judgement:
    """The core, under the rules of one search."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.statuses: Numbers[TrainingStatus] = Numbers()
        self.runs: Numbers[Run] = Numbers()
        self.entries: Numbers[InFlightStart] = Numbers()
        self.ledgers: Numbers[OneLedger] = Numbers()
        self.blank = self.number(TrainingStatus())
        self.empty = self.ledgers.of(OneLedger.of(Ledger()))
        # Each question is answered once; a search asks the same one in thousands of states.
        self.woken = lru_cache(maxsize=None)(self._woken)
        self.seen = lru_cache(maxsize=None)(self._seen)
        self.idle = lru_cache(maxsize=None)(self._idle)
        self.granted = lru_cache(maxsize=None)(self._granted)
        self.answered = lru_cache(maxsize=None)(self._answered)
        self.facts = lru_cache(maxsize=None)(self._facts)
        self.with_start_begun = lru_cache(maxsize=None)(self._opened)
        self.with_start_resolved = lru_cache(maxsize=None)(self._closed)
        self.rebuilt = lru_cache(maxsize=None)(self._rebuilt)

    # Questions to decide().

    def _woken(self, second: int, resource: int, thing: Thing, recall: Recall) -> ObservedOutcome:
        return self._decide(second, resource, thing, recall, Triggered())

    def _seen(
        self, second: int, resource: int, thing: Thing, recall: Recall, poll: Seen
    ) -> ObservedOutcome:
        entry = None if poll.entry is None else self.entries[poll.entry]
        if entry is None and self.rules.mutation is Mutation.LONELY_INTENT:
            entry = self._imagined_entry(resource, thing)
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
            entry,
            poll.latest_run,
            is_holder_unlisted=self.whose(poll.entry)[0] in poll.unlisted,
            has_hidden_competitor=bool(poll.unlisted),
        )
        return self._decide(second, resource, thing, recall, observation)

    def _idle(self, second: int, resource: int, thing: Thing, recall: Recall) -> ObservedOutcome:
        return self._decide(second, resource, thing, recall, NoStartInFlight())

    def _granted(
        self, second: int, resource: int, thing: Thing, recall: Recall, view: View
    ) -> ObservedOutcome:
        return self._decide(second, resource, thing, recall, StartGranted(remote(view), KEY))

    def _answered(
        self, second: int, resource: int, thing: Thing, recall: Recall, answer: Answer
    ) -> ObservedOutcome:
        observation = StartAborted() if answer.kind == "Withdrawn" else self._observed(answer)
        return self._decide(second, resource, thing, recall, observation)

    def _observed(self, answer: Answer) -> Posted | PostFailed:
        match self.rules.mutation:
            case Mutation.GATEWAY_BELIEVED if answer.gateway:
                return observed(Answer("Unauthorized"))
            case Mutation.ERROR_BELIEVED if answer.flawed:
                return observed(Answer("RateLimited"))
            case Mutation.SUCCESS_BELIEVED if answer.flawed:
                return Posted(None)
            case _:
                return observed(answer)

    def _decide(
        self, second: int, resource: int, thing: Thing, recall: Recall, observation: Observation
    ) -> ObservedOutcome:
        process = second % 2
        now = EIGHT + timedelta(seconds=second - process * self.rules.same_clock)
        state = self._memory(recall, now)
        training = self.training(resource, thing)
        decision = decide(training, observation, now, state, self.rules.durations)
        if self.rules.mutation is Mutation.REPLY_COMPARED and isinstance(observation, Posted):
            decision = _as_polled(decision)
        return self._verdict(decision, now, thing)

    # Questions to the ledger.

    def entry(self, ledger: int | None) -> int | None:
        """The open entry."""
        entry = None if ledger is None else self.ledgers[ledger].entry
        return None if entry is None else self.entries.of(entry)

    def has_start_in_flight(self, resource: int, thing: Thing, ledger: int) -> bool:
        """Whether the entry that is open is of the resource's intent."""
        entry = self.ledgers[ledger].entry
        return entry is not None and is_start_of(entry, self.training(resource, thing))

    def latest_run(self, ledger: int | None) -> LatestRun | None:
        """What it remembers of the model's trainings."""
        return None if ledger is None else self.ledgers[ledger].latest_run

    def serial(self, entry: int | None) -> int | None:
        """Its number in the ledger."""
        return None if entry is None else self.entries[entry].serial

    def whose(self, entry: int | None) -> tuple[int, int]:
        """Resource and uid that an entry was opened for; two that do not exist where none is."""
        if entry is None:
            return -1, -1
        _, resource, uid = self.entries[entry].uid.rsplit("-", 2)
        return int(resource), int(uid)

    def owner(self, entry: int) -> str:
        """For people: whose start it is."""
        found = self.entries[entry]
        again = self.whose(entry)[1]
        return f"of {found.name}, attempt {found.attempt}" + (" (made anew)" if again else "")

    def counted(self, ledger: int) -> int:
        """The ledger as a new leader writes it, so that it is not the one before."""
        found = self.ledgers[ledger]
        return self.ledgers.of(found._replace(serial=found.serial + 1))

    def _opened(self, resource: int, thing: Thing, ledger: int) -> tuple[int, int] | None:
        """The ledger with the start's entry, and that; None where one is open."""
        try:
            updated, entry = with_start_begun(
                self.ledgers[ledger].whole(), self.training(resource, thing), EIGHT
            )
        except StartInFlightError:
            return None
        return self.ledgers.of(OneLedger.of(updated)), self.entries.of(entry)

    def _closed(self, ledger: int, outcome: Outcome) -> int:
        entry = self.entries[outcome.entry]
        settled = StartOutcome(entry, outcome.acted, outcome.marker, outcome.sent)
        return self.ledgers.of(
            OneLedger.of(with_start_resolved(self.ledgers[ledger].whole(), settled, EIGHT))
        )

    def _rebuilt(self, things: tuple[tuple[int, Thing], ...]) -> int:
        trainings = [self.training(number, thing) for number, thing in things]
        return self.ledgers.of(OneLedger.of(rebuilt(trainings, MANY)))

    # The model's terms.

    def number(self, status: TrainingStatus) -> int:
        """The number of a status, by what plays a part of it."""
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
        """The status of a resource that has adopted what there is."""
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

    def _memory(self, recall: Recall, now: datetime) -> InProcessState:
        def then(age: int | None) -> datetime | None:
            return None if age is None else now - timedelta(seconds=age)

        return InProcessState(
            refusals=recall.refusals,
            in_flight=None if recall.entry is None else self.entries[recall.entry],
            answer=None if recall.answer is None else self._observed(recall.answer),
            intent_seen_at=then(recall.age),
            reset_seen=recall.reset,
            agreed_at=then(recall.agreed),
            repeated_at=then(recall.repeated),
            results_poll_at=then(recall.results),
        )

    def _verdict(self, decision: Decision, now: datetime, thing: Thing) -> ObservedOutcome:
        is_left_alone = thing.doomed or is_finished(decision.status)
        state, settled, action = decision.state, decision.start_outcome, decision.action

        def age(at: datetime | None) -> int | None:
            return None if at is None else int((now - at).total_seconds())

        if isinstance(action, RequeueAfter) and action.seconds is None and not is_left_alone:
            assert decision.status.phase == "Suspended", "it rests for ever without a reason"
        recall = Recall(
            None if state.in_flight is None else self.entries.of(state.in_flight),
            None,  # each answer is dealt with in the step that learns it
            age(state.intent_seen_at),
            state.reset_seen,
            age(state.agreed_at),
            age(state.repeated_at),
            age(state.results_poll_at),
            min(state.refusals, 2),
        )
        outcome = None
        if settled is not None:
            entry = self.entries.of(settled.in_flight)
            outcome = Outcome(entry, settled.acted, settled.run_start_time, settled.sent)
        names = {Poll: "look", AcquireStart: "reserve", Post: "post", RequeueAfter: "rest"}
        return ObservedOutcome(self.number(decision.status), names[type(action)], recall, outcome)

    def _imagined_entry(self, resource: int, thing: Thing) -> InFlightStart | None:
        run = self.statuses[thing.status].run
        if run is None or run.intent is None:
            return None
        training = self.training(resource, thing)
        return with_start_begun(Ledger(serial=-run.attempt - 1), training, EIGHT)[1]


def _as_polled(decision: Decision) -> Decision:
    """The decision on a reply to a POST as if its start time had been seen in a poll."""
    status, settled = decision.status, decision.start_outcome
    assert status.run is not None
    assert settled is not None
    run = replace(status.run, started_training_at=status.started_at)
    return replace(
        decision,
        status=replace(status, run=run),
        start_outcome=replace(settled, run_start_time=status.started_at),
    )


def _end_seen(status: TrainingStatus) -> int | None:
    end = status.run.pending_end if status.run is not None else None
    if end is None or not is_end_pending(status):
        return None
    return int((end.seen_at - EIGHT).total_seconds())


def _used(status: TrainingStatus) -> frozenset[str]:
    runs = [entry.token for entry in status.history if entry.ownership or entry.finished_at]
    if status.run is not None and (status.run.ownership or status.finished_at):
        runs.append(status.run.token)
    return frozenset(runs)
