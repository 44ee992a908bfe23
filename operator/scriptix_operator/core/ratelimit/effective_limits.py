"""Effective limits of one key for one kind of call: the strictest of four limits for each window.

    configured                        the settings; never exceeded
    named      named_limits.py        what the API says
    inferred   inferred_limits.py     what a refusal shows that names no limit
    backoff    shared_key_backoff.py  what other clients with the key leave

A window has a named or an inferred limit, not both: a named one comes first. Where neither explains
a refusal, the calls of other clients do. Times are seconds on any clock that does
not jump, given by the caller.
"""

from collections.abc import Iterable, Mapping, Sequence

from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit
from scriptix_operator.core.ratelimit.call_history import AcceptedCalls, RefusedCall
from scriptix_operator.core.ratelimit.hold import Hold
from scriptix_operator.core.ratelimit.inferred_limits import InferredLimits
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.named_limits import NamedLimits
from scriptix_operator.core.ratelimit.shared_key_backoff import SharedKeyBackoff
from scriptix_operator.core.ratelimit.write_throttle import WriteThrottle

__all__ = ["EffectiveLimits"]


class EffectiveLimits:
    """The limits that apply to a key.

    Args:
        limits: The configured limits, at least one, shortest window first; all hold at once.

    Attributes:
        calls: The accepted calls.
        throttle: When observed limits are stored, and which were stored last.
        hold: Until when a refusal stops all calls.
        is_proved: A whole window's calls were accepted, so the limit is known to be no stricter.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._configured = tuple(limits)
        self._named = NamedLimits()
        self._inferred = InferredLimits()
        self._backoff = SharedKeyBackoff()
        self.throttle = WriteThrottle()
        self.calls = AcceptedCalls()
        self.hold = Hold()
        self.is_proved = False

    @property
    def observed(self) -> Mapping[float, ObservedLimit]:
        """The named and inferred limits, by the seconds of their windows."""
        return {**self._inferred.observed, **self._named.observed}

    def restore(self, observed: Iterable[ObservedLimit]) -> None:
        """Take over the observed limits of an earlier process."""
        self._inferred.restore(observed)
        self.throttle.restore(self.observed)

    def limits(self, now: float) -> tuple[Limit, ...]:
        """The limits that apply, shortest window first."""
        found = {limit.seconds: limit for limit in self._configured}
        observed = (Limit(one.allows(now), one.seconds) for one in self.observed.values())
        for limit in (*observed, *self._backoff.limits(now)):
            if limit.count < found.setdefault(limit.seconds, limit).count:
                found[limit.seconds] = limit
        return tuple(found[seconds] for seconds in sorted(found))

    def accepted(self, sent_at: float, now: float, rate_info: RateLimitInfo | None) -> bool:
        """Record an accepted call; returns whether the observed limits are to be stored again."""
        self.calls.add(now)
        was_in_flight = self.hold.was_in_flight(sent_at)
        if not was_in_flight:
            self.hold.in_a_row = 0
        self._inferred.accepted(self.calls, now, was_in_flight=was_in_flight)
        shortest = self.limits(now)[0]
        if self.calls.count(now - shortest.seconds) >= shortest.count:
            self.is_proved = True
        named = self._named.accepted(self.calls, rate_info, self._configured, now)
        if named is not None:
            self._inferred.forget(named)
        return self.throttle.is_due(self.observed, now)

    def refused(
        self, sent_at: float, failure: CallFailure, rate_info: RateLimitInfo | None, now: float
    ) -> bool:
        """Record a call that was refused for its rate; returns as `accepted` does."""
        wait = failure.retry_after
        if self.hold.was_in_flight(sent_at):
            # The call shows no more than the refusal that it was in flight at.
            self.hold.extend(now, wait, self.limits(now), is_explained=True)
            return False
        self.hold.in_a_row += 1
        refused = RefusedCall(sent_at, self.limits(now), self.calls, wait, self.hold.in_a_row)
        is_explained = self._explains(refused, None if rate_info is None else rate_info.limit)
        if is_explained:
            self.is_proved = False
        else:
            self._backoff.refused(refused)
        # A window that is observed just now is waited for, too.
        self.hold.extend(now, wait, self.limits(now), is_explained=is_explained)
        return self.throttle.is_due(self.observed, now)

    def _explains(self, refused: RefusedCall, limit: int | None) -> bool:
        """Whether a limit of the key explains a refusal, which is then observed."""
        if limit is None:
            return self._inferred.refused(refused, self._named.observed)
        return self._named.refused(refused, limit, self.observed)
