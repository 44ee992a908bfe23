"""The plan of a day: the servers, one for each API key, and the times of events."""

from collections.abc import Sequence
from dataclasses import dataclass

from scriptix_simulator import Limit, SimulatorConfig
from scriptix_simulator.config import RateHeaders
from scriptix_simulator.replies import RetryHint
from scriptix_simulator.windows import Style

__all__ = ["HOUR", "MINUTE", "SERVERS", "Plan", "Server", "Span"]

MINUTE, HOUR = 60.0, 3600.0
KEPT_CALLS = 10_000_000
"""Number of calls that each server records: all of them."""
FIVE, THREE = (Limit(5, HOUR),), (Limit(3, HOUR),)


@dataclass(frozen=True, slots=True)
class Server:
    """The API for one key. The operator is configured with the documented limits."""

    starts: tuple[Limit, ...] = FIVE
    polls: tuple[Limit, ...] = (Limit(100, MINUTE),)
    logs: tuple[Limit, ...] = (Limit(20, HOUR),)
    window: Style = "sliding"
    announced: RateHeaders = "always"
    hint: RetryHint = "all"
    lenient: bool = False

    @property
    def is_hinted(self) -> bool:
        """Whether a refusal carries a retry time."""
        return self.announced != "never" or self.hint != "none"

    def config(self, key: str) -> SimulatorConfig:
        """The configuration of the simulator for one key."""
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
            keep_calls=KEPT_CALLS,
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
"""Servers with documented and lower limits, sliding and fixed windows, and all kinds of hints."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span of the loop's time, in seconds."""

    begin: float
    end: float

    def __contains__(self, at: float) -> bool:
        return self.begin <= at < self.end

    @property
    def seconds(self) -> float:
        """Length of the span."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes and times of a day.

    Args:
        hours: Length of the day.
        resources: Number of resources for each key.
        reruns: Number of reruns with new data, for each key.
        run_hours: Minimum and maximum duration of runs.
        outage: When the API is unreachable.
        change: From the end of one operator to the beginning of the next.
        servers: One for each key.
        poll: Poll interval that each resource requests, in seconds.
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
        """The end of the day, in the loop's time."""
        return self.hours * HOUR
