"""One step of one resource, from top to bottom: decide → record → act → observe, until it rests."""

import logging
from dataclasses import dataclass, field, replace

from scriptix_operator.core.decide import decide
from scriptix_operator.core.derive import is_starting, is_watched
from scriptix_operator.core.observation import (
    AskTurn,
    Blocked,
    Decision,
    FetchLog,
    LedgerRefused,
    Look,
    LookDeferred,
    Observation,
    Post,
    PublishFailed,
    RebuildPending,
    Reserve,
    Rest,
    SlotDeferred,
    SlotGranted,
    Woken,
)
from scriptix_operator.core.serving import left_for, was_served_elsewhere
from scriptix_operator.core.situation import Durations
from scriptix_operator.core.training import Training, TrainingKey
from scriptix_operator.engine.caller import Caller, Slot
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.lanes import Lanes
from scriptix_operator.engine.ledger import StartLedger
from scriptix_operator.engine.logfetcher import LogFetcher
from scriptix_operator.engine.recorder import Recorder
from scriptix_operator.engine.roster import Roster
from scriptix_operator.engine.shutdown import Shutdown
from scriptix_operator.engine.starter import Starter
from scriptix_operator.kube.configmaps import NameTaken
from scriptix_operator.kube.errors import ConflictError, KubeError, RefusedError, UnavailableError

__all__ = ["Stepper"]

