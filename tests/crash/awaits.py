"""Drives a coroutine by hand, so that each of its suspensions can be seen from outside.

What is seen is the chain of awaits from the coroutine down to what it waits for, as far as it goes
through files of ours. The coroutine itself knows nothing of it.
"""

import asyncio
import gc
import inspect
from collections import Counter
from collections.abc import Awaitable, Coroutine, Generator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar

__all__ = ["Await", "Itinerary", "Observer", "Watched", "own_frames"]

T = TypeVar("T")

FRAMES = ("cr_frame", "ag_frame", "gi_frame")
AWAITED = ("cr_await", "ag_await", "gi_yieldfrom")


class Observer(Protocol):
    """Is told of each suspension of a coroutine."""

    def suspended(self, frames: list[FrameType]) -> None:
        """It waits; `frames` are those of ours, outermost first."""

    def resuming(self) -> None:
        """What it waited for is there, and it is about to go on."""

    def ended(self) -> None:
        """It has returned or raised."""


@dataclass(frozen=True, slots=True)
class Watched(Awaitable[T]):
    """A coroutine whose suspensions an observer sees; what comes of it is not changed.

    Args:
        coroutine: What to run.
        observer: Is told.
        root: The directory of the files that count as ours.
    """

    coroutine: Coroutine[Any, Any, T]
    observer: Observer
    root: Path

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the coroutine as `await` would, with the observer told between its pieces."""
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            try:
                if thrown is None:
                    yielded = self.coroutine.send(sent)
                else:
                    yielded = self.coroutine.throw(thrown)
            except StopIteration as stop:
                self.observer.ended()
                value: T = stop.value
                return value
            except BaseException:
                self.observer.ended()
                raise
            self.observer.suspended(own_frames(self.coroutine, self.root))
            thrown = None
            try:
                sent = yield yielded
            except GeneratorExit:
                self.coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - cancellation too: it is handed on
                thrown = error
            self.observer.resuming()


def own_frames(awaited: object, root: Path) -> list[FrameType]:
    """The frames in files below `root` on the way to what a coroutine waits for.

    Where the way cannot be followed any further, those that were found so far.
    """
    found: list[FrameType] = []
    seen: set[int] = set()
    here: object = awaited
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        frame = _first(here, FRAMES)
        if isinstance(frame, FrameType) and Path(frame.f_code.co_filename).is_relative_to(root):
            found.append(frame)
        here = _first(here, AWAITED) if _is_walkable(here) else _wrapped(here)
    return found


def _is_walkable(thing: object) -> bool:
    return any(hasattr(thing, name) for name in AWAITED)


def _first(thing: object, names: tuple[str, ...]) -> object:
    return next((value for name in names if (value := getattr(thing, name, None))), None)


def _wrapped(thing: object) -> object:
    """What an opaque awaitable stands for.

    The awaitables of async generators and of `__await__` tell nobody what they wrap; the garbage
    collector knows. A task that is waited for is looked into as well.
    """
    if isinstance(thing, asyncio.Task):
        return thing.get_coro()
    for referent in gc.get_referents(thing):
        if inspect.iscoroutine(referent) or inspect.isgenerator(referent):
            return referent
        if inspect.isasyncgen(referent) or isinstance(referent, asyncio.Task):
            return referent
    return None


@dataclass(frozen=True, slots=True)
class Await:
    """A place where a coroutine waits, and how often it was suspended there before it went on."""

    name: str
    suspensions: int = 1


@dataclass(slots=True)
class Itinerary:
    """Names the places that a coroutine, or several one after the other, come to.

    A name is the way through our functions down to the line that waits. Coming to the same place
    once more gives it another number: the second look at the model is another case than the first.
    """

    at: Await | None = None
    _chain: tuple[tuple[str, int], ...] = ()
    _visits: Counter[str] = field(default_factory=Counter)

    def arrive(self, frames: list[FrameType]) -> Await:
        """Take note of a suspension."""
        chain = tuple((_function(frame), frame.f_lineno) for frame in frames)
        if self.at is not None and chain == self._chain:
            self.at = Await(self.at.name, self.at.suspensions + 1)
            return self.at
        name = " > ".join(function for function, _ in chain)
        name += f":{chain[-1][1]}" if chain else "somewhere else"
        self._visits[name] += 1
        self._chain, self.at = chain, Await(f"{name} #{self._visits[name]}")
        return self.at

    def depart(self) -> None:
        """Take note that the coroutine has ended."""
        self._chain, self.at = (), None


def _function(frame: FrameType) -> str:
    module = Path(frame.f_code.co_filename).stem
    return f"{module}.{frame.f_code.co_qualname.rpartition('.')[2]}"
