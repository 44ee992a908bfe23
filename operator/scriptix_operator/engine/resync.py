"""The resync: periodic full lists beside the watch, one for each watched namespace.

A watch that is interrupted loses deletions. Each namespace is listed on its own schedule, so that a
forbidden or slow one delays no other. Only a complete list removes resources from the store.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NoReturn

from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.errors import KubeError, RefusedError
from scriptix_operator.kube.reachability import Reachability
from scriptix_operator.kube.trainings import ALL, Raw, key_of, show_scope
from scriptix_operator.log_fields import field_logger
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["Resync"]

PARALLEL_LISTS = 16
"""Namespaces listed at once: the Lease has to be renewed over the same connections."""
FIRST_RETRY, MAX_RETRY, MAX_RETRY_REFUSED = 1.0, 5.0, 30.0
"""Seconds before a list that failed is retried; doubles. A refusal lasts until an administrator
changes a permission; other failures, such as a missing CRD, may end for all namespaces at once."""
PATIENT_FAILURES = 3
"""Failed lists in a row after which a namespace is not watched any more; after a refusal that is
immediate. One Kopf watches all namespaces, and one failing namespace ends it."""
HURRY_INTERVAL = 5.0
"""Seconds between lists that a failing watch causes, at least."""
SOURCE = "Namespaces"
START_PATIENCE = 5.0
"""Seconds that the other namespaces wait at the start for a namespace whose list is slow."""

logger = field_logger(__name__)


@dataclass(slots=True)
class Resync:
    """Lists every watched namespace periodically.

    Args:
        list_all: Lists the resources of a scope, as Trainings.all.
        seen: Takes in one listed resource.
        forget: Takes in that a resource was deleted.
        listed: Takes in that a scope is listed completely for the first time.
        problems: Takes reports of namespaces that cannot be listed.
        serve: Sets the scopes to watch.
        interval: Seconds between lists.
    """

    list_all: Callable[[str], AsyncIterator[Raw]]
    seen: Callable[[Raw], None]
    forget: Callable[[TrainingKey], None]
    listed: Callable[[str], None]
    store: TrainingStore
    coverage: Coverage
    metrics: Metrics
    problems: Problems
    serve: Callable[[frozenset[str]], None]
    interval: float
    reachability: Reachability = field(default_factory=Reachability)
    """Whether the API server replies."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once each scope was listed, has failed, or has exceeded its time."""
    _tried: set[str] = field(default_factory=set)
    _failures: dict[str, int] = field(default_factory=dict)
    """Lists in a row that failed, by scope."""
    _refused: set[str] = field(default_factory=set)
    _causes: dict[str, str] = field(default_factory=dict)
    """Why the last list failed, by scope."""
    _logged: dict[str, str] = field(default_factory=dict)
    """The cause that the last line about a scope gives, by scope that cannot be listed."""
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _hurried_at: float = -math.inf
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL_LISTS))

    async def run(self) -> NoReturn:
        """List until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for scope in self.coverage.scopes:
                tasks.create_task(self._keep(scope))
            await _at_most(START_PATIENCE, self.ready)
            self.ready.set()
            self._serve()
        raise RuntimeError("the resync has ended")

    def hurry(self) -> None:
        """List soon all scopes that are not due: a watch may fail because a permission was revoked.

        A single list over all namespaces has no part that could be excluded from the watch.
        """
        now = asyncio.get_running_loop().time()
        if len(self.coverage.scopes) > 1 and now - self._hurried_at > HURRY_INTERVAL:
            self._hurried_at = now
            self._due.set()
            self._due = asyncio.Event()

    async def _keep(self, scope: str) -> NoReturn:
        while True:
            error = await self._try(scope)
            self.metrics.namespace_listed(scope, is_listed=error is None)
            if error is None:
                self._succeeded(scope)
            else:
                self._failed(scope, error)
            self._tried.add(scope)
            if self._tried.issuperset(self.coverage.scopes):
                self.ready.set()
            self._serve()
            if error is None:
                await _at_most(self.interval, self._due)
            else:
                longest = MAX_RETRY_REFUSED if scope in self._refused else MAX_RETRY
                most = min(longest, self.interval)
                await asyncio.sleep(backoff(FIRST_RETRY, self._failures[scope] - 1, most))
                await self.reachability.wait()

    def _succeeded(self, scope: str) -> None:
        if self._none_is_listed:
            # The failure affected all scopes: those that are not listed yet are not at fault.
            self._refused.clear()
            self._failures = dict.fromkeys(self._failures, 1)
        self.problems.clear(SOURCE, scope)
        self._causes.pop(scope, None)
        self._refused.discard(scope)
        if self._logged.pop(scope, None):
            logger.about(namespace=scope).info("%s can be listed again", show_scope(scope))
        if self._failures.pop(scope, 0):
            for other in self._failures:
                self._report(other)  # not an outage any more
        if self.coverage.listed(scope):
            self.listed(scope)

    def _failed(self, scope: str, error: Exception) -> None:
        self._failures[scope] = self._failures.get(scope, 0) + 1
        if isinstance(error, RefusedError):
            self._refused.add(scope)
        text = f"{show_scope(scope)} cannot be listed: {str(error) or type(error).__name__}"
        self._causes[scope] = text
        self._log_failure(scope, error)
        self._report(scope)

    def _log_failure(self, scope: str, error: Exception) -> None:
        """Log each new cause once; an unreachable API server is logged once for all scopes."""
        log, text = logger.about(namespace=scope), self._causes[scope]
        if self._logged.get(scope) == text or not self.reachability.is_reachable:
            log.debug("%s", text)
            return
        self._logged[scope] = text
        if isinstance(error, KubeError):
            log.warning("%s", text)
        else:
            log.error("%s", text, exc_info=error)  # a bug with this scope

    def _report(self, scope: str) -> None:
        text = self._causes[scope]
        is_outage = self._none_is_listed
        self.problems.report(
            SOURCE, f"{text[0].upper()}{text[1:]}.", subject=scope, is_outage=is_outage
        )

    @property
    def _none_is_listed(self) -> bool:
        """Whether the last list of each scope failed: nothing is served, and no scope is at fault.

        The scopes fail one after the other, so some may be excluded from the watch already.
        """
        return len(self._failures) == len(self.coverage.scopes)

    def _serve(self) -> None:
        """Watch the scopes that can be listed; if there are none, all that could ever be listed."""
        if not self.ready.is_set():
            return
        served = frozenset(self.coverage.scopes) - frozenset(self.coverage.unlisted)
        if not self._none_is_listed:
            served -= self._refused
            served -= {n for n, count in self._failures.items() if count >= PATIENT_FAILURES}
        if served:
            self.serve(served)

    async def _try(self, scope: str) -> Exception | None:
        """Take in a full list; returns the failure, or None."""
        try:
            async with self._slots:
                await self._list(scope)
        except KubeError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a bug with one namespace must not stop others
            return error
        return None

    async def _list(self, scope: str) -> None:
        """Take in a list. Watch events that arrive meanwhile may be newer than the list."""
        missing = {
            **{training.key: training.uid for training in self.store},
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
        known = self.store.get(key)
        return self.coverage.unreadable.get(key) if known is None else known.uid


async def _at_most(seconds: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
