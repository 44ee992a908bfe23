"""What is known of the quotas of a key outlives the process: observed limits, starts, log calls.

The start ledger has the observed limits and the starts, and the statuses have the log calls. Polls
are not kept: there are so many that spacing them evenly in the first window suffices.
"""

from dataclasses import dataclass
from datetime import datetime

from scriptix_operator.core.ledger.observed_limits import restored_limits, stored_limits
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.ratelimit.window import PastCall
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.log_fields import field_logger

__all__ = ["QuotaRestore"]

logger = field_logger(__name__)


@dataclass(frozen=True, slots=True)
class QuotaRestore:
    """Restores the use and the limits of quotas, and keeps new limits.

    Args:
        schedulers: The key schedulers.
        ledger: Keeps observed limits and starts.
        clock: The clocks.
    """

    schedulers: KeySchedulers
    ledger: StartLedger
    clock: Clock

    async def restore(self, key: ApiKey) -> None:
        """Restore the observed limits of a key, once the ledger can be read, and its log calls.

        A run that is followed is polled without the ledger, too.
        """
        scheduler = self.schedulers.of(key.fingerprint)
        if scheduler.has_restored_limits:
            return
        try:
            await self.ledger.document.ready()
        except KubeError as error:
            log = logger.about(fingerprint=key.fingerprint)
            log.debug("observed limits are not restored yet: %s", error)
            return
        scheduler.has_restored_limits = True
        wall, now = self.clock.now(), self.clock.monotonic()
        observed_limits = self.ledger.observed_limits(key.fingerprint)
        for call, limiter in scheduler.limiters.items():
            limiter.restore_limits(restored_limits(observed_limits.get(call, ()), wall, now))
        fetched = self.ledger.store.log_calls(key.fingerprint)
        scheduler.limiters[Call.LOG].restore(PastCall(self._monotonic(at)) for at in fetched)

    def restore_starts(self, key: ApiKey) -> None:
        """Charge the starts that earlier processes made, once for each Secret that holds the key.

        Starts made with this key are charged once, however many Secrets hold the key; those made
        with the keys that the Secret held before are charged to this key, too.
        """
        scheduler = self.schedulers.of(key.fingerprint)
        if key.source in scheduler.charged_sources:
            return
        own, before = self.ledger.charges_of(key.fingerprint, key.source)
        charges = before if scheduler.charged_sources else [*before, *own]
        scheduler.charged_sources.add(key.source)
        scheduler.limiters[Call.START].restore(
            PastCall(self._monotonic(charge.at), charge.namespace) for charge in charges
        )

    async def keep_limits(self, key: ApiKey, call: Call) -> None:
        """Keep the limits that were observed in a reply."""
        limiter = self.schedulers.of(key.fingerprint).limiters[call]
        observed_limits = stored_limits(
            limiter.observed_limits, self.clock.now(), self.clock.monotonic()
        )
        try:
            await self.ledger.learn(key.fingerprint, call.value, observed_limits)
        except KubeError as error:
            log = logger.about(operation=call, fingerprint=key.fingerprint)
            log.warning("an observed limit is not kept across a restart: %s", error)

    def _monotonic(self, at: datetime) -> float:
        # A charge in the future was written by a clock that is ahead of this one.
        ago = max((self.clock.now() - at).total_seconds(), 0.0)
        return self.clock.monotonic() - ago
