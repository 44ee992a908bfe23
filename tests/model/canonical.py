"""The canonical form of a state: states with the same future become equal."""

from functools import lru_cache, partial

from scriptix_operator.api.base import replace
from scriptix_operator.core.ledger.ledger import InFlightStart
from tests.model.decisions import Decisions
from tests.model.translation import OneLedger
from tests.model.values import Job, Process, Recall, State

__all__ = ["Canonicalizer"]


class Canonicalizer:
    """Brings a state into its canonical form, without changing what can follow."""

    def __init__(self, core: Decisions) -> None:
        self._core, self._two_leaders = core, core.rules.two_leaders
        self._renumbered = lru_cache(maxsize=None)(partial(_renumbered, core))

    def __call__(self, state: State) -> State:
        """The canonical form of a state."""
        return self._with_serials_from_one(self._without_inactive_process(state))

    def _without_inactive_process(self, state: State) -> State:
        """Drop the memory of a process that is not the leader and has ended its reconcile."""
        other = 1 - state.leader
        process = state.processes[other]
        if self._two_leaders or process.job is not None or not any(process.store):
            return state
        processes = list(state.processes)
        resources = len(process.store)
        processes[other] = Process((None,) * resources, (Recall(),) * resources)
        return state._replace(processes=tuple(processes))

    def _with_serials_from_one(self, state: State) -> State:
        """Renumber the serials of the ledger, of which only equality and order matter."""
        processes = state.processes
        jobs = [process.job for process in processes if process.job is not None]
        starts_in_flight = {
            *(post.in_flight for post in state.posts),
            *(recall.in_flight for process in processes for recall in process.recalls),
            *(job.start_outcome.in_flight for job in jobs if job.start_outcome is not None),
        } - {None}
        ledgers = {
            state.ledger,
            *(process.ledger for process in processes),
            *(job.found for job in jobs),
            *(write.value for write in state.late if write.resource is None),
        } - {None}
        new = self._renumbered(frozenset(starts_in_flight), frozenset(ledgers))
        return state if new is None else _renamed(state, *new)


def _renamed(
    state: State,
    starts_in_flight: dict[int | None, int | None],
    ledgers: dict[int | None, int | None],
) -> State:
    def process(old: Process) -> Process:
        recalls = tuple(
            recall._replace(in_flight=starts_in_flight[recall.in_flight]) for recall in old.recalls
        )
        return old._replace(recalls=recalls, ledger=ledgers[old.ledger], job=job(old.job))

    def job(old: Job | None) -> Job | None:
        if old is None:
            return None
        start_outcome = old.start_outcome
        if start_outcome is not None:
            in_flight = starts_in_flight[start_outcome.in_flight]
            assert in_flight is not None
            start_outcome = start_outcome._replace(in_flight=in_flight)
        return old._replace(start_outcome=start_outcome, found=ledgers[old.found])

    late = tuple(
        write if write.resource is not None else write._replace(value=ledgers[write.value] or 0)
        for write in state.late
    )
    return state._replace(
        posts=tuple(
            post._replace(in_flight=starts_in_flight[post.in_flight]) for post in state.posts
        ),
        processes=tuple(process(old) for old in state.processes),
        ledger=ledgers[state.ledger],
        late=late,
    )


def _renumbered(
    core: Decisions, starts_in_flight: frozenset[int], ledgers: frozenset[int]
) -> tuple[dict[int | None, int | None], dict[int | None, int | None]] | None:
    """The same starts and ledgers with serials from 1; None if they have these already."""
    kept = [core.ledgers[number] for number in ledgers]
    all_starts = [core.starts_in_flight[number] for number in starts_in_flight]
    all_starts += [ledger.in_flight for ledger in kept if ledger.in_flight is not None]
    serials = {*(in_flight.serial for in_flight in all_starts), *(ledger.serial for ledger in kept)}
    counted = sorted(serial for serial in serials if serial > 0)
    new = {serial: serial for serial in serials if serial <= 0}
    new |= {old: number for number, old in enumerate(counted, 1)}
    if all(old == number for old, number in new.items()):
        return None

    def recounted(in_flight: InFlightStart) -> InFlightStart:
        return replace(in_flight, serial=new[in_flight.serial])

    new_starts: dict[int | None, int | None] = {None: None}
    for number in starts_in_flight:
        new_starts[number] = core.starts_in_flight.of(recounted(core.starts_in_flight[number]))
    new_ledgers: dict[int | None, int | None] = {None: None}
    for number in ledgers:
        old = core.ledgers[number]
        in_flight = None if old.in_flight is None else recounted(old.in_flight)
        new_ledgers[number] = core.ledgers.of(OneLedger(new[old.serial], in_flight, old.latest_run))
    return new_starts, new_ledgers
