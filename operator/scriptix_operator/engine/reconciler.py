"""One reconcile of one resource: decide → act → observe, until it is requeued."""

from dataclasses import dataclass, field, replace
from typing import assert_never

from scriptix_operator.core.cluster.served_by import left_for
from scriptix_operator.core.decide import decide
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Blocked,
    CheckQueue,
    Decision,
    FetchLog,
    Observation,
    Poll,
    PollDeferred,
    Post,
    PublishFailed,
    RebuildPending,
    RequeueAfter,
    StartGranted,
    StartLedgerNotWritable,
    StartQueued,
    Triggered,
)
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.start.competing_trainings import is_intent_of_another_ledger
from scriptix_operator.core.status.conditions import has_ended, is_followed, is_polled
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.log_fetcher import LARGE, LogFetcher
from scriptix_operator.engine.remote_calls import RemoteCalls
from scriptix_operator.engine.run_starter import RunStarter
from scriptix_operator.engine.schedulers import KeySchedulers, NextPoll
from scriptix_operator.engine.shutdown import Shutdown
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.start_sender import StartPermit
from scriptix_operator.engine.status_writer import StatusWriter
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.configmaps import NameTaken
from scriptix_operator.kube.errors import ConflictError, KubeError, RefusedError, UnavailableError
from scriptix_operator.log_fields import field_logger

__all__ = ["Reconciler"]

MAX_ATTEMPTS = 5
"""Versions of a resource that one reconcile tries, while others keep writing it."""

