"""Effective limits of one key for one kind of call: as configured, or stricter where observed.

Stricter limits are observed from refusals and headers (core/ratelimit/inference.py); the configured
limits are never exceeded. Times are seconds on any clock that does not jump, given by the caller.
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
    limit_after_reply,
    observed_from,
    refutes,
)
from scriptix_operator.core.ratelimit.limits import Limit

__all__ = ["BELIEVED", "EffectiveLimits"]

MAX_REMEMBERED = 5000
"""Most accepted calls that are remembered to infer limits from."""
LEARNING = 4
"""Windows within which an inferred limit may be corrected."""
BELIEVED = 3600.0
"""Longest wait, in seconds, that one reply can ask for; a wait that is longer, and longer than any
window, is believed when a second reply asks for it."""
MAX_HOLD = 86_400.0
"""Longest time, in seconds, that a refusal stops a key."""
KEEP_AGAIN, CONFIRM = 60.0, 86_400.0
"""Seconds after which an observed limit is stored again: where it has changed, and where it has
only been confirmed. Replicas that differ must not cause a write for each reply."""
RESET_ROUNDING = 1.0
"""Seconds by which a reply may give the end of a window too late: servers round up."""
SHORTEST_HOLD = 0.01
"""Shortest hold after a refusal, as a part of a window, even if the reply asks for no wait."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A refusal that a limit was inferred from."""

    limits: tuple[Limit, ...]
    """The limits that applied."""
    sent_at: float
    wait: float | None
    """The wait in seconds that the refusal asked for."""


