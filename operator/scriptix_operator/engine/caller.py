"""Calls to the Scriptix API, each under its key's allowance, turned into observations."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from scriptix_operator.core.apikey import ApiKey
from scriptix_operator.core.circuit import Outage
from scriptix_operator.core.claims import is_start_of
from scriptix_operator.core.derive import has_ended, is_end_pending, is_followed, is_starting
from scriptix_operator.core.lane import Call
from scriptix_operator.core.ledger import Entry
from scriptix_operator.core.looks import LookKind, Wish
from scriptix_operator.core.observation import (
    Blocked,
    KeyUse,
    LedgerRefused,
    LookDeferred,
    LookFailed,
    ModelSeen,
    NoStartInFlight,
    Observation,
    Posted,
    PostFailed,
    RebuildPending,
    Reserve,
    SlotDeferred,
    TurnCome,
)
from scriptix_operator.core.remote import CallFailure, FailureKind, RemoteModel
from scriptix_operator.core.spending import Ticket
from scriptix_operator.core.startqueue import Claim, claim_of
from scriptix_operator.core.training import Training, TrainingKey
from scriptix_operator.core.unanswered import vouches_for
from scriptix_operator.engine.calls import Calls, Heard
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.fence import Fence
from scriptix_operator.engine.lanes import Lanes
from scriptix_operator.engine.ledger import RebuildPendingError, StartLedger
from scriptix_operator.engine.roster import Roster
from scriptix_operator.engine.shutdown import Shutdown
from scriptix_operator.kube.errors import RefusedError
from scriptix_operator.kube.secrets import Keys, KeyUnavailableError
from scriptix_operator.scriptix.client import ScriptixClient
from scriptix_operator.scriptix.errors import NotSentError, ScriptixError

__all__ = ["Caller", "Slot", "StaleSenderError"]

SEND_MARGIN = 0.2
"""Of the send window, kept for the bytes to leave: the fence ends a process that takes longer, and
a busy machine must not come near that."""
MAX_SEND_MARGIN = 1.0
"""Seconds; the leadership is known for no more than ten ahead."""

STOPPING = "the operator is stopping"

logger = logging.getLogger(__name__)


class StaleSenderError(Exception):
    """A start was held back at the last moment: its time is over, or it must not begin any more."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A start that was taken from a key's allowance and is not sent yet."""

    lanes: Lanes
    key: ApiKey
    ticket: Ticket
    basis: int
    """Of the ledger, when the model was seen."""
    nonce: str = field(default_factory=lambda: secrets.token_hex(4))
    """Of the intent."""

    def give_back(self) -> None:
        """The start was not sent."""
        self.lanes.give_back(self.key.fingerprint, self.ticket)


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes the calls of a step.

    Args:
        client: The API.
        keys: Where API keys come from.
        lanes: What each key may still do.
        calls: Makes the calls.
        roster: Who else has a claim on a model.
        coverage: Who may have one and is not in the store of resources.
        clock: The clocks.
        ledger: Which starts may be under way.
        fence: Ends this process if it is paused in mid-send.
        send_until: Until when, in monotonic seconds, this process may start trainings (it leads).
        send_window: Seconds after a start's intent within which its POST may be sent.
        shutdown: Whether this process is to end: then no POST is begun.
    """

    client: ScriptixClient
    keys: Keys
    lanes: Lanes
    calls: Calls
    roster: Roster
    coverage: Coverage
    clock: Clock
    ledger: StartLedger
    fence: Fence
    send_until: Callable[[], float]
    send_window: float
    shutdown: Shutdown = field(default_factory=Shutdown)

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
        except RebuildPendingError as error:
            return RebuildPending(str(error))
        model_id = training.spec.model_id
        entry, mark = self.ledger.entry(model_id), self.ledger.mark(model_id)
        if training.is_being_deleted and (entry is None or not is_start_of(entry, training)):
            return NoStartInFlight()
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError as error:
            return Blocked(error.failure)
        await self.calls.recall_limits(key)
        wish = self._wish(training, key)
        if vouches_for(training.status, key.fingerprint):
            self.lanes.vouch(key.fingerprint)
        has_worked = self.lanes.has_worked(key.fingerprint)
        ticket = self.lanes.look(key.fingerprint, training.key, wish)
        if isinstance(ticket, Outage):
            return self._not_made(ticket, key)
        if not isinstance(ticket, Ticket):
            return LookDeferred(ticket)
        asked_at = self.clock.now()
        try:
            model = await self.calls.make(
                Call.STATUS,
                model_id,
                key,
                ticket,
                lambda heard: self.client.model(model_id, key, on_rate=heard),
            )
        except ScriptixError as error:
            again_in = self.lanes.wait(key.fingerprint, Call.STATUS)
            return LookFailed(
                error.failure, key.source, again_in=again_in, has_key_worked=has_worked
            )
        self._warn_of(model, training)
        return ModelSeen(
            model,
            KeyUse(key.source, key.fingerprint),
            rivals=tuple(self.roster.rivals(training)),
            entry=entry,
            mark=mark,
            basis=basis,
            asked_at=asked_at,
            past=self.roster.past_runs(key.fingerprint),
            pace=self.lanes.pace(key.fingerprint, wish.kind),
            luck=self.lanes.luck(),
            is_holder_unlisted=entry is not None and self._may_hide_holder(entry),
            has_hidden_rival=self.coverage.may_hide_rival(model_id),
            unreadable_holder=self.coverage.unreadable_holder(model_id),
        )

    def _warn_of(self, model: RemoteModel, training: Training) -> None:
        """Say once which fields of a reply cannot be read: each poll may bring the same ones."""
        if model.flaw is None or model.unreadable == self.roster.memory(training).unreadable:
            return
        logger.warning("%s: not readable in the API's reply: %s", training.key, model.flaw)

    def _may_hide_holder(self, entry: Entry) -> bool:
        """Whether the resource of an in-flight start may exist although it is not in the store."""
        known = self.roster.get(TrainingKey(entry.namespace, entry.name))
        if known is not None and known.uid == entry.uid:
            return False
        return self.coverage.may_hide_holder(entry)

    def _wish(self, training: Training, key: ApiKey) -> Wish:
        """What look the resource asks for, and how often it wants one."""
        status = training.status
        if is_starting(status) or is_end_pending(status) or has_ended(status):
            return Wish(LookKind.RESOLUTION, None)
        if is_followed(training.status):
            kind = LookKind.RUNNING
        elif self.lanes.is_queued(training.key):
            # Whoever is next must not stand in line behind those who only see if they still may.
            is_next = self.lanes.turn(key.fingerprint, self._claim(training)) is None
            return Wish(LookKind.BASELINE if is_next else LookKind.WAITING, None)
        else:
            kind = LookKind.WAITING
        asked = float(training.spec.poll_interval_seconds)
        # What is remembered may be of before an edit.
        closer = max(asked / (self.roster.memory(training).interval or asked), 1.0)
        return Wish(kind, asked, closer)

    async def _read_ledger(self, training: Training) -> int:
        """The version of the ledger that a poll is based on; a run that is known needs none.

        An intent without its entry is taken back as never sent. That must be so in the ledger, and
        not only in what this process knows of it: another leader may be about to send.
        """
        if is_followed(training.status) or has_ended(training.status):
            return 0
        basis = await self.ledger.ready()
        entry = self.ledger.entry(training.spec.model_id)
        has_entry = entry is not None and is_start_of(entry, training)
        if is_starting(training.status) and not has_entry:
            basis = await self.ledger.read_anew()
        return basis

    async def turn(self, training: Training) -> Observation:
        """Ask how far the start queue is, or stand in it again after a restart.

        Raises:
            KubeError: The API key, or the start ledger, could not be read just now.
        """
        try:
            await self.ledger.ready()
        except RefusedError:
            return LedgerRefused()
        except RebuildPendingError as error:
            return RebuildPending(str(error))
        try:
            key = await self.keys.resolve(training)
        except KeyUnavailableError as error:
            return Blocked(error.failure)
        await self.calls.recall_limits(key)
        self._recall_starts(key)
        return self.lanes.turn(key.fingerprint, self._claim(training)) or TurnCome()

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
        self._recall_starts(key)
        ticket = self.lanes.start(key.fingerprint, self._claim(training))
        if isinstance(ticket, Outage):
            return self._not_made(ticket, key)
        if isinstance(ticket, SlotDeferred):
            return ticket
        return Slot(self.lanes, key, ticket, wanted.basis)

    def _not_made(self, outage: Outage, key: ApiKey) -> LookFailed:
        """A call that the open circuit does not let through."""
        wall, now = self.clock.now(), self.clock.monotonic()
        named = None if outage.named is None else wall + timedelta(seconds=outage.named - now)
        since = wall - timedelta(seconds=now - outage.since)
        return LookFailed(outage.failure, key.source, since, named_until=named)

    def _claim(self, training: Training) -> Claim:
        return claim_of(training, self.clock.now().replace(microsecond=0))

    def _recall_starts(self, key: ApiKey) -> None:
        """Count what a process before this one has started with a key, or with those before it."""
        if self.lanes.is_new_to(key.fingerprint, key.source):
            own, before = self.ledger.spent(key.fingerprint, key.source)
            self.lanes.recall(key.fingerprint, key.source, own, before)

    async def start(self, training: Training, slot: Slot, begun_at: float) -> Posted | PostFailed:
        """Send the POST whose intent is recorded; once, whatever comes of it.

        Args:
            training: With the intent recorded.
            slot: Taken from the key's allowance.
            begun_at: Monotonic seconds when the intent's writing began.
        """
        armed: list[int] = []

        def check() -> None:
            armed.append(self.fence.arm(self._send_until(training, begun_at)))

        def disarm() -> None:
            for number in armed:
                self.fence.disarm(number)

        model_id = training.spec.model_id

        async def send(heard: Heard) -> RemoteModel | None:
            try:
                # Before the check no byte has left, and after it none is held back.
                async with self.shutdown.aborting(lambda: not armed):
                    return await self.client.run(
                        model_id, slot.key, before_send=check, after_send=disarm, on_rate=heard
                    )
            except TimeoutError:
                if armed:
                    raise
                raise NotSentError(CallFailure(FailureKind.NOT_SENT, STOPPING)) from None

        try:
            model = await self.calls.make(Call.START, model_id, slot.key, slot.ticket, send)
        except ScriptixError as error:
            again_in = self.lanes.wait(slot.key.fingerprint, Call.START)
            return PostFailed(error.failure, again_in)
        finally:
            disarm()
        return Posted(model)

    def _send_until(self, training: Training, begun_at: float) -> float:
        """Until when, in monotonic seconds, a start may be sent whose intent is recorded.

        Raises:
            StaleSenderError: It may not.
        """
        now, lead = self.clock.monotonic(), self.send_until()
        margin = min(self.send_window * SEND_MARGIN, MAX_SEND_MARGIN)
        if now > begun_at + self.send_window - margin:
            late = now - begun_at
            raise StaleSenderError(f"{late:.1f} s have passed since the intent was written")
        if now > lead - margin:
            raise StaleSenderError("this process does not lead any more, or not for long")
        known = self.roster.get(training.key)
        if known is None or known.uid != training.uid or known.is_being_deleted:
            raise StaleSenderError("the resource is deleted, or is being deleted")
        if self.shutdown.is_begun:
            raise StaleSenderError(STOPPING)
        return min(begun_at + self.send_window, lead)
