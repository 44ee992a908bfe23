"""Additive increase (of AIMD, as in TCP): an observed limit grows again, one call at a time.

A server may have raised its limit, and does not say so. After 24 windows without a refusal one call
more is tried. If the extra call is refused, the next trial comes after twice as many windows:

    calls allowed
      4             +--+                      +--------------------
      3  -----------+  +----------------------+
         ^          ^  ^                      ^       ^
         observed   |  refused                trial   a server with a limit of 3
                    trial                             would have refused some calls:
         |-- 24 w --|  |-------- 48 w --------|       4 is the observed limit

    w: the length of the window

Time alone does not refute a limit that no use comes near. So there is one extra call at most: the
limit must not leap when it is needed again, or after a restart.

Times are seconds on any clock that does not jump, given by the caller.
"""

from dataclasses import dataclass, replace

from scriptix_operator.core.ratelimit.call_history import AcceptedCalls

__all__ = ["CLEAN_WINDOWS", "MAX_CLEAN_WINDOWS", "ObservedLimit"]

CLEAN_WINDOWS = 24
"""After so many windows without a refusal one call more is tried."""
MAX_CLEAN_WINDOWS = 64 * CLEAN_WINDOWS
"""Most such windows."""


@dataclass(frozen=True, slots=True)
class ObservedLimit:
    """A limit of a server that is named or inferred."""

    seconds: float
    """Length of the window."""
    count: int
    """Calls in a window."""
    at: float
    """When the limit was observed."""
    clean_windows: float = CLEAN_WINDOWS
    """After so many windows without a refusal, one call more is tried."""

    def is_on_trial(self, now: float) -> bool:
        """Whether one call more than observed is tried."""
        return now - self.at >= self.clean_windows * self.seconds

    def allows(self, now: float) -> int:
        """Calls in a window now."""
        return self.count + self.is_on_trial(now)

    def accepted(self, calls: AcceptedCalls, now: float) -> "ObservedLimit":
        """The limit after an accepted call: one more where the accepted calls refute this one.

        Around an end of a fixed window, a server may accept twice its limit. So several windows
        are needed: in n windows of either kind, it accepts (n + 1) times its limit at most.
        """
        windows = 2 * (self.count + 1)
        made = calls.count(now - windows * self.seconds)
        is_refuted = self.is_on_trial(now) and made > (windows + 1) * self.count
        return replace(self, count=self.count + 1, at=now) if is_refuted else self

    def trial_refused(self, now: float) -> "ObservedLimit":
        """The limit after a refused trial: the same, and the next trial is later."""
        patience = min(2 * self.clean_windows, MAX_CLEAN_WINDOWS)
        return replace(self, at=now, clean_windows=patience)
