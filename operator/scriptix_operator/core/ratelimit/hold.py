"""A hold of all calls after a refusal: exponential backoff, and Retry-After.

The hold is as long as Retry-After asks. Without Retry-After, it doubles with each refusal in a row,
and a refusal that a limit explains needs almost none:

    refused      refused             refused                    accepted   refused
       |--hold--|   |------hold------|  |-----------hold---------|  |          |--hold--|

Times are seconds on any clock that does not jump, given by the caller.
"""

from collections.abc import Sequence

from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.ratelimit.limits import Limit

__all__ = ["BELIEVED", "Hold"]

BELIEVED = 3600.0
"""Longest wait, in seconds, that one reply can ask for; a wait that is longer, and longer than any
window, is believed when a second reply asks for it."""
MAX_HOLD = 86_400.0
"""Longest time, in seconds, that a refusal stops a key."""
SHORTEST_HOLD = 0.01
"""Shortest hold after a refusal, as a part of a window, even if the reply asks for no wait."""


class Hold:
    """Until when no call may be sent.

    Attributes:
        until: No call may be sent before this time.
        in_a_row: The number of refusals since the last accepted call.
    """

    def __init__(self) -> None:
        self.until = float("-inf")
        self.in_a_row = 0

    def was_in_flight(self, sent_at: float) -> bool:
        """Whether a call was in flight when another one was refused."""
        return sent_at < self.until

    def extend(
        self, now: float, wait: float | None, limits: Sequence[Limit], *, is_explained: bool
    ) -> None:
        """Hold all calls after a refusal.

        Args:
            now: When the refusal was read.
            wait: The wait in seconds that the reply asks for.
            limits: The limits that apply, shortest window first.
            is_explained: A limit explains the refusal: calls within the limit need no hold.
        """
        doublings, shortest, longest = self.in_a_row - 1, limits[0].seconds, limits[-1].seconds
        if wait is None:
            wait = 0.0 if is_explained else backoff(shortest, doublings, max(longest, BELIEVED))
        else:
            wait = min(wait, backoff(max(longest, BELIEVED), doublings, MAX_HOLD))
        least = backoff(SHORTEST_HOLD * shortest, doublings, longest)
        self.until = max(self.until, now + max(wait, least))
