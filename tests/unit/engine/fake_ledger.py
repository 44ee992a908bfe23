"""A fake ConfigMap of a start ledger, which fails on demand.

No real API server loses exactly the reply that a test needs lost.
tests/operator/test_ledger.py tests a real one.
"""

import asyncio
from collections import deque
from enum import Enum, auto

from pydantic import ValidationError

from scriptix_operator.core.ledger.ledger import Ledger
from scriptix_operator.kube.errors import ConflictError, RefusedError, UnavailableError
from scriptix_operator.kube.ledger_config_map import LedgerConfigMap, LedgerUnreadableError

__all__ = ["FakeLedgerConfigMap", "Fault", "complete"]


def complete() -> str | None:
    """Coverage without gaps, so that a lost ledger can be rebuilt."""
    return None


class Fault(Enum):
    """The outcome of a call."""

    NONE = auto()
    REFUSED = auto()
    """The API server refuses the call."""
    LOST = auto()
    """The call does not arrive."""
    REPLY_LOST = auto()
    """The call takes effect, and the reply is lost."""
    REPEATED = auto()
    """The call takes effect, the reply is lost, and the client repeats the call."""
    BUG = auto()
    """An unexpected exception."""


class FakeLedgerConfigMap(LedgerConfigMap):
    """Stores a ledger as text, as the cluster does."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.text = None if ledger is None else ledger.model_dump_json(by_alias=True)
        self.version = 1
        self.reads = 0
        self.writes: list[Ledger] = []
        """All requested calls, done or not."""
        self.read_faults: deque[Fault] = deque()
        self.write_faults: deque[Fault] = deque()
        self.open = asyncio.Event()
        """While this event is cleared, writes wait."""
        self.open.set()
        self.write_begun = asyncio.Event()

    @property
    def ledger(self) -> Ledger:
        """The stored content."""
        assert self.text is not None
        return Ledger.model_validate_json(self.text)

    def put(self, ledger: Ledger | str | None) -> None:
        """Another client writes or deletes the ledger."""
        self.text = ledger.model_dump_json(by_alias=True) if isinstance(ledger, Ledger) else ledger
        self.version += 1

    def touch(self) -> None:
        """Another client writes the same content."""
        self.version += 1

    async def read(self) -> tuple[Ledger, str] | None:
        """Read the stored content."""
        self.reads += 1
        await asyncio.sleep(0)
        if _next(self.read_faults) is Fault.LOST:
            raise UnavailableError("get: no answer")
        if self.text is None:
            return None
        if not self.text.startswith("{"):
            raise LedgerUnreadableError(str(self.version), "not JSON")
        try:
            return self.ledger, str(self.version)
        except ValidationError as error:
            raise LedgerUnreadableError(str(self.version), str(error)) from error

    async def write(self, ledger: Ledger, version: str | None) -> str:
        """Compare and set."""
        self.writes.append(ledger)
        self.write_begun.set()
        await self.open.wait()
        fault = _next(self.write_faults)
        if fault is Fault.BUG:
            raise ZeroDivisionError
        if fault is Fault.REFUSED:
            raise RefusedError("write: 403")
        if fault is Fault.LOST:
            raise UnavailableError("write: no answer")
        there = None if self.text is None else str(self.version)
        if version != there:
            raise ConflictError(f"write: {version} is not {there}")
        self.put(ledger)
        if fault is Fault.REPEATED:
            raise ConflictError(f"write: {version} is not {self.version}")
        if fault is Fault.REPLY_LOST:
            raise UnavailableError("write: no answer")
        return str(self.version)


def _next(faults: deque[Fault]) -> Fault:
    return faults.popleft() if faults else Fault.NONE
