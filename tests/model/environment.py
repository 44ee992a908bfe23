"""What happens outside the operator: the API and its network, the cluster, people, time, faults."""

from collections.abc import Iterator

from tests.model.decisions import Decisions
from tests.model.operator_process import OperatorProcess
from tests.model.reconciling import Here, Move, name_of, noted, replaced, with_process
from tests.model.rules import TICKS, TIMEOUT
from tests.model.starting import ledger_replaced
from tests.model.values import (
    Answer,
    Copy,
    Job,
    LateWrite,
    Message,
    Process,
    Recall,
    Renewal,
    Started,
    State,
    Thing,
    View,
)

__all__ = ["Environment"]

TOKENS = ("", "v1", "v2")
"""Values of spec.runToken."""
AMBIGUOUS = {
    "gateway": (Answer("Ambiguous", gateway=True),),
    # A code that is definite as a 4xx, and one that is not.
    "flawed": (
        Answer("Ambiguous", code="INSUFFICIENT_DATA", flawed=True),
        Answer("Ambiguous", code="INTERNAL_ERROR", flawed=True),
    ),
}
"""By fault: replies that leave open whether the API has acted."""


class Environment:
    """Everything that may happen next outside the processes of the operator."""

    def __init__(self, decisions: Decisions, process: OperatorProcess) -> None:
        self.core, self.rules, self.process = decisions, decisions.rules, process

    def moves(self, state: State) -> Iterator[Move]:
        """All moves from a state."""
        for post in dict.fromkeys(state.posts):
            yield from self._post_arrives(state, post)
        yield from self._model_changes(state)
        yield from self._time_passes(state)
        yield from self._late_writes(state)
        for number in range(len(state.processes)):
            yield from self._watch(state, number)
            yield from self._listed(state, number)
            yield from self._crash(state, number)
        yield from self._succession(state)
        yield from self._people(state)

    # The API.

    def _post_arrives(self, state: State, post: Message) -> Iterator[Move]:
        posts = list(state.posts)
        posts.remove(post)
        gone = state._replace(posts=tuple(posts))
        unread = f"the POST for r{post.resource} is not read"
        event = f"the POST for r{post.resource}"
        if state.model.status in self.rules.starts_from:
            after = self._trained(gone, post)
            event += f" acts: training {after.model.run_start} begins"
            shown = after.model._replace(off=self.rules.off) if self.rules.reply else None
            answer = Answer("Accepted", shown)
        else:
            after, running = gone, state.model.status == 3
            event += " is refused: 409"
            code = "TRAINING_IN_PROGRESS" if running else "MODEL_NOT_READY"
            answer = Answer("Conflict", code=code)
        if not post.awaited:
            yield f"{event}; no process waits for the reply", after
            return
        yield event, self._reply(after, post, answer)
        lost = _paid(after, "lost")
        if lost is not None:
            yield f"{event}; the reply is lost", lost
            yield f"the POST for r{post.resource} is lost", _paid(gone, "lost") or gone
        refused = _paid(gone, "refused")
        if refused is not None:
            event = f"the POST for r{post.resource} is refused: 429"
            yield event, self._reply(refused, post, Answer("RateLimited"))
        yield from self._answered_otherwise(post, (event, after), (unread, gone))

    def _answered_otherwise(self, post: Message, *outcomes: Move) -> Iterator[Move]:
        """The POST is answered by a reply that leaves open whether the API has acted."""
        for fault, answers in AMBIGUOUS.items():
            for event, after in outcomes:
                poorer = _paid(after, fault)
                if poorer is not None:
                    for answer in answers:
                        said = f"{event}; the reply is: {answer}"
                        yield said, self._reply(poorer, post, answer)

    def _reply(self, state: State, post: Message, answer: Answer) -> State:
        process = state.processes[post.sender]
        assert process.job is not None
        return self.process.replied(Here(state, post.sender, process, process.job), answer)

    def _trained(self, state: State, post: Message | None) -> State:
        """A training begins: by a POST of the operator, or of another client."""
        run_start = 0 if state.model.run_start is None else state.model.run_start + 1
        if post is not None:
            number, uid = post.resource, post.uid
            last = next((run for run in reversed(state.ours) if run.resource == number), None)
            request = 0 if last is None else last.request
            if last is not None and last.uid != uid and state.renewed[number] is Renewal.NEW_DATA:
                request += 1
            started = Started(run_start, number, uid, request, post.token)
            renewed = _with(state.renewed, number, Renewal.NO_DATA)
            state = state._replace(ours=(*state.ours, started), renewed=renewed)
        return _shown(state, View(3, run_start))

    def _model_changes(self, state: State) -> Iterator[Move]:
        status, run_start = state.model.status, state.model.run_start
        if status == 3:
            yield f"training {run_start} ends", _shown(state, View(4, run_start))
            bare = _paid(state, "bare")
            if bare is not None:
                event = f"training {run_start} ends, without results so far"
                yield event, _shown(bare, View(4, run_start, bare=True))
        arrived = _paid(state, "bare")
        if state.model.bare and arrived is not None:
            yield f"the results of training {run_start} arrive", _shown(arrived, View(4, run_start))
        foreign = _paid(state, "foreign")
        if foreign is not None and status in self.rules.starts_from - {3}:
            after = self._trained(foreign, None)
            yield f"another client starts training {after.model.run_start}", after
        data = _paid(state, "data")
        if data is not None and status == 4:
            yield "new data arrive: the model is ready to run", self._with_data(data)

    def _with_data(self, state: State) -> State:
        opened_for = self.core.whose(self.core.in_flight(state.ledger))[0]
        if any(process.job and process.job.start_outcome for process in state.processes):
            opened_for = -1  # its outcome is already decided
        renewed = tuple(
            before if before is Renewal.BESIDE_OPEN and opened_for == number else Renewal.NEW_DATA
            for number, before in enumerate(state.renewed)
        )
        return _shown(state._replace(renewed=renewed), View(2, state.model.run_start))

    # Time.

    def _time_passes(self, state: State) -> Iterator[Move]:
        # A server that is not late replies to the waiting client before time passes.
        if any(post.awaited and not post.left for post in state.posts):
            return
        posts = tuple(post._replace(left=post.left - 1) for post in state.posts if post.left)
        processes = tuple(_one_tick_later(process) for process in state.processes)
        after = state._replace(posts=posts, processes=processes)
        if after != state:
            yield "time passes", after
        elif not posts:
            yield from self._much_time_passes(state)

    def _much_time_passes(self, state: State) -> Iterator[Move]:
        """Long enough that no POST on its way can still act."""
        facts = [self.core.facts(thing.status) for thing in state.things if thing is not None]
        ends = [found.end_seen for found in facts if found.end_seen is not None]
        if any(state.clock < end + int(TICKS.results) for end in ends):
            results = state._replace(clock=state.clock + int(TICKS.results))
            yield "the time for results passes", results
        overdue = _paid(state, "overdue")
        if overdue is not None:
            yield "the time-out passes", overdue._replace(clock=state.clock + TIMEOUT)

    # The cluster.

    def _late_writes(self, state: State) -> Iterator[Move]:
        for write in state.late:
            yield f"a late write arrives: {self._said(write)}", self._arrived(state, write)

    def _said(self, write: LateWrite) -> str:
        if write.resource is None:
            in_flight = self.core.in_flight(write.value)
            return "a ledger with " + (
                "no in-flight start" if in_flight is None else self.core.owner(in_flight)
            )
        return f"r{write.resource}: {self.core.facts(write.value)}"

    def _arrived(self, state: State, write: LateWrite) -> State:
        if write.resource is None:
            return ledger_replaced(state, write.value)
        thing = state.things[write.resource]
        assert thing is not None
        state = replaced(state, write.resource, thing._replace(status=write.value))
        return noted(self.core, state, write.resource)

    def _watch(self, state: State, number: int) -> Iterator[Move]:
        process = state.processes[number]
        job, leads = process.job, self.rules.two_leaders or state.leader == number
        if not (leads if job is None else job.at in {"poll", "got", "send"}):
            return
        for resource, thing in enumerate(state.things):
            copy = process.store[resource]
            is_known = thing is None if copy is None else copy.current
            if is_known or resource in process.unlisted:
                continue
            # During a reconcile, only changes that the reconcile checks for make a difference.
            is_doomed = _is_doomed_now(copy, thing)
            is_gone = job is not None and job.at == "send" and _is_gone_now(copy, thing)
            if job is not None and not (
                is_doomed or is_gone if job.resource == resource else job.at in {"poll", "got"}
            ):
                continue
            event = f"{name_of(number)} receives a watch event of r{resource}"
            yield event, with_process(state, number, _with_watch_event(process, resource, thing))

    def _crash(self, state: State, number: int) -> Iterator[Move]:
        after = _paid(state, "crash")
        if after is not None and (self.rules.two_leaders or state.leader == number):
            yield from _restarted(f"{name_of(number)} is killed and starts again", after, number)

    def _succession(self, state: State) -> Iterator[Move]:
        after, successor = _paid(state, "succession"), 1 - state.leader
        if after is not None and state.processes[successor].job is None:
            after = after._replace(leader=successor)
            yield from _restarted(f"{name_of(successor)} becomes the leader", after, successor)

    def _listed(self, state: State, number: int) -> Iterator[Move]:
        """A namespace that could not be listed is listed now."""
        process = state.processes[number]
        if process.job is None or process.job.at in {"poll", "got"}:
            for resource in process.unlisted:
                unlisted = tuple(other for other in process.unlisted if other != resource)
                known = _with_watch_event(process, resource, state.things[resource])
                after = with_process(state, number, known._replace(unlisted=unlisted))
                yield f"{name_of(number)} lists the namespace of r{resource}", after

    # People.

    def _people(self, state: State) -> Iterator[Move]:
        wiped = _paid(state, "wiped")
        if wiped is not None and state.ledger is not None:
            yield "the ledger is deleted", ledger_replaced(wiped, None)
        for resource, thing in enumerate(state.things):
            if thing is not None:
                yield from self._edits(state, resource, thing)

    def _edits(self, state: State, resource: int, thing: Thing) -> Iterator[Move]:
        recreated, deleted = _paid(state, "recreated"), _paid(state, "deleted")
        suspend, doomed = _paid(state, "suspend"), _paid(state, "doomed")
        token = _paid(state, "token")
        if recreated is not None:
            is_open = self.core.whose(self.core.in_flight(state.ledger))[0] == resource
            if is_open and self.core.facts(thing.status).ownership is None:
                renewed = _with(state.renewed, resource, Renewal.BESIDE_OPEN)
                recreated = recreated._replace(renewed=renewed)
            fresh = Thing(thing.uid + 1, self.core.blank, token=thing.token)
            yield f"r{resource} is deleted and re-created", replaced(recreated, resource, fresh)
        if token is not None:
            for value in TOKENS:
                if value != thing.token:
                    event = f"the token of r{resource} is set to {value!r}"
                    after = replaced(token, resource, thing._replace(token=value))
                    if value:  # a new token asks the re-created resource for another run
                        renewed = _with(state.renewed, resource, Renewal.NEW_DATA)
                        after = after._replace(renewed=renewed)
                    yield event, after
        if deleted is not None:
            yield f"r{resource} is deleted", replaced(deleted, resource, None)
        if suspend is not None:
            edited = thing._replace(suspended=not thing.suspended)
            event = "suspended" if edited.suspended else "resumed"
            yield f"r{resource} is {event}", replaced(suspend, resource, edited)
        if doomed is not None and not thing.doomed:
            event = f"the deletion of r{resource} begins, and a finalizer holds it"
            yield event, replaced(doomed, resource, thing._replace(doomed=True))


