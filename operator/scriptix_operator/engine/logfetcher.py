"""Fetching a run's log and storing it."""

import asyncio
import logging
from dataclasses import dataclass, replace
from http import HTTPStatus

from scriptix_operator.api.reasons import LogState
from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.derive import has_ended
from scriptix_operator.core.lane import Call
from scriptix_operator.core.learning_curve import learning_curve
from scriptix_operator.core.observation import LogStored, LogUnavailable
from scriptix_operator.core.remote import CallFailure, FailureKind, LogEntry
from scriptix_operator.core.spending import Ticket
from scriptix_operator.core.training import Training
from scriptix_operator.engine.calls import Calls
from scriptix_operator.engine.lanes import Lanes
from scriptix_operator.engine.roster import Roster
from scriptix_operator.kube.configmaps import NameTaken
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.kube.logstore import LogStore
from scriptix_operator.kube.secrets import Keys, KeyUnavailableError
from scriptix_operator.scriptix.client import ScriptixClient
from scriptix_operator.scriptix.errors import ScriptixError

__all__ = ["LogFetcher"]

FIRST_RETRY, MAX_RETRY = 15.0, 3600.0
"""Seconds before a failed fetch is tried again; doubles."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogFetcher:
    """Fetches logs."""

    client: ScriptixClient
    keys: Keys
    lanes: Lanes
    calls: Calls
    store: LogStore
    roster: Roster

    async def fetch(
        self, training: Training, failed_before: int, due_in: float | None
    ) -> LogStored | LogUnavailable:
        """Fetch the log and store what is new in it.

        Args:
            training: With the run whose log it is.
            failed_before: Fetches in a row that have failed before this one.
            due_in: Seconds until the next look is due, handed through.

        Raises:
            KubeError: The API key could not be read just now.
        """
        retry = backoff(FIRST_RETRY, failed_before, MAX_RETRY)
        later = LogUnavailable(retry, LogState.COLLECTING, due_in)
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError:
            return later
        # After a restart a run that has ended is not looked at: its log may be the first call.
        await self.calls.recall_limits(key)
        ended, model_id = has_ended(training.status), training.spec.model_id
        ticket = self.lanes.log(key.fingerprint, training.key, has_ended=ended)
        if not isinstance(ticket, Ticket):
            return LogUnavailable(ticket, LogState.COLLECTING, due_in, tried=False)
        entries: list[LogEntry] = []
        try:
            await self.calls.make(
                Call.LOG,
                model_id,
                key,
                ticket,
                lambda heard: self.client.log(model_id, key, entries.append, on_rate=heard),
            )
        except ScriptixError as error:
            was_called = error.failure.kind is not FailureKind.NOT_SENT
            return _without_log(error.failure, replace(later, was_called=was_called))
        return await self._stored(training, tuple(entries), replace(later, was_called=True))

    async def _stored(
        self, training: Training, entries: tuple[LogEntry, ...], later: LogUnavailable
    ) -> LogStored | LogUnavailable:
        run, status = training.status.run, training.status
        if run is None:
            raise ValueError(f"{training.key} has no run to store a log for")
        if self.roster.is_being_deleted(training):
            return later  # since the call was made
        try:
            stored = await self.store.save(
                training.owner,
                run.id,
                entries,
                max_bytes=training.spec.log.max_bytes,
                previous=status.log,
                run_started_at=status.started_at,
            )
        except NameTaken as error:
            logger.warning("%s: the log is not stored: %s", training.key, error)
            return replace(later, wait=None, state=LogState.NAME_TAKEN)
        except KubeError as error:
            # Not raised: the step would be tried again within a minute, for ever, and each time
            # spend one of the few log calls that all resources with this key have.
            logger.warning("%s: the log is not stored now: %s", training.key, error)
            return later
        # Up to 64 MiB are searched: not on the event loop's time.
        curve = await asyncio.to_thread(learning_curve, entries, status.started_at)
        return LogStored(stored, curve, later.due_in)


def _without_log(failure: CallFailure, later: LogUnavailable) -> LogUnavailable:
    if failure.status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        return replace(later, refusal=failure)
    if failure.retry_after is not None and later.wait is not None:
        return replace(later, wait=max(failure.retry_after, later.wait))
    return later
