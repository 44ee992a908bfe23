"""Calls to the Scriptix API, each paid for before; what comes of it is counted and learned from."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from scriptix_operator.core.apikey import ApiKey
from scriptix_operator.core.lane import Call
from scriptix_operator.core.remote import CallFailure, FailureKind, RateTold
from scriptix_operator.core.spending import Ticket
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.lanes import Answer, Lanes
from scriptix_operator.engine.ledger import StartLedger
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.scriptix.errors import ScriptixError
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["Calls", "Heard"]

Heard = Callable[[RateTold], None]
"""Takes what a reply says of the limit."""

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Calls:
    """Makes calls.

    Args:
        lanes: What each key may still do.
        ledger: Where learned limits are kept.
        clock: The clocks.
        metrics: Counts each call.
    """

    lanes: Lanes
    ledger: StartLedger
    clock: Clock
    metrics: Metrics

    async def recall_limits(self, key: ApiKey) -> None:
        """Take over what was learned of a key's limits before, as soon as the ledger can be read.

        And the log calls that statuses tell of; looks are so many that spending the first window
        evenly will do. A run that is followed needs no ledger: its calls are made all the same.
        """
        if self.lanes.has_recalled(key.fingerprint):
            return
        try:
            await self.ledger.ready()
        except KubeError as error:
            logger.debug("learned limits are not recalled yet: %s", error)
        else:
            self.lanes.learn(key.fingerprint, self.ledger.learned(key.fingerprint))
            fetched = self.ledger.roster.log_calls(key.fingerprint)
            self.lanes.recall_logs(key.fingerprint, fetched)

    async def make(
        self,
        call: Call,
        model_id: int,
        key: ApiKey,
        ticket: Ticket,
        send: Callable[[Heard], Awaitable[T]],
    ) -> T:
        """Make a call that was taken from its allowance.

        Args:
            call: Its kind.
            model_id: The model it is about.
            key: The key it is made with.
            ticket: It, as taken.
            send: Makes it, and hands on what the reply says of the limit.

        Raises:
            ScriptixError: It failed.
        """
        begun, heard = self.clock.monotonic(), list[RateTold]()
        try:
            result = await send(heard.append)
        except ScriptixError as error:
            await self._answered(call, model_id, key, ticket, begun, heard, error.failure)
            raise
        except BaseException as error:
            # A bug, or the end of this process: whether it has arrived is not known.
            lost = CallFailure(FailureKind.AMBIGUOUS, type(error).__name__)
            await self._answered(call, model_id, key, ticket, begun, heard, lost)
            raise
        await self._answered(call, model_id, key, ticket, begun, heard, None)
        return result

    async def _answered(  # noqa: PLR0913, PLR0917 - all that is known of a call
        self,
        call: Call,
        model_id: int,
        key: ApiKey,
        ticket: Ticket,
        begun: float,
        heard: list[RateTold],
        failure: CallFailure | None,
    ) -> None:
        outcome = "OK" if failure is None else failure.kind.value
        self.metrics.api_call(call.value, outcome, self.clock.monotonic() - begun)
        told = heard[0] if heard else None
        self._warn_of(told, call, key)
        answer = Answer(model_id, failure, told)
        if not self.lanes.answered(key.fingerprint, call, ticket, answer):
            return
        learned = self.lanes.learned(key.fingerprint, call)
        self.metrics.limit_learned(call.value)
        try:
            await self.ledger.learn(key.fingerprint, call.value, learned)
        except KubeError as error:
            logger.warning("a learned limit is not kept over a restart: %s", error)
        limits = ", ".join(f"{one.count}/{one.seconds:g}s" for one in learned) or "as configured"
        logger.info("%s: limit of %s calls is now %s", key.source, call.value, limits)

    def _warn_of(self, told: RateTold | None, call: Call, key: ApiKey) -> None:
        """Say once that what the API tells of a limit is nonsense: it comes with each reply."""
        flawed = self.lanes.of(key.fingerprint).flawed
        if told is None or told.flaw is None or call in flawed:
            return
        flawed.add(call)
        logger.warning("%s: the API's word on its limits is ignored: %s", key.source, told.flaw)
