"""Whether the API server replies: logs once that it does not, and once that it does again."""

import logging
import time
from collections.abc import Callable

from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.model.wording import duration

__all__ = ["Reachability"]

TEXT_LIMIT = 256

logger = logging.getLogger(__name__)


class Reachability:
    """The replies of the API server to this process, on any connection.

    A reply of any status counts: HTTP 503 comes from a server that is reachable.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._answered_at = float("-inf")
        self._lost_at: float | None = None
        """When the first request without a reply began; None: the API server is reachable."""

    @property
    def is_reachable(self) -> bool:
        """Whether the last request had a reply, as far as is known."""
        return self._lost_at is None

    def answered(self) -> None:
        """Note a reply."""
        self._answered_at, lost_at, self._lost_at = self.now(), self._lost_at, None
        if lost_at is not None:
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
            logger.warning("the API server is unreachable: %s", one_line(text, TEXT_LIMIT))
