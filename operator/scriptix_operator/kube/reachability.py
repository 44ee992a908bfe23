"""Whether the API server replies: logs once that it does not, and once that it does again."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.model.wording import duration

__all__ = ["UNAVAILABLE", "Reachability"]

TEXT_LIMIT = 256
UNAVAILABLE = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Statuses of a server that serves nobody: it is overloaded, or a proxy replies in its place."""

logger = logging.getLogger(__name__)


class Reachability:
    """The replies of the API server to this process, on any connection.

    A reply of any status counts, except for UNAVAILABLE: a refusal concerns one request.

    Args:
        now: Monotonic seconds.

    Attributes:
        lost: Set while the API server is unreachable.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._answered_at = float("-inf")
        self._lost_at: float | None = None
        """When the first request without a reply began; None: the API server is reachable."""
        self.lost = asyncio.Event()
        self._back = asyncio.Event()
        """Set while the API server is reachable."""
        self._back.set()

    @property
    def is_reachable(self) -> bool:
        """Whether the last request had a reply, as far as is known."""
        return self._lost_at is None

    def replied(self, begun_at: float, status: int) -> None:
        """Note the reply to a request that began at `begun_at`."""
        if status in UNAVAILABLE:
            self.failed(begun_at, f"HTTP {status}")
        else:
            self.answered()

    def answered(self) -> None:
        """Note a reply."""
        self._answered_at, lost_at, self._lost_at = self.now(), self._lost_at, None
        if lost_at is not None:
            self.lost.clear()
            self._back.set()
            lasted = duration(round(self._answered_at - lost_at))
            logger.info("the API server is reachable again after %s", lasted)

    def failed(self, begun_at: float, text: str) -> None:
        """Note a request without a reply, unless another one had a reply meanwhile.

        Args:
            begun_at: When the request began, as `now` gave it.
            text: The cause.
        """
        if self._lost_at is None and self._answered_at <= begun_at:
            self._lost_at = begun_at
            self._back.clear()
            self.lost.set()
            logger.warning("the API server is unreachable: %s", one_line(text, TEXT_LIMIT))

    async def wait(self) -> None:
        """Wait until the API server is reachable."""
        await self._back.wait()

    async def pause(self, seconds: float) -> None:
        """Wait; if the API server is unreachable, at most until it is reachable again."""
        if self.is_reachable:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._back.wait()
