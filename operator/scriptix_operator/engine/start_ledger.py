"""The start ledger as this process works with it: read once, then written through.

A leader is its only writer. Whoever else has written, a leader deposed or a newer one, is found
out at the next write, and all that was decided from the version before is decided anew.
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
"""Tries to take the ledger over, or to close an entry, while others write it."""

REFUSED_WAIT = 30.0
"""Seconds before the cluster is asked again, when it has refused the ledger: a human mends that."""

SOURCE = "StartLedger"

logger = logging.getLogger(__name__)


class LedgerChangedError(Exception):
    """Others have written to the ledger since the model was seen: the start is not sent."""


class RebuildPendingError(KubeError):
    """The ledger is lost, and not all resources are known that it is rebuilt from; says which."""


@dataclass(slots=True)
class _Change:
    """A change that waits for the next write, which may carry several."""

    apply: Callable[[Ledger], Ledger]
    revision: int | None
    """Version that it was decided from; None: it holds for any."""
    error: Exception | None = None
    written: bool = False


@dataclass(slots=True)
class StartLedger:
    """The ledger of this installation.

    Args:
        config_map: Where it is kept.
        store: All resources, to rebuild a lost ledger from.
        gap: What keeps the store of resources from being complete; None: nothing.
        window: How long a start may count against an allowance, known or yet to be learned.
        clock: The clocks.
        metrics: Counts each write.
        problems: Where it reports that nothing can be started.
    """

    config_map: LedgerConfigMap
    store: TrainingStore
    gap: Callable[[], str | None]
    window: timedelta
    clock: Clock
    metrics: Metrics
    problems: Problems = field(default_factory=Problems)
    _writer: str = field(default_factory=lambda: secrets.token_hex(6))
    """Tells our writes from equal ones of another process."""
    _ledger: Ledger | None = None
    """As last known, also while it is being written: for those who look meanwhile, their model's
    entry must not seem to be gone. None: never read."""
    _is_current: bool = False
    """Else it is read (again) before anything is decided from it."""
    _version: str | None = None
    _revision: int = 0
    """Grows whenever the ledger is read anew."""
    _refusal: RefusedError | RebuildPendingError | None = None
    """Why the cluster does not let us keep a ledger, or why it is not rebuilt."""
    _ask_again_at: float = 0.0
    _pending: list[_Change] = field(default_factory=list)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ready(self) -> int:
        """Read the ledger if that is still to be done.

        Returns:
            What version of it the caller will decide from: a start is debited in no other.

        Raises:
            KubeError: It could not be read, or not be taken over.
        """
        if not self._is_current:
            async with self._lock:
                if not self._is_current:
                    await self._try_to_take_over()
        return self._revision

    async def take_over_again(self) -> int:
        """Take the ledger over once more, so that no other process can write what it decided.

        Returns, raises: As `ready`.
        """
        async with self._lock:
            await self._try_to_take_over()
        return self._revision

    async def retry_refused(self) -> None:
        """Ask the cluster again if it has refused the ledger.

        Its resources may ask much later, or never: until then the problem would be reported.
        """
        if self._refusal is not None:
            with contextlib.suppress(KubeError):
                await self.take_over_again()

    def in_flight(self, model_id: int) -> InFlightStart | None:
        """The start of a model that may be under way."""
        return None if self._ledger is None else self._ledger.in_flight_starts.get(model_id)

    def latest_run(self, model_id: int) -> LatestRun | None:
        """What is remembered of the model's trainings."""
        if self._ledger is None:
            return None
        return remembered(self._ledger, model_id, self.clock.now(), self.window)

    def charges_of(
        self, fingerprint: str, key_source: str
    ) -> tuple[list[StartCharge], list[StartCharge]]:
        """The starts that count against a key, as core.ledger.ledger.spent."""
        return (
            ([], []) if self._ledger is None else charges_of(self._ledger, fingerprint, key_source)
        )

    def observed_limits(self, fingerprint: str) -> dict[str, tuple[StoredLimit, ...]]:
        """What was learned of the limits of a key, by kind of call."""
        return {} if self._ledger is None else self._ledger.limits.get(fingerprint, {})

    async def learn(
        self, fingerprint: str, call: str, observed_limits: tuple[StoredLimit, ...]
    ) -> None:
        """Keep what was learned of the limits of a key.

        Raises:
            KubeError: It may not be kept; then the next process learns it anew.
        """
        await self._write(
            _Change(lambda led: with_observed_limits(led, fingerprint, call, observed_limits), None)
        )

    async def record_in_flight(self, training: Training) -> None:
        """Open the entry of a start that another installation may have sent, unless it is open.

        Raises:
            KubeError: It may not be open.
        """
        await self.ready()
        known = self.in_flight(training.spec.model_id)
        if known is not None and is_start_of(known, training):
            return
        try:
            await self.open(training, None)
        except LedgerChangedError as error:
            raise UnavailableError(f"{training.key}: {error}") from error

    async def open(self, training: Training, revision: int | None) -> InFlightStart:
        """Debit the start whose intent `training` carries, and open its model's entry.

        Args:
            training: With the intent recorded.
            revision: What `ready` returned before the model was looked at; None: any.

        Raises:
            LedgerChangedError: It is not opened.
            KubeError: It may be opened.
        """
        entries: list[InFlightStart] = []

        def change(ledger: Ledger) -> Ledger:
            ledger, in_flight = with_start_begun(ledger, training, self.clock.now())
            entries.append(in_flight)
            return ledger

        try:
            await self._write(_Change(change, revision))
        except StartInFlightError as error:
            raise LedgerChangedError(str(error)) from error
        return entries[-1]

    async def close(self, outcome: StartOutcome) -> None:
        """Close the entry of a start whose outcome is recorded.

        Raises:
            KubeError: It may still be open; whoever needs the model next closes it.
        """
        await self._write(
            _Change(lambda led: with_start_resolved(led, outcome, self.clock.now()), None)
        )

    async def _write(self, change: _Change) -> None:
        """Have a change written: by whoever comes to the pen first, with all that wait for it."""
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
        """Write all that can be written at once; False if others were faster."""
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
        """Write `ledger` over the version that is known; False if another one is there.

        Raises:
            KubeError: Whether it is written is not known; it is read again before its next use.
        """
        self._is_current = False
        ledger = replace(ledger, writer=self._writer)
        try:
            self._version = await self.config_map.write(ledger, self._version)
        except (ConflictError, UnavailableError) as error:
            # The reply may be what was lost: our ledger there means that it was written. A
            # conflict says so, too: aiohttp repeats a PUT when its connection is cut.
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
        """The version that is there if it is just this ledger."""
        try:
            found = await self.config_map.read()
        except LedgerUnreadableError:
            return None
        return found[1] if found is not None and found[0] == ledger else None

    async def _try_to_take_over(self) -> None:
        """Take it over, unless that did not succeed a moment ago: thousands may ask."""
        now, refusal = self.clock.monotonic(), self._refusal
        is_outdated = isinstance(refusal, RebuildPendingError) and str(refusal) != self.gap()
        if refusal is not None and now < self._ask_again_at and not is_outdated:
            raise _own(refusal)
        try:
            await self._take_over()
        except (RefusedError, RebuildPendingError) as error:
            self._refusal, self._ask_again_at = error, now + REFUSED_WAIT
            if str(error) != str(refusal):
                logger.error("nothing can be started: %s", _why(error))  # noqa: TRY400 - no traceback
            self.problems.report(SOURCE, f"Nothing can be started: {_why(error)}.")
            raise
        self._refusal = None
        self.problems.clear(SOURCE)

    async def _take_over(self) -> None:
        """Read the ledger, and write it once: what others decided from it before is void.

        Raises:
            KubeError: That did not succeed.
        """
        for _ in range(ATTEMPTS):
            found, self._version = await self._read()
            self._revision += 1
            # A new number, so that the API server does not take it for no change at all. What was
            # rebuilt tells of years, and has to fit into a ConfigMap.
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
        # Past any number that the lost one can have reached: it counts starts, not milliseconds.
        serial = int(self.clock.now().timestamp() * 1000)
        return rebuilt(self.store, serial), version


def _why(error: RefusedError | RebuildPendingError) -> str:
    if isinstance(error, RebuildPendingError):
        return f"the start ledger is lost, and rebuilt only from all resources ({error})"
    return str(error)


def _own(error: BaseException) -> Exception:
    """An error for one of several that waited for the same write: each raises one of its own."""
    if isinstance(error, KubeError):
        return type(error)(str(error))
    return UnavailableError(f"the start ledger was not written: {type(error).__name__}")
