"""The start ledger: which starts were paid for, and which may be under way (DESIGN §4).

It decides; the intent in status explains. Pure: engine/ledger.py keeps one in a ConfigMap, written
by compare-and-set, so that of two processes that would start one model only one can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import Field

from scriptix_operator.api.base import ApiModel, replace
from scriptix_operator.api.status import Baseline, Run
from scriptix_operator.api.times import Time
from scriptix_operator.core.learned import Learned, LearnedLimits, kept
from scriptix_operator.core.remote import RemoteModel, TrainingState
from scriptix_operator.core.training import Training

__all__ = [
    "NO_ENTRY",
    "Debit",
    "Entry",
    "EntryOpenError",
    "Ledger",
    "Mark",
    "Settled",
    "closed",
    "debit_of",
    "entry_of",
    "opened",
    "pruned",
    "remembered",
    "spent",
    "taught",
]

MAX_DEBITS = 1000
"""Kept at most, the newest: 0.3 of the 1 MiB that a ConfigMap holds, 0.55 with the longest names.
Who allows more starts than that in one window has the API's own refusals after a restart."""

NO_ENTRY = 0
"""The serial of no entry: serials begin with 1."""
ONE_SECOND = timedelta(seconds=1)
V = TypeVar("V")


class Entry(ApiModel):
    """A start of a model that may be under way: its outcome is not known."""

    serial: int
    """Unique: a conclusion about one entry can never close another."""
    model_id: int
    uid: str
    """Of the resource; another of the same name has another."""
    namespace: str
    name: str
    run: str
    attempt: int
    nonce: str = ""
    """Of the intent."""
    baseline: Baseline
    """The model before the request's first attempt."""


class Debit(ApiModel):
    """A start that was taken from a key's allowance."""

    serial: int
    """Of the entry that was opened with it."""
    id: str
    """uid/run/attempt, for people."""
    model_id: int
    namespace: str
    key_source: str
    """Where the key came from: a key that is replaced there takes its debits along."""
    at: Time
    """When the reply was read, else when it was opened; it ages from here."""

    @property
    def attempt(self) -> int:
        """Number of the POST for its run, from 1."""
        number = self.id.rpartition("/")[2]
        return int(number) if number.isdecimal() else 1


class Mark(ApiModel):
    """The newest training of a model that is known of, by its run start time in polls."""

    at: Time | None = None
    """None: never trained, or never seen with a marker."""
    superseded: bool = False
    """A start has acted since, whose own run start time no poll has shown yet."""

    def outdates(self, model: RemoteModel) -> bool:
        """Whether a look shows the model as it was before: it decides nothing."""
        if self.superseded and model.started_at == self.at:
            return model.training_status in {TrainingState.NOT_READY, TrainingState.READY}
        return self.at is not None and model.started_at is not None and model.started_at < self.at


class Ledger(ApiModel):
    """What one installation has started."""

    serial: int = 0
    """Counts starts and leaders: a write that was decided before one of them is refused."""
    writer: str = ""
    """The process that wrote it last: two may want to write the same, and only one has."""
    debits: dict[str, tuple[Debit, ...]] = Field(default_factory=dict)
    """By key fingerprint, oldest first."""
    entries: dict[int, Entry] = Field(default_factory=dict)
    """By model."""
    marks: dict[int, Mark] = Field(default_factory=dict)
    """By model, of those with an entry or a debit; statuses hold the rest."""
    limits: LearnedLimits = Field(default_factory=dict)
    """What the API was found to allow, where that is less than is configured."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of the start that an entry stands for."""

    entry: Entry
    acted: bool
    """It has started a run."""
    marker: datetime | None = None
    """Run start time of that run, where a poll has shown it."""
    sent: bool = True
    """False: it has never left this machine, so it takes nothing from the allowance."""


class EntryOpenError(Exception):
    """A start of the model may be under way; this one must not be sent."""


def opened(ledger: Ledger, training: Training, now: datetime) -> tuple[Ledger, Entry]:
    """Debit the start whose intent `training` carries, and open its model's entry.

    Raises:
        EntryOpenError: One is open.
    """
    run, model_id = training.status.run, training.spec.model_id
    if run is None or run.intent is None or run.baseline is None:
        raise ValueError(f"{training.key} has no intent to start")
    there = ledger.entries.get(model_id)
    if there is not None:
        raise EntryOpenError(f"a start of model {model_id} has no known outcome yet")
    entry = entry_of(training, run, run.baseline, ledger.serial + 1)
    debit = debit_of(training, run, entry.serial, now)
    fingerprint = run.intent.key_fingerprint
    debits = (*ledger.debits.get(fingerprint, ()), debit)
    updated = replace(
        ledger,
        serial=entry.serial,
        entries={**ledger.entries, model_id: entry},
        debits={**ledger.debits, fingerprint: debits},
    )
    return updated, entry


