"""What a victim is told to do to itself, and what it tells about its way there."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

__all__ = ["VARIABLE", "Ended", "Mode", "Note", "Orders", "Stopped", "Struck", "read", "write"]

VARIABLE = "CRASH_ORDERS"
"""The environment variable with the orders; not SCRIPTIX_, which the operator would look at."""

Mode = Literal["enter", "within", "leave"]


class Orders(BaseModel):
    """What a victim does beside its work; without an await it only takes notes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notes: Path
    """JSON lines: where it waits, and for how long the protocol goes."""
    run_token: str = ""
    """Only what is done for the run of this token counts."""
    at: str | None = None
    """The await to be struck at, by its name."""
    mode: Mode = "enter"
    """When: at its first suspension, at a later one, or when its answer is there and the step has
    moved on by no more than a line."""
    suspension: int = 1
    """Which suspension of the await, for enter and within."""
    before_bytes: bool = False
    """Strike between the check before a start and its first byte, in place of an await."""
    signal: Literal["SIGKILL", "SIGSTOP", "SIGTERM"] = "SIGKILL"
    clock_shift: float = 0.0
    """Seconds that the wall clock is ahead."""

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
    """The step waits."""

    kind: Literal["stopped"] = "stopped"
    place: str
    suspension: int


class Ended(Note):
    """A step is over."""

    kind: Literal["ended"] = "ended"
    is_recorded: bool
    """The run that was asked for is recorded as running or done."""


class Struck(Note):
    """The signal follows."""

    kind: Literal["struck"] = "struck"


KINDS: dict[str, type[Stopped | Ended | Struck]] = {
    "stopped": Stopped,
    "ended": Ended,
    "struck": Struck,
}


def write(notes: Path, note: Stopped | Ended | Struck) -> None:
    """Add a note; it is in the file, whatever happens to the process next."""
    with notes.open("a", encoding="utf-8") as file:
        file.write(note.model_dump_json() + "\n")


def read(notes: Path) -> Iterator[Stopped | Ended | Struck]:
    """The notes so far."""
    if not notes.exists():
        return
    for line in notes.read_text(encoding="utf-8").splitlines():
        yield KINDS[json.loads(line)["kind"]].model_validate_json(line)
