"""Orders for the subject to signal itself, and the notes that it writes meanwhile."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

__all__ = ["VARIABLE", "Ended", "Mode", "Note", "Orders", "Stopped", "Struck", "read", "write"]

VARIABLE = "CRASH_ORDERS"
"""The environment variable with the orders; without SCRIPTIX_, which the operator reads."""

Mode = Literal["enter", "within", "leave"]


class Orders(BaseModel):
    """The orders of a subject; without an await it only writes notes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notes: Path
    """File for JSON lines: the awaits, and the ends of reconciles."""
    run_token: str = ""
    """Only reconciles for the run of this token count."""
    at: str | None = None
    """Name of the await at which the signal is sent."""
    mode: Mode = "enter"
    """When the signal is sent: at the first suspension, at a later one, or when the result is there
    and the reconcile has continued by at most one line."""
    suspension: int = 1
    """Which suspension of the await, for enter and within."""
    before_bytes: bool = False
    """Send the signal between the check before a start and its first byte, not at an await."""
    signal: Literal["SIGKILL", "SIGSTOP", "SIGTERM"] = "SIGKILL"
    clock_shift: float = 0.0
    """Seconds by which the wall clock is ahead."""

    @classmethod
    def from_environment(cls) -> Self:
        """Read the orders that this process was started with."""
        return cls.model_validate_json(os.environ[VARIABLE])

    def environment(self) -> dict[str, str]:
        """The variables for a process that is to have these orders."""
        return {VARIABLE: self.model_dump_json()}

    def strike(self) -> None:
        """Send the signal to this process; a kill does not return."""
        os.kill(os.getpid(), signal.Signals[self.signal])


class Note(BaseModel):
    """One line of the notes; `at` is CLOCK_MONOTONIC, the same for all processes here."""

    model_config = ConfigDict(frozen=True)

    at: float


class Stopped(Note):
    """The reconcile waits."""

    kind: Literal["stopped"] = "stopped"
    place: str
    suspension: int


class Ended(Note):
    """A reconcile is over."""

    kind: Literal["ended"] = "ended"
    is_recorded: bool
    """Whether the requested run is recorded as running or finished."""


class Struck(Note):
    """The signal is sent next."""

    kind: Literal["struck"] = "struck"


KINDS: dict[str, type[Stopped | Ended | Struck]] = {
    "stopped": Stopped,
    "ended": Ended,
    "struck": Struck,
}


def write(notes: Path, note: Stopped | Ended | Struck) -> None:
    """Add a note; the file has it even if the process is killed next."""
    with notes.open("a", encoding="utf-8") as file:
        file.write(note.model_dump_json() + "\n")


def read(notes: Path) -> Iterator[Stopped | Ended | Struck]:
    """The notes so far."""
    if not notes.exists():
        return
    for line in notes.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            return  # the subject is writing this note
        yield KINDS[json.loads(line)["kind"]].model_validate_json(line)
