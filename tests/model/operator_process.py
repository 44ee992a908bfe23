"""A process of the operator: the effects that may happen next."""

from collections.abc import Callable, Iterator

from tests.model.decisions import Decisions
from tests.model.reconciling import Here, Move, name_of
from tests.model.starting import Starting
from tests.model.values import State

__all__ = ["OperatorProcess"]


class OperatorProcess(Starting):
    """The engine of an operator process, modelled after engine/reconciler.py."""

    def __init__(self, decisions: Decisions) -> None:
        super().__init__(decisions)
        self._effects: dict[str, Callable[[Here], Iterator[Move]]] = {
            "poll": self.poll,
            "got": self.got,
            "record": self.record,
            "resolve": self.record,
            "intent": self.record,
            "reread": self.reread,
            "answer": self.answer,
            "read_ledger": self.read_ledger,
            "take_over": self.take_over,
            "begin_start": self.begin_start,
            "reread_ledger": self.reread_ledger,
            "resolve_start": self.resolve_start,
            "send": self.send,
            "checked": self.checked,
            "wait": self.wait,
        }

    def moves(self, state: State, number: int) -> Iterator[Move]:
        """All effects that may happen next in a process."""
        process = state.processes[number]
        if process.job is not None:
            here = Here(state, number, process, process.job)
            yield from self._effects[process.job.at](here)
        elif self.rules.two_leaders or state.leader == number:
            for resource, copy in enumerate(process.store):
                if copy is not None:
                    after = self.begin(state, number, resource, copy)
                    if after != state:
                        yield f"{name_of(number)} reconciles r{resource}", after