def _paid(state: State, fault: str) -> State | None:
    """The state with one fault spent; None if none is left."""
    left = getattr(state.budget, fault)
    if not left:
        return None
    return state._replace(budget=state.budget._replace(**{fault: left - 1}))


def _with(values: tuple[Renewal, ...], number: int, value: Renewal) -> tuple[Renewal, ...]:
    return (*values[:number], value, *values[number + 1 :])


def _shown(state: State, view: View) -> State:
    """The model changes; a stale poll may still show its earlier view."""
    past = state.past
    if state.budget.stale and state.model not in past:
        past = (*past, state.model)
    return state._replace(model=view, past=past)


def _one_tick_later(process: Process) -> Process:
    """The process one tick later; an age stops at the bound above which it changes nothing."""
    job: Job | None = process.job
    if job is not None and job.begun is not None:
        job = job._replace(begun=min(job.begun + 1, int(TICKS.send_window) + 1))
    return process._replace(job=job, recalls=tuple(_aged(recall) for recall in process.recalls))


def _aged(recall: Recall) -> Recall:
    return recall._replace(
        age=_later(recall.age, TICKS.longest_in_flight),
        not_happened=_later(recall.not_happened, TICKS.agree),
        unconfirmed_run=_later(recall.unconfirmed_run, TICKS.agree),
    )


