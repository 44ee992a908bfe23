"""Limits inferred from refusals that name none: the smallest limit consistent with all calls.

A server counts in sliding or fixed windows. The calls that it has accepted rule out the lower
limits; of those that remain, the smallest one is safe: calls within it are not refused. A fixed
window may have begun right before any call of the last window:

       x    x    |         1         2 3  4  5 R      calls accepted, and R refused
                 |<------------ w ------------>|      the last window: calls 1 to 5
        |<------------ w ----------->[                begun before call 3? The limit is 3 (3, 4, 5).
                                                      The window before had 3 (x, 1, 2): possible.
           |<------------ w ----------->[             begun before call 4? The limit is 2 (4, 5).
                                                      The window before had 4: ruled out.
    The smallest limit is 3.

Where the reply asks for a wait, the window ends with the wait, and so its begin is known. If the
begin is call 1 itself, the window slides, and its limit is 5.

A refusal that names no limit, by the inferred limit of the fullest window:

    none yet                      infer the limit, from the first refusal in a row
    inferred in the last four w   infer the limit again, without the wait: some servers always ask
                                  for the same wait, which has misled
    kept to since                 nothing: the calls of other clients cause the refusal
    one call more is tried        try again later (additive_increase.py)

Times are seconds on any clock that does not jump, given by the caller.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit
from scriptix_operator.core.ratelimit.call_history import ROUNDING, AcceptedCalls, RefusedCall
from scriptix_operator.core.ratelimit.limits import Limit

__all__ = ["InferredLimits", "smallest_limit"]

LEARNING = 4
"""Windows within which an inferred limit may be corrected."""
REMEMBERED = 4
"""Calls accepted before so many windows do not count: the plan may have changed."""
LIKELY = 0.1
"""Least part of the possible time that a window's begin must overlap to be considered."""


class InferredLimits:
    """The limits that refusals without a named limit show, where stricter than configured."""

    def __init__(self) -> None:
        self._limits: dict[float, ObservedLimit] = {}
        self._basis: RefusedCall | None = None
        """The refusal that the last limit was inferred from, with the limit that it was above."""

    @property
    def observed(self) -> Mapping[float, ObservedLimit]:
        """The inferred limits, by the seconds of their windows."""
        return self._limits

    def restore(self, observed: Iterable[ObservedLimit]) -> None:
        """Take over the observed limits of an earlier process, whether named or inferred."""
        self._limits.update({one.seconds: one for one in observed})

    def forget(self, seconds: float) -> None:
        """Forget the limit of a window, which a reply has named."""
        self._limits.pop(seconds, None)

    def refused(self, refused: RefusedCall, named: Container[float]) -> bool:
        """Infer a limit from a refusal.

        Args:
            refused: The refused call; its reply names no limit.
            named: The windows whose limits the API has named, which need no inference.

        Returns:
            Whether a limit of the key explains the refusal; else calls of others do.
        """
        self._basis = None
        window = self._fullest(refused)
        if window is None or window.seconds in named or _is_below_half(refused, window):
            return False
        old = self._limits.get(window.seconds)
        is_young = old is not None and refused.sent_at <= old.at + LEARNING * old.seconds
        if refused.in_a_row > (2 if is_young else 1):
            return False
        if old is None or is_young:
            # A young limit is wrong, because the wait was misleading.
            wait = refused.wait if old is None else None
            self._basis = replace(refused, limits=(window,), wait=wait)
            self._infer(self._basis, old)
            return True
        if old.is_on_trial(refused.sent_at):
            self._limits[window.seconds] = old.trial_refused(refused.sent_at)
            return True
        return False

    def accepted(self, calls: AcceptedCalls, now: float, *, was_in_flight: bool) -> None:
        """Raise the limits that an accepted call refutes.

        Args:
            calls: The accepted calls with this one.
            now: When the reply was read.
            was_in_flight: The call was in flight when another one was refused: a limit that was
                inferred from that refusal does not account for this call.
        """
        self._limits = {s: one.accepted(calls, now) for s, one in self._limits.items()}
        if was_in_flight and self._basis is not None:
            old = self._limits.get(self._basis.limits[0].seconds)
            if old is not None:
                self._infer(self._basis, old)

    def _infer(self, basis: RefusedCall, old: ObservedLimit | None) -> None:
        """Infer the limit of the window, which is lower than the one that applied."""
        (window,) = basis.limits
        calls = basis.calls.since(basis.sent_at - 2 * window.seconds)
        count = smallest_limit(calls, window.seconds, basis.sent_at, basis.wait)
        count = min(count, max(window.count - 1, 1))
        self._limits[window.seconds] = (
            ObservedLimit(window.seconds, count, basis.sent_at)
            if old is None
            else replace(old, count=count)
        )

    def _fullest(self, refused: RefusedCall) -> Limit | None:
        """The fullest window that the refusal may be of, with the limit that applied."""

        def fullness(limit: Limit) -> float:
            # One call more than observed may be tried now.
            observed = self._limits.get(limit.seconds)
            return refused.use(limit.seconds) / (observed.count if observed else limit.count)

        windows = [one for one in refused.limits if refused.may_be_of(one.seconds)]
        fullest = max(windows, key=fullness, default=None)
        return fullest if fullest is not None and refused.use(fullest.seconds) else None


def smallest_limit(
    calls: Sequence[float], seconds: float, refused_at: float, wait: float | None = None
) -> int:
    """The smallest limit that a refusal and all earlier accepted calls are consistent with.

    Args:
        calls: When each accepted call was answered, ascending; those of the last two windows count.
        seconds: Length of the window.
        refused_at: When a call was refused.
        wait: Seconds until more is allowed, rounded up, where the refusal names them.
    """
    older = bisect_right(calls, refused_at - seconds)
    window = calls[older:]
    # The numbers of the calls that a full fixed window may have begun before, as drawn above. (A
    # sliding one begins with the first call.) Earlier windows would only rule out more.
    begins = [
        i
        for i, begin in enumerate(window)
        if older + i - bisect_left(calls, begin - seconds) <= len(window) - i
    ]
    if wait is not None:
        named = refused_at + wait - seconds
        if window and abs(named - window[0]) <= ROUNDING:
            return len(window)  # the oldest call is the next to leave the window: a sliding one
        begins = [i for i in begins if _overlap(window, i, named) >= LIKELY] or begins
    return max(len(window) - max(begins, default=0), 1)


def _overlap(window: Sequence[float], index: int, named: float) -> float:
    """The part of the time of the named begin, which is rounded, that is right before a call."""
    before = window[index - 1] if index else float("-inf")
    return (min(window[index], named) - max(before, named - ROUNDING)) / ROUNDING


def _is_below_half(refused: RefusedCall, window: Limit) -> bool:
    """Whether the use of a window is below half of an earlier one, so that others have used it up.

    A fixed window accepts twice its limit around its end, but never less than half of that.
    """
    seconds = window.seconds
    calls = refused.calls.since(refused.sent_at - REMEMBERED * seconds)
    uses = (number - bisect_right(calls, at - seconds) for number, at in enumerate(calls, 1))
    return 2 * refused.use(seconds) < max(uses, default=0)
