"""Drives a coroutine by hand, so that an observer sees each of its suspensions.

The observer sees the chain of awaits from the coroutine down to the awaited object, as far as the
chain goes through files of the operator. The coroutine does not notice.
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
    """Receives each suspension of a coroutine."""

    def suspended(self, frames: list[FrameType]) -> None:
        """The coroutine waits; `frames` are its frames in own files, outermost first."""

    def resuming(self) -> None:
        """The awaited result is there, and the coroutine is about to continue."""

    def ended(self) -> None:
        """The coroutine has returned or raised."""


@dataclass(frozen=True, slots=True)
class Watched(Awaitable[T]):
    """A coroutine whose suspensions an observer sees; its result is not changed.

    Args:
        coroutine: The coroutine to run.
        observer: Receives the suspensions.
        root: The directory of own files.
    """

    coroutine: Coroutine[Any, Any, T]
    observer: Observer
    root: Path

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the coroutine as `await` would, and call the observer at each suspension."""
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
            except BaseException as error:  # noqa: BLE001 - cancellation too: it is passed on
                thrown = error
            self.observer.resuming()


def own_frames(awaited: object, root: Path) -> list[FrameType]:
    """The frames in files below `root` between a coroutine and the object that it awaits.

    Where the chain cannot be followed further, the frames found so far.
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
    """The coroutine, generator or task inside an opaque awaitable.

    The awaitables of async generators and of `__await__` have no attribute for what they wrap, so
    the garbage collector is asked. An awaited task is followed into its coroutine.
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
    """A place where a coroutine waits, and how often it was suspended there before it continued."""

    name: str
    suspensions: int = 1


@dataclass(slots=True)
class Itinerary:
    """Names the places where a coroutine waits, or several coroutines in succession.

    A name is the path through own functions down to the line that waits. Each further visit of a
    place has another number: the second poll of the model is another case than the first.
    """

    at: Await | None = None
    _chain: tuple[tuple[str, int], ...] = ()
    _visits: Counter[str] = field(default_factory=Counter)

    def arrive(self, frames: list[FrameType]) -> Await:
        """Record a suspension."""
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
        """Record the end of the coroutine."""
        self._chain, self.at = (), None


def _function(frame: FrameType) -> str:
    module = Path(frame.f_code.co_filename).stem
    return f"{module}.{frame.f_code.co_qualname.rpartition('.')[2]}"
