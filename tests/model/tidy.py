"""States that differ only in what can play no part any more are made the same."""

from functools import lru_cache, partial

from scriptix_operator.api.base import replace
from scriptix_operator.core.ledger.ledger import InFlightStart
from tests.model.judgement import Judgement
from tests.model.terms import OneLedger
from tests.model.values import Job, Process, Recall, State

__all__ = ["Tidy"]


class Tidy:
    """Makes a state simpler, without changing what can come of it."""

    def __init__(self, core: Judgement) -> None:
        self._core, self._rivalry = core, core.rules.rivalry
        self._renumbered = lru_cache(maxsize=None)(partial(_renumbered, core))

    def __call__(self, state: State) -> State:
        """The same state, simpler."""
        return self._counting_again(self._without_the_dead(state))

    def _without_the_dead(self, state: State) -> State:
        """A process that does not lead, and has ended its step, does nothing any more."""
        other = 1 - state.leader
        process = state.processes[other]
        if self._rivalry or process.job is not None or not any(process.store):
            return state
        processes = list(state.processes)
        resources = len(process.store)
        processes[other] = Process((None,) * resources, (Recall(),) * resources)
        return state._replace(processes=tuple(processes))

    def _counting_again(self, state: State) -> State:
        """The ledger counts without end; only which of its numbers are equal, or newer, matters."""
        processes = state.processes
        jobs = [process.job for process in processes if process.job is not None]
        entries = {
            *(post.entry for post in state.posts),
            *(recall.entry for process in processes for recall in process.recalls),
            *(job.settled.entry for job in jobs if job.settled is not None),
        } - {None}
        ledgers = {
            state.ledger,
            *(process.ledger for process in processes),
            *(job.found for job in jobs),
            *(write.value for write in state.late if write.resource is None),
        } - {None}
        new = self._renumbered(frozenset(entries), frozenset(ledgers))
        return state if new is None else _renamed(state, *new)


def _renamed(
    state: State, entries: dict[int | None, int | None], ledgers: dict[int | None, int | None]
) -> State:
    def process(old: Process) -> Process:
        recalls = tuple(recall._replace(entry=entries[recall.entry]) for recall in old.recalls)
        return old._replace(recalls=recalls, ledger=ledgers[old.ledger], job=job(old.job))

    def job(old: Job | None) -> Job | None:
        if old is None:
            return None
        settled = old.settled
        if settled is not None:
            entry = entries[settled.entry]
            assert entry is not None
            settled = settled._replace(entry=entry)
        return old._replace(settled=settled, found=ledgers[old.found])

    late = tuple(
        write if write.resource is not None else write._replace(value=ledgers[write.value] or 0)
        for write in state.late
    )
    return state._replace(
        posts=tuple(post._replace(entry=entries[post.entry]) for post in state.posts),
        processes=tuple(process(old) for old in state.processes),
        ledger=ledgers[state.ledger],
        late=late,
    )


def _renumbered(
    core: Judgement, entries: frozenset[int], ledgers: frozenset[int]
) -> tuple[dict[int | None, int | None], dict[int | None, int | None]] | None:
    """The same entries and ledgers with numbers from 1; None where they have these already."""
    kept = [core.ledgers[number] for number in ledgers]
    all_entries = [core.entries[number] for number in entries]
    all_entries += [ledger.entry for ledger in kept if ledger.entry is not None]
    serials = {*(entry.serial for entry in all_entries), *(ledger.serial for ledger in kept)}
    counted = sorted(serial for serial in serials if serial > 0)
    new = {serial: serial for serial in serials if serial <= 0}
    new |= {old: number for number, old in enumerate(counted, 1)}
    if all(old == number for old, number in new.items()):
        return None

    def recounted(entry: InFlightStart) -> InFlightStart:
        return replace(entry, serial=new[entry.serial])

    new_entries: dict[int | None, int | None] = {None: None}
    for number in entries:
        new_entries[number] = core.entries.of(recounted(core.entries[number]))
    new_ledgers: dict[int | None, int | None] = {None: None}
    for number in ledgers:
        old = core.ledgers[number]
        entry = None if old.entry is None else recounted(old.entry)
        new_ledgers[number] = core.ledgers.of(OneLedger(new[old.serial], entry, old.latest_run))
    return new_entries, new_ledgers
