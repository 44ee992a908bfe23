"""Fetches the log of a run and stores it."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime

from scriptix_operator.api.reasons import LogState
from scriptix_operator.core.follow.log_collection import NO_LOG, is_last_fetch, superseded
from scriptix_operator.core.logs.collector import Collected, LogCollector
from scriptix_operator.core.logs.segments import LogIndex
from scriptix_operator.core.logs.window import window_of
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.call_results import (
    LogExtent,
    LogStored,
    LogUnavailable,
    WriteFailure,
)
from scriptix_operator.core.scheduling.calls import Call, CallPermit
from scriptix_operator.core.status.conditions import has_ended
from scriptix_operator.core.status.texts import log_texts
from scriptix_operator.engine.metered_calls import MeteredCalls
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.configmaps import NameTaken
from scriptix_operator.kube.errors import KubeError, RefusedError
from scriptix_operator.kube.logstore import LogStore, OpenLog, SavedLog
from scriptix_operator.kube.secrets import Keys, KeyUnavailableError
from scriptix_operator.log_fields import field_logger
from scriptix_operator.scriptix.client import ScriptixClient
from scriptix_operator.scriptix.errors import ScriptixError

__all__ = ["LARGE", "LogFetcher"]

FIRST_RETRY, MAX_RETRY = 15.0, 3600.0
"""Seconds before a failed fetch is retried; doubles."""
LARGE = 1024 * 1024
"""Bytes of spec.log.maxBytes above which logs are fetched one at a time; also its default."""

logger = field_logger(__name__)


@dataclass(frozen=True, slots=True)
class LogFetcher:
    """Fetches logs."""

    client: ScriptixClient
    keys: Keys
    schedulers: KeySchedulers
    calls: MeteredCalls
    log_store: LogStore
    store: TrainingStore
    wait: float
    """As Durations.log."""
    large: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a log with a large bound is fetched and stored: one at a time."""

    async def fetch(
        self, training: Training, failed_before: int, due_in: float | None
    ) -> LogStored | LogUnavailable:
        """Fetch the log and store its new entries.

        Logs with a bound above LARGE are fetched one at a time: 16 MiB of lines take some 40 MiB of
        memory until they are stored, and the API server may be slow.

        Args:
            training: The resource, with the run whose log is fetched.
            failed_before: Failed fetches in a row before this one.
            due_in: Seconds until the next poll is due, handed through.

        Raises:
            KubeError: The API key could not be read.
        """
        if training.spec.log.max_bytes <= LARGE:
            return await self._fetch(training, failed_before, due_in)
        async with self.large:
            return await self._fetch(training, failed_before, due_in)

    async def _fetch(
        self, training: Training, failed_before: int, due_in: float | None
    ) -> LogStored | LogUnavailable:
        if outcome := superseded(training, self.store.competitors(training), due_in):
            return outcome
        later = LogUnavailable(
            backoff(FIRST_RETRY, failed_before, MAX_RETRY), LogState.COLLECTING, due_in
        )
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError:
            return later
        # A run that has ended is not polled after a restart: its log may be the first call.
        await self.calls.quota_restore.restore(key)
        ended, model_id = has_ended(training.status), training.spec.model_id
        permit = self.schedulers.acquire_log(key.fingerprint, training.key, has_ended=ended)
        if not isinstance(permit, CallPermit):
            return replace(later, wait=permit, tried=False)
        try:
            stored_log = await self.log_store.open(training.owner, training.status.log)
        except (NameTaken, KubeError) as error:
            self.schedulers.cancel(key.fingerprint, permit)
            return self._not_stored(training, key, error, later)
        asked_at = self.calls.clock.now()
        collector = self._collector(training, stored_log.log_index, asked_at)
        try:
            reply = await self.calls.make(
                model_id,
                key,
                permit,
                lambda on_rate_info: self.client.log(
                    model_id, key, collector.add, on_rate=on_rate_info
                ),
            )
        except ScriptixError as error:
            was_called = error.failure.kind is not FailureKind.NOT_SENT
            return _without_log(error.failure, replace(later, was_called=was_called))
        later = replace(later, was_called=True)
        if self.store.is_being_deleted(training):
            return later  # changed since the call was made
        try:
            found, saved = await self._save(training, stored_log, collector)
        except (NameTaken, KubeError) as error:
            # Not raised: the reconcile would be retried every minute without end, and each time use
            # one of the few log calls of the key's quota.
            return self._not_stored(training, key, error, later)
        extent = LogExtent(reply, of_run=found.entries, known=saved.lines, skipped=found.skipped)
        return LogStored(saved.log, found.curve, due_in, extent, asked_at)

    def _collector(
        self, training: Training, log_index: LogIndex, asked_at: datetime
    ) -> LogCollector:
        """The collector of the entries in the reply."""
        status, max_bytes = training.status, training.spec.log.max_bytes
        window = window_of(status, log_index, is_last=is_last_fetch(status, asked_at, self.wait))
        run_id = status.run.id if status.run else ""
        return LogCollector(log_index, window, run_id=run_id, max_bytes=max_bytes)

    async def _save(
        self, training: Training, stored_log: OpenLog, collector: LogCollector
    ) -> tuple[Collected, SavedLog]:
        run, max_bytes = training.status.run, training.spec.log.max_bytes
        # Up to 16 MiB are sorted: in a thread, so that the event loop is not blocked.
        found = await asyncio.to_thread(collector.result)
        saved = await self.log_store.save(
            stored_log, found, run_id=run.id if run else "", max_bytes=max_bytes
        )
        return found, saved

    @staticmethod
    def _not_stored(
        training: Training, key: ApiKey, error: NameTaken | KubeError, later: LogUnavailable
    ) -> LogUnavailable:
        log = logger.about(training, operation=Call.LOG, fingerprint=key.fingerprint)
        log.warning("the log is not stored: %s", error)
        later = replace(later, message=log_texts.log_not_stored(str(error)))
        if isinstance(error, NameTaken):
            return replace(later, wait=None, state=LogState.NAME_TAKEN)
        if isinstance(error, RefusedError):
            return replace(later, write_failure=WriteFailure.REFUSED)
        # No call was made, so none is charged: the API server may be unreachable for long.
        return replace(later, write_failure=WriteFailure.FAILED if later.was_called else None)


def _without_log(failure: CallFailure, later: LogUnavailable) -> LogUnavailable:
    if failure.status in NO_LOG:
        return replace(later, refusal=failure, message=log_texts.log_absent(failure.message))
    later = replace(later, message=log_texts.log_not_fetched(failure.message))
    is_success = failure.status is not None and failure.status in range(200, 300)
    if is_success and failure.kind is not FailureKind.RATE_LIMITED:
        return replace(later, refusal=failure)  # too large, for instance: the next log may be, too
    if failure.retry_after is not None and later.wait is not None:
        return replace(later, wait=max(failure.retry_after, later.wait))
    return later
