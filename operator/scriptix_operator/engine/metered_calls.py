"""Calls to the Scriptix API, each paid for before; what comes of it is counted and learned from."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.key_scheduler import Call
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.schedulers import Answer, KeySchedulers
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.scriptix.errors import ScriptixError
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["MeteredCalls", "OnRateInfo"]

OnRateInfo = Callable[[RateLimitInfo], None]
"""Takes what a reply says of the limit."""

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MeteredCalls:
    """Makes calls.

    Args:
        schedulers: What each key may still do.
        ledger: Where learned limits are kept.
        clock: The clocks.
        metrics: Counts each call.
    """

    schedulers: KeySchedulers
    ledger: StartLedger
    clock: Clock
    metrics: Metrics

    async def recall_limits(self, key: ApiKey) -> None:
        """Take over what was learned of a key's limits before, as soon as the ledger can be read.

        And the log calls that statuses tell of; looks are so many that spending the first window
        evenly will do. A run that is followed needs no ledger: its calls are made all the same.
        """
        if self.schedulers.has_recalled(key.fingerprint):
            return
        try:
            await self.ledger.ready()
        except KubeError as error:
            logger.debug("learned limits are not recalled yet: %s", error)
        else:
            self.schedulers.learn(key.fingerprint, self.ledger.observed_limits(key.fingerprint))
            fetched = self.ledger.store.log_calls(key.fingerprint)
            self.schedulers.recall_logs(key.fingerprint, fetched)

    async def make(
        self,
        call: Call,
        model_id: int,
        key: ApiKey,
        permit: Permit,
        send: Callable[[OnRateInfo], Awaitable[T]],
    ) -> T:
        """Make a call that was taken from its allowance.

        Args:
            call: Its kind.
            model_id: The model it is about.
            key: The key it is made with.
            permit: It, as taken.
            send: Makes it, and hands on what the reply says of the limit.

        Raises:
            ScriptixError: It failed.
        """
        begun, on_rate_info = self.clock.monotonic(), list[RateLimitInfo]()
        try:
            result = await send(on_rate_info.append)
        except ScriptixError as error:
            await self._answered(call, model_id, key, permit, begun, on_rate_info, error.failure)
            raise
        except BaseException as error:
            # A bug, or the end of this process: whether it has arrived is not known.
            lost = CallFailure(FailureKind.AMBIGUOUS, type(error).__name__)
            await self._answered(call, model_id, key, permit, begun, on_rate_info, lost)
            raise
        await self._answered(call, model_id, key, permit, begun, on_rate_info, None)
        return result

    async def _answered(  # noqa: PLR0913, PLR0917 - all that is known of a call
        self,
        call: Call,
        model_id: int,
        key: ApiKey,
        permit: Permit,
        begun: float,
        on_rate_info: list[RateLimitInfo],
        failure: CallFailure | None,
    ) -> None:
        outcome = "OK" if failure is None else failure.kind.value
        self.metrics.api_call(call.value, outcome, self.clock.monotonic() - begun)
        rate_info = on_rate_info[0] if on_rate_info else None
        self._warn_of(rate_info, call, key)
        answer = Answer(model_id, failure, rate_info)
        if not self.schedulers.answered(key.fingerprint, call, permit, answer):
            return
        observed_limits = self.schedulers.observed_limits(key.fingerprint, call)
        self.metrics.limit_observed(call.value)
        try:
            await self.ledger.learn(key.fingerprint, call.value, observed_limits)
        except KubeError as error:
            logger.warning("a learned limit is not kept over a restart: %s", error)
        limits = (
            ", ".join(f"{one.count}/{one.seconds:g}s" for one in observed_limits) or "as configured"
        )
        logger.info("%s: limit of %s calls is now %s", key.source, call.value, limits)

    def _warn_of(self, rate_info: RateLimitInfo | None, call: Call, key: ApiKey) -> None:
        """Say once that what the API tells of a limit is nonsense: it comes with each reply."""
        flawed = self.schedulers.of(key.fingerprint).flawed
        if rate_info is None or rate_info.flaw is None or call in flawed:
            return
        flawed.add(call)
        logger.warning(
            "%s: the API's word on its limits is ignored: %s", key.source, rate_info.flaw
        )
