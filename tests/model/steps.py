"""A step of a resource: decide, settle, act, observe, until it rests (engine/reconciler.py).

Each method that is named in a `Job` is one effect. Between two effects anything else may happen,
for as long as it likes. What is decided in between is asked of the core.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.model.judgement import Judgement, ObservedOutcome, Seen
from tests.model.rules import Mutation
from tests.model.values import Copy, Job, Process, Recall, State, Thing, View

__all__ = [
    "Here",
    "Move",
    "Steps",
    "name_of",
    "noted",
    "outdated",
    "replaced",
    "second_of",
    "with_process",
]

Move = tuple[str, State]
"""What happens, in words, and what is then."""


def name_of(process: int) -> str:
    """For people."""
    return "AB"[process]


def with_process(state: State, number: int, process: Process) -> State:
    """The state with another process in the place of one."""
    processes = list(state.processes)
    processes[number] = process
    return state._replace(processes=tuple(processes))


class Here(NamedTuple):
    """A process in the middle of a step."""

    state: State
    number: int
    process: Process
    job: Job

    @property
    def name(self) -> str:
        """For people."""
        return name_of(self.number)

    @property
    def second(self) -> int:
        """Now, as its process has it."""
        return second_of(self.state, self.number)

    def goes_on(self, **job: Any) -> State:  # noqa: ANN401 - values of Job's fields
        """The state in which its step stands elsewhere."""
        process = self.process._replace(job=self.job._replace(**job))
        return with_process(self.state, self.number, process)

    def ends(self) -> State:
        """The state in which its step is over."""
        return with_process(self.state, self.number, self.process._replace(job=None))

    def paying(self, fault: str) -> "Here | None":
        """The same with one fault less to come; None where there was none left."""
        left = getattr(self.state.budget, fault)
        if not left:
            return None
        budget = self.state.budget._replace(**{fault: left - 1})
        return self._replace(state=self.state._replace(budget=budget))

    def knowing(self, copy: Copy) -> "Here":
        """Roster.renew: where the resource is not known any more, it stays so."""
        if self.process.store[self.job.resource] is None:
            return self
        store = list(self.process.store)
        store[self.job.resource] = copy
        return self._replace(process=self.process._replace(store=tuple(store)))

    def remembering(self, recall: Recall) -> "Here":
        """Roster.remember: as long as it is the resource that is known."""
        if not self.is_known:
            return self
        recalls = list(self.process.recalls)
        recalls[self.job.resource] = recall
        return self._replace(process=self.process._replace(recalls=tuple(recalls)))

    def behind(self) -> "Here":
        """The same where its copy of the resource is not the newest any more."""
        here, copy = self, self.process.store[self.job.resource]
        if copy is not None:
            here = here.knowing(copy._replace(current=False))
        return here._replace(job=self.job._replace(base=self.job.base._replace(current=False)))

    @property
    def is_known(self) -> bool:
        """Whether the store has the resource, and not another with its name."""
        known = self.process.store[self.job.resource]
        return known is not None and known.thing.uid == self.job.base.thing.uid

    @property
    def recall(self) -> Recall:
        """Roster.memory."""
        return self.process.recalls[self.job.resource] if self.is_known else Recall()

    @property
    def decided(self) -> Thing:
        """The resource with the status as decided; its deletion counts from when it is known."""
        thing, known = self.job.base.thing, self.process.store[self.job.resource]
        doomed = known is not None and known.thing.uid == thing.uid and known.thing.doomed
        return thing._replace(status=self.job.status, doomed=thing.doomed or doomed)

    @property
    def is_recorded(self) -> bool:
        """Whether there is nothing to write."""
        return self.job.status == self.job.base.thing.status


def second_of(state: State, number: int) -> int:
    """Now, as a process has it: each writes another second."""
    return state.clock + number


def replaced(state: State, resource: int, thing: Thing | None) -> State:
    """The state with another version of a resource, of which nobody has a current copy."""
    things = list(state.things)
    things[resource] = thing
    late = tuple(write for write in state.late if write.resource != resource)
    state = state._replace(things=tuple(things), late=late)
    for number in range(len(state.processes)):
        state = outdated(state, number, resource)
    return state


def noted(core: Judgement, state: State, resource: int) -> State:
    """The state with the token of an intent that is recorded now, where tokens change."""
    thing = state.things[resource]
    if thing is None or not core.rules.budget.token:
        return state
    facts = core.facts(thing.status)
    if facts.attempt is None:
        return state
    sent = {*state.sent, (resource, thing.uid, facts.token)}
    return state._replace(sent=tuple(sorted(sent)))


def outdated(state: State, number: int, resource: int) -> State:
    """What a process knows of a resource is not the newest version any more."""
    process = state.processes[number]
    copy, job = process.store[resource], process.job
    if copy is not None and copy.current:
        store = list(process.store)
        store[resource] = copy._replace(current=False)
        process = process._replace(store=tuple(store))
    if job is not None and job.resource == resource and job.base.current:
        process = process._replace(job=job._replace(base=job.base._replace(current=False)))
    return with_process(state, number, process)


class Steps:
    """Deciding, and looking at the model."""

    def __init__(self, judgement: Judgement) -> None:
        self.core = judgement
        self.rules = judgement.rules

    def leads(self, here: Here) -> bool:
        """Whether it takes itself for the leader."""
        return self.rules.rivalry or here.state.leader == here.number

    def begin(self, state: State, number: int, resource: int, copy: Copy) -> State:
        """Stepper._visit: decide on being woken, from what is known of the resource."""
        job = Job("", resource, copy, copy.thing.status, "")
        here = Here(state, number, state.processes[number], job)
        return self.proceed(here, self.core.woken(here.second, resource, copy.thing, here.recall))

    def proceed(self, here: Here, verdict: ObservedOutcome) -> State:
        """Stepper._settle: what is learned of a start is recorded, and then its entry closed."""
        status, action, recall, settled = verdict
        here = here.remembering(recall)
        job = here.job._replace(status=status, action=action, settled=settled)
        here = here._replace(job=job)
        if settled is None:
            return self.act(here)
        return here.goes_on(at="close" if here.is_recorded else "settle")

    def act(self, here: Here) -> State:
        """Stepper._visit: what the decision asks for."""
        job = here.job._replace(answer=None, found=None, settled=None, begun=None)
        here = here._replace(job=job)
        match job.action:
            case "poll":
                is_read = self._has_read(here)
                at = "look" if is_read else "take"
                return here.goes_on(at=at, then="" if is_read else "look", revision=True, view=None)
            case "reserve":
                assert job.view is not None
                verdict = self.core.granted(
                    here.second, job.resource, here.decided, here.recall, job.view
                )
                if verdict.action != "post":  # the request was taken back, for instance
                    return self.proceed(here, verdict)
                here = here.remembering(verdict.recall)
                is_late = self.rules.mutation is Mutation.INTENT_AFTER_ENTRY
                at = "open" if is_late else "intent"
                return here.goes_on(at=at, status=verdict.status, action="post", begun=0, view=None)
            case _:
                return here.ends() if here.is_recorded else here.goes_on(at="record", view=None)

    def _has_read(self, here: Here) -> bool:
        """Caller._read_ledger: a run that is followed needs none, an intent has to be in it."""
        facts, ledger = self.core.facts(here.job.status), here.process.ledger
        if ledger is None or facts.followed:
            return facts.followed
        if facts.attempt is None or facts.finished:
            return True
        return self.core.has_start_in_flight(here.job.resource, here.decided, ledger)

    def poll(self, here: Here) -> Iterator[Move]:
        """A GET: a stale one shows the model as it was, but never twice in a row."""
        if self._is_idle(here):
            job, decided = here.job, here.decided
            verdict = self.core.idle(here.second, job.resource, decided, here.recall)
            answered = (
                f"{here.name} has no start of r{job.resource} in flight, which is being deleted"
            )
            yield answered, self.proceed(here, verdict)
            return
        process = here.process._replace(misled=False)
        answered = f"{here.name} sees {here.state.model}"
        yield from self._saw(here._replace(process=process), here.state.model, answered)
        garbled = here._replace(process=process).paying("unreadable")
        if garbled is not None and here.state.model.marker is not None:
            view = here.state.model._replace(unreadable=True)
            yield from self._saw(garbled, view, f"{here.name} sees {view}")
        poorer = here.paying("stale")
        if poorer is not None and not here.process.misled:
            misled = poorer._replace(process=here.process._replace(misled=True))
            for view in here.state.past:
                if view != here.state.model:
                    yield from self._saw(misled, view, f"{here.name} sees {view}, which is stale")

    def _is_idle(self, here: Here) -> bool:
        """Caller.look: for one that is being deleted only a start in flight is asked about."""
        ledger, decided = here.process.ledger, here.decided
        if self.rules.mutation is Mutation.DELETION_UNSEEN or not decided.doomed:
            return False
        return ledger is None or not self.core.has_start_in_flight(
            here.job.resource, decided, ledger
        )

    def _saw(self, here: Here, view: View, answered: str) -> Iterator[Move]:
        here = here._replace(job=here.job._replace(at="got", view=view))
        if self.rules.slow_polls:
            yield answered, here.goes_on()
        else:
            for more, after in self.got(here):
                yield answered + more.removeprefix(f"{here.name} reads that"), after

    def got(self, here: Here) -> Iterator[Move]:
        """Caller.look: the ledger is as known before the look, the rivals as known after it."""
        yield f"{here.name} reads that", self._seen(here, here.process.ledger)
        if self.rules.mutation is Mutation.LEDGER_MEANWHILE:
            answered = f"{here.name} reads that, while it writes the ledger for another model"
            yield answered, self._seen(here, None)

    def _seen(self, here: Here, ledger: int | None) -> State:
        assert here.job.view is not None
        competitors = tuple(
            (resource, copy.thing)
            for resource, copy in enumerate(here.process.store)
            if copy is not None and resource != here.job.resource
        )
        is_answered = self.rules.mutation is not Mutation.UNLISTED_IS_GONE
        poll = Seen(
            here.job.view,
            self.core.entry(ledger),
            self.core.latest_run(ledger),
            competitors,
            here.process.unlisted if is_answered else (),
        )
        return self.proceed(
            here,
            self.core.seen(here.second, here.job.resource, here.decided, here.recall, poll),
        )
