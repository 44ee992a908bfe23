"""Reports in the status of each unreadable resource, once, why it is skipped."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn

from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.kube.errors import ConflictError, GoneError, KubeError, RefusedError
from scriptix_operator.kube.trainings import Raw, key_of
from scriptix_operator.log_fields import field_logger

__all__ = ["UnreadableReporter"]

FIRST_RETRY, MAX_RETRY = 1.0, 60.0
"""Seconds before a report that the cluster did not accept is retried; doubles."""

logger = field_logger(__name__)


@dataclass(slots=True)
class UnreadableReporter:
    """Reports each version of an unreadable resource, one after the other.

    Args:
        report: Writes the cause into a resource, as StatusWriter.report_left_alone; returns
            whether the report must wait for another installation.
    """

    report: Callable[[Raw, str], Awaitable[bool]]
    _due: dict[TrainingKey, tuple[Raw, str]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, raw: Raw, text: str) -> None:
        """Queue a report, in place of that of an older version."""
        self._due[key_of(raw)] = raw, text
        self._changed.set()

    def retry(self) -> None:
        """Write the queued reports now: the API server is reachable again."""
        self._changed.set()

    def drop(self, key: TrainingKey) -> None:
        """Drop the report of a resource that can be read now, or was deleted."""
        self._due.pop(key, None)

    async def run(self) -> NoReturn:
        """Report until cancelled."""
        failures = 0
        while True:
            # What is left in the queue without a failure waits for another installation.
            waits = MAX_RETRY if self._due else None
            wait = backoff(FIRST_RETRY, failures - 1, MAX_RETRY) if failures else waits
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            self._changed.clear()
            failures = failures + 1 if await self._report_all() else 0

    async def _report_all(self) -> int:
        """Write the queued reports; returns how many failed."""
        failed = 0
        for key, due in tuple(self._due.items()):
            try:
                if await self.report(*due):
                    continue
            except (ConflictError, GoneError) as error:
                logger.about(key).debug("%s", error)  # the watch shows the current version
            except RefusedError as error:
                text = "unreadable, which its status cannot report before it changes: %s"
                logger.about(key).warning(text, error)
            except KubeError as error:
                text = "unreadable, which cannot be reported in its status: %s"
                logger.about(key).warning(text, error)
                failed += 1
                continue
            if self._due.get(key) is due:
                del self._due[key]
        return failed
