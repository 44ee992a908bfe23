"""The rate limiter of one kind of call with one key.

Windows slide, and a call ages from when its reply was read: calls within these limits are not
refused, whether the server's windows slide or are fixed. Times are monotonic seconds, given by the
caller.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit
from scriptix_operator.core.ratelimit.call_history import AcceptedCalls
from scriptix_operator.core.ratelimit.effective_limits import EffectiveLimits
from scriptix_operator.core.ratelimit.hold import BELIEVED
from scriptix_operator.core.ratelimit.limits import Limit, part_of
from scriptix_operator.core.ratelimit.pacer import Pacer
from scriptix_operator.core.ratelimit.remaining_calls import RemainingCalls
from scriptix_operator.core.ratelimit.window import PastCall, Permit, SlidingWindow

__all__ = ["MAX_TRANSIT", "LimitUse", "RateLimiter"]

BURST = 0.2
"""Part of a window's calls that may be made at once where calls are paced."""

MAX_TRANSIT = 10.0
"""Seconds for which a call may still reach the server after it was given up without a reply …"""
MAX_TRANSIT_PART = 1 / 6
"""… but at most this part of a window."""


class LimitUse(NamedTuple):
    """A limit, and the calls in its window."""

    limit: Limit
    used: int
    """Calls that count against the limit, including calls in flight."""


