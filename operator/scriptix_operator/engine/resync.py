"""The resync: periodic full lists beside the watch, one for each watched namespace.

A watch that breaks loses deletions. Each namespace is listed in its own time, so that one that is
refused or slow delays no other. Only a complete list removes resources from the store.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NoReturn

from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.training import TrainingKey
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.roster import Roster
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.kube.trainings import ALL, Raw, key_of
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["Resync"]

PARALLEL_LISTS = 16
"""Namespaces listed at once: the Lease has to be renewed over the same connections."""
FIRST_RETRY, MAX_RETRY = 1.0, 30.0
"""Seconds before a list that failed is tried again; doubles."""
START_PATIENCE = 5.0
"""Seconds that the other namespaces wait at the start for one whose list is slow."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Resync:
    """Lists every watched namespace periodically.

    Args:
        list_all: All resources of a scope as the API server gives them, as Trainings.all.
        seen: Takes in one of them.
        forget: Takes in that a resource is gone.
        listed: Takes in that a scope is listed completely for the first time.
        interval: Seconds between lists.
    """

    list_all: Callable[[str], AsyncIterator[Raw]]
    seen: Callable[[Raw], None]
    forget: Callable[[TrainingKey], None]
    listed: Callable[[str], None]
    roster: Roster
    coverage: Coverage
    metrics: Metrics
    interval: float
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Each scope was tried, or has had its time."""
    _tried: set[str] = field(default_factory=set)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL_LISTS))

    async def run(self) -> NoReturn:
        """List until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for scope in self.coverage.scopes:
                tasks.create_task(self._keep(scope))
            await asyncio.sleep(START_PATIENCE)
            self.ready.set()
        raise RuntimeError("the resync has ended")

    async def _keep(self, scope: str) -> NoReturn:
        failures, told = 0, None
        while True:
            error = await self._try(scope)
            if error is None:
                if told is not None:
                    logger.info("%s: listed again", show_scope(scope))
                failures, told, wait = 0, None, self.interval
            else:
                failures += 1
                wait = backoff(FIRST_RETRY, failures - 1, min(MAX_RETRY, self.interval))
                level = logging.DEBUG if error == told else logging.WARNING
                logger.log(level, "%s cannot be listed, tried again: %s", show_scope(scope), error)
                told = error
            self.metrics.namespace_listed(scope, is_listed=error is None)
            self._tried.add(scope)
            if self._tried.issuperset(self.coverage.scopes):
                self.ready.set()
            await asyncio.sleep(wait)

    async def _try(self, scope: str) -> str | None:
        """Take in a full list; returns why it failed, or None."""
        try:
            async with self._slots:
                await self._list(scope)
        except KubeError as error:
            return str(error)
        except Exception as error:
            # One namespace's bug must not stop the others.
            logger.exception("%s: list failed", show_scope(scope))
            return type(error).__name__
        if self.coverage.listed(scope):
            self.listed(scope)
        return None

    async def _list(self, scope: str) -> None:
        """Take in a list. The watch goes on beside it, and may know better by its end."""
        missing = {
            **{training.key: training.uid for training in self.roster},
            **self.coverage.unreadable,
        }
        missing = {key: uid for key, uid in missing.items() if scope in {ALL, key.namespace}}
        async for raw in self.list_all(scope):
            key = key_of(raw)
            was_known = missing.pop(key, None) is not None
            if was_known and self._uid_of(key) is None:
                continue  # deleted since the list was made
            self.seen(raw)
        for key, uid in missing.items():
            if self._uid_of(key) == uid:
                self.forget(key)

    def _uid_of(self, key: TrainingKey) -> str | None:
        known = self.roster.get(key)
        return self.coverage.unreadable.get(key) if known is None else known.uid


def show_scope(scope: str) -> str:
    """A scope in words."""
    return "all namespaces" if scope == ALL else f"namespace {scope}"
