"""Signs of life, readiness and problems, set by the event loop and read by the HTTP threads."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Heartbeat", "Problem", "Problems", "Readiness"]

EVENT_LOOP = "The event loop"
UNREACHABLE_AFTER = 60.0
"""Seconds: the process stays ready during a shorter outage, such as a reconnect."""
TEXT_LIMIT = 512


@dataclass(frozen=True, slots=True)
class _Beat:
    at: float
    limit: float


class Heartbeat:
    """Watches the tasks that have to beat.

    Times are monotonic seconds of this process; nothing is compared across clocks.

    Args:
        limit: Seconds without a beat after which a task counts as stuck.
        clock: Monotonic seconds.
    """

    def __init__(self, limit: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._beats: dict[str, _Beat] = {}

    @contextmanager
    def watching(self, name: str, limit: float | None = None) -> Iterator[Callable[[], None]]:
        """Expect beats of `name` inside the block; yields the function that beats.

        Args:
            name: The task, as a sentence begins: `The engine's timer`.
            limit: Seconds without a beat, in place of the common limit.

        Raises:
            ValueError: `name` is being watched already.
        """
        if name in self._beats:
            raise ValueError(f"{name!r} is being watched already")

        def beat() -> None:
            self._beats[name] = _Beat(self._clock(), self._limit if limit is None else limit)

        beat()
        try:
            yield beat
        finally:
            del self._beats[name]

    async def follow_event_loop(self, interval: float = 1.0) -> None:
        """Beat for the running event loop every `interval` seconds, until cancelled."""
        with self.watching(EVENT_LOOP) as beat:
            while True:
                beat()
                await asyncio.sleep(interval)

    def complaints(self) -> list[str]:
        """A sentence about each task that is late; any thread may ask."""
        now = self._clock()
        return [
            f"{name} has shown no sign of life for {now - beat.at:.1f} s (limit {beat.limit:g} s)."
            for name, beat in self._beats.copy().items()
            if now - beat.at > beat.limit
        ]


class Readiness:
    """Whether this process is ready, and if not why; standbys are ready, too.

    Args:
        reason: What the process waits for at the start, as a plain sentence.
    """

    def __init__(self, reason: str = "Starting.") -> None:
        self._reason: str | None = reason

    @property
    def reason(self) -> str | None:
        """Why the process is not ready; None when it is ready."""
        return self._reason

    def set(self) -> None:
        """Set the process ready."""
        self._reason = None

    def unset(self, reason: str) -> None:
        """Set the process not ready, for a reason."""
        self._reason = reason


@dataclass(frozen=True, slots=True)
class Problem:
    """A failure of a part of the operator, which keeps retrying.

    Args:
        source: The part that reports: one of a few names, since the name is a metric's label.
        subject: What is affected, such as a namespace; empty: everything that the source does.
        text: A plain sentence: what fails, and why.
        since: Monotonic seconds of the first report.
        outage_since: Monotonic seconds since when nothing is served because of the problem; None:
            something is served.
    """

    source: str
    subject: str
    text: str
    since: float
    outage_since: float | None

    @property
    def is_outage(self) -> bool:
        """Whether nothing is served because of the problem."""
        return self.outage_since is not None


class Problems:
    """The outstanding problems, as /readyz, the metrics and the Lease show them.

    A problem lasts from its first report until it is cleared; a further report replaces the text
    and keeps the time. Any thread may read.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._problems: dict[tuple[str, str], Problem] = {}

    def report(self, source: str, text: str, *, subject: str = "", is_outage: bool = False) -> None:
        """Report a problem, at each failure.

        Args:
            source: The part that reports.
            text: A plain sentence.
            subject: What is affected, where one source has several.
            is_outage: Nothing is served while the problem lasts. After a minute the process is not
                ready; a problem without outage only appears in the text of /readyz.
        """
        key = (source, subject)
        before = self._problems.get(key)
        now = self._clock()
        since = now if before is None else before.since
        outage_since = before.outage_since if before is not None and before.is_outage else now
        self._problems[key] = Problem(
            source, subject, text[:TEXT_LIMIT], since, outage_since if is_outage else None
        )

    def clear(self, source: str, subject: str = "") -> None:
        """Clear a problem: it is solved, or no longer applies; unknown problems are ignored."""
        self._problems.pop((source, subject), None)

    def clear_all(self) -> None:
        """Clear all problems: the part of the process that has reported them has ended."""
        self._problems.clear()

    def outstanding(self) -> list[Problem]:
        """All problems, the oldest first."""
        return sorted(self._problems.copy().values(), key=lambda problem: problem.since)

    def sentences(self) -> list[str]:
        """Each problem and for how long it has lasted, the oldest first."""
        now = self._clock()
        return [f"{_since(now - one.since)}: {one.text}" for one in self.outstanding()]

    def outage(self) -> bool:
        """Whether nothing has been served for `OUTAGE_SECONDS`."""
        now = self._clock()
        return any(
            one.outage_since is not None and now - one.outage_since >= UNREACHABLE_AFTER
            for one in self.outstanding()
        )

    def seconds(self) -> dict[str, float]:
        """How long the oldest problem of each source has lasted."""
        now = self._clock()
        # The oldest comes last, and so is kept.
        return {one.source: now - one.since for one in reversed(self.outstanding())}


def _since(seconds: float) -> str:
    """A duration as Kubernetes prints it."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"For {hours}h{minutes}m"
    return f"For {minutes}m{rest}s" if minutes else f"For {rest}s"
