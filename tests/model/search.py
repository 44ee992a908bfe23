"""Breadth-first search through all states: the trace to a broken promise is a shortest one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

from tests.model.canonical import Canonicalizer
from tests.model.decisions import Decisions
from tests.model.environment import Environment
from tests.model.operator_process import OperatorProcess
from tests.model.promises import Promise, is_at_rest
from tests.model.reconciling import Move
from tests.model.rules import Rules
from tests.model.values import Copy, Process, Recall, Renewal, State, Thing

__all__ = ["Found", "Search", "search"]


@dataclass(frozen=True)
class Found:
    """The result of a search."""

    states: int
    seconds: float
    broken: str | None
    """How a promise is broken; None: all promises are kept."""
    trace: tuple[str, ...]
    """The events that lead to the broken promise."""
    is_complete: bool
    """All reachable states were searched."""

    def __str__(self) -> str:
        lines = [f"{number:3}. {line}" for number, line in enumerate(self.trace, 1)]
        result = self.broken or ("kept" if self.is_complete else "kept so far")
        return "\n".join([f"{result} ({self.states} states, {self.seconds:.1f} s)", *lines])


@dataclass
class Search:
    """All states that can be reached under some rules."""

    rules: Rules
    core: Decisions = field(init=False)
    _numbers: dict[State, int] = field(default_factory=dict)
    _states: list[State] = field(default_factory=list)
    _came_from: list[int] = field(default_factory=list)
    _by: list[str] = field(default_factory=list)
    _before: list[list[int]] = field(default_factory=list)
    """The predecessors of each state, for the search of traps."""

    def __post_init__(self) -> None:
        self.core = Decisions(self.rules)
        self._process = OperatorProcess(self.core)
        self._environment = Environment(self.core, self._process)
        self._canonical = Canonicalizer(self.core)

    def run(
        self, promises: tuple[Promise, ...], limit: int = 5_000_000, *, traps: bool = True
    ) -> Found:
        """Search.

        Args:
            promises: Invariants that every state has to keep.
            limit: The maximum number of states.
            traps: Whether to search also for states from which no resource can come to rest.
        """
        began = perf_counter()

        def found(broken: str | None, number: int, *, complete: bool = False) -> Found:
            seconds = perf_counter() - began
            return Found(len(self._states), seconds, broken, tuple(self._trace(number)), complete)

        self._reach(self._first(), -1, "")
        number = 0
        while number < len(self._states):
            if number >= limit:
                return found(None, 0)
            state = self._states[number]
            for promise in promises:
                broken = promise(self.core, state)
                if broken is not None:
                    return found(broken, number)
            for event, after in self._moves(state):
                self._reach(self._canonical(after), number, event)
            number += 1
        trap = self._trap() if traps else None
        if trap is not None:
            return found("trap: some resource can never come to rest", trap)
        return found(None, 0, complete=True)

    def _moves(self, state: State) -> Iterator[Move]:
        for number in range(len(state.processes)):
            yield from self._process.moves(state, number)
        yield from self._environment.moves(state)

    def _reach(self, state: State, number: int, event: str) -> None:
        known = self._numbers.get(state)
        if known is None:
            known = self._numbers[state] = len(self._states)
            self._states.append(state)
            self._came_from.append(number)
            self._by.append(event)
            self._before.append([])
        if number >= 0:
            self._before[known].append(number)

    def _first(self) -> State:
        rules = self.rules
        thing = Thing(0, self.core.blank)
        if rules.rerun:
            thing = Thing(0, self.core.adopted(rules.model), token="v2")
        things = (thing, *(Thing(0, self.core.blank) for _ in range(rules.resources - 1)))
        store = tuple(Copy(thing, current=True) for thing in things)
        process = Process(store, (Recall(),) * len(store))
        return self._canonical(
            State(
                model=rules.model,
                past=(),
                ours=(),
                renewed=(Renewal.NO_DATA,) * rules.resources,
                posts=(),
                things=things,
                ledger=self.core.empty,
                processes=(process, process),
                leader=0,
                late=(),
                budget=rules.budget,
            )
        )

    def _trace(self, number: int) -> list[str]:
        lines = []
        while number > 0:
            lines.append(self._by[number])
            number = self._came_from[number]
        return lines[::-1]

    def _trap(self) -> int | None:
        """The first state from which the resources cannot come to rest."""
        saved = [is_at_rest(self.core, state) for state in self._states]
        todo = [number for number, is_saved in enumerate(saved) if is_saved]
        while todo:
            for before in self._before[todo.pop()]:
                if not saved[before]:
                    saved[before] = True
                    todo.append(before)
        return next((number for number, is_saved in enumerate(saved) if not is_saved), None)


def search(rules: Rules, promises: tuple[Promise, ...], *, traps: bool = True) -> Found:
    """Search all states under some rules."""
    return Search(rules).run(promises, traps=traps)
