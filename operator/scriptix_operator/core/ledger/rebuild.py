"""A lost start ledger, rebuilt from the statuses of all resources."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from scriptix_operator.api.reasons import Ownership
from scriptix_operator.api.status import Run
from scriptix_operator.core.ledger.ledger import (
    InFlightStart,
    Ledger,
    StartCharge,
    charge_of,
    in_flight_start_of,
)
from scriptix_operator.core.model.training import Training

__all__ = ["rebuilt"]


def rebuilt(trainings: Iterable[Training], serial: int) -> Ledger:
    """A lost ledger, rebuilt from statuses: each intent may be an in-flight start.

    Args:
        trainings: All resources.
        serial: The serial to continue from: above all serials of the lost ledger.
    """
    known = [(t, t.status.run) for t in trainings if t.status.run is not None]
    starts = [start for training, run in known for start in _starts(training, run)]
    charges: dict[str, tuple[StartCharge, ...]] = {}
    in_flight_starts: dict[int, InFlightStart] = {}
    for start in sorted(starts, key=lambda start: start.at):
        serial += 1
        fingerprint = start.run.key_fingerprint or ""
        charge = charge_of(start.training, start.run, serial, start.at)
        charges[fingerprint] = (*charges.get(fingerprint, ()), charge)
        if start.run.intent is not None and start.run.baseline is not None:
            # Of two intents for one model the newer is kept. The wait for its outcome begins now,
            # and is long enough for a POST of the older one, too.
            entry = in_flight_start_of(start.training, start.run, start.run.baseline, serial)
            in_flight_starts[entry.model_id] = entry
    return Ledger(serial=serial, charges=charges, in_flight_starts=in_flight_starts)


@dataclass(frozen=True, slots=True)
class _Start:
    """A start that a status records."""

    training: Training
    run: Run
    """The run, with its id, its attempt and its key, as far as known."""
    at: datetime


def _starts(training: Training, run: Run) -> Iterator[_Start]:
    """The starts that a resource records; those of earlier runs by the API's clock."""
    for entry in training.status.history:
        if entry.started_at is not None and entry.ownership != Ownership.ADOPTED:
            earlier = Run(
                id=entry.id,
                attempt=entry.attempt,
                # Entries of earlier versions name no key, and a run that waits has none yet.
                key_source=entry.key_source or run.key_source,
                key_fingerprint=entry.key_fingerprint or run.key_fingerprint,
            )
            yield _Start(training, earlier, entry.started_at)
    at = run.claimed_at or (run.intent.at if run.intent else None)
    if at is not None and run.ownership != Ownership.ADOPTED:
        yield _Start(training, run, at)