VISITS = 5
"""Versions of a resource that one step takes up, if others keep writing it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stepper:
    """Takes resources as far as they go now.

    Args:
        installation: This installation, by its namespace.
    """

    roster: Roster
    caller: Caller
    starter: Starter
    log_fetcher: LogFetcher
    recorder: Recorder
    lanes: Lanes
    ledger: StartLedger
    clock: Clock
    durations: Durations
    installation: str
    shutdown: Shutdown = field(default_factory=Shutdown)

    async def step(self, key: TrainingKey) -> float | None:
        """Take a resource as far as it goes now.

        One step at a time for each model, the caller sees to that. A version that others have
        written anew since is read and visited anew.

        Returns:
            Seconds until it is due again; None: when it changes, or in the next leader.

        Raises:
            GoneError: It is not there any more.
            KubeError: The cluster did not do its part; the resource is as it was last recorded.
            UnreadableError: Somebody has made it so that it cannot be read.
        """
        for visit in range(1, VISITS + 1):
            training = self.roster.get(key)
            if training is None:
                break
            try:
                return await self._take_turn(training)
            except ConflictError as error:
                if visit == VISITS:
                    raise
                logger.debug("%s; decided anew", error)
                await self.recorder.reload(training)
        return None

    async def _take_turn(self, training: Training) -> float | None:
        """Visit one version of a resource, unless another installation serves it."""
        wait = left_for(training, self.installation, self.clock.now())
        if wait is not None:
            self.lanes.leave(training.key)
            return wait
        if is_starting(training.status) and was_served_elsewhere(training, self.installation):
            # An intent without an entry is withdrawn as never sent, and the entry of this one is in
            # the other installation's ledger.
            await self.ledger.take_in(training)
        return await self._visit(training)

    async def _visit(self, recorded: Training) -> float | None:
        """Loop over one version of a resource; `recorded` is what the cluster has of it."""
        slot: Slot | None = None
        observation: Observation = Woken(self.lanes.is_queued(recorded.key))
        resumed = await self._resume(recorded)
        recorded, decision = resumed or (recorded, self._decide(recorded, observation))
        while True:
            decision = await self._published(recorded, decision)
            recorded, decision = await self._settle(recorded, decision)
            if self.shutdown.is_begun and not isinstance(decision.action, Rest):
                return None
            current = recorded.with_status(decision.status)
            match decision.action:
                case Look():
                    observation = await self.caller.look(current)
                case AskTurn():
                    observation = await self.caller.turn(current)
                case Reserve() as wanted:
                    slot, observation = await self._reserve(current, wanted)
                case Post():
                    if slot is None:
                        raise RuntimeError(f"{recorded.key}: a start without a slot")
                    recorded, decision = await self._start(recorded, decision, slot)
                    slot = None
                    continue
                case FetchLog(due_in):
                    recorded = current = await self.recorder.record(recorded, decision.status)
                    failed = decision.memory.failed_logs
                    observation = await self.log_fetcher.fetch(current, failed, due_in)
                case Rest(seconds):
                    current = await self.recorder.record(recorded, decision.status)
                    awaits_look = isinstance(observation, LookDeferred)
                    self.lanes.rests(
                        current.key,
                        is_queued=self._is_queued(current, observation),
                        # An ended run is polled where an edited gate lacks a metric.
                        is_watched=(is_watched(current) or awaits_look)
                        and seconds is not None
                        and not isinstance(observation, Blocked | LedgerRefused | RebuildPending),
                        awaits_look=awaits_look,
                    )
                    return seconds
            decision = self._decide(current, observation)
            slot = _needed(slot, decision)

    async def _reserve(
        self, training: Training, wanted: Reserve
    ) -> tuple[Slot | None, Observation]:
        reply = await self.caller.reserve(training, wanted)
        if isinstance(reply, Slot):
            return reply, SlotGranted(wanted.model, wanted.key, reply.nonce)
        return None, reply

    async def _start(
        self, recorded: Training, decision: Decision, slot: Slot
    ) -> tuple[Training, Decision]:
        """Start a run and record the outcome, also where this process is told to end meanwhile."""
        with self.shutdown.start_under_way():
            return await self._settle(*await self.starter.start(recorded, decision, slot))

    async def _resume(self, recorded: Training) -> tuple[Training, Decision] | None:
        """Record the outcome of a start that a reconcile before this one could not record."""
        with self.shutdown.start_under_way():
            resumed = await self.starter.resume(recorded)
            return None if resumed is None else await self._settle(*resumed)

    def _is_queued(self, training: Training, last: Observation) -> bool:
        """Whether a resource keeps its place in the start queue; status may not report it yet."""
        if training.status.queue is not None:
            return True
        waits = isinstance(last, SlotDeferred | LookDeferred)
        return waits and self.lanes.is_queued(training.key)

    def _decide(self, training: Training, observation: Observation) -> Decision:
        if self.roster.is_being_deleted(training):
            # Seen since the step began: no further call is made from the version before it.
            training = replace(training, is_being_deleted=True)
        memory = self.roster.memory(training)
        decision = decide(training, observation, self.clock.now(), memory, self.durations)
        self.roster.remember(training, decision.memory)
        return decision

    async def _published(self, recorded: Training, decision: Decision) -> Decision:
        """Publish the result before a success is recorded; decide anew where that fails."""
        if not decision.publish:
            return decision
        try:
            await self.recorder.publish(recorded, decision.status)
        except (NameTaken, RefusedError, ConflictError, UnavailableError) as error:
            logger.warning("%s: the result is not published: %s", recorded.key, error)
            refused = isinstance(error, NameTaken | RefusedError)
            failed = PublishFailed(decision, str(error), refused=refused)
            return self._decide(recorded, failed)
        return replace(decision, publish=False)

    async def _settle(self, recorded: Training, decision: Decision) -> tuple[Training, Decision]:
        """Close the ledger's entry of a start whose outcome was learned, after recording that."""
        if decision.settled is None:
            return recorded, decision
        recorded = await self.recorder.record(recorded, decision.status)
        try:
            await self.ledger.close(decision.settled)
        except KubeError as error:
            # It is recorded. Whoever needs the model next finds the entry, and closes it.
            logger.warning("%s: its start stays open in the ledger: %s", recorded.key, error)
        return recorded, replace(decision, settled=None)


def _needed(slot: Slot | None, decision: Decision) -> Slot | None:
    """The slot of the start that is decided on; given back where none is, as after a deletion."""
    if slot is None or isinstance(decision.action, Post):
        return slot
    slot.give_back()
    return None