def _later(age: int | None, enough: float) -> int | None:
    return None if age is None else min(age + 1, int(enough))


def _is_doomed_now(copy: Copy | None, thing: Thing | None) -> bool:
    """Whether the deletion of a resource has begun since the version that the process knows."""
    if copy is None or thing is None or copy.thing.uid != thing.uid:
        return False
    return thing.doomed and not copy.thing.doomed


def _is_gone_now(copy: Copy | None, thing: Thing | None) -> bool:
    """Whether a resource was removed or re-created since the version that the process knows."""
    return copy is not None and (thing is None or thing.uid != copy.thing.uid)


def _with_watch_event(process: Process, resource: int, thing: Thing | None) -> Process:
    """TrainingStore.put: the in-process state of a removed or re-created resource is dropped."""
    known = process.store[resource]
    store, recalls = list(process.store), list(process.recalls)
    store[resource] = None if thing is None else Copy(thing, current=True)
    if known is None or thing is None or known.thing.uid != thing.uid:
        recalls[resource] = Recall()
    return process._replace(store=tuple(store), recalls=tuple(recalls))


def _restarted(event: str, state: State, number: int) -> Iterator[Move]:
    """A process that has just listed all resources, or all but one namespace, and has no state."""
    posts = tuple(
        post._replace(awaited=False) if post.sender == number else post for post in state.posts
    )
    state = state._replace(posts=posts)
    yield event, _listing(state, number)
    poorer = _paid(state, "unlisted")
    if poorer is not None:
        for resource in range(len(state.things)):
            said = f"{event} without the namespace of r{resource}"
            yield said, _listing(poorer, number, resource)


def _listing(state: State, number: int, *unlisted: int) -> State:
    store = tuple(
        None if thing is None or resource in unlisted else Copy(thing, current=True)
        for resource, thing in enumerate(state.things)
    )
    process = Process(store, (Recall(),) * len(store), unlisted=unlisted)
    return with_process(state, number, process)
