"""The start ledger: which starts were charged, and which may be in flight (docs/start-protocol.md).

The ledger decides whether a start may have been sent; the intent in status explains the start. This
module is pure: engine/start_ledger.py keeps the ledger in a ConfigMap, written by compare-and-set,
so that of two processes that would start one model only one can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ConfigDict, Field

from scriptix_operator.api.base import ApiModel, replace
from scriptix_operator.api.status import Baseline, Run
from scriptix_operator.api.times import Time
from scriptix_operator.core.ledger.observed_limits import StoredLimit, StoredLimits, kept
from scriptix_operator.core.model.remote import RemoteModel, TrainingState
from scriptix_operator.core.model.training import Training

__all__ = [
    "NO_START",
    "InFlightStart",
    "LatestRun",
    "Ledger",
    "StartCharge",
    "StartInFlightError",
    "StartOutcome",
    "charge_of",
    "charges_of",
    "in_flight_start_of",
    "pruned",
    "remembered",
    "with_observed_limits",
    "with_start_begun",
    "with_start_resolved",
]

MAX_CHARGES = 1000
"""Most charges kept, the newest: 0.3 of the 1 MiB that a ConfigMap holds, 0.55 with the longest
names. With a quota of more starts in one window, the API may refuse starts after a restart."""

NO_START = 0
"""The serial of no in-flight start: serials begin with 1."""
ONE_SECOND = timedelta(seconds=1)
V = TypeVar("V")


class InFlightStart(ApiModel):
    """A start of a model without a known outcome."""

    serial: int
    """Unique: the outcome of one in-flight start can never resolve another."""
    model_id: int
    uid: str
    """The uid of the resource; a re-created resource has another uid."""
    namespace: str
    name: str
    run: str
    attempt: int
    nonce: str = ""
    """The nonce of the intent."""
    baseline: Baseline
    """The model before the first attempt of the run. Later attempts of the run keep it."""


class StartCharge(ApiModel):
    """A start that counts against a key's start quota."""

    serial: int
    """The serial of the in-flight start that was begun with the charge."""
    id: str
    """uid/run/attempt, for people."""
    model_id: int
    namespace: str
    key_source: str
    """Where the key came from: charges of a replaced key count against its successor."""
    at: Time
    """When the reply was read, else when the start was begun; the charge ages from this time."""


class LatestRun(ApiModel):
    """The newest known run of a model, by its polled run start time."""

    at: Time | None = None
    """The run start time; None: never trained, or never polled with a run start time."""
    superseded: bool = False
    """A later start has acted, whose run start time no poll has shown yet."""

    def outdates(self, model: RemoteModel) -> bool:
        """Whether a poll is a stale read, which shows the model as it was before this run."""
        if self.superseded and model.started_at == self.at:
            return model.training_status in {TrainingState.NOT_READY, TrainingState.READY}
        return self.at is not None and model.started_at is not None and model.started_at < self.at


class Ledger(ApiModel):
    """The starts of one installation.

    A ledger with an unknown field cannot be read, and is rebuilt from statuses: another version may
    keep its in-flight starts in that field, and a start that nobody knows of would be sent again.
    """

    model_config = ConfigDict(extra="forbid")

    serial: int = 0
    """Grows with each start and each take-over."""
    writer: str = ""
    """The process that wrote the ledger last: tells equal writes of two processes apart."""
    charges: dict[str, tuple[StartCharge, ...]] = Field(default_factory=dict)
    """Charges by key fingerprint, oldest first."""
    in_flight_starts: dict[int, InFlightStart] = Field(default_factory=dict)
    """In-flight starts by model."""
    latest_runs: dict[int, LatestRun] = Field(default_factory=dict)
    """Latest runs by model, of models with an in-flight start or a charge; statuses hold others."""
    limits: StoredLimits = Field(default_factory=dict)
    """Observed limits that are stricter than the configured ones."""


@dataclass(frozen=True, slots=True)
class StartOutcome:
    """The outcome of an in-flight start."""

    in_flight: InFlightStart
    acted: bool
    """The start has begun a run."""
    run_start_time: datetime | None = None
    """The run start time of that run, where a poll has shown it."""
    sent: bool = True
    """False: the start was never sent, so its charge is returned."""


class StartInFlightError(Exception):
    """A start of the model may be in flight; another start must not be sent."""


def with_start_begun(
    ledger: Ledger, training: Training, now: datetime, superseded: int = NO_START
) -> tuple[Ledger, InFlightStart]:
    """Charge the start whose intent `training` carries, and begin its in-flight start.

    Args:
        ledger: The ledger.
        training: The resource.
        now: UTC.
        superseded: Serial of an in-flight start whose place the new one takes.

    Raises:
        StartInFlightError: The model has an in-flight start.
    """
    run, model_id = training.status.run, training.spec.model_id
    if run is None or run.intent is None or run.baseline is None:
        raise ValueError(f"{training.key} has no intent to start")
    there = ledger.in_flight_starts.get(model_id)
    if there is not None and there.serial != superseded:
        raise StartInFlightError(f"a start of model {model_id} has no known outcome yet")
    in_flight = in_flight_start_of(training, run, run.baseline, ledger.serial + 1)
    charge = charge_of(training, run, in_flight.serial, now)
    fingerprint = run.intent.key_fingerprint
    charges = (*ledger.charges.get(fingerprint, ()), charge)
    updated = replace(
        ledger,
        serial=in_flight.serial,
        in_flight_starts={**ledger.in_flight_starts, model_id: in_flight},
        charges={**ledger.charges, fingerprint: charges},
    )
    return updated, in_flight