class EffectiveLimits:
    """The limits that apply to a key.

    Args:
        limits: The configured limits, at least one; all of them hold at once.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._configured = {limit.seconds: limit for limit in limits}
        self._observed_limits: dict[float, ObservedLimit] = {}
        self._kept: dict[float, ObservedLimit] = {}
        """The observed limits that the caller stored last."""
        self._kept_at = float("-inf")
        self._courtesy: ObservedLimit | None = None
        """The courtesy limit while others use the key, too."""
        self._refusals = 0
        """Consecutive refusals."""
        self._inferred: _Refusal | None = None
        """The refusal that the last observed limit was inferred from; None: the limit was named."""
        self.passed = array("d")
        """When each accepted call was answered, ascending."""
        self.is_proved = False
        """A whole window's calls were accepted, so the limit is known to be no stricter."""
        self.held_until = float("-inf")
        """No call may be sent before this time: the API has refused a call."""

    @property
    def observed_limits(self) -> tuple[ObservedLimit, ...]:
        """The observed limits."""
        return tuple(self._observed_limits.values())

    @property
    def kept_limits(self) -> tuple[Limit, ...]:
        """The observed limits that the caller stored last, shortest window first."""
        return tuple(Limit(self._kept[each].count, each) for each in sorted(self._kept))

    def learn(self, observed_limits: Iterable[ObservedLimit]) -> None:
        """Take over the observed limits of an earlier process."""
        self._observed_limits.update(
            {observed_limit.seconds: observed_limit for observed_limit in observed_limits}
        )
        self._kept = dict(self._observed_limits)

    def limits(self, now: float) -> tuple[Limit, ...]:
        """The limits that apply, shortest window first."""
        found = dict(self._configured)
        courtesy = () if self._courtesy is None else (self._courtesy,)
        for observed_limit in (*self._observed_limits.values(), *courtesy):
            count = observed_limit.allows(now)
            if observed_limit.seconds not in found or count < found[observed_limit.seconds].count:
                found[observed_limit.seconds] = Limit(count, observed_limit.seconds)
        return tuple(found[seconds] for seconds in sorted(found))

    def let_through(self, sent_at: float, now: float, rate_info: RateLimitInfo | None) -> bool:
        """Record an accepted call; returns whether the observed limits are to be stored again."""
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
            self._record_rate_info(rate_info, now)
        return self._is_new(now)

    def refused(
        self, sent_at: float, failure: CallFailure, rate_info: RateLimitInfo | None, now: float
    ) -> bool:
        """Record a call that was refused for its rate; returns as let_through does."""
        limits, wait = self.limits(now), failure.retry_after
        if sent_at < self.held_until:
            # The call was in flight when another was refused, and shows no more than that refusal.
            self._hold(now, wait, limits, is_explained=True)
            return False
        self._refusals += 1
        observed_limit = self._observed_limit(_Refusal(limits, sent_at, wait), rate_info, now)
        if observed_limit is None:
            self._courtesy = courtesy_of(self.passed, limits, sent_at, wait)
        else:
            self._apply(observed_limit, now)
            limits = self.limits(now)  # an observed window is waited for, too
        self._hold(now, wait, limits, is_explained=observed_limit is not None)
        return self._is_new(now)

    def _is_new(self, now: float) -> bool:
        """Whether the observed limits are to be stored: at once where they are stricter."""
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
        """Raise an observed limit by one where one call more was tried for long enough."""
        for observed_limit in self.observed_limits:
            is_tried = observed_limit.allows(now) > observed_limit.count
            if is_tried and refutes(self.passed, observed_limit.seconds, observed_limit.count):
                self._observed_limits[observed_limit.seconds] = replace(
                    observed_limit, count=observed_limit.count + 1, at=now
                )

    def _record_rate_info(self, rate_info: RateLimitInfo, now: float) -> None:
        """Record the rate-limit info of an accepted call."""
        reset = (rate_info.reset or 0.0) - RESET_ROUNDING
        window = next((limit for s, limit in self._configured.items() if s >= reset), None)
        if window is not None:
            observed_limit = limit_after_reply(
                self._observed_limits.pop(window.seconds, None), window, rate_info, now
            )
            if observed_limit is not None:
                self._observed_limits[observed_limit.seconds] = observed_limit

    def _observed_limit(
        self, refusal: _Refusal, rate_info: RateLimitInfo | None, now: float
    ) -> ObservedLimit | None:
        """The observed limit of a refusal; None: others' use of the key has caused the refusal.

        A limit can be inferred from the first refusal in a row only, and not while an inferred
        limit was kept: with a correct limit, others' calls cause the refusal. Soon after the
        inference, however, the inferred limit may be wrong.
        """
        self._inferred = None
        observed_limit = self._observed_from(refusal, rate_info)
        if observed_limit is None or (rate_info is not None and rate_info.limit is not None):
            return observed_limit
        old, in_a_row = self._observed_limits.get(observed_limit.seconds), 1
        window = tuple(limit for limit in refusal.limits if limit.seconds == observed_limit.seconds)
        refusal = replace(refusal, limits=window)
        if old is not None and now <= old.at + LEARNING * old.seconds:
            # The named wait was misleading: some servers always give the same wait.
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
        """The limit that follows from a refusal alone."""
        limits, sent_at, wait = refusal.limits, refusal.sent_at, refusal.wait
        return observed_from(
            self.passed, limits, _counts(self._observed_limits), sent_at, rate_info, wait
        )

    def _apply(self, observed_limit: ObservedLimit, now: float) -> None:
        old = self._observed_limits.get(observed_limit.seconds)
        if old is not None and old.allows(now) > old.count:
            # One call more was tried and refused: the next trial waits longer.
            patience = min(2 * old.clean_windows, MAX_CLEAN_WINDOWS)
            observed_limit = replace(observed_limit, clean_windows=patience)
        elif old is not None:
            at = (
                observed_limit.at if self._inferred is None else old.at
            )  # a named limit counts as new
            observed_limit = replace(observed_limit, at=at, clean_windows=old.clean_windows)
        self._observed_limits[observed_limit.seconds] = observed_limit
        self.is_proved = False

    def _infer_again(self) -> None:
        """Raise the inferred limit by an accepted call that was in flight at the refusal."""
        if self._inferred is None:
            return
        observed_limit = self._observed_from(self._inferred, None)
        if observed_limit is not None and observed_limit.seconds in self._observed_limits:
            old = self._observed_limits[observed_limit.seconds]
            self._observed_limits[old.seconds] = replace(old, count=observed_limit.count)

    def _hold(
        self, now: float, wait: float | None, limits: Sequence[Limit], *, is_explained: bool
    ) -> None:
        """Hold all calls: as long as the API asks, longer after consecutive refusals."""
        doublings, shortest, longest = self._refusals - 1, limits[0].seconds, limits[-1].seconds
        if wait is None:
            wait = 0.0 if is_explained else backoff(shortest, doublings, max(longest, BELIEVED))
        else:
            wait = min(wait, backoff(max(longest, BELIEVED), doublings, MAX_HOLD))
        least = backoff(SHORTEST_HOLD * shortest, doublings, longest)
        self.held_until = max(self.held_until, now + max(wait, least))


def _counts(observed_limits: Mapping[float, ObservedLimit]) -> dict[float, int]:
    return {seconds: observed_limit.count for seconds, observed_limit in observed_limits.items()}
