"""Start ledgers for the core's tests."""

from datetime import timedelta
from typing import Any

from scriptix_operator.api.status import Baseline, Intent
from scriptix_operator.core.ledger.ledger import Ledger, StartCharge
from scriptix_operator.core.model.training import Training
from tests.unit.core.builders import EIGHT, KEY, a_run, a_status, a_training

__all__ = ["BEFORE", "READY", "charges_of_key", "starting"]

BEFORE = EIGHT - timedelta(days=30)
READY = Baseline(training_status=2, started_training_at=BEFORE)


def starting(
    model_id: int = 7,
    *,
    key: str = KEY.fingerprint,
    source: str = KEY.source,
    **facts: Any,  # noqa: ANN401 - values of run fields
) -> Training:
    """A resource whose intent is recorded."""
    run = {
        "intent": Intent(attempt=1, at=EIGHT, key_fingerprint=key),
        "baseline": READY,
        "key_fingerprint": key,
        "key_source": source,
        "claimed_at": EIGHT,
        **facts,
    }
    return a_training(name=f"of-{model_id}", model_id=model_id, status=a_status(run=a_run(**run)))


def charges_of_key(ledger: Ledger) -> list[StartCharge]:
    """Return all in-flight starts."""
    return [charge for group in ledger.charges.values() for charge in group]
