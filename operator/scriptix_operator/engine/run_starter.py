"""Starts one run: intent, ledger, POST, reply (docs/start-protocol.md, steps 2 to 4).

The order is the protocol. An interruption leaves nothing, an intent without an in-flight start
(never sent), or an in-flight start (perhaps sent: resolved by polling the model).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from scriptix_operator.core.decide import decide
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.call_results import Posted, PostFailed
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.reconcile.in_process_state import InProcessState
from scriptix_operator.core.reconcile.vocabulary import Decision, StartAborted
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.start.competing_trainings import is_start_of
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.ledger_document import LedgerChangedError
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.start_sender import StartPermit, StartSender
from scriptix_operator.engine.status_writer import StatusWriter
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.errors import ConflictError, GoneError, UnavailableError
from scriptix_operator.log_fields import field_logger

__all__ = ["RunStarter"]

RECORD_ATTEMPTS = 7
"""Attempts to record the reply to a start, over about a minute; then the next reconcile tries."""

logger = field_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunStarter:
    """Starts runs that were decided on."""

    store: TrainingStore
    start_sender: StartSender
    status_writer: StatusWriter
    ledger: StartLedger
    clock: Clock
    durations: Durations
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits, but not after the API server has become reachable again, as Reachability.pause."""

    async def start(
        self, recorded: Training, decision: Decision, permit: StartPermit
    ) -> tuple[Training, Decision]:
        """Write the intent, then the ledger; send the POST once; record the reply.

        Args:
            recorded: The resource without the intent.
            decision: With the intent.
            permit: The start permit; cancelled if nothing is sent.

        Returns:
            The resource as recorded, and what is to be done next.

        Raises:
            KubeError: A request to the cluster failed; a start that may be under way is in the
                ledger.
        """
        begun_at = self.clock.monotonic()
        try:
            written = await self._write_intent(recorded, decision)
            state = await self._begin_in_ledger(written, permit)
        except BaseException:
            permit.cancel()
            raise
        if state is None:
            permit.cancel()
            return await self._record_reply(written, StartAborted(), self.store.state(written))
        reply = await self.start_sender.send(written, permit, begun_at)
        state = replace(state, start=replace(state.start, reply=reply))
        self.store.store_state(written, state)
        try:
            return await self._record_reply(written, reply, state)
        except GoneError:
            # The resource is gone, but the in-flight start is resolved: the next resource with this
            # model need not poll for the outcome, nor may it start the model a second time.
            outcome = decide(written, reply, self.clock.now(), state, self.durations).start_outcome
            if outcome is not None:
                await self.ledger.resolve(outcome)
            raise

    async def resume(self, recorded: Training) -> tuple[Training, Decision] | None:
        """Record the reply that an earlier reconcile could not record.

        The reply is kept in the in-process state until it is recorded: a definite reply must not be
        replaced by polling the model.

        Returns:
            As `start`; None if there is no such reply, or its intent is gone.
        """
        state = self.store.state(recorded)
        if state.start.reply is None or state.start.in_flight is None:
            return None
        if not is_start_of(state.start.in_flight, recorded):
            return None
        return await self._record_reply(recorded, state.start.reply, state)

    async def _write_intent(self, recorded: Training, decision: Decision) -> Training:
        try:
            return await self.status_writer.write(recorded, decision.status)
        except UnavailableError:
            # Only the reply may have been lost: if our intent is there, the write succeeded.
            fresh = await self.status_writer.reload(recorded)
            if fresh.status.run != decision.status.run:
                raise
            return fresh

    async def _begin_in_ledger(
        self, written: Training, permit: StartPermit
    ) -> InProcessState | None:
        """Charge the start and begin it in the ledger; None if the ledger has changed since."""
        try:
            in_flight = await self.ledger.begin(written, permit.revision)
        except LedgerChangedError as error:
            fingerprint = permit.key.fingerprint
            log = logger.about(written, operation=Call.START, fingerprint=fingerprint)
            log.warning("start aborted: %s", error)
            return None
        state = self.store.state(written)
        state = replace(
            state, start=replace(state.start, in_flight=in_flight, intent_seen_at=self.clock.now())
        )
        self.store.store_state(written, state)
        return state

    async def _record_reply(
        self, written: Training, reply: Posted | PostFailed | StartAborted, state: InProcessState
    ) -> tuple[Training, Decision]:
        """Record the reply to a start, whatever else has changed meanwhile."""
        run_with_intent = written.status.run
        for attempt in range(1, RECORD_ATTEMPTS + 1):
            decision = decide(written, reply, self.clock.now(), state, self.durations)
            try:
                recorded = await self.status_writer.write(written, decision.status)
            except ConflictError:
                written = await self.status_writer.reload(written)
                # An equal intent may be another leader's, of the same second; if ours was not sent,
                # nothing is left to record.
                if written.status.run != run_with_intent or isinstance(reply, StartAborted):
                    raise
            except UnavailableError as error:
                if attempt == RECORD_ATTEMPTS:
                    raise
                text = "the reply to the start is not recorded yet: %s"
                logger.about(written, operation=Call.START).warning(text, error)
                await self.pause(backoff(1.0, attempt - 1, 20.0))
            else:
                self.store.store_state(written, decision.state)
                return recorded, decision
        raise ConflictError(f"{written.key}: others keep writing it")