def with_start_resolved(ledger: Ledger, outcome: StartOutcome, now: datetime) -> Ledger:
    """Resolve an in-flight start whose outcome is known.

    Where another process has resolved the in-flight start, only the model's latest run and the
    charge of this start change.
    """
    in_flight, model_id = outcome.in_flight, outcome.in_flight.model_id
    there, in_flight_starts, latest_runs = (
        ledger.in_flight_starts.get(model_id),
        ledger.in_flight_starts,
        ledger.latest_runs,
    )
    if there is not None and there.serial == in_flight.serial:
        in_flight_starts = _without(in_flight_starts, model_id)
    if outcome.acted:
        latest_run = _newest(
            latest_runs.get(model_id, LatestRun()),
            _latest_run_of(in_flight.baseline, outcome.run_start_time),
        )
        latest_runs = {**latest_runs, model_id: latest_run}
    charges = {
        fingerprint: tuple(
            replace(charge, at=_aging_from(now)) if charge.serial == in_flight.serial else charge
            for charge in group
            if outcome.sent or charge.serial != in_flight.serial
        )
        for fingerprint, group in ledger.charges.items()
    }
    return replace(
        ledger, in_flight_starts=in_flight_starts, latest_runs=latest_runs, charges=charges
    )


def pruned(ledger: Ledger, now: datetime, window: timedelta) -> Ledger:
    """Drop charges that are older than the window, and latest runs that nothing here needs."""
    young = [
        (charge.serial, fingerprint, charge)
        for fingerprint, group in ledger.charges.items()
        for charge in group
        if charge.at > now - window
    ]
    charges: dict[str, tuple[StartCharge, ...]] = {}
    for _, fingerprint, charge in sorted(young, key=lambda item: item[0])[-MAX_CHARGES:]:
        charges[fingerprint] = (*charges.get(fingerprint, ()), charge)
    needed = {*ledger.in_flight_starts, *(d.model_id for group in charges.values() for d in group)}
    latest_runs = {
        model_id: latest_run
        for model_id, latest_run in ledger.latest_runs.items()
        if model_id in needed
    }
    limits = kept(ledger.limits, now)
    return replace(ledger, charges=charges, latest_runs=latest_runs, limits=limits)


def with_observed_limits(
    ledger: Ledger, fingerprint: str, call: str, observed: tuple[StoredLimit, ...]
) -> Ledger:
    """With the observed limits of a key."""
    calls = {**ledger.limits.get(fingerprint, {}), call: observed}
    return replace(ledger, limits={**ledger.limits, fingerprint: calls})


def remembered(ledger: Ledger, model_id: int, now: datetime, window: timedelta) -> LatestRun | None:
    """The latest run of a model, unless the next write will drop it, which may be much later."""
    latest_run = ledger.latest_runs.get(model_id)
    needed = latest_run is not None and (
        model_id in ledger.in_flight_starts
        or any(
            charge.model_id == model_id and charge.at > now - window
            for group in ledger.charges.values()
            for charge in group
        )
    )
    return latest_run if needed else None


def charges_of(
    ledger: Ledger, fingerprint: str, key_source: str
) -> tuple[list[StartCharge], list[StartCharge]]:
    """The starts that count against a key.

    Returns:
        The starts with the key itself, and the starts with earlier keys of its source.
    """
    before = [
        charge
        for other, group in ledger.charges.items()
        if other != fingerprint
        for charge in group
        if charge.key_source == key_source
    ]
    return list(ledger.charges.get(fingerprint, ())), before


def in_flight_start_of(
    training: Training, run: Run, baseline: Baseline, serial: int
) -> InFlightStart:
    """The in-flight start of the intent in status."""
    return InFlightStart(
        serial=serial,
        model_id=training.spec.model_id,
        uid=training.uid,
        namespace=training.key.namespace,
        name=training.key.name,
        run=run.id,
        attempt=run.attempt,
        nonce=run.intent.nonce if run.intent else "",
        baseline=baseline,
    )


def charge_of(training: Training, run: Run, serial: int, at: datetime) -> StartCharge:
    """The quota charge of a start."""
    return StartCharge(
        serial=serial,
        id=f"{training.uid}/{run.id}/{run.attempt}",
        model_id=training.spec.model_id,
        namespace=training.key.namespace,
        key_source=run.key_source or "",
        at=_aging_from(at),
    )


def _aging_from(now: datetime) -> datetime:
    """The time to the second, rounded up, so that no charge ages early."""
    return now.replace(microsecond=0) + (ONE_SECOND if now.microsecond else timedelta(0))


def _latest_run_of(baseline: Baseline, run_start_time: datetime | None) -> LatestRun:
    if run_start_time is not None:
        return LatestRun(at=run_start_time)
    return LatestRun(at=baseline.started_training_at, superseded=True)


def _newest(one: LatestRun, other: LatestRun) -> LatestRun:
    if one.at is None or other.at is None:
        return other if one.at is None else one
    return other if (other.at, other.superseded) > (one.at, one.superseded) else one


def _without(mapping: Mapping[int, V], key: int) -> dict[int, V]:
    return {k: v for k, v in mapping.items() if k != key}
