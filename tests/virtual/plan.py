"""What a day is like: the servers, one for each API key, and when what happens."""

from collections.abc import Sequence
from dataclasses import dataclass

from scriptix_simulator import Limit, SimulatorConfig
from scriptix_simulator.config import RateHeaders
from scriptix_simulator.replies import RetryHint
from scriptix_simulator.windows import Style

__all__ = ["HOUR", "MINUTE", "SERVERS", "Plan", "Server", "Span"]

MINUTE, HOUR = 60.0, 3600.0
BOOKS = 10_000_000
"""Calls that each server remembers: all of them."""
FIVE, THREE = (Limit(5, HOUR),), (Limit(3, HOUR),)


@dataclass(frozen=True, slots=True)
class Server:
    """What the API is like for one key. The operator is told of the document's limits."""

    starts: tuple[Limit, ...] = FIVE
    polls: tuple[Limit, ...] = (Limit(100, MINUTE),)
    logs: tuple[Limit, ...] = (Limit(20, HOUR),)
    window: Style = "sliding"
    announced: RateHeaders = "always"
    hint: RetryHint = "all"
    lenient: bool = False

    @property
    def is_hinted(self) -> bool:
        """Whether a refusal tells when to come back."""
        return self.announced != "never" or self.hint != "none"

    def config(self, key: str) -> SimulatorConfig:
        """The simulator's, for one key."""
        return SimulatorConfig(
            speed=1,
            keys={key: "write"},
            window=self.window,
            limit_starts=self.starts,
            limit_status=self.polls,
            limit_logs=self.logs,
            rate_headers=self.announced,
            retry_hint=self.hint,
            lenient=self.lenient,
            keep_calls=BOOKS,
        )


SERVERS = (
    Server(),
    Server(
        THREE, (Limit(6, MINUTE),), window="fixed", announced="never", hint="seconds", lenient=True
    ),
    Server(window="fixed", announced="refused", hint="none"),
    Server(THREE, announced="never", hint="date", lenient=True),
    Server(THREE, (Limit(6, MINUTE),), (Limit(10, HOUR),), announced="never", hint="body"),
    Server(THREE, (Limit(6, MINUTE),), announced="never", hint="none"),
    Server(
        polls=(Limit(8, MINUTE),), window="fixed", announced="always", hint="none", lenient=True
    ),
    Server((Limit(5, HOUR), Limit(60, 24 * HOUR)), announced="always", hint="seconds"),
    Server(THREE, window="fixed", announced="never", hint="none"),
    Server(
        (Limit(4, HOUR),), logs=(Limit(10, HOUR),), announced="refused", hint="date", lenient=True
    ),
)
"""With limits as told and stricter, windows that slide and fixed ones, and hints of all kinds."""


@dataclass(frozen=True, slots=True)
class Span:
    """From one time to another, in the loop's seconds."""

    begin: float
    end: float

    def __contains__(self, at: float) -> bool:
        return self.begin <= at < self.end

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a day is, and when what happens.

    Args:
        hours: How long it takes.
        resources: For each key.
        reruns: Trainings that are asked for once more, with new data, for each key.
        run_hours: How long runs take, at least and at most.
        outage: When the API is away.
        change: From the end of one operator to the beginning of the next.
        servers: One for each key.
        poll: Seconds between looks that each resource asks for.
    """

    hours: float
    resources: int
    reruns: int
    run_hours: tuple[float, float]
    outage: Span
    change: Span
    servers: Sequence[Server] = SERVERS
    poll: int = 300

    @property
    def end(self) -> float:
        """When it is over, in the loop's seconds."""
        return self.hours * HOUR
