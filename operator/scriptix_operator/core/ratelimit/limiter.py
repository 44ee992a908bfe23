"""How many calls of one kind a key may still make.

Windows slide, and a call ages from when its reply was read: whoever keeps to that is not refused,
whether the server's windows slide or are fixed. Times are monotonic seconds, given by the caller.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.ratelimit.effective_limits import BELIEVED, EffectiveLimits
from scriptix_operator.core.ratelimit.inference import ObservedLimit
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.pacer import Pacer
from scriptix_operator.core.ratelimit.window import PastCall, Permit, SlidingWindow

__all__ = ["LATE", "RateLimiter"]

BURST = 0.2
"""Of a window's calls that may be made at once where an allowance is spent evenly."""

LATE = 10.0
"""Seconds for which a call may still reach the server after it was given up without a reply…"""
LATE_PART = 1 / 6
"""… at most this part of a window."""


@dataclass(slots=True)
class _Left:
    """What the API has said is left, where that is less than our own calls explain."""

    calls: int
    until: float


class RateLimiter:
    """The allowance of one API key for one kind of call, and what was spent of it.

    Args:
        limits: As configured, at least one; all of them hold at once.
        evenly: Whether calls are spread over the window, but for a burst after a pause.
    """

    def __init__(self, limits: Sequence[Limit], *, evenly: bool = False) -> None:
        self._limits = EffectiveLimits(limits)
        self._spread = Pacer() if evenly else None
        self._even_until = float("-inf")
        self._window = SlidingWindow()
        self._left: _Left | None = None

    @property
    def in_flight(self) -> int:
        """Calls that are not answered yet."""
        return len(self._window.in_flight)

    @property
    def is_proved(self) -> bool:
        """Whether the API has let a whole window's calls through."""
        return self._limits.is_proved

    @property
    def observed_limits(self) -> tuple[ObservedLimit, ...]:
        """What was learned of the API's limits."""
        return self._limits.observed_limits

    def learn(self, observed_limits: Iterable[ObservedLimit]) -> None:
        """Take over what was learned before, in another process."""
        self._limits.learn(observed_limits)

    def limits(self, now: float) -> tuple[Limit, ...]:
        """The limits to keep to, shortest window first."""
        return self._limits.limits(now)

    def rate(self, now: float) -> float:
        """Calls a second that can be kept up."""
        return min(limit.count / limit.seconds for limit in self.limits(now))

    def calls_by_tag(self, now: float) -> Counter[str]:
        """The calls in the longest window, those on their way too, by tag."""
        begin = now - self.limits(now)[-1].seconds
        tags = [spent.tag for spent in self._window.spent if spent.at > begin]
        return Counter([*tags, *(permit.tag for permit in self._window.in_flight)])

    def wait(self, now: float, ahead: int = 0) -> float:
        """Seconds until a call fits, `ahead` others going first; 0: it does now."""
        earliest = free_at = max(now, self._limits.held_until)
        limits = self.limits(now)
        self._window.forget(now - limits[-1].seconds)
        for limit in limits:
            free_at = max(free_at, self._window.free_at(limit, now, earliest, ahead))
        if self._left is not None and now < self._left.until and ahead >= self._left.calls:
            free_at = max(free_at, self._left.until)
        wait = free_at - now
        if self._spread is not None:
            burst = 1 if now < self._even_until else max(int(limits[0].count * BURST), 1)
            wait = max(wait, self._spread.wait(now, 1 / self.rate(now), burst, ahead))
        return wait

    def is_unspent(self, now: float) -> bool:
        """Whether nothing counts against it, nor holds it: no more is known of it than was told."""
        self._window.forget(now - self.limits(now)[-1].seconds)
        is_spent = self._window.spent or self._window.in_flight
        return not is_spent and self._limits.held_until <= now

    def acquire(self, now: float, tag: str = "") -> Permit:
        """Spend one call, sent now."""
        permit = Permit(now, tag)
        self._window.in_flight.add(permit)
        if self._left is not None:
            self._left.calls -= 1
        if self._spread is not None:
            self._spread.acquire(now, 1 / self.rate(now))
        return permit

    def cancel(self, permit: Permit, now: float) -> None:
        """Take back a call that never reached the server."""
        self._window.in_flight.discard(permit)
        if self._left is not None:
            self._left.calls += 1
        if self._spread is not None:
            self._spread.cancel(1 / self.rate(now))

    def recall(self, spent: Iterable[PastCall]) -> None:
        """Count calls that were made before, in another process; go on in step with the last."""
        self._window.recall(spent)
        self._limits.passed = array("d", (one.at for one in self._window.spent))
        if self._spread is not None and self._window.spent:
            last = self._window.spent[-1].at
            self._spread.follow(last, 1 / self.rate(last))

    def pace(self, now: float) -> None:
        """Make no bursts for a window: what was spent just before is not known."""
        self._even_until = now + self.limits(now)[0].seconds

    def answered(
        self,
        permit: Permit,
        now: float,
        failure: CallFailure | None = None,
        rate_info: RateLimitInfo | None = None,
    ) -> bool:
        """Count a call whose reply was read, or given up.

        Args:
            permit: The call.
            now: When that was. It ages from then on: when the server counted it is not known, only
                that it has by now; if there was no reply, that it will before long.
            failure: What went wrong; None: nothing.
            rate_info: What the reply says of the limit.

        Returns:
            Whether something was learned of the limits.
        """
        kind = None if failure is None else failure.kind
        if kind is FailureKind.NOT_SENT:
            self.cancel(permit, now)
            return False
        self._window.in_flight.discard(permit)
        if failure is not None and kind is FailureKind.RATE_LIMITED:
            has_observed_limit = self._limits.refused(permit.sent_at, failure, rate_info, now)
            self._remember_back_to(now - self.limits(now)[-1].seconds)
            if failure.retry_after is None:  # else its own word says when to come back
                self._window.complete(permit, now)
            return has_observed_limit
        has_no_reply = failure is not None and failure.status is None
        is_lost = kind is FailureKind.AMBIGUOUS and has_no_reply
        late = min(LATE, LATE_PART * self.limits(now)[0].seconds) if is_lost else 0.0
        self._window.complete(permit, now + late)
        if kind in {FailureKind.AMBIGUOUS, FailureKind.UNAUTHORIZED}:
            return False  # whether it got as far as the limit is not known
        has_observed_limit = self._limits.let_through(permit.sent_at, now, rate_info)
        if (
            rate_info is not None
            and rate_info.remaining is not None
            and rate_info.reset is not None
        ):
            self._hear_left(rate_info.remaining, rate_info.reset, now)
        return has_observed_limit

    def _hear_left(self, remaining: int, reset: float, now: float) -> None:
        """Where less is left than our own calls explain, somebody else uses the key, too.

        A reset that is farther away than any window, or an hour, is tried before: nothing else
        could tell that it was not meant so.
        """
        limits = self.limits(now)
        own = min(limit.count - self._window.since(now - limit.seconds) for limit in limits)
        reset_at = now + min(reset, max(limits[-1].seconds, BELIEVED))
        is_less = remaining < own
        calls = max(remaining - self.in_flight, 0)
        self._left = _Left(calls, reset_at) if is_less else None

    def _remember_back_to(self, begin: float) -> None:
        """Count what was let through before, for a window longer than those known so far."""
        spent = self._window.spent
        known_from = spent[0].at if spent else float("inf")
        older = (PastCall(at) for at in self._limits.passed if begin < at < known_from)
        self._window.recall(older)
