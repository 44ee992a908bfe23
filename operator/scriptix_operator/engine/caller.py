"""Calls to the Scriptix API, each under its key's allowance, turned into observations."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from scriptix_operator.api.reasons import LogState
from scriptix_operator.core.apikey import ApiKey
from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.claims import is_start_of
from scriptix_operator.core.derive import is_followed, is_starting
from scriptix_operator.core.learning_curve import learning_curve
from scriptix_operator.core.ledger import Debit
from scriptix_operator.core.observation import (
    Blocked,
    KeyUse,
    LedgerRefused,
    LogStored,
    LogUnavailable,
    LookDeferred,
    LookFailed,
    ModelSeen,
    Observation,
    Posted,
    PostFailed,
    Reserve,
)
from scriptix_operator.core.remote import CallFailure
from scriptix_operator.core.training import Training
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.fence import Fence
from scriptix_operator.engine.lanes import Call, Lane, Lanes
from scriptix_operator.engine.ledger import StartLedger
from scriptix_operator.engine.roster import Roster
from scriptix_operator.kube.configmaps import NameTaken
from scriptix_operator.kube.errors import KubeError, RefusedError
from scriptix_operator.kube.logstore import LogStore
from scriptix_operator.kube.secrets import Keys, KeyUnavailableError
from scriptix_operator.scriptix.client import ScriptixClient
from scriptix_operator.scriptix.errors import ScriptixError
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["Caller", "Slot", "StaleSenderError"]

SEND_MARGIN = 0.2
"""Of the send window, kept for the bytes to leave: the fence ends a process that takes longer, and
a busy machine must not come near that."""
MAX_SEND_MARGIN = 1.0
"""Seconds; the leadership is known for no more than ten ahead."""
LOG_RETRY, MAX_LOG_RETRY = 15.0, 3600.0
"""Seconds before a failed log fetch is tried again; doubles."""

logger = logging.getLogger(__name__)
T = TypeVar("T")


class StaleSenderError(Exception):
    """A start was held back at the last moment: too late, or not the leader any more."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A start that was taken from a key's allowance and is not sent yet."""

    lane: Lane
    key: ApiKey
    taken_at: float
    basis: int
    """Of the ledger, when the model was seen."""
    nonce: str = field(default_factory=lambda: secrets.token_hex(4))
    """Of the intent."""

    def give_back(self) -> None:
        """The start was not sent."""
        self.lane.budgets[Call.START].give_back(self.taken_at)


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes the calls of a step.

    Args:
        client: The API.
        keys: Where API keys come from.
        lanes: What each key may still do.
        log_store: Where logs go.
        roster: Who else has a claim on a model.
        clock: The clocks.
        metrics: Counts each call.
        ledger: Which starts may be under way.
        fence: Ends this process if it is paused in mid-send.
        send_until: Until when, in monotonic seconds, this process may start trainings (it leads).
        send_window: Seconds after a start's intent within which its POST may be sent.
    """

    client: ScriptixClient
    keys: Keys
    lanes: Lanes
    log_store: LogStore
    roster: Roster
    clock: Clock
    metrics: Metrics
    ledger: StartLedger
    fence: Fence
    send_until: Callable[[], float]
    send_window: float

    async def look(self, training: Training) -> Observation:
        """Ask for the model.

        Raises:
            KubeError: The API key, or the start ledger, could not be read just now.
        """
        # Before the model: what is started from this look must be debited in no later version.
        try:
            basis = await self._read_ledger(training)
        except RefusedError:
            return LedgerRefused()  # why is in the log: it is the operator's own namespace
        model_id = training.spec.model_id
        entry, mark = self.ledger.entry(model_id), self.ledger.mark(model_id)
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError as error:
            return Blocked(error.failure)
        lane, now = self.lanes.of(key.fingerprint), self.clock.monotonic()
        rejection = lane.circuit(now)
        if rejection is not None:
            return LookFailed(rejection, key.source)
        wait = lane.look(training.key, now)
        if wait > 0:
            return LookDeferred(wait)
        asked_at = self.clock.now()
        try:
            model = await self._timed(Call.STATUS, lane, now, self.client.model(model_id, key))
        except ScriptixError as error:
            return LookFailed(error.failure, key.source)
        return ModelSeen(
            model,
            KeyUse(key.source, key.fingerprint),
            rivals=tuple(self.roster.rivals(training)),
            entry=entry,
            mark=mark,
            basis=basis,
            asked_at=asked_at,
        )

    async def _read_ledger(self, training: Training) -> int:
        """What version of the ledger a look begins from; a run that is followed needs none.

        An intent without its entry is taken back as never sent. That must be so in the ledger, and
        not only in what this process knows of it: another leader may be about to send.
        """
        if is_followed(training.status):
            return 0
        basis = await self.ledger.ready()
        entry = self.ledger.entry(training.spec.model_id)
        has_entry = entry is not None and is_start_of(entry, training)
        if is_starting(training.status) and not has_entry:
            basis = await self.ledger.read_anew()
        return basis

    async def reserve(self, training: Training, wanted: Reserve) -> Observation | Slot:
        """Ask for a start: the slot, or why there is none.

        Raises:
            KubeError: The API key could not be read just now.
        """
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError as error:
            return Blocked(error.failure)
        if key.fingerprint != wanted.key.fingerprint:
            # The key was replaced since the look: what it showed may be another account's.
            return LookDeferred(0.0)
        lane, now = self.lanes.of(key.fingerprint), self.clock.monotonic()
        if lane.is_new_to(key.source):
            self._remember_starts(lane, key, now)
        deferred = self.lanes.reserve(key.fingerprint, training, now, self.clock.now())
        return Slot(lane, key, now, wanted.basis) if deferred is None else deferred

    def _remember_starts(self, lane: Lane, key: ApiKey, now: float) -> None:
        """Count what a process before this one has started with a key, or with those before it."""
        wall = self.clock.now()

        def times(debits: Iterable[Debit]) -> list[float]:
            # One that seems to come is of a clock that goes ahead of this one.
            return [now - max((wall - debit.at).total_seconds(), 0.0) for debit in debits]

        own, before = self.ledger.spent(key.fingerprint, key.source)
        lane.recall(key.source, times(own), times(before))

    async def start(self, training: Training, slot: Slot, begun_at: float) -> Posted | PostFailed:
        """Send the POST whose intent is recorded; once, whatever comes of it.

        Args:
            training: With the intent recorded.
            slot: Taken from the key's allowance.
            begun_at: Monotonic seconds when the intent's writing began.
        """
        armed: list[int] = []

        def check() -> None:
            now, lead = self.clock.monotonic(), self.send_until()
            margin = min(self.send_window * SEND_MARGIN, MAX_SEND_MARGIN)
            if now > begun_at + self.send_window - margin:
                late = now - begun_at
                raise StaleSenderError(f"{late:.1f} s have passed since the intent was written")
            if now > lead - margin:
                raise StaleSenderError("this process does not lead any more, or not for long")
            armed.append(self.fence.arm(min(begun_at + self.send_window, lead)))

        def disarm() -> None:
            for number in armed:
                self.fence.disarm(number)

        call = self.client.run(
            training.spec.model_id, slot.key, before_send=check, after_send=disarm
        )
        try:
            model = await self._timed(Call.START, slot.lane, slot.taken_at, call)
        except ScriptixError as error:
            return PostFailed(error.failure)
        finally:
            disarm()
        return Posted(model)

    async def fetch_log(
        self, training: Training, failed_before: int, due_in: float | None
    ) -> Observation:
        """Fetch the log and store what is new in it.

        Args:
            training: With the run whose log it is.
            failed_before: Fetches in a row that have failed before this one.
            due_in: Seconds until the next look is due, handed through.

        Raises:
            KubeError: The API key could not be read just now.
        """
        run, status = training.status.run, training.status
        if run is None:
            raise ValueError(f"{training.key} has no run to fetch a log for")
        retry = backoff(LOG_RETRY, failed_before, MAX_LOG_RETRY)
        later = LogUnavailable(retry, LogState.COLLECTING, due_in)
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError:
            return later
        lane, now = self.lanes.of(key.fingerprint), self.clock.monotonic()
        if lane.circuit(now) is not None:
            return later
        wait = lane.budgets[Call.LOG].wait(now)
        if wait > 0:
            return LogUnavailable(wait, LogState.COLLECTING, due_in, tried=False)
        lane.budgets[Call.LOG].take(now)
        try:
            entries = await self._timed(
                Call.LOG, lane, now, self.client.log(training.spec.model_id, key)
            )
        except ScriptixError as error:
            return _without_log(error.failure, later)
        try:
            stored = await self.log_store.save(
                training.owner,
                run.id,
                entries,
                max_bytes=training.spec.log.max_bytes,
                previous=status.log,
                run_started_at=status.started_at,
            )
        except NameTaken as error:
            logger.warning("%s: the log is not stored: %s", training.key, error)
            return LogUnavailable(None, LogState.NAME_TAKEN, due_in)
        except KubeError as error:
            # Not raised: the step would be tried again within a minute, for ever, and each time
            # spend one of the few log calls that all resources with this key have.
            logger.warning("%s: the log is not stored now: %s", training.key, error)
            return later
        # Up to 64 MiB are searched: not on the event loop's time.
        curve = await asyncio.to_thread(learning_curve, entries, status.started_at)
        return LogStored(stored, curve, due_in)

    async def _timed(self, call: Call, lane: Lane, taken_at: float, reply: Awaitable[T]) -> T:
        """Await a call that was spent at `taken_at`; lane and metrics learn how it ended."""
        begun = self.clock.monotonic()

        def answered(failure: CallFailure | None) -> None:
            now = self.clock.monotonic()
            lane.answered(call, taken_at, failure, now)
            outcome = "OK" if failure is None else failure.kind.value
            self.metrics.api_call(call.value, outcome, now - begun)

        try:
            result = await reply
        except ScriptixError as error:
            answered(error.failure)
            raise
        answered(None)
        return result


def _without_log(failure: CallFailure, later: LogUnavailable) -> LogUnavailable:
    if failure.status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        return LogUnavailable(None, LogState.UNAVAILABLE, later.due_in)
    if failure.retry_after is not None:
        return LogUnavailable(failure.retry_after, LogState.COLLECTING, later.due_in)
    return later
