"""What the API allows one key for one kind of call: as configured, or less where it has said so.

Refusals and headers teach stricter limits (core/ratelimit/inference.py); nothing ever exceeds the
configured ones. Times are seconds on any clock that does not jump, given by the caller.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.ratelimit.inference import (
    MAX_CLEAN_WINDOWS,
    ObservedLimit,
    courtesy_of,
    heard,
    observed_from,
    refutes,
)
from scriptix_operator.core.ratelimit.limits import Limit

__all__ = ["BELIEVED", "EffectiveLimits"]

MAX_REMEMBERED = 5000
"""Calls let through that are remembered, to learn from."""
LEARNING = 4
"""Windows within which what was inferred of a limit may be corrected."""
BELIEVED = 3600.0
"""Seconds that a reply may ask for; what is more, and more than any window, is believed when it is
said again."""
MAX_HOLD = 86_400.0
"""Seconds; no refusal stops a key for longer before it is tried again."""
KEEP_AGAIN, CONFIRM = 60.0, 86_400.0
"""Seconds after which what was learned is worth keeping anew: where it has changed, and where it
has only been confirmed. Servers that differ must not cause a write for each reply."""
RESET_ROUNDING = 1.0
"""Seconds by which a reply may give the end of a window too late: servers round up."""
SHORTEST_HOLD = 0.01
"""Of a window, after a refusal: a server that says to come back at once does not mean it."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What a limit was inferred from."""

    limits: tuple[Limit, ...]
    """That were kept to."""
    sent_at: float
    wait: float | None
    """Seconds after which it said to come back."""


