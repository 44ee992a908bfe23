"""Has it told in status, once, why a resource is left alone that cannot be read."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn

from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.kube.errors import ConflictError, GoneError, KubeError
from scriptix_operator.kube.trainings import Raw, key_of

__all__ = ["UnreadableReporter"]

FIRST_RETRY, MAX_RETRY = 1.0, 60.0
"""Seconds before it is told again where the cluster did not take it; doubles."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class UnreadableReporter:
    """Tells of each version of a resource that cannot be read, one after the other.

    Args:
        tell: Takes a resource and what to say of it, as Recorder.tell_left_alone.
    """

    tell: Callable[[Raw, str], Awaitable[None]]
    _due: dict[TrainingKey, tuple[Raw, str]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, raw: Raw, text: str) -> None:
        """Have it told; in place of what was to be told of an older version."""
        self._due[key_of(raw)] = raw, text
        self._changed.set()

    def drop(self, key: TrainingKey) -> None:
        """Take in that a resource can be read, or is gone."""
        self._due.pop(key, None)

    async def run(self) -> NoReturn:
        """Tell until cancelled."""
        failures = 0
        while True:
            wait = backoff(FIRST_RETRY, failures - 1, MAX_RETRY) if failures else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            self._changed.clear()
            failures = failures + 1 if await self._tell_all() else 0

    async def _tell_all(self) -> int:
        """Tell what is due; returns how many could not be told."""
        failed = 0
        for key, due in tuple(self._due.items()):
            try:
                await self.tell(*due)
            except (ConflictError, GoneError) as error:
                logger.debug("%s", error)  # the watch shows what has become of it
            except KubeError as error:
                logger.warning("%s is not told that it cannot be read: %s", key, error)
                failed += 1
                continue
            if self._due.get(key) is due:
                del self._due[key]
        return failed
