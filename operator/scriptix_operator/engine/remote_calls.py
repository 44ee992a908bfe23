"""Calls to the Scriptix API, each under the quota of its key, turned into observations."""

from dataclasses import dataclass
from datetime import timedelta

from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.follow.poll_failed import shows_accepted_key
from scriptix_operator.core.ledger.ledger import InFlightStart
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import RemoteModel
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Blocked,
    KeyUse,
    ModelPolled,
    NoStartInFlight,
    Observation,
    PollDeferred,
    PollFailed,
    QueueReached,
    RebuildPending,
    StartLedgerNotWritable,
    StartQueued,
)
from scriptix_operator.core.scheduling.calls import Call, CallPermit
from scriptix_operator.core.scheduling.circuit_breaker import OpenCircuit
from scriptix_operator.core.scheduling.poll_scheduler import PollPriority, PollRequest
from scriptix_operator.core.scheduling.start_queue import QueueEntry, queue_entry_of
from scriptix_operator.core.start.competing_trainings import is_start_of
from scriptix_operator.core.start.resolution import recorded_outcome
from scriptix_operator.core.status.conditions import (
    has_ended,
    is_end_pending,
    is_followed,
    is_starting,
)
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.ledger_document import RebuildPendingError
from scriptix_operator.engine.metered_calls import MeteredCalls
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.start_sender import StartPermit
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.errors import RefusedError
from scriptix_operator.kube.secrets import Keys, KeyUnavailableError
from scriptix_operator.log_fields import field_logger
from scriptix_operator.scriptix.client import ScriptixClient
from scriptix_operator.scriptix.errors import ScriptixError

__all__ = ["RemoteCalls"]

logger = field_logger(__name__)