logger = field_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Reconciles resources.

    Args:
        installation: This installation, by its namespace.
    """

    store: TrainingStore
    remote_calls: RemoteCalls
    run_starter: RunStarter
    log_fetcher: LogFetcher
    status_writer: StatusWriter
    schedulers: KeySchedulers
    ledger: StartLedger
    clock: Clock
    durations: Durations
    installation: str
    shutdown: Shutdown = field(default_factory=Shutdown)

    async def reconcile(self, key: TrainingKey) -> float | None:
        """Reconcile a resource until it is requeued.

        The caller runs one reconcile at a time for each model. If others have written the resource
        meanwhile, the new version is read and reconciled.

        Returns:
            Seconds until the resource is due again; None: when it changes, or in the next leader.

        Raises:
            GoneError: The resource does not exist any more.
            KubeError: A request to the cluster failed; the resource is as last recorded.
            UnreadableError: A user has written fields that cannot be read.
        """
        for attempt in range(1, MAX_ATTEMPTS + 1):
            training = self.store.get(key)
            if training is None:
                break
            try:
                return await self._reconcile_if_served(training)
            except ConflictError as error:
                if attempt == MAX_ATTEMPTS:
                    raise
                logger.about(training).debug("%s; deciding again", error)
                await self.status_writer.reload(training)
        return None

    async def _reconcile_if_served(self, training: Training) -> float | None:
        """Reconcile one version of a resource, unless another installation serves it."""
        wait = left_for(training, self.installation, self.clock.now())
        if wait is not None:
            self.schedulers.forget(training.key)
            return wait
        if is_intent_of_another_ledger(training, self.installation):
            # An intent without an in-flight start would be aborted as never sent.
            is_over = self.remote_calls.is_start_over
            await self.ledger.record_in_flight(training, is_over)
        return await self._reconcile_version(training)

    async def _reconcile_version(self, recorded: Training) -> float | None:
        """Loop over one version of a resource; `recorded` is the version in the cluster."""
        permit: StartPermit | None = None
        observation: Observation = Triggered(self.schedulers.is_queued(recorded.key))
        resumed = await self._record_reply(recorded)
        recorded, decision = resumed or (recorded, self._decide(recorded, observation))
        while True:
            decision = await self._publish_result(recorded, decision)
            recorded, decision = await self._resolve_start(recorded, decision)
            if self.shutdown.is_begun and not isinstance(decision.action, RequeueAfter):
                return None
            current = recorded.with_status(decision.status)
            match decision.action:
                case Poll():
                    observation = await self.remote_calls.poll(current)
                case CheckQueue():
                    observation = await self.remote_calls.check_queue(current)
                case AcquireStart() as wanted:
                    permit, observation = await self._acquire_start(current, wanted)
                case Post():
                    if permit is None:
                        raise RuntimeError(f"{recorded.key}: a start without a permit")
                    recorded, decision = await self._start(recorded, decision, permit)
                    permit = None
                    continue
                case FetchLog(due_in):
                    recorded = await self._record_before_log(recorded, decision)
                    current = recorded.with_status(decision.status)
                    failed = decision.state.log_fetches.failed
                    observation = await self.log_fetcher.fetch(current, failed, due_in)
                case RequeueAfter(seconds):
                    current = await self.status_writer.write(recorded, decision.status)
                    self._finish(current, decision, observation)
                    return seconds
                case _ as unknown:
                    assert_never(unknown)
            decision = self._decide(current, observation)
            permit = _needed(permit, decision)

    async def _acquire_start(
        self, training: Training, wanted: AcquireStart
    ) -> tuple[StartPermit | None, Observation]:
        reply = await self.remote_calls.acquire_start(training, wanted)
        if isinstance(reply, StartPermit):
            return reply, StartGranted(wanted.model, wanted.key, reply.nonce)
        return None, reply

    async def _start(
        self, recorded: Training, decision: Decision, permit: StartPermit
    ) -> tuple[Training, Decision]:
        """Start a run and record the outcome, also if this process is to end meanwhile."""
        with self.shutdown.start_under_way():
            return await self._resolve_start(
                *await self.run_starter.start(recorded, decision, permit)
            )

    async def _record_reply(self, recorded: Training) -> tuple[Training, Decision] | None:
        """Record the outcome of a start that a reconcile before this one could not record."""
        with self.shutdown.start_under_way():
            resumed = await self.run_starter.resume(recorded)
            return None if resumed is None else await self._resolve_start(*resumed)

    def _is_queued(self, training: Training, last: Observation) -> bool:
        """Whether a resource keeps its queue entry; status may not report it yet."""
        if training.status.queue is not None:
            return True
        waits = isinstance(last, StartQueued | PollDeferred)
        return waits and self.schedulers.is_queued(training.key)

    async def _record_before_log(self, recorded: Training, decision: Decision) -> Training:
        """Record a decision before the log is fetched, where the fetch is not to delay that.

        The begin and the end of a run are reported before its log is there, and a large log may
        take minutes. Otherwise one write records the poll and the log.
        """
        is_under_way = is_followed(recorded.status) and not has_ended(decision.status)
        if is_under_way and recorded.spec.log.max_bytes <= LARGE:
            return recorded
        return await self.status_writer.write(recorded, decision.status)

    def _finish(self, training: Training, decision: Decision, last: Observation) -> None:
        """Tell the schedulers what the resource waits for until its next reconcile."""
        is_stuck = isinstance(last, Blocked | StartLedgerNotWritable | RebuildPending)
        is_due = decision.action != RequeueAfter(None) and not is_stuck
        awaits_poll = isinstance(last, PollDeferred)
        is_queued = self._is_queued(training, last)
        self.schedulers.finish_reconcile(
            training.key,
            is_queued=is_queued,
            # A run that has ended is polled if an edited gate needs a metric.
            is_polled=is_due and (is_polled(training) or awaits_poll),
            awaits_poll=awaits_poll,
            next_poll=None if is_queued else self._next_poll(training, decision.poll_by),
        )

    def _next_poll(self, training: Training, poll_by: float | None) -> NextPoll | None:
        """The next poll of a resource that is due for nothing else."""
        if poll_by is None:
            return None
        return NextPoll(self.remote_calls.poll_request(training), poll_by)

    def _decide(self, training: Training, observation: Observation) -> Decision:
        if self.store.is_being_deleted(training):
            # Seen since the reconcile began: no further call is made for an older version.
            training = replace(training, is_being_deleted=True)
        state = self.store.state(training)
        decision = decide(training, observation, self.clock.now(), state, self.durations)
        self.store.store_state(training, decision.state)
        return decision

    async def _publish_result(self, recorded: Training, decision: Decision) -> Decision:
        """Publish the result before a success is recorded; decide again if that fails."""
        if not decision.publish:
            return decision
        try:
            await self.status_writer.publish(recorded, decision.status)
        except (NameTaken, RefusedError, ConflictError, UnavailableError) as error:
            logger.about(recorded).warning("the result is not published: %s", error)
            refused = isinstance(error, NameTaken | RefusedError)
            failed = PublishFailed(decision, str(error), refused=refused)
            return self._decide(recorded, failed)
        return replace(decision, publish=False)

    async def _resolve_start(
        self, recorded: Training, decision: Decision
    ) -> tuple[Training, Decision]:
        """Resolve the in-flight start of a start whose outcome is recorded."""
        if decision.start_outcome is None:
            return recorded, decision
        recorded = await self.status_writer.write(recorded, decision.status)
        try:
            await self.ledger.resolve(decision.start_outcome)
        except KubeError as error:
            # The outcome is recorded. The next resource that needs the model resolves the start.
            text = "start not yet resolved in the ledger, will retry: %s"
            logger.about(recorded, operation=Call.START).warning(text, error)
        return recorded, replace(decision, start_outcome=None)


def _needed(permit: StartPermit | None, decision: Decision) -> StartPermit | None:
    """The start permit, if a start is decided on; else cancelled, as after a deletion."""
    if permit is None or isinstance(decision.action, Post):
        return permit
    permit.cancel()
    return None
