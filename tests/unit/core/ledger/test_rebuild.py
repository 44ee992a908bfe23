"""core/ledger/rebuild.py: a lost start ledger, rebuilt from statuses."""

from datetime import timedelta

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Ownership
from scriptix_operator.api.status import HistoryEntry
from scriptix_operator.core.ledger.ledger import MAX_CHARGES, Ledger, pruned
from scriptix_operator.core.ledger.rebuild import rebuilt
from tests.unit.core.builders import EIGHT, KEY, a_run, a_status, a_training, at
from tests.unit.core.ledgers import READY, charges_of_key, starting


def test_without_any_run_there_is_nothing_to_rebuild() -> None:
    assert rebuilt([a_training(), a_training(name="radiology")], 7) == Ledger(serial=7)


def test_each_intent_becomes_an_in_flight_start() -> None:
    timed_out = starting(8)
    timed_out = timed_out.with_status(replace(timed_out.status, finished_at=at(hours=9)))
    ledger = rebuilt([starting(7, attempt=3), timed_out, starting(9, claimed_at=None)], 100)
    assert {n: (e.uid, e.attempt, e.baseline) for n, e in ledger.in_flight_starts.items()} == {
        7: ("uid-of-team-a-of-7", 3, READY),
        8: ("uid-of-team-a-of-8", 1, READY),
        9: ("uid-of-team-a-of-9", 1, READY),
    }
    # An in-flight start has the serial of its charge, which ages from the reply to the start.
    charges = {charge.model_id: charge.serial for charge in charges_of_key(ledger)}
    assert charges == {n: entry.serial for n, entry in ledger.in_flight_starts.items()}
    assert sorted(charges.values()) == [101, 102, 103]
    assert ledger.serial == 103


def test_a_waiting_rerun_hides_no_start_of_its_key() -> None:
    past = HistoryEntry(
        id="run-0",
        outcome="Succeeded",
        started_at=EIGHT,
        key_fingerprint=KEY.fingerprint,
        key_source=KEY.source,
    )
    waiting = a_training(status=a_status(run=a_run(), history=(past,)))
    (charge,) = rebuilt([waiting], 10).charges[KEY.fingerprint]
    assert (charge.key_source, charge.at) == (KEY.source, EIGHT)


def test_starts_in_statuses_are_charged_oldest_first() -> None:
    past = (
        HistoryEntry(id="run-3", attempt=2, started_at=at(minutes=3), outcome="Failed"),
        HistoryEntry(id="run-2", outcome="Failed"),
        HistoryEntry(id="run-1", started_at=at(minutes=1), outcome="Succeeded"),
    )
    run = a_run(
        id="run-4",
        ownership=Ownership.OWNED,
        claimed_at=at(minutes=4),
        key_fingerprint=KEY.fingerprint,
        key_source=KEY.source,
    )
    mine = a_training(uid="mine", status=a_status(run=run, history=past))
    other = starting(8, claimed_at=at(minutes=2))
    ledger = rebuilt([mine, other], 10)
    assert [(d.serial, d.id, d.at) for d in ledger.charges[KEY.fingerprint]] == [
        (11, "mine/run-1/1", at(minutes=1)),
        (12, "uid-of-team-a-of-8/run-1/1", at(minutes=2)),
        (13, "mine/run-3/2", at(minutes=3)),
        (14, "mine/run-4/1", at(minutes=4)),
    ]
    assert {charge.key_source for charge in charges_of_key(ledger)} == {KEY.source}
    assert ledger.in_flight_starts.keys() == {8}


@pytest.mark.parametrize(
    ("ownership", "counts"), [("Owned", 1), ("Unconfirmed", 1), ("Adopted", 0), (None, 1)]
)
def test_adopted_run_is_not_charged(ownership: str | None, counts: int) -> None:
    training = starting(intent=None, ownership=ownership)
    assert len(charges_of_key(rebuilt([training], 0))) == counts
    past = HistoryEntry(id="run-0", ownership=ownership, started_at=EIGHT, outcome="Failed")
    training = a_training(status=a_status(run=a_run(), history=(past,)))
    assert len(charges_of_key(rebuilt([training], 0))) == counts


@pytest.mark.parametrize("order", [1, -1])
def test_newer_of_two_intents_becomes_the_in_flight_start(order: int) -> None:
    old = a_training(name="old", status=starting(claimed_at=at(minutes=1)).status)
    new = a_training(name="new", status=starting(claimed_at=at(minutes=2)).status)
    ledger = rebuilt([old, new][::order], 0)
    assert ledger.in_flight_starts[7].name == "new"
    assert len(charges_of_key(ledger)) == 2


def test_rebuilt_ledger_fits_into_a_config_map() -> None:
    past = tuple(
        HistoryEntry(id=f"run-{n}", started_at=at(minutes=-n), outcome="Failed") for n in range(10)
    )
    status = replace(starting(intent=None).status, history=past)
    trainings = [a_training(name=f"t{n}", status=status) for n in range(300)]
    ledger = pruned(rebuilt(trainings, 0), EIGHT, timedelta(days=30))
    assert len(charges_of_key(ledger)) == MAX_CHARGES
    assert min(charge.at for charge in charges_of_key(ledger)) >= at(minutes=-3)
