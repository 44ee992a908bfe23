"""Sends the POST of a start: within its send window, with the fence armed, at most once."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RemoteModel
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.call_results import Posted, PostFailed
from scriptix_operator.core.scheduling.calls import Call, CallPermit
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.fence import Fence
from scriptix_operator.engine.metered_calls import MeteredCalls, OnRateInfo
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.shutdown import Shutdown
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.log_fields import field_logger
from scriptix_operator.scriptix.client import ScriptixClient
from scriptix_operator.scriptix.errors import NotSentError, ScriptixError

__all__ = ["StartHeldBackError", "StartPermit", "StartSender"]

SEND_MARGIN = 0.2
"""The part of the send window that is reserved for sending the bytes: the fence ends a process that
takes longer, which must not happen on a busy machine."""
MAX_SEND_MARGIN = 1.0
"""Seconds; the end of the leadership is known at most ten seconds ahead."""

STOPPING = "the operator is stopping"

logger = field_logger(__name__)


class StartHeldBackError(Exception):
    """A start was held back at the last moment: its send window has passed, or it may not begin."""


@dataclass(frozen=True, slots=True)
class StartPermit:
    """The start permit: the key's quota has room for a start, which is not sent yet."""

    schedulers: KeySchedulers
    key: ApiKey
    quota_permit: CallPermit
    """The reservation of the call."""
    revision: int
    """Revision of the ledger when the model was polled."""
    nonce: str = field(default_factory=lambda: secrets.token_hex(4))
    """Nonce of the intent."""

    def cancel(self) -> None:
        """Return the permit: the start was not sent."""
        self.schedulers.cancel(self.key.fingerprint, self.quota_permit)


@dataclass(frozen=True, slots=True)
class StartSender:
    """Sends starts whose intents are recorded.

    Args:
        client: The API.
        calls: Makes the calls.
        store: All resources: a resource that is being deleted starts nothing.
        clock: The clocks.
        fence: Ends this process if it is paused in mid-send.
        send_until: Monotonic seconds until which this process leads and may start trainings.
        send_window: Seconds after a start's intent within which its POST may be sent.
        shutdown: Whether this process is to end; then no POST begins.
    """

    client: ScriptixClient
    calls: MeteredCalls
    store: TrainingStore
    clock: Clock
    fence: Fence
    send_until: Callable[[], float]
    send_window: float
    shutdown: Shutdown = field(default_factory=Shutdown)

    async def send(
        self, training: Training, permit: StartPermit, begun_at: float
    ) -> Posted | PostFailed:
        """Send the POST whose intent is recorded, once, whatever the reply.

        Args:
            training: The resource, with the intent recorded.
            permit: The start permit.
            begun_at: Monotonic seconds at which writing the intent began.
        """
        armed: list[int] = []

        def check() -> None:
            armed.append(self.fence.arm(self._send_until(training, begun_at)))

        def disarm() -> None:
            for number in armed:
                self.fence.disarm(number)

        model_id, fingerprint = training.spec.model_id, permit.key.fingerprint
        log = logger.about(training, operation=Call.START, fingerprint=fingerprint)

        def warn_of(flaw: str) -> None:
            log.warning("the start was accepted; %s", flaw)

        async def post(on_rate_info: OnRateInfo) -> RemoteModel | None:
            try:
                # No byte leaves before the check, and none is held back after the check.
                async with self.shutdown.aborting(lambda: not armed):
                    return await self.client.run(
                        model_id,
                        permit.key,
                        before_send=check,
                        after_send=disarm,
                        on_rate=on_rate_info,
                        on_flaw=warn_of,
                    )
            except TimeoutError:
                if armed:
                    raise
                raise NotSentError(CallFailure(FailureKind.NOT_SENT, STOPPING)) from None

        try:
            model = await self.calls.make(model_id, permit.key, permit.quota_permit, post)
        except ScriptixError as error:
            again_in = self.calls.schedulers.wait(fingerprint, Call.START)
            return PostFailed(error.failure, again_in)
        finally:
            disarm()
        return Posted(model)

    def _send_until(self, training: Training, begun_at: float) -> float:
        """Monotonic seconds until which a start may be sent whose intent is recorded.

        Raises:
            StartHeldBackError: The start may not be sent.
        """
        now, lead = self.clock.monotonic(), self.send_until()
        margin = min(self.send_window * SEND_MARGIN, MAX_SEND_MARGIN)
        if now > begun_at + self.send_window - margin:
            late = now - begun_at
            raise StartHeldBackError(f"{late:.1f} s have passed since the intent was written")
        if now > lead - margin:
            raise StartHeldBackError("this process is not the leader any more, or not for long")
        known = self.store.get(training.key)
        if known is None or known.uid != training.uid or known.is_being_deleted:
            raise StartHeldBackError("the resource is deleted, or is being deleted")
        if self.shutdown.is_begun:
            raise StartHeldBackError(STOPPING)
        return min(begun_at + self.send_window, lead)
