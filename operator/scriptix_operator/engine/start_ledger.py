"""The start ledger in this process: read once, then written through.

A leader is the only writer. A write by another leader, deposed or newer, is detected at the next
write; then all that was decided from the older version is decided again.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.core.ledger.ledger import (
    NO_START,
    InFlightStart,
    LatestRun,
    Ledger,
    StartCharge,
    StartInFlightError,
    StartOutcome,
    charges_of,
    pruned,
    remembered,
    with_observed_limits,
    with_start_begun,
    with_start_resolved,
)
from scriptix_operator.core.ledger.observed_limits import StoredLimit
from scriptix_operator.core.ledger.rebuild import rebuilt
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.start.contention import is_start_of
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.errors import ConflictError, KubeError, RefusedError, UnavailableError
from scriptix_operator.kube.ledger_config_map import LedgerConfigMap, LedgerUnreadableError
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["LedgerChangedError", "RebuildPendingError", "StartLedger"]

ATTEMPTS = 5
"""Attempts to take over or write the ledger while other processes write it."""

REFUSED_WAIT = 30.0
"""Seconds before a refused ledger is read again: an administrator has to fix a refusal."""

SOURCE = "StartLedger"

logger = logging.getLogger(__name__)


class LedgerChangedError(Exception):
    """Others have written to the ledger since the model was polled: the start is not sent."""


class RebuildPendingError(KubeError):
    """The ledger is lost, and some resources that it is rebuilt from are unknown; names them."""


@dataclass(slots=True)
class _Change:
    """A change that waits for the next write; one write may carry several changes."""

    apply: Callable[[Ledger], Ledger]
    revision: int | None
    """Revision that the change was decided from; None: the change holds for any revision."""
    error: Exception | None = None
    written: bool = False


@dataclass(slots=True)
class StartLedger:
    """The ledger of this installation.

    Args:
        config_map: The ConfigMap that holds the ledger.
        store: All resources, to rebuild a lost ledger from.
        gap: Returns why the store is incomplete; None: it is complete.
        window: How long a start may count against a quota, configured or observed later.
        clock: The clocks.
        metrics: Counts each write.
        problems: Takes the report that no run can be started.
    """

    config_map: LedgerConfigMap
    store: TrainingStore
    gap: Callable[[], str | None]
    window: timedelta
    clock: Clock
    metrics: Metrics
    problems: Problems = field(default_factory=Problems)
    _writer: str = field(default_factory=lambda: secrets.token_hex(6))
    """Distinguishes our writes from equal writes of another process."""
    _ledger: Ledger | None = None
    """The ledger as last known, also during a write: readers must not miss the in-flight start of
    their model meanwhile. None: never read."""
    _is_current: bool = False
    """Whether the ledger is current; otherwise it is read before anything is decided from it."""
    _version: str | None = None
    _revision: int = 0
    """Grows with each take-over of the ledger."""
    _refusal: RefusedError | RebuildPendingError | None = None
    """Why the cluster refuses the ledger, or why the ledger is not rebuilt."""
    _ask_again_at: float = 0.0
    _pending: list[_Change] = field(default_factory=list)
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

    def in_flight(self, model_id: int) -> InFlightStart | None:
        """The start of a model that may be under way."""
        return None if self._ledger is None else self._ledger.in_flight_starts.get(model_id)

    def latest_run(self, model_id: int) -> LatestRun | None:
        """The newest run of a model that the ledger records."""
        if self._ledger is None:
            return None
        return remembered(self._ledger, model_id, self.clock.now(), self.window)

    def charges_of(
        self, fingerprint: str, key_source: str
    ) -> tuple[list[StartCharge], list[StartCharge]]:
        """The starts that are charged to a key, as core.ledger.ledger.charges_of."""
        return (
            ([], []) if self._ledger is None else charges_of(self._ledger, fingerprint, key_source)
        )

    def observed_limits(self, fingerprint: str) -> dict[str, tuple[StoredLimit, ...]]:
        """The observed limits of a key, by kind of call."""
        return {} if self._ledger is None else self._ledger.limits.get(fingerprint, {})

    async def learn(
        self, fingerprint: str, call: str, observed_limits: tuple[StoredLimit, ...]
    ) -> None:
        """Keep the observed limits of a key.

        Raises:
            KubeError: The limits may not be kept; then the next process observes them again.
        """
        await self._write(
            _Change(lambda led: with_observed_limits(led, fingerprint, call, observed_limits), None)
        )

    async def record_in_flight(
        self, training: Training, is_over: Callable[[InFlightStart], bool]
    ) -> None:
        """Record the in-flight start that another ledger may have, if it is missing in this one.

        Args:
            training: The resource, with the intent of that start.
            is_over: Whether the outcome of an in-flight start is recorded, or its resource is gone.

        Raises:
            KubeError: The in-flight start may not be recorded, or the model has another one whose
                resource resolves it first.
        """
        await self.ready()
        known, superseded = self.in_flight(training.spec.model_id), NO_START
        if known is not None:
            if is_start_of(known, training):
                return
            # A newer intent of the same resource shows that the older start is over. The wait for
            # the outcome begins now, and is long enough for a POST of the older start, too.
            if known.uid == training.uid or is_over(known):
                superseded = known.serial
        try:
            await self.begin(training, None, superseded)
        except LedgerChangedError as error:
            raise UnavailableError(f"{training.key}: {error}") from error

    async def begin(
        self, training: Training, revision: int | None, superseded: int = NO_START
    ) -> InFlightStart:
        """Charge the start whose intent `training` carries, and begin it in the ledger.

        Args:
            training: The resource, with the intent recorded.
            revision: The revision that `ready` returned before the model was polled; None: any.
            superseded: Serial of an in-flight start whose place this one takes.

        Raises:
            LedgerChangedError: The in-flight start is not recorded.
            KubeError: The in-flight start may be recorded.
        """
        begun: list[InFlightStart] = []

        def change(ledger: Ledger) -> Ledger:
            ledger, in_flight = with_start_begun(ledger, training, self.clock.now(), superseded)
            begun.append(in_flight)
            return ledger

        try:
            await self._write(_Change(change, revision))
        except StartInFlightError as error:
            raise LedgerChangedError(str(error)) from error
        return begun[-1]

    async def resolve(self, outcome: StartOutcome) -> None:
        """Resolve the in-flight start whose outcome is recorded.

        Raises:
            KubeError: The start may still be in flight; the next resource that needs the model
                resolves it.
        """
        await self._write(
            _Change(lambda led: with_start_resolved(led, outcome, self.clock.now()), None)
        )

    async def _write(self, change: _Change) -> None:
        """Write a change: the first caller writes all changes that are pending then."""
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

    async def _write_all(self, changes: list[_Change]) -> None:
        for _ in range(ATTEMPTS):
            if not self._is_current:
                await self._try_to_take_over()
            if await self._try(changes):
                return
        raise UnavailableError("others keep writing the start ledger")

    async def _try(self, changes: list[_Change]) -> bool:
        """Write all changes that can be written; False if another process wrote before."""
        ledger = before = self._ledger or Ledger()
        carried = []
        for change in changes:
            if change.error is not None:
                continue
            if change.revision not in {None, self._revision}:
                change.error = LedgerChangedError("the start ledger was written by others")
                continue
            try:
                ledger = change.apply(ledger)
            except StartInFlightError as error:
                change.error = error
            else:
                carried.append(change)
        if ledger != before and not await self._replace(
            pruned(ledger, self.clock.now(), self.window)
        ):
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
        ledger = replace(ledger, writer=self._writer)
        try:
            self._version = await self.config_map.write(ledger, self._version)
        except (ConflictError, UnavailableError) as error:
            # Only the reply may have been lost: if our ledger is there, the write succeeded. A
            # conflict may mean the same: aiohttp repeats a PUT whose connection is cut.
            version = await self._version_of(ledger)
            if version is None:
                is_conflict = isinstance(error, ConflictError)
                self.metrics.ledger_written("Conflict" if is_conflict else "Failed")
                if not is_conflict:
                    raise
                logger.warning("the start ledger is read again: %s", error)
                return False
            self.metrics.ledger_written("Written")
            self._version = version
        except KubeError:
            self.metrics.ledger_written("Failed")
            raise
        else:
            self.metrics.ledger_written("Written")
        self._ledger, self._is_current = ledger, True
        return True

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
            if await self._replace(pruned(found, self.clock.now(), self.window)):
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
        # Higher than any serial of the lost ledger, which counted starts, not milliseconds.
        serial = int(self.clock.now().timestamp() * 1000)
        return rebuilt(self.store, serial), version


def _why(error: RefusedError | RebuildPendingError) -> str:
    if isinstance(error, RebuildPendingError):
        return f"the start ledger is lost; rebuilding it needs all resources ({error})"
    return str(error)


def _own(error: BaseException) -> Exception:
    """A copy of an error: each of several callers that waited for one write raises its own."""
    if isinstance(error, KubeError):
        return type(error)(str(error))
    return UnavailableError(f"the start ledger was not written: {type(error).__name__}")