class EffectiveLimits:
    """The limits that a key has to keep to.

    Args:
        limits: As configured, at least one; all of them hold at once.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._configured = {limit.seconds: limit for limit in limits}
        self._observed_limits: dict[float, ObservedLimit] = {}
        self._kept: dict[float, ObservedLimit] = {}
        """What the caller was told to keep, and when that was."""
        self._kept_at = float("-inf")
        self._courtesy: ObservedLimit | None = None
        """What is left to us while others use the key, too."""
        self._refusals = 0
        """In a row."""
        self._inferred: _Refusal | None = None
        """The last lesson is from this refusal, which did not name a limit."""
        self.passed = array("d")
        """When each call that was let through was answered, ascending."""
        self.is_proved = False
        """A whole window's calls were let through, so the limit is known to be no stricter."""
        self.held_until = float("-inf")
        """Nothing may be sent before: the API has refused a call."""

    @property
    def observed_limits(self) -> tuple[ObservedLimit, ...]:
        """What was learned of the API's limits."""
        return tuple(self._observed_limits.values())

    def learn(self, observed_limits: Iterable[ObservedLimit]) -> None:
        """Take over what was learned before, in another process."""
        self._observed_limits.update(
            {observed_limit.seconds: observed_limit for observed_limit in observed_limits}
        )
        self._kept = dict(self._observed_limits)

    def limits(self, now: float) -> tuple[Limit, ...]:
        """The limits to keep to, shortest window first."""
        found = dict(self._configured)
        courtesy = () if self._courtesy is None else (self._courtesy,)
        for observed_limit in (*self._observed_limits.values(), *courtesy):
            count = observed_limit.allows(now)
            if observed_limit.seconds not in found or count < found[observed_limit.seconds].count:
                found[observed_limit.seconds] = Limit(count, observed_limit.seconds)
        return tuple(found[seconds] for seconds in sorted(found))

    def let_through(self, sent_at: float, now: float, rate_info: RateLimitInfo | None) -> bool:
        """A call was let through; returns whether what was learned is worth keeping anew."""
        if len(self.passed) >= 2 * MAX_REMEMBERED:
            del self.passed[:MAX_REMEMBERED]
        self.passed.append(now)
        if sent_at < self.held_until:
            self._infer_again()
        else:
            self._refusals = 0
        shortest = self.limits(now)[0]
        use = len(self.passed) - bisect_right(self.passed, now - shortest.seconds)
        self.is_proved = self.is_proved or use >= shortest.count
        self._raise(now)
        if rate_info is not None:
            self._hear(rate_info, now)
        return self._is_new(now)

    def refused(
        self, sent_at: float, failure: CallFailure, rate_info: RateLimitInfo | None, now: float
    ) -> bool:
        """A call was refused for its rate; returns as let_through does."""
        limits, wait = self.limits(now), failure.retry_after
        if sent_at < self.held_until:
            # It was on its way when another was refused, and says no more than that one.
            self._hold(now, wait, limits, is_explained=True)
            return False
        self._refusals += 1
        observed_limit = self._observed_limit(_Refusal(limits, sent_at, wait), rate_info, now)
        if observed_limit is None:
            self._courtesy = courtesy_of(self.passed, limits, sent_at, wait)
        else:
            self._apply(observed_limit, now)
            limits = self.limits(now)  # a window that was learned is waited for, too
        self._hold(now, wait, limits, is_explained=observed_limit is not None)
        return self._is_new(now)

    def _is_new(self, now: float) -> bool:
        """Whether what was learned is to be kept: at once where it is stricter than what is."""
        new, old = self._observed_limits, self._kept
        is_stricter = any(
            seconds not in old
            or observed_limit.count < old[seconds].count
            or observed_limit.clean_windows > old[seconds].clean_windows
            for seconds, observed_limit in new.items()
        )
        is_changed = _counts(new) != _counts(old) or any(
            observed_limit.at > old[seconds].at + CONFIRM
            for seconds, observed_limit in new.items()
            if seconds in old
        )
        is_new = is_stricter or (is_changed and now >= self._kept_at + KEEP_AGAIN)
        if is_new:
            self._kept, self._kept_at = dict(new), now
        return is_new

    def _raise(self, now: float) -> None:
        """Know that one more is allowed where it was tried for long enough."""
        for observed_limit in self.observed_limits:
            is_tried = observed_limit.allows(now) > observed_limit.count
            if is_tried and refutes(self.passed, observed_limit.seconds, observed_limit.count):
                self._observed_limits[observed_limit.seconds] = replace(
                    observed_limit, count=observed_limit.count + 1, at=now
                )

    def _hear(self, rate_info: RateLimitInfo, now: float) -> None:
        """Take in what a reply that was let through tells of the limit."""
        reset = (rate_info.reset or 0.0) - RESET_ROUNDING
        window = next((limit for s, limit in self._configured.items() if s >= reset), None)
        if window is not None:
            observed_limit = heard(
                self._observed_limits.pop(window.seconds, None), window, rate_info, now
            )
            if observed_limit is not None:
                self._observed_limits[observed_limit.seconds] = observed_limit

    def _observed_limit(
        self, refusal: _Refusal, rate_info: RateLimitInfo | None, now: float
    ) -> ObservedLimit | None:
        """What a refusal says of the limit; None: it is of others that use the key.

        What is not named but inferred can be said of the first refusal in a row only; and not where
        what was inferred before was kept to: who keeps to what is right is refused for others'
        calls. But soon after it was inferred, it may have been wrong.
        """
        self._inferred = None
        observed_limit = self._observed_from(refusal, rate_info)
        if observed_limit is None or (rate_info is not None and rate_info.limit is not None):
            return observed_limit
        old, in_a_row = self._observed_limits.get(observed_limit.seconds), 1
        window = tuple(limit for limit in refusal.limits if limit.seconds == observed_limit.seconds)
        refusal = replace(refusal, limits=window)
        if old is not None and now <= old.at + LEARNING * old.seconds:
            # The API's word has misled: some servers say the same whenever they are asked.
            in_a_row = 2
            refusal = replace(refusal, wait=None)
            observed_limit = self._observed_from(refusal, None)
        elif old is not None and old.allows(now) == old.count:
            return None
        if self._refusals > in_a_row:
            return None
        self._inferred = refusal
        return observed_limit

    def _observed_from(
        self, refusal: _Refusal, rate_info: RateLimitInfo | None
    ) -> ObservedLimit | None:
        """What a refusal teaches of itself."""
        limits, sent_at, wait = refusal.limits, refusal.sent_at, refusal.wait
        return observed_from(
            self.passed, limits, _counts(self._observed_limits), sent_at, rate_info, wait
        )

    def _apply(self, observed_limit: ObservedLimit, now: float) -> None:
        old = self._observed_limits.get(observed_limit.seconds)
        if old is not None and old.allows(now) > old.count:
            # One more was tried, and refused: not so soon again.
            patience = min(2 * old.clean_windows, MAX_CLEAN_WINDOWS)
            observed_limit = replace(observed_limit, clean_windows=patience)
        elif old is not None:
            at = (
                observed_limit.at if self._inferred is None else old.at
            )  # a limit that is named is new
            observed_limit = replace(observed_limit, at=at, clean_windows=old.clean_windows)
        self._observed_limits[observed_limit.seconds] = observed_limit
        self.is_proved = False

    def _infer_again(self) -> None:
        """Raise what was inferred by a call that was on its way then and was let through."""
        if self._inferred is None:
            return
        observed_limit = self._observed_from(self._inferred, None)
        if observed_limit is not None and observed_limit.seconds in self._observed_limits:
            old = self._observed_limits[observed_limit.seconds]
            self._observed_limits[old.seconds] = replace(old, count=observed_limit.count)

    def _hold(
        self, now: float, wait: float | None, limits: Sequence[Limit], *, is_explained: bool
    ) -> None:
        """Send nothing for a while: as long as the API says, longer if it goes on refusing."""
        doublings, shortest, longest = self._refusals - 1, limits[0].seconds, limits[-1].seconds
        if wait is None:
            wait = 0.0 if is_explained else backoff(shortest, doublings, max(longest, BELIEVED))
        else:
            wait = min(wait, backoff(max(longest, BELIEVED), doublings, MAX_HOLD))
        least = backoff(SHORTEST_HOLD * shortest, doublings, longest)
        self.held_until = max(self.held_until, now + max(wait, least))


def _counts(observed_limits: Mapping[float, ObservedLimit]) -> dict[float, int]:
    return {seconds: observed_limit.count for seconds, observed_limit in observed_limits.items()}
