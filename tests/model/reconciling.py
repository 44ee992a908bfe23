"""A reconcile: decide, record, act, observe, until the requeue (engine/reconciler.py).

Each method that a `Job` names is one effect. Between two effects anything else may happen. The core
makes the decisions between them.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.model.decisions import Decisions, NumberedDecision, Seen
from tests.model.rules import Mutation
from tests.model.values import Copy, Job, Process, Recall, State, Thing, View

__all__ = [
    "Here",
    "Move",
    "Reconciling",
    "name_of",
    "noted",
    "outdated",
    "replaced",
    "second_of",
    "with_process",
]

Move = tuple[str, State]
"""A description of the event, and the state after it."""


def name_of(process: int) -> str:
    """The name of a process in traces."""
    return "AB"[process]


def with_process(state: State, number: int, process: Process) -> State:
    """The state with a process replaced."""
    processes = list(state.processes)
    processes[number] = process
    return state._replace(processes=tuple(processes))


class Here(NamedTuple):
    """A process in the middle of a reconcile."""

    state: State
    number: int
    process: Process
    job: Job

    @property
    def name(self) -> str:
        """The name of the process in traces."""
        return name_of(self.number)

    @property
    def second(self) -> int:
        """The current second on the clock of the process."""
        return second_of(self.state, self.number)

    def continues(self, **job: Any) -> State:  # noqa: ANN401 - values of Job's fields
        """The state in which the reconcile continues with other fields of its Job."""
        process = self.process._replace(job=self.job._replace(**job))
        return with_process(self.state, self.number, process)

    def ends(self) -> State:
        """The state in which the reconcile is over."""
        return with_process(self.state, self.number, self.process._replace(job=None))

    def paying(self, fault: str) -> "Here | None":
        """The same with one fault spent; None if none is left."""
        left = getattr(self.state.budget, fault)
        if not left:
            return None
        budget = self.state.budget._replace(**{fault: left - 1})
        return self._replace(state=self.state._replace(budget=budget))

    def with_copy(self, copy: Copy) -> "Here":
        """TrainingStore.renew: a resource that the store has removed stays removed."""
        if self.process.store[self.job.resource] is None:
            return self
        store = list(self.process.store)
        store[self.job.resource] = copy
        return self._replace(process=self.process._replace(store=tuple(store)))

    def with_recall(self, recall: Recall) -> "Here":
        """TrainingStore.store_state: as long as the store has the resource."""
        if not self.is_known:
            return self
        recalls = list(self.process.recalls)
        recalls[self.job.resource] = recall
        return self._replace(process=self.process._replace(recalls=tuple(recalls)))

    def behind(self) -> "Here":
        """The same with an outdated copy of the resource."""
        here, copy = self, self.process.store[self.job.resource]
        if copy is not None:
            here = here.with_copy(copy._replace(current=False))
        return here._replace(job=self.job._replace(base=self.job.base._replace(current=False)))

    @property
    def is_known(self) -> bool:
        """Whether the store has the resource, and not a re-created one."""
        known = self.process.store[self.job.resource]
        return known is not None and known.thing.uid == self.job.base.thing.uid

    @property
    def recall(self) -> Recall:
        """TrainingStore.state."""
        return self.process.recalls[self.job.resource] if self.is_known else Recall()

    @property
    def decided(self) -> Thing:
        """The resource with the decided status, and with a deletion that the store knows of."""
        thing, known = self.job.base.thing, self.process.store[self.job.resource]
        doomed = known is not None and known.thing.uid == thing.uid and known.thing.doomed
        return thing._replace(status=self.job.status, doomed=thing.doomed or doomed)

    @property
    def is_recorded(self) -> bool:
        """Whether the status needs no write."""
        return self.job.status == self.job.base.thing.status


def second_of(state: State, number: int) -> int:
    """The current second on the clock of a process; the clocks of two processes differ."""
    return state.clock + number


def replaced(state: State, resource: int, thing: Thing | None) -> State:
    """The state with another version of a resource, of which no process has a current copy."""
    things = list(state.things)
    things[resource] = thing
    late = tuple(write for write in state.late if write.resource != resource)
    state = state._replace(things=tuple(things), late=late)
    for number in range(len(state.processes)):
        state = outdated(state, number, resource)
    return state


def noted(core: Decisions, state: State, resource: int) -> State:
    """The state with the token of a recorded intent, if the search edits tokens."""
    thing = state.things[resource]
    if thing is None or not core.rules.budget.token:
        return state
    facts = core.facts(thing.status)
    if facts.attempt is None:
        return state
    sent = {*state.sent, (resource, thing.uid, facts.token)}
    return state._replace(sent=tuple(sorted(sent)))


def outdated(state: State, number: int, resource: int) -> State:
    """The state in which the copy of a process is not the newest version any more."""
    process = state.processes[number]
    copy, job = process.store[resource], process.job
    if copy is not None and copy.current:
        store = list(process.store)
        store[resource] = copy._replace(current=False)
        process = process._replace(store=tuple(store))
    if job is not None and job.resource == resource and job.base.current:
        process = process._replace(job=job._replace(base=job.base._replace(current=False)))
    return with_process(state, number, process)


class Reconciling:
    """Decisions and polls (engine/reconciler.py and RemoteCalls.poll)."""

    def __init__(self, decisions: Decisions) -> None:
        self.core = decisions
        self.rules = decisions.rules

    def leads(self, here: Here) -> bool:
        """Whether the process considers itself the leader."""
        return self.rules.two_leaders or here.state.leader == here.number

    def begin(self, state: State, number: int, resource: int, copy: Copy) -> State:
        """Reconciler.reconcile: decide on the trigger, from the copy of the resource."""
        job = Job("", resource, copy, copy.thing.status, "")
        here = Here(state, number, state.processes[number], job)
        return self.proceed(
            here, self.core.triggered(here.second, resource, copy.thing, here.recall)
        )

    def proceed(self, here: Here, decision: NumberedDecision) -> State:
        """Reconciler: record the outcome of a start, and then resolve the start in the ledger."""
        status, action, recall, start_outcome = decision
        here = here.with_recall(recall)
        job = here.job._replace(status=status, action=action, start_outcome=start_outcome)
        here = here._replace(job=job)
        if start_outcome is None:
            return self.act(here)
        return here.continues(at="resolve_start" if here.is_recorded else "resolve")

    def act(self, here: Here) -> State:
        """Reconciler: carry out the action of the decision."""
        job = here.job._replace(answer=None, found=None, start_outcome=None, begun=None)
        here = here._replace(job=job)
        match job.action:
            case "poll":
                is_read = self._has_read(here)
                at = "poll" if is_read else "read_ledger"
                return here.continues(
                    at=at, then="" if is_read else "poll", revision=True, view=None
                )
            case "acquire":
                assert job.view is not None
                decision = self.core.granted(
                    here.second, job.resource, here.decided, here.recall, job.view
                )
                if decision.action != "post":  # for example because the request was cancelled
                    return self.proceed(here, decision)
                here = here.with_recall(decision.recall)
                is_late = self.rules.mutation is Mutation.INTENT_AFTER_IN_FLIGHT
                at = "begin_start" if is_late else "intent"
                return here.continues(
                    at=at, status=decision.status, action="post", begun=0, view=None
                )
            case _:
                return here.ends() if here.is_recorded else here.continues(at="record", view=None)

    def _has_read(self, here: Here) -> bool:
        """RemoteCalls.poll: a followed run needs no ledger, an intent its in-flight start."""
        facts, ledger = self.core.facts(here.job.status), here.process.ledger
        if ledger is None or facts.followed:
            return facts.followed
        if facts.attempt is None or facts.finished:
            return True
        return self.core.has_start_in_flight(here.job.resource, here.decided, ledger)

    def poll(self, here: Here) -> Iterator[Move]:
        """A GET of the model; a stale poll shows an earlier view, but never twice in succession."""
        if self._is_idle(here):
            job, decided = here.job, here.decided
            decision = self.core.idle(here.second, job.resource, decided, here.recall)
            event = f"{here.name} has no start of r{job.resource} in flight, which is being deleted"
            yield event, self.proceed(here, decision)
            return
        process = here.process._replace(misled=False)
        event = f"{here.name} sees {here.state.model}"
        yield from self._saw(here._replace(process=process), here.state.model, event)
        garbled = here._replace(process=process).paying("unreadable")
        if garbled is not None and here.state.model.run_start is not None:
            view = here.state.model._replace(unreadable=True)
            yield from self._saw(garbled, view, f"{here.name} sees {view}")
        poorer = here.paying("stale")
        if poorer is not None and not here.process.misled:
            misled = poorer._replace(process=here.process._replace(misled=True))
            for view in here.state.past:
                if view != here.state.model:
                    yield from self._saw(misled, view, f"{here.name} sees {view}, which is stale")

    def _is_idle(self, here: Here) -> bool:
        """RemoteCalls.poll: a resource being deleted is polled only for a start in flight."""
        ledger, decided = here.process.ledger, here.decided
        if self.rules.mutation is Mutation.DELETION_UNSEEN or not decided.doomed:
            return False
        return ledger is None or not self.core.has_start_in_flight(
            here.job.resource, decided, ledger
        )

    def _saw(self, here: Here, view: View, event: str) -> Iterator[Move]:
        here = here._replace(job=here.job._replace(at="got", view=view))
        if self.rules.slow_polls:
            yield event, here.continues()
        else:
            for more, after in self.got(here):
                yield event + more.removeprefix(f"{here.name} reads that"), after

    def got(self, here: Here) -> Iterator[Move]:
        """RemoteCalls.poll: the ledger as before the poll, competing trainings as after it."""
        yield f"{here.name} reads that", self._seen(here, here.process.ledger)
        if self.rules.mutation is Mutation.LEDGER_MEANWHILE:
            event = f"{here.name} reads that, while it writes the ledger for another model"
            yield event, self._seen(here, None)

    def _seen(self, here: Here, ledger: int | None) -> State:
        assert here.job.view is not None
        competitors = tuple(
            (resource, copy.thing)
            for resource, copy in enumerate(here.process.store)
            if copy is not None and resource != here.job.resource
        )
        knows_gaps = self.rules.mutation is not Mutation.UNLISTED_IS_GONE
        poll = Seen(
            here.job.view,
            self.core.in_flight(ledger),
            self.core.latest_run(ledger),
            competitors,
            here.process.unlisted if knows_gaps else (),
        )
        return self.proceed(
            here,
            self.core.seen(here.second, here.job.resource, here.decided, here.recall, poll),
        )
