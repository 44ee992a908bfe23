"""The document of the start ledger: read once, then written through by compare-and-set.

A leader is the only writer. A write by another leader, former or newer, is detected at the next
write; then all that was decided from the older version is decided again. One write carries all
changes that are pending (group commit). engine/start_ledger.py says what is in the document.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from scriptix_operator.api.base import replace
from scriptix_operator.core.ledger.ledger import Ledger, StartInFlightError
from scriptix_operator.engine.clock import Clock
from scriptix_operator.kube.errors import ConflictError, KubeError, RefusedError, UnavailableError
from scriptix_operator.kube.ledger_config_map import LedgerConfigMap, LedgerUnreadableError
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metric_types import WriteOutcome
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["Change", "LedgerChangedError", "LedgerDocument", "RebuildPendingError"]

ATTEMPTS = 5
"""Attempts to take over or write the ledger while other processes write it."""

REFUSED_WAIT = 30.0
"""Seconds before a refused ledger is read again: an administrator has to fix a refusal."""

SOURCE = "StartLedger"
CHANGED = "the start ledger was taken over or written since the model was polled"

logger = logging.getLogger(__name__)


class LedgerChangedError(Exception):
    """The start ledger was taken over or written since the model was polled: nothing is sent."""


class RebuildPendingError(KubeError):
    """The ledger is lost, and some resources that it is rebuilt from are unknown; names them."""


Change = Callable[[Ledger], Ledger]
"""Returns the changed ledger, or raises StartInFlightError; may be called more than once."""


@dataclass(slots=True)
class _PendingChange:
    """A change that waits for the next write."""

    apply: Change
    revision: int | None
    """Revision that the change was decided from; None: the change holds for any revision."""
    error: Exception | None = None
    written: bool = False


@dataclass(slots=True)
class LedgerDocument:
    """The ledger of this installation as this process knows it.

    Args:
        config_map: The ConfigMap that holds the ledger.
        rebuild: Makes a ledger where none can be read.
        gap: Returns why `rebuild` lacks resources; None: all are known.
        prune: Drops what no longer counts, before each write.
        clock: The clocks.
        metrics: Counts each write.
        problems: Takes the report that no run can be started.
    """

    config_map: LedgerConfigMap
    rebuild: Callable[[], Ledger]
    gap: Callable[[], str | None]
    prune: Callable[[Ledger], Ledger]
    clock: Clock
    metrics: Metrics
    problems: Problems = field(default_factory=Problems)
    ledger: Ledger | None = None
    """The ledger as last known, also during a write: readers must not miss the in-flight start of
    their model meanwhile. None: never read."""
    _writer: str = field(default_factory=lambda: secrets.token_hex(6))
    """Distinguishes our writes from equal writes of another process."""
    _is_current: bool = False
    """Whether the ledger is current; otherwise it is read before anything is decided from it."""
    _version: str | None = None
    _revision: int = 0
    """Grows with each take-over of the ledger."""
    _refusal: RefusedError | RebuildPendingError | None = None
    """Why the cluster refuses the ledger, or why the ledger is not rebuilt."""
    _ask_again_at: float = 0.0
    _pending: list[_PendingChange] = field(default_factory=list)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ready(self) -> int:
        """Take the ledger over if that is still to be done.

        Returns:
            The revision that the caller decides from: a start is charged to no other revision.

        Raises:
            KubeError: The ledger could not be read, or not be taken over.
        """
        if not self._is_current:
            async with self._lock:
                if not self._is_current:
                    await self._try_to_take_over()
        return self._revision

    async def take_over_again(self) -> int:
        """Take the ledger over once more, so that no other process can write its decisions.

        Returns, raises: As `ready`.
        """
        async with self._lock:
            await self._try_to_take_over()
        return self._revision

    async def retry_refused(self) -> None:
        """Read the ledger again if the cluster has refused it.

        Otherwise the problem would be reported until a resource needs the ledger, perhaps never.
        """
        if self._refusal is not None:
            with contextlib.suppress(KubeError):
                await self.take_over_again()

    async def write(self, apply: Change, revision: int | None = None) -> None:
        """Write a change: the first caller writes all changes that are pending then.

        Args:
            apply: The change.
            revision: The revision that `ready` returned before the change was decided; None: any.

        Raises:
            LedgerChangedError, StartInFlightError: The change is not written.
            KubeError: The change may be written.
        """
        change = _PendingChange(apply, revision)
        self._pending.append(change)
        async with self._lock:
            if not change.written and change.error is None:
                await self._write_pending()
        if change.error is not None:
            raise change.error

    async def _write_pending(self) -> None:
        changes, self._pending = self._pending, []
        try:
            await self._write_all(changes)
        except BaseException as error:
            for change in changes:
                if not change.written and change.error is None:
                    change.error = _own(error)
            if not isinstance(error, KubeError):
                raise

    async def _write_all(self, changes: list[_PendingChange]) -> None:
        for _ in range(ATTEMPTS):
            if not self._is_current:
                await self._try_to_take_over()
            if await self._try(changes):
                return
        raise UnavailableError("others keep writing the start ledger")

    async def _try(self, changes: list[_PendingChange]) -> bool:
        """Write all changes that can be written; False if another process wrote before."""
        ledger = before = self.ledger or Ledger()
        carried = []
        for change in changes:
            if change.error is not None:
                continue
            if change.revision not in {None, self._revision}:
                change.error = LedgerChangedError(CHANGED)
                continue
            try:
                ledger = change.apply(ledger)
            except StartInFlightError as error:
                change.error = error
            else:
                carried.append(change)
        if ledger != before and not await self._replace(self.prune(ledger)):
            return False
        for change in carried:
            change.written = True
        return True

    async def _replace(self, ledger: Ledger) -> bool:
        """Write `ledger` over the known version; False if the cluster has another version.

        Raises:
            KubeError: The result of the write is unknown; the ledger is read before its next use.
        """
        self._is_current = False
        ledger, outcome = replace(ledger, writer=self._writer), WriteOutcome.FAILED
        try:
            version = await self._write_once(ledger)
            outcome = WriteOutcome.CONFLICT if version is None else WriteOutcome.WRITTEN
        finally:
            self.metrics.ledger_written(outcome)
        if version is None:
            return False
        self._version, self.ledger, self._is_current = version, ledger, True
        return True

    async def _write_once(self, ledger: Ledger) -> str | None:
        """Write `ledger`; return its version, or None if the cluster has another ledger."""
        try:
            return await self.config_map.write(ledger, self._version)
        except (ConflictError, UnavailableError) as error:
            # Only the reply may have been lost: if our ledger is there, the write succeeded. A
            # conflict may mean the same: aiohttp repeats a PUT whose connection is cut.
            version = await self._version_of(ledger)
            if version is None:
                if isinstance(error, UnavailableError):
                    raise
                logger.warning("the start ledger is read again: %s", error)
            return version

    async def _version_of(self, ledger: Ledger) -> str | None:
        """The version in the cluster, if its content is this ledger."""
        try:
            found = await self.config_map.read()
        except LedgerUnreadableError:
            return None
        return found[1] if found is not None and found[0] == ledger else None

    async def _try_to_take_over(self) -> None:
        """Take the ledger over, unless that failed a moment ago: thousands of resources may ask."""
        now, refusal = self.clock.monotonic(), self._refusal
        is_outdated = isinstance(refusal, RebuildPendingError) and str(refusal) != self.gap()
        if refusal is not None and now < self._ask_again_at and not is_outdated:
            raise _own(refusal)
        try:
            await self._take_over()
        except (RefusedError, RebuildPendingError) as error:
            self._refusal, self._ask_again_at = error, now + REFUSED_WAIT
            if str(error) != str(refusal):
                logger.error("starts are disabled: %s", _why(error))  # noqa: TRY400 - no traceback
            self.problems.report(SOURCE, f"Starts are disabled: {_why(error)}.")
            raise
        self._refusal = None
        self.problems.clear(SOURCE)

    async def _take_over(self) -> None:
        """Read the ledger, and write it once: decisions of others from an older version are void.

        Raises:
            KubeError: The ledger could not be read or written.
        """
        for _ in range(ATTEMPTS):
            found, self._version = await self._read()
            self._revision += 1
            # A new number, so that the API server sees a change. A rebuilt ledger covers years, and
            # has to fit into a ConfigMap.
            found = replace(found, serial=found.serial + 1)
            if await self._replace(self.prune(found)):
                return
        raise UnavailableError("others keep writing the start ledger")

    async def _read(self) -> tuple[Ledger, str | None]:
        version, why = None, None
        try:
            found = await self.config_map.read()
        except LedgerUnreadableError as error:
            version, why = error.version, str(error)
        else:
            if found is not None:
                return found
        gap = self.gap()
        if gap is not None:
            raise RebuildPendingError(gap)
        if why is not None:
            logger.error("the start ledger cannot be read (%s)", why)
        logger.warning("the start ledger is rebuilt from the status of all resources")
        return self.rebuild(), version


def _why(error: RefusedError | RebuildPendingError) -> str:
    if isinstance(error, RebuildPendingError):
        return f"the start ledger is lost; rebuilding it needs all resources ({error})"
    return str(error)


def _own(error: BaseException) -> Exception:
    """A copy of an error: each of several callers that waited for one write raises its own."""
    if isinstance(error, KubeError):
        return type(error)(str(error))
    return UnavailableError(f"the start ledger was not written: {type(error).__name__}")