class RateLimiter:
    """The quota of one API key for one kind of call, and its use.

    Args:
        limits: The configured limits, at least one, shortest window first; all hold at once.
        evenly: Whether calls are paced over the window, except for a burst after a pause.
    """

    def __init__(self, limits: Sequence[Limit], *, evenly: bool = False) -> None:
        self._limits = EffectiveLimits(limits)
        self._pacer = Pacer() if evenly else None
        self._even_until = float("-inf")
        self._window = SlidingWindow()
        self._remaining = RemainingCalls()

    @property
    def in_flight(self) -> int:
        """The number of calls that are not answered yet."""
        return len(self._window.in_flight)

    @property
    def is_proved(self) -> bool:
        """Whether the API has accepted a whole window's calls."""
        return self._limits.is_proved

    @property
    def observed_limits(self) -> tuple[ObservedLimit, ...]:
        """The observed limits."""
        return tuple(self._limits.observed.values())

    @property
    def kept_limits(self) -> tuple[Limit, ...]:
        """The observed limits that the caller stored last, shortest window first."""
        return self._limits.throttle.stored_limits

    def restore_limits(self, observed_limits: Iterable[ObservedLimit]) -> None:
        """Take over the observed limits of an earlier process."""
        self._limits.restore(observed_limits)

    def limits(self, now: float) -> tuple[Limit, ...]:
        """The limits that apply, shortest window first."""
        return self._limits.limits(now)

    def rate(self, now: float) -> float:
        """Sustainable calls a second."""
        return min(limit.count / limit.seconds for limit in self.limits(now))

    def calls_by_tag(self, now: float) -> Counter[str]:
        """The calls in the longest window, including calls in flight, by tag."""
        begin = now - self.limits(now)[-1].seconds
        tags = [spent.tag for spent in self._window.spent if spent.at > begin]
        return Counter([*tags, *(permit.tag for permit in self._window.in_flight)])

    def use(self, now: float) -> tuple[LimitUse, ...]:
        """The use of each limit that applies, shortest window first."""
        return tuple(
            LimitUse(limit, self._window.since(now - limit.seconds) + self.in_flight)
            for limit in self.limits(now)
        )

    def wait(self, now: float, ahead: int = 0) -> float:
        """Seconds until a call fits, with `ahead` others first; 0: the call fits now."""
        earliest = free_at = max(now, self._limits.hold.until)
        limits = self.limits(now)
        self._window.forget(now - limits[-1].seconds)
        for limit in limits:
            free_at = max(free_at, self._window.free_at(limit, now, earliest, ahead))
        wait = max(free_at, self._remaining.free_at(now, ahead)) - now
        if self._pacer is not None:
            burst = 1 if now < self._even_until else max(int(limits[0].count * BURST), 1)
            wait = max(wait, self._pacer.wait(now, 1 / self.rate(now), burst, ahead))
        return wait

    def wait_in_part(self, now: float, tag: str, part: float) -> float:
        """Seconds until a call with a tag fits into a part of the quota; 0: the call fits now.

        Args:
            now: The time.
            tag: Only calls with this tag count against the part.
            part: 0 to 1; at least one call of each limit.
        """
        window = self._window.tagged(tag)
        limits = (part_of(limit, part) for limit in self.limits(now))
        return max(window.free_at(limit, now, now) for limit in limits) - now

    def is_unspent(self, now: float) -> bool:
        """Whether no call counts and nothing holds calls: the limiter equals a new one."""
        self._window.forget(now - self.limits(now)[-1].seconds)
        is_spent = self._window.spent or self._window.in_flight
        return not is_spent and self._limits.hold.until <= now

    def acquire(self, now: float, tag: str = "") -> Permit:
        """Acquire the permit of one call, sent now."""
        permit = Permit(now, tag)
        self._window.in_flight.add(permit)
        self._remaining.acquire()
        if self._pacer is not None:
            self._pacer.acquire(now, 1 / self.rate(now))
        return permit

    def cancel(self, permit: Permit, now: float) -> None:
        """Cancel the permit of a call that never reached the server."""
        self._window.in_flight.discard(permit)
        self._remaining.cancel()
        if self._pacer is not None:
            self._pacer.cancel(1 / self.rate(now))

    def restore(self, calls: Iterable[PastCall]) -> None:
        """Count the calls of an earlier process, and continue the pacing after the last one."""
        self._window.restore(calls)
        self._limits.calls = AcceptedCalls(call.at for call in self._window.spent)
        if self._pacer is not None and self._window.spent:
            last = self._window.spent[-1].at
            self._pacer.follow(last, 1 / self.rate(last))

    def pace(self, now: float) -> None:
        """Make no bursts for a window: the calls just before are not known."""
        self._even_until = now + self.limits(now)[0].seconds

    def complete(
        self,
        permit: Permit,
        now: float,
        failure: CallFailure | None = None,
        rate_info: RateLimitInfo | None = None,
    ) -> bool:
        """Count a call whose reply was read, or given up.

        Args:
            permit: The call.
            now: When that was. The call ages from then on: the server has counted the call by now;
                without a reply, it will do so before long.
            failure: What went wrong; None: nothing.
            rate_info: The rate-limit info of the reply.

        Returns:
            Whether the observed limits have changed.
        """
        kind = None if failure is None else failure.kind
        if kind is FailureKind.NOT_SENT:
            self.cancel(permit, now)
            return False
        self._window.in_flight.discard(permit)
        if failure is not None and kind is FailureKind.RATE_LIMITED:
            has_observed_limit = self._limits.refused(permit.sent_at, failure, rate_info, now)
            self._remember_back_to(now - self.limits(now)[-1].seconds)
            if failure.retry_after is None:  # else the reply names the wait
                self._window.complete(permit, now)
            return has_observed_limit
        has_no_reply = failure is not None and failure.status is None
        is_lost = kind is FailureKind.AMBIGUOUS and has_no_reply
        in_transit = min(MAX_TRANSIT, MAX_TRANSIT_PART * self.limits(now)[0].seconds)
        self._window.complete(permit, now + in_transit if is_lost else now)
        if kind in {FailureKind.AMBIGUOUS, FailureKind.UNAUTHORIZED}:
            return False  # the call may not have reached the server's rate limiter
        has_observed_limit = self._limits.accepted(permit.sent_at, now, rate_info)
        if (
            rate_info is not None
            and rate_info.remaining is not None
            and rate_info.reset is not None
        ):
            self._record_remaining(rate_info.remaining, rate_info.reset, now)
        return has_observed_limit

    def _record_remaining(self, remaining: int, reset: float, now: float) -> None:
        """Record the remaining calls: where own calls do not explain them, others use the key, too.

        The operator calls again after the longest window or an hour, even if the named reset is
        later: a wrong reset could not be detected otherwise.
        """
        limits = self.limits(now)
        own = min(limit.count - self._window.since(now - limit.seconds) for limit in limits)
        reset_at = now + min(reset, max(limits[-1].seconds, BELIEVED))
        self._remaining.record(remaining, own, self.in_flight, reset_at)

    def _remember_back_to(self, begin: float) -> None:
        """Count earlier accepted calls for a window that is longer than those known so far."""
        spent = self._window.spent
        known_from = spent[0].at if spent else float("inf")
        older = (PastCall(at) for at in self._limits.calls.since(begin) if at < known_from)
        self._window.restore(older)
