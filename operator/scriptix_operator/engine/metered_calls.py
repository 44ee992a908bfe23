"""Calls to the Scriptix API, each with a permit; replies are counted, and limits observed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo, code_of
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.circuit_breaker import OpenCircuit
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.quota_restore import QuotaRestore
from scriptix_operator.engine.schedulers import KeySchedulers
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
        quota_restore: Keeps observed limits.
        clock: The clocks.
        metrics: Counts each call.
    """

    schedulers: KeySchedulers
    quota_restore: QuotaRestore
    clock: Clock
    metrics: Metrics

    async def make(
        self,
        model_id: int,
        key: ApiKey,
        permit: CallPermit,
        send: Callable[[OnRateInfo], Awaitable[T]],
    ) -> T:
        """Make a call under its permit.

        Args:
            model_id: The model.
            key: The API key.
            permit: The permit of the call.
            send: Makes the call, and hands on the rate-limit info of the reply.

        Raises:
            ScriptixError: The call failed.
        """
        begun, rate_infos = self.clock.monotonic(), list[RateLimitInfo]()
        failure = None
        try:
            return await send(rate_infos.append)
        except ScriptixError as error:
            failure = error.failure
            raise
        except BaseException as error:
            # A bug, or the end of this process: whether the call arrived is unknown.
            failure = CallFailure(FailureKind.AMBIGUOUS, type(error).__name__)
            raise
        finally:
            seconds = self.clock.monotonic() - begun
            self.metrics.api_call(permit.call, code_of(failure), seconds)
            rate_info = rate_infos[0] if rate_infos else None
            await self._complete(key, permit, Answer(model_id, failure, rate_info))

    async def _complete(self, key: ApiKey, permit: CallPermit, answer: Answer) -> None:
        """Count a call, and keep the limits that were observed in its reply."""
        call, scheduler = permit.call, self.schedulers.of(key.fingerprint)
        self._warn_of(answer.rate_info, call, key, scheduler.invalid_rate_info)
        limiter = scheduler.limiters[call]
        circuit, known = scheduler.breaker.open_circuit, limiter.kept_limits
        has_observed_limit = self.schedulers.complete(key.fingerprint, permit, answer)
        if scheduler.breaker.open_circuit is not circuit:
            self._report_circuit(key, circuit, scheduler.breaker.open_circuit)
        if not has_observed_limit:
            return
        self.metrics.limit_observed(call)
        if limiter.kept_limits != known:  # else the limits have only been confirmed
            log = logger.about(operation=call, fingerprint=key.fingerprint)
            limits = ", ".join(map(str, limiter.kept_limits)) or "as configured"
            log.info("%s: limit of %s calls is now %s", key.source, call.value, limits)
        await self.quota_restore.keep_limits(key, call)

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

    @staticmethod
    def _warn_of(
        rate_info: RateLimitInfo | None, call: Call, key: ApiKey, known: set[Call]
    ) -> None:
        """Log once that rate-limit info is invalid: each reply repeats it."""
        if rate_info is None or rate_info.flaw is None or call in known:
            return
        known.add(call)
        log = logger.about(operation=call, fingerprint=key.fingerprint)
        log.warning("%s: ignoring invalid rate-limit headers: %s", key.source, rate_info.flaw)