@dataclass(frozen=True, slots=True)
class RemoteCalls:
    """Makes the calls of a reconcile.

    Args:
        client: The API.
        keys: Where API keys come from.
        schedulers: The key schedulers.
        calls: Makes the calls.
        store: All resources, for the competing trainings of a model.
        coverage: Competing trainings that may exist and are not in the store.
        clock: The clocks.
        ledger: The in-flight starts.
    """

    client: ScriptixClient
    keys: Keys
    schedulers: KeySchedulers
    calls: MeteredCalls
    store: TrainingStore
    coverage: Coverage
    clock: Clock
    ledger: StartLedger

    async def poll(self, training: Training) -> Observation:
        """Poll the model.

        Raises:
            KubeError: The API key, or the start ledger, could not be read.
        """
        # Before the model: a start decided from this poll is charged to this revision, or refused.
        try:
            revision = await self._read_ledger(training)
        except RefusedError:
            # The log has the cause, which concerns the operator's own namespace.
            return StartLedgerNotWritable()
        except RebuildPendingError as error:
            return RebuildPending(str(error))
        model_id = training.spec.model_id
        in_flight, latest_run = self.ledger.in_flight(model_id), self.ledger.latest_run(model_id)
        if training.is_being_deleted and (
            in_flight is None or not is_start_of(in_flight, training)
        ):
            return NoStartInFlight()
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError as error:
            return Blocked(error.failure)
        await self.calls.quota_restore.restore(key)
        poll_request = self._queued_poll(training, key) or self.poll_request(training)
        breaker = self.schedulers.of(key.fingerprint).breaker
        breaker.has_worked |= shows_accepted_key(training.status, key.fingerprint)
        has_worked = breaker.has_worked
        permit = self.schedulers.acquire_poll(key.fingerprint, training.key, poll_request)
        if isinstance(permit, OpenCircuit):
            return self._not_made(permit, key)
        if not isinstance(permit, CallPermit):
            return PollDeferred(permit)
        asked_at = self.clock.now()
        try:
            model = await self.calls.make(
                model_id,
                key,
                permit,
                lambda on_rate_info: self.client.model(model_id, key, on_rate=on_rate_info),
            )
        except ScriptixError as error:
            again_in = self.schedulers.wait(key.fingerprint, Call.STATUS)
            return PollFailed(
                error.failure,
                key.source,
                again_in=again_in,
                has_key_worked=has_worked,
                is_baseline=poll_request.priority is PollPriority.BASELINE,
            )
        self._warn_of(model, training, key)
        return ModelPolled(
            model,
            KeyUse(key.source, key.fingerprint),
            competitors=tuple(self.store.competitors(training)),
            in_flight=in_flight,
            latest_run=latest_run,
            revision=revision,
            asked_at=asked_at,
            past=self.store.past_runs(key.fingerprint),
            granted_interval=self.schedulers.granted_interval(
                key.fingerprint, poll_request.priority
            ),
            jitter=self.schedulers.jitter(),
            is_starter_unlisted=in_flight is not None and self._may_hide_starter(in_flight),
            has_hidden_competitor=self.coverage.may_hide_competitor(model_id),
            unreadable_competitor=self.coverage.unreadable_competitor(model_id),
        )

    def _warn_of(self, model: RemoteModel, training: Training, key: ApiKey) -> None:
        """Log once which fields of a reply cannot be read: each poll may show the same ones."""
        if model.flaw is None or model.unreadable == self.store.state(training).polls.unreadable:
            return
        log = logger.about(training, operation=Call.STATUS, fingerprint=key.fingerprint)
        log.warning("not readable in the API's reply: %s", model.flaw)

    def is_start_over(self, in_flight: InFlightStart) -> bool:
        """Whether the outcome of an in-flight start is recorded, or its resource is gone."""
        starter = self._starter(in_flight)
        if starter is None:
            return not self.coverage.may_hide_starter(in_flight)
        return recorded_outcome(in_flight, starter) is not None

    def _may_hide_starter(self, in_flight: InFlightStart) -> bool:
        """Whether the resource of an in-flight start may exist although it is not in the store."""
        return self._starter(in_flight) is None and self.coverage.may_hide_starter(in_flight)

    def _starter(self, in_flight: InFlightStart) -> Training | None:
        """The resource of an in-flight start, if the store has it."""
        known = self.store.get(TrainingKey(in_flight.namespace, in_flight.name))
        return known if known is not None and known.uid == in_flight.uid else None

    def poll_request(self, training: Training) -> PollRequest:
        """The poll that a resource asks for which is not in the start queue, and its interval."""
        status = training.status
        if _is_resolved_by_poll(status):
            return PollRequest(PollPriority.RESOLUTION, None)
        priority = PollPriority.RUNNING if is_followed(status) else PollPriority.WAITING
        requested = float(training.spec.poll_interval_seconds)
        # The in-process state may be older than an edit.
        speed_up = max(requested / (self.store.state(training).polls.interval or requested), 1.0)
        return PollRequest(priority, requested, speed_up)

    def _queued_poll(self, training: Training, key: ApiKey) -> PollRequest | None:
        """The poll that a resource in the start queue asks for; None: it is not in the queue."""
        status = training.status
        if _is_resolved_by_poll(status) or is_followed(status):
            return None
        if not self.schedulers.is_queued(training.key):
            return None
        # The resource at the head of the start queue must not wait behind idle polls.
        is_next = self.schedulers.check_queue(key.fingerprint, self._queue_entry(training)) is None
        return PollRequest(PollPriority.BASELINE if is_next else PollPriority.WAITING, None)

    async def _read_ledger(self, training: Training) -> int:
        """The revision of the ledger that a poll is based on; a run that is known needs none.

        An intent without an in-flight start is aborted as never sent. The ledger is read for that:
        another leader may be about to send.
        """
        if is_followed(training.status) or has_ended(training.status):
            return 0
        revision = await self.ledger.document.ready()
        in_flight = self.ledger.in_flight(training.spec.model_id)
        has_start_in_flight = in_flight is not None and is_start_of(in_flight, training)
        if is_starting(training.status) and not has_start_in_flight:
            revision = await self.ledger.document.take_over_again()
        return revision

    async def check_queue(self, training: Training) -> Observation:
        """The queue position of a resource, which is entered again after a restart.

        Raises:
            KubeError: The API key, or the start ledger, could not be read.
        """
        try:
            await self.ledger.document.ready()
        except RefusedError:
            return StartLedgerNotWritable()
        except RebuildPendingError as error:
            return RebuildPending(str(error))
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError as error:
            return Blocked(error.failure)
        await self.calls.quota_restore.restore(key)
        self.calls.quota_restore.restore_starts(key)
        return (
            self.schedulers.check_queue(key.fingerprint, self._queue_entry(training))
            or QueueReached()
        )

    async def acquire_start(
        self, training: Training, wanted: AcquireStart
    ) -> Observation | StartPermit:
        """Acquire a start permit, or return why there is none.

        Raises:
            KubeError: The API key could not be read.
        """
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError as error:
            return Blocked(error.failure)
        if key.fingerprint != wanted.key.fingerprint:
            # The key was replaced since the poll, which may have shown another account's model.
            return PollDeferred(0.0)
        self.calls.quota_restore.restore_starts(key)
        permit = self.schedulers.acquire_start(key.fingerprint, self._queue_entry(training))
        if isinstance(permit, OpenCircuit):
            return self._not_made(permit, key)
        if isinstance(permit, StartQueued):
            return permit
        return StartPermit(self.schedulers, key, permit, wanted.revision)

    def _not_made(self, open_circuit: OpenCircuit, key: ApiKey) -> PollFailed:
        """The result of a call that the open circuit breaker prevents."""
        wall, now = self.clock.now(), self.clock.monotonic()
        named = (
            None
            if open_circuit.named is None
            else wall + timedelta(seconds=open_circuit.named - now)
        )
        since = wall - timedelta(seconds=now - open_circuit.since)
        return PollFailed(open_circuit.failure, key.source, since, named_until=named)

    def _queue_entry(self, training: Training) -> QueueEntry:
        return queue_entry_of(training, self.clock.now().replace(microsecond=0))


def _is_resolved_by_poll(status: TrainingStatus) -> bool:
    """Whether a poll determines the outcome of a start, or the results of a run that has ended."""
    return is_starting(status) or is_end_pending(status) or has_ended(status)
