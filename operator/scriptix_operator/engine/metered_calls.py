"""Calls to the Scriptix API, each with a permit; replies are counted, and limits observed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo, code_of
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.circuit_breaker import OpenCircuit
from scriptix_operator.core.scheduling.key_scheduler import Call
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.schedulers import Answer, KeySchedulers
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.log_fields import field_logger
from scriptix_operator.scriptix.errors import ScriptixError
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["MeteredCalls", "OnRateInfo"]

OnRateInfo = Callable[[RateLimitInfo], None]
"""Takes the rate-limit info of a reply."""

logger = field_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MeteredCalls:
    """Makes calls.

    Args:
        schedulers: The key schedulers, which granted the permits.
        ledger: Keeps observed limits.
        clock: The clocks.
        metrics: Counts each call.
    """

    schedulers: KeySchedulers
    ledger: StartLedger
    clock: Clock
    metrics: Metrics

    async def recall_limits(self, key: ApiKey) -> None:
        """Restore the observed limits of a key, once the ledger can be read, and its log calls.

        Log calls are restored from the statuses. Polls are not: there are so many that spacing them
        evenly in the first window suffices. A run that is followed is polled without the ledger,
        too.
        """
        if self.schedulers.has_recalled(key.fingerprint):
            return
        try:
            await self.ledger.document.ready()
        except KubeError as error:
            log = logger.about(fingerprint=key.fingerprint)
            log.debug("observed limits are not restored yet: %s", error)
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
        """Make a call under its permit.

        Args:
            call: The kind of call.
            model_id: The model.
            key: The API key.
            permit: The permit of the call.
            send: Makes the call, and hands on the rate-limit info of the reply.

        Raises:
            ScriptixError: The call failed.
        """
        begun, on_rate_info = self.clock.monotonic(), list[RateLimitInfo]()
        try:
            result = await send(on_rate_info.append)
        except ScriptixError as error:
            await self._answered(call, model_id, key, permit, begun, on_rate_info, error.failure)
            raise
        except BaseException as error:
            # A bug, or the end of this process: whether the call arrived is unknown.
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
        self.metrics.api_call(call, code_of(failure), self.clock.monotonic() - begun)
        rate_info = on_rate_info[0] if on_rate_info else None
        self._warn_of(rate_info, call, key)
        scheduler = self.schedulers.of(key.fingerprint)
        limiter = scheduler.limiters[call]
        circuit, known = scheduler.breaker.open_circuit, limiter.kept_limits
        answer = Answer(model_id, failure, rate_info)
        has_observed_limit = self.schedulers.answered(key.fingerprint, call, permit, answer)
        self._report_circuit(key, circuit, scheduler.breaker.open_circuit)
        if not has_observed_limit:
            return
        observed_limits = self.schedulers.observed_limits(key.fingerprint, call)
        self.metrics.limit_observed(call)
        log = logger.about(operation=call, fingerprint=key.fingerprint)
        if limiter.kept_limits != known:  # else the limits have only been confirmed
            limits = ", ".join(map(str, limiter.kept_limits)) or "as configured"
            log.info("%s: limit of %s calls is now %s", key.source, call.value, limits)
        try:
            await self.ledger.learn(key.fingerprint, call.value, observed_limits)
        except KubeError as error:
            log.warning("an observed limit is not kept across a restart: %s", error)

    def _report_circuit(
        self, key: ApiKey, before: OpenCircuit | None, after: OpenCircuit | None
    ) -> None:
        """Log that the circuit breaker of a key has opened, also for another cause, or closed."""
        log = logger.about(fingerprint=key.fingerprint)
        if after is not None and (before is None or before.since != after.since):
            text = "%s: the circuit breaker is open since %s: %s"
            log.warning(text, key.source, self._wall_time(after.since), after.failure.message)
        elif after is None and before is not None:
            text = "%s: the circuit breaker is closed, after it was open since %s"
            log.info(text, key.source, self._wall_time(before.since))

    def _wall_time(self, at: float) -> str:
        ago = timedelta(seconds=self.clock.monotonic() - at)
        return format_time(self.clock.now() - ago)

    def _warn_of(self, rate_info: RateLimitInfo | None, call: Call, key: ApiKey) -> None:
        """Log once that rate-limit info is invalid: each reply repeats it."""
        flawed = self.schedulers.of(key.fingerprint).flawed
        if rate_info is None or rate_info.flaw is None or call in flawed:
            return
        flawed.add(call)
        log = logger.about(operation=call, fingerprint=key.fingerprint)
        log.warning("%s: ignoring invalid rate-limit headers: %s", key.source, rate_info.flaw)
