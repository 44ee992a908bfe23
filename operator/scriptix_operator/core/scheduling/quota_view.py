"""What the queues read of a rate limiter: when calls fit. A queue acquires no permit."""

from collections.abc import Mapping
from typing import Protocol

__all__ = ["QuotaView"]


class QuotaView(Protocol):
    """The part of RateLimiter that the queues use."""

    @property
    def in_flight(self) -> int:
        """The number of calls that are not answered yet."""

    @property
    def is_proved(self) -> bool:
        """Whether the API has accepted a whole window's calls."""

    def calls_by_tag(self, now: float) -> Mapping[str, int]:
        """The calls in the longest window, including calls in flight, by tag."""

    def rate(self, now: float) -> float:
        """Sustainable calls a second."""

    def wait(self, now: float, ahead: int = 0) -> float:
        """Seconds until a call fits, with `ahead` others first; 0: the call fits now."""

    def wait_in_part(self, now: float, tag: str, part: float) -> float:
        """Seconds until a call with a tag fits into a part of the quota; 0: the call fits now."""
