"""What a process of the operator may do next."""

from collections.abc import Callable, Iterator

from tests.model.judgement import Judgement
from tests.model.starting import Starting
from tests.model.steps import Here, Move, name_of
from tests.model.values import State

__all__ = ["Shell"]


class Shell(Starting):
    """The engine of each process."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__(judgement)
        self._effects: dict[str, Callable[[Here], Iterator[Move]]] = {
            "poll": self.poll,
            "got": self.got,
            "record": self.record,
            "settle": self.record,
            "intent": self.record,
            "reread": self.reread,
            "answer": self.answer,
            "take": self.take,
            "took": self.took,
            "open": self.open,
            "reread_ledger": self.reread_ledger,
            "close": self.close,
            "send": self.send,
            "checked": self.checked,
            "wait": self.wait,
        }

    def moves(self, state: State, number: int) -> Iterator[Move]:
        """All that a process may do next."""
        process = state.processes[number]
        if process.job is not None:
            here = Here(state, number, process, process.job)
            yield from self._effects[process.job.at](here)
        elif self.rules.rivalry or state.leader == number:
            for resource, copy in enumerate(process.store):
                if copy is not None:
                    after = self.begin(state, number, resource, copy)
                    if after != state:
                        yield f"{name_of(number)} takes a step for r{resource}", after