def closed(ledger: Ledger, outcome: Settled, now: datetime) -> Ledger:
    """Close an entry whose outcome is known.

    Where it is not there any more (others have closed it) only what is known of the model counts.
    """
    entry, model_id = outcome.entry, outcome.entry.model_id
    there, entries, marks = ledger.entries.get(model_id), ledger.entries, ledger.marks
    if there is not None and there.serial == entry.serial:
        entries = _without(entries, model_id)
    if outcome.acted:
        mark = _newest(marks.get(model_id, Mark()), _mark_of(entry.baseline, outcome.marker))
        marks = {**marks, model_id: mark}
    debits = {
        fingerprint: tuple(
            replace(debit, at=_aging_from(now)) if debit.serial == entry.serial else debit
            for debit in group
            if outcome.sent or debit.serial != entry.serial
        )
        for fingerprint, group in ledger.debits.items()
    }
    return replace(ledger, entries=entries, marks=marks, debits=debits)


def pruned(ledger: Ledger, now: datetime, window: timedelta) -> Ledger:
    """Forget what is older than the window, and the marks that nothing here needs."""
    young = [
        (debit.serial, fingerprint, debit)
        for fingerprint, group in ledger.debits.items()
        for debit in group
        if debit.at > now - window
    ]
    debits: dict[str, tuple[Debit, ...]] = {}
    for _, fingerprint, debit in sorted(young, key=lambda item: item[0])[-MAX_DEBITS:]:
        debits[fingerprint] = (*debits.get(fingerprint, ()), debit)
    needed = {*ledger.entries, *(d.model_id for group in debits.values() for d in group)}
    marks = {model_id: mark for model_id, mark in ledger.marks.items() if model_id in needed}
    limits = kept(ledger.limits, now)
    return replace(ledger, debits=debits, marks=marks, limits=limits)


def taught(ledger: Ledger, fingerprint: str, call: str, learned: tuple[Learned, ...]) -> Ledger:
    """Keep what was learned of the limits of a key."""
    calls = {**ledger.limits.get(fingerprint, {}), call: learned}
    return replace(ledger, limits={**ledger.limits, fingerprint: calls})


def remembered(ledger: Ledger, model_id: int, now: datetime, window: timedelta) -> Mark | None:
    """The mark of a model, unless the next write will forget it: that may be long in coming."""
    mark = ledger.marks.get(model_id)
    needed = mark is not None and (
        model_id in ledger.entries
        or any(
            debit.model_id == model_id and debit.at > now - window
            for group in ledger.debits.values()
            for debit in group
        )
    )
    return mark if needed else None


def spent(ledger: Ledger, fingerprint: str, key_source: str) -> tuple[list[Debit], list[Debit]]:
    """The starts that count against a key.

    Returns:
        Those made with the key itself, and those made with others that its source held before.
    """
    before = [
        debit
        for other, group in ledger.debits.items()
        if other != fingerprint
        for debit in group
        if debit.key_source == key_source
    ]
    return list(ledger.debits.get(fingerprint, ())), before


def entry_of(training: Training, run: Run, baseline: Baseline, serial: int) -> Entry:
    """The entry of a start whose intent stands in status."""
    return Entry(
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


def debit_of(training: Training, run: Run, serial: int, at: datetime) -> Debit:
    """The debit of a start."""
    return Debit(
        serial=serial,
        id=f"{training.uid}/{run.id}/{run.attempt}",
        model_id=training.spec.model_id,
        namespace=training.key.namespace,
        key_source=run.key_source or "",
        at=_aging_from(at),
    )


def _aging_from(now: datetime) -> datetime:
    """Times are kept to the second: rounded up, so that no start ages early."""
    return now.replace(microsecond=0) + (ONE_SECOND if now.microsecond else timedelta(0))


def _mark_of(baseline: Baseline, marker: datetime | None) -> Mark:
    if marker is not None:
        return Mark(at=marker)
    return Mark(at=baseline.started_training_at, superseded=True)


def _newest(one: Mark, other: Mark) -> Mark:
    if one.at is None or other.at is None:
        return other if one.at is None else one
    return other if (other.at, other.superseded) > (one.at, one.superseded) else one


def _without(mapping: Mapping[int, V], key: int) -> dict[int, V]:
    return {k: v for k, v in mapping.items() if k != key}
