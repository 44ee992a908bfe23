"""A simulated server that limits the rate of calls, and a client with a rate limiter.

Tests compare the core's rate limiter with this server.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from random import Random
from typing import NamedTuple

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import Permit

__all__ = ["Play", "Reply", "Server", "Tells"]

TICK = 1e-6
"""The least step of time in seconds, despite rounding."""
CONSTANT = 60.0
"""Seconds that some servers name in every Retry-After."""


class Tells(Enum):
    """The rate-limit info that a server sends."""

    EVERYTHING = auto()
    """X-RateLimit on each reply, and Retry-After on refusals."""
    REFUSALS = auto()
    """X-RateLimit and Retry-After on refusals only."""
    RETRY_AFTER = auto()
    """Retry-After only, in seconds, rounded up."""
    CONSTANT = auto()
    """Retry-After only, with a constant value."""
    NOTHING = auto()


class Reply(NamedTuple):
    """The outcome of a call."""

    failure: CallFailure | None
    rate_info: RateLimitInfo | None


@dataclass(frozen=True, slots=True)
class _Room:
    """The remaining calls of a window."""

    limit: int
    left: int
    reset: int
    """Seconds until a window grants more calls, rounded up."""


class Server:
    """Counts the calls that it accepts.

    Args:
        limits: All of them hold at once.
        slides: Whether its windows slide; else each begins at a time of its own.
        tells: The rate-limit info that it sends.
        jitter: Draws where its windows begin.
    """

    def __init__(
        self, limits: Sequence[Limit], *, slides: bool, tells: Tells, jitter: Random
    ) -> None:
        self.limits = tuple(limits)
        self.accepted: list[float] = []
        self._tells = tells
        self._begins = [None if slides else jitter.uniform(0, one.seconds) for one in limits]

    def call(self, now: float) -> Reply:
        """Answer a call."""
        rooms = [
            self._room(limit, begin, now)
            for limit, begin in zip(self.limits, self._begins, strict=True)
        ]
        full = [room for room in rooms if room.left <= 0]
        if not full:
            self.accepted.append(now)
            least = min(rooms, key=lambda room: room.left)
            rate_info = RateLimitInfo(least.limit, least.left - 1, least.reset)
            return Reply(None, rate_info if self._tells is Tells.EVERYTHING else None)
        longest = max(full, key=lambda room: room.reset)
        rate_info = RateLimitInfo(longest.limit, 0, longest.reset)
        retry_after = {
            Tells.EVERYTHING: float(longest.reset),
            Tells.REFUSALS: float(longest.reset),
            Tells.RETRY_AFTER: float(longest.reset),
            Tells.CONSTANT: CONSTANT,
        }.get(self._tells)
        failure = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=retry_after)
        names = self._tells in {Tells.EVERYTHING, Tells.REFUSALS}
        return Reply(failure, rate_info if names else None)

    def _room(self, limit: Limit, begin: float | None, now: float) -> _Room:
        if begin is None:
            calls = [at for at in self.accepted if at > now - limit.seconds]
            first = calls[max(len(calls) - limit.count, 0)] if calls else now
            more_at = first + limit.seconds
        else:
            since = begin + math.floor((now - begin) / limit.seconds) * limit.seconds
            calls = [at for at in self.accepted if at >= since]
            more_at = since + limit.seconds
        return _Room(limit.count, limit.count - len(calls), math.ceil(more_at - now))


class _Event(NamedTuple):
    """A call or reply in flight."""

    at: float
    number: int
    permit: Permit | None
    """The permit of the call; None: a call of another client."""
    reply: Reply | None = None


@dataclass
class Play:
    """A client that calls whenever its limiter grants a permit.

    Args:
        limiter: Grants its calls.
        server: Answers its calls.
        jitter: Draws the durations of calls and replies, and when others call.
        latency: Seconds that each call and reply takes at most.
        parallel: Calls in flight at most.
        pause: Seconds from a reply to the next call.
        others: Calls a second of other clients with the same key.
    """

    limiter: RateLimiter
    server: Server
    jitter: Random
    latency: float = 0.2
    parallel: int = 1
    pause: float = 0.0
    others: float = 0.0
    now: float = 0.0
    sent: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    """The send times of the client's accepted calls."""
    refused: list[float] = field(default_factory=list)
    """The send times of the client's refused calls."""
    taught: list[float] = field(default_factory=list)
    """The times at which the limiter observed a limit."""
    most: list[tuple[int, ...]] = field(default_factory=list)
    """The effective limits after each reply."""
    _idle_until: float = 0.0
    _numbers: "count[int]" = field(default_factory=count)
    _arriving: list[_Event] = field(default_factory=list)
    _returning: list[_Event] = field(default_factory=list)

    def run(self, seconds: float, calls: float = math.inf) -> "Play":
        """Simulate so many seconds, with so many calls at most."""
        until, last = self.now + seconds, len(self.sent) + calls
        if self.others and not self._arriving:
            self._arrives(self._next_of_others(), None)
        while True:
            wait = max(self.limiter.wait(self.now), self._idle_until - self.now)
            is_busy = self.limiter.in_flight >= self.parallel or len(self.sent) >= last
            if wait <= 0 and not is_busy:
                self.sent.append(self.now)
                at = self.now + self.jitter.uniform(0, self.latency)
                self._arrives(at, self.limiter.acquire(self.now))
                continue
            next_call = math.inf if is_busy else self.now + max(wait, TICK)
            events = (queue[0].at for queue in (self._arriving, self._returning) if queue)
            next_at = min(next_call, *events, math.inf)
            if next_at >= until:
                self.now = until
                return self
            self.now = next_at
            self._happen()

    def _happen(self) -> None:
        """Process the next due call or reply."""
        if self._arriving and self._arriving[0].at <= self.now:
            arriving = heapq.heappop(self._arriving)
            reply = self.server.call(self.now)
            if arriving.permit is None:
                self._arrives(self._next_of_others(), None)
                return
            at = self.now + self.jitter.uniform(0, self.latency)
            heapq.heappush(self._returning, _Event(at, next(self._numbers), arriving.permit, reply))
        elif self._returning and self._returning[0].at <= self.now:
            returning = heapq.heappop(self._returning)
            assert returning.permit is not None
            assert returning.reply is not None
            self._answered(returning.permit, returning.reply)

    def _arrives(self, at: float, permit: Permit | None) -> None:
        heapq.heappush(self._arriving, _Event(at, next(self._numbers), permit))

    def _next_of_others(self) -> float:
        return self.now + self.jitter.expovariate(self.others)

    def _answered(self, permit: Permit, reply: Reply) -> None:
        (self.accepted if reply.failure is None else self.refused).append(permit.sent_at)
        self._idle_until = self.now + self.pause
        if self.limiter.complete(permit, self.now, reply.failure, reply.rate_info):
            self.taught.append(self.now)
        self.most.append(tuple(limit.count for limit in self.limiter.limits(self.now)))
