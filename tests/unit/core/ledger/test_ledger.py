"""core/ledger/ledger.py: start quota charges and in-flight starts."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import Baseline
from scriptix_operator.core.ledger.ledger import (
    MAX_CHARGES,
    InFlightStart,
    LatestRun,
    Ledger,
    StartCharge,
    StartInFlightError,
    StartOutcome,
    charges_of,
    pruned,
    remembered,
    with_observed_limits,
    with_start_begun,
    with_start_resolved,
)
from scriptix_operator.core.ledger.observed_limits import KEPT, StoredLimit
from scriptix_operator.core.model.training import Training
from scriptix_operator.kube.ledger_config_map import dump
from tests.unit.core.builders import EIGHT, KEY, OTHER_KEY, a_model, a_training, at
from tests.unit.core.ledgers import BEFORE, READY, charges_of_key, starting

HOUR = timedelta(hours=1)


# Begin.


def test_start_is_charged_and_opened_under_one_serial() -> None:
    ledger, entry = with_start_begun(Ledger(serial=41), starting(attempt=2), at(seconds=3))
    assert entry == InFlightStart(
        serial=42,
        model_id=7,
        uid="uid-of-team-a-of-7",
        namespace="team-a",
        name="of-7",
        run="run-1",
        attempt=2,
        baseline=READY,
    )
    charge = StartCharge(
        serial=42,
        id="uid-of-team-a-of-7/run-1/2",
        model_id=7,
        namespace="team-a",
        key_source=KEY.source,
        at=at(seconds=3),
    )
    assert ledger == Ledger(
        serial=42, charges={KEY.fingerprint: (charge,)}, in_flight_starts={7: entry}
    )


def test_model_has_one_in_flight_start_at_most() -> None:
    ledger, _ = with_start_begun(Ledger(), starting(), EIGHT)
    for training in (starting(), starting(id="run-2"), starting(attempt=2)):
        with pytest.raises(StartInFlightError):
            with_start_begun(ledger, training, EIGHT)
    two, other = with_start_begun(ledger, starting(8), EIGHT)
    assert two.in_flight_starts == {**ledger.in_flight_starts, 8: other}


@pytest.mark.parametrize(
    "training",
    [a_training(), starting(intent=None), starting(baseline=None)],
    ids=["no run", "no intent", "no baseline"],
)
def test_a_start_without_an_intent_is_a_bug(training: Training) -> None:
    with pytest.raises(ValueError, match="has no intent to start"):
        with_start_begun(Ledger(), training, EIGHT)


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.booleans()), max_size=30))
def test_serials_are_unique_and_resolve_only_their_own_start(
    story: list[tuple[int, bool, bool]],
) -> None:
    """Each start has the same uid, run and attempt, as after an abort."""
    ledger, all_entries = Ledger(), [InFlightStart.model_validate(_an_entry(serial=0))]
    for model_id, acted, sent in story:
        before = ledger
        try:
            ledger, entry = with_start_begun(ledger, starting(model_id), EIGHT)
        except StartInFlightError:
            ledger = with_start_resolved(
                ledger, StartOutcome(ledger.in_flight_starts[model_id], acted, sent=sent), EIGHT
            )
            assert model_id not in ledger.in_flight_starts
        else:
            assert entry.serial > max(one.serial for one in all_entries)
            all_entries.append(entry)
        for old in all_entries:
            if old.serial not in {one.serial for one in ledger.in_flight_starts.values()}:
                assert (
                    with_start_resolved(ledger, StartOutcome(old, acted), EIGHT).in_flight_starts
                    == ledger.in_flight_starts
                )
        assert ledger.serial >= before.serial


def _an_entry(**facts: Any) -> dict[str, Any]:  # noqa: ANN401 - values of Entry's fields
    names = {"uid": "u", "namespace": "n", "name": "m", "run": "r", "attempt": 1}
    return {"serial": 1, "model_id": 7, "baseline": READY, **names, **facts}


# Resolve.


@pytest.mark.parametrize(
    ("answered", "ages_from"),
    [
        pytest.param(at(seconds=5), at(seconds=5), id="on the second"),
        pytest.param(at(seconds=5.000001), at(seconds=6), id="just after it"),
        pytest.param(at(seconds=5.999999), at(seconds=6), id="just before the next"),
    ],
)
def test_charge_ages_from_the_reply_and_never_early(
    answered: datetime, ages_from: datetime
) -> None:
    ledger, entry = with_start_begun(Ledger(), starting(), at(seconds=0.5))
    assert charges_of_key(ledger)[0].at == at(seconds=1)
    ledger = with_start_resolved(ledger, StartOutcome(entry, acted=True), answered)
    assert charges_of_key(ledger)[0].at == ages_from


@pytest.mark.parametrize("acted", [True, False])
def test_only_an_unsent_start_is_not_charged(
    acted: bool,  # noqa: FBT001 - both sides
) -> None:
    ledger, entry = with_start_begun(Ledger(), starting(), EIGHT)
    ledger, _ = with_start_begun(ledger, starting(8), EIGHT)
    assert (
        len(charges_of_key(with_start_resolved(ledger, StartOutcome(entry, acted=acted), EIGHT)))
        == 2
    )
    given_back = with_start_resolved(ledger, StartOutcome(entry, acted=False, sent=False), EIGHT)
    assert [charge.model_id for charge in charges_of_key(given_back)] == [8]


def test_resolving_one_start_leaves_the_others_in_flight() -> None:
    ledger, first = with_start_begun(Ledger(), starting(), EIGHT)
    ledger = with_start_resolved(ledger, StartOutcome(first, acted=False), EIGHT)
    ledger, second = with_start_begun(ledger, starting(), at(minutes=1))
    assert replace(second, serial=first.serial) == first
    late = with_start_resolved(ledger, StartOutcome(first, acted=False, sent=False), at(minutes=2))
    assert late.in_flight_starts == {7: second}
    assert [charge.serial for charge in charges_of_key(late)] == [second.serial]
    assert charges_of_key(late)[0].at == at(minutes=1)
    # The run start time of the model counts nevertheless.
    acted = with_start_resolved(
        ledger, StartOutcome(first, acted=True, run_start_time=EIGHT), at(minutes=2)
    )
    assert (acted.in_flight_starts, acted.latest_runs) == ({7: second}, {7: LatestRun(at=EIGHT)})


# Run start times.

OLDER, NEWER = EIGHT - HOUR, EIGHT + HOUR


@pytest.mark.parametrize(
    ("there", "baseline", "run_start_time", "latest_run"),
    [
        pytest.param(None, None, None, LatestRun(superseded=True), id="never trained before"),
        pytest.param(None, EIGHT, None, LatestRun(at=EIGHT, superseded=True), id="after another"),
        pytest.param(None, EIGHT, NEWER, LatestRun(at=NEWER), id="known"),
        pytest.param(LatestRun(at=EIGHT), OLDER, NEWER, LatestRun(at=NEWER), id="a newer one"),
        pytest.param(LatestRun(at=NEWER), OLDER, EIGHT, LatestRun(at=NEWER), id="an older one"),
        pytest.param(LatestRun(at=NEWER), EIGHT, None, LatestRun(at=NEWER), id="one before it"),
        pytest.param(
            LatestRun(at=EIGHT),
            EIGHT,
            None,
            LatestRun(at=EIGHT, superseded=True),
            id="one after it",
        ),
        pytest.param(
            LatestRun(at=EIGHT, superseded=True),
            OLDER,
            EIGHT,
            LatestRun(at=EIGHT, superseded=True),
            id="the one before, late",
        ),
        pytest.param(
            LatestRun(at=EIGHT, superseded=True), EIGHT, NEWER, LatestRun(at=NEWER), id="after it"
        ),
        pytest.param(LatestRun(superseded=True), None, EIGHT, LatestRun(at=EIGHT), id="the first"),
        pytest.param(LatestRun(at=EIGHT), None, None, LatestRun(at=EIGHT), id="one that says less"),
    ],
)
def test_newest_run_start_time_is_kept(
    there: LatestRun | None,
    baseline: datetime | None,
    run_start_time: datetime | None,
    latest_run: LatestRun,
) -> None:
    before = Baseline(training_status=2, started_training_at=baseline)
    ledger, entry = with_start_begun(Ledger(), starting(baseline=before), EIGHT)
    ledger = replace(ledger, latest_runs={8: LatestRun()} | ({7: there} if there else {}))
    done = with_start_resolved(
        ledger, StartOutcome(entry, acted=True, run_start_time=run_start_time), EIGHT
    )
    assert done.latest_runs == {7: latest_run, 8: LatestRun()}
    nothing = with_start_resolved(ledger, StartOutcome(entry, acted=False), EIGHT)
    assert nothing.latest_runs == ledger.latest_runs


@pytest.mark.parametrize(
    ("latest_run", "seen", "outdated"),
    [
        pytest.param(LatestRun(at=EIGHT), OLDER, set(range(-1, 7)), id="older"),
        pytest.param(LatestRun(at=EIGHT), EIGHT, set(), id="the same"),
        pytest.param(LatestRun(at=EIGHT), NEWER, set(), id="newer"),
        pytest.param(LatestRun(at=EIGHT), None, set(), id="absent"),
        pytest.param(LatestRun(), None, set(), id="nothing is known"),
        pytest.param(LatestRun(), OLDER, set(), id="nothing was known"),
        # A start has acted: a poll that shows the model idle before it is a stale read.
        pytest.param(LatestRun(at=EIGHT, superseded=True), EIGHT, {1, 2}, id="superseded"),
        pytest.param(
            LatestRun(at=EIGHT, superseded=True), OLDER, set(range(-1, 7)), id="long before"
        ),
        pytest.param(LatestRun(at=EIGHT, superseded=True), NEWER, set(), id="the run itself"),
        pytest.param(LatestRun(at=EIGHT, superseded=True), None, set(), id="superseded, absent"),
        pytest.param(
            LatestRun(superseded=True), None, {1, 2}, id="the first, without a run start time"
        ),
        pytest.param(LatestRun(superseded=True), EIGHT, set(), id="the first itself"),
    ],
)
def test_poll_before_the_newest_run_is_a_stale_read(
    latest_run: LatestRun, seen: datetime | None, outdated: set[int]
) -> None:
    polls = {state: a_model(state, started_at=seen) for state in range(-1, 7)}
    assert {state for state, poll in polls.items() if latest_run.outdates(poll)} == outdated


# Expiry.


def test_charge_is_kept_for_one_window() -> None:
    ledger, entry = with_start_begun(Ledger(), starting(), EIGHT)
    ledger = with_start_resolved(ledger, StartOutcome(entry, acted=True), EIGHT)
    assert pruned(ledger, at(minutes=59, seconds=59), HOUR) == ledger
    assert pruned(ledger, at(hours=1), HOUR) == Ledger(serial=entry.serial)


def test_run_start_time_is_kept_while_a_start_or_charge_is() -> None:
    ledger, entry = with_start_begun(Ledger(), starting(), EIGHT)
    latest_runs = {7: LatestRun(at=BEFORE), 8: LatestRun(at=BEFORE)}
    ledger = replace(ledger, latest_runs=latest_runs)
    late = at(hours=99)
    assert (
        pruned(ledger, EIGHT, HOUR).latest_runs
        == pruned(ledger, late, HOUR).latest_runs
        == {7: latest_runs[7]}
    )
    assert (pruned(ledger, late, HOUR).charges, pruned(ledger, late, HOUR).in_flight_starts) == (
        {},
        {7: entry},
    )
    done = with_start_resolved(ledger, StartOutcome(entry, acted=False), EIGHT)
    assert pruned(done, EIGHT, HOUR).latest_runs == {7: latest_runs[7]}
    assert pruned(done, late, HOUR).latest_runs == {}


@given(st.sets(st.integers(1, 3)), st.sets(st.integers(1, 3)), st.integers(0, 7200))
def test_state_in_use_is_what_the_next_write_would_keep(
    charged: set[int], still_open: set[int], seconds: int
) -> None:
    ledger = Ledger()
    for model_id in sorted(charged | still_open):
        ledger, entry = with_start_begun(ledger, starting(model_id), at(minutes=model_id))
        if model_id not in still_open:
            ledger = with_start_resolved(
                ledger, StartOutcome(entry, acted=True), at(minutes=model_id)
            )
    ledger = replace(ledger, latest_runs={n: LatestRun(at=BEFORE) for n in range(1, 4)})
    now = at(seconds=seconds)
    kept = pruned(ledger, now, HOUR).latest_runs
    for model_id in range(1, 5):
        assert remembered(ledger, model_id, now, HOUR) == kept.get(model_id)


def test_newest_charges_are_kept_in_order_for_all_keys() -> None:
    ledger = Ledger()
    for number in range(MAX_CHARGES + 3):
        training = starting(number + 1, key=f"key-{number % 2}")
        ledger, _ = with_start_begun(ledger, training, EIGHT)
    kept = pruned(ledger, EIGHT, HOUR)
    assert sorted(charge.serial for charge in charges_of_key(kept)) == list(
        range(4, MAX_CHARGES + 4)
    )
    assert [charge.serial for charge in kept.charges["key-1"]] == list(range(4, MAX_CHARGES + 4, 2))
    assert kept.in_flight_starts == ledger.in_flight_starts


# Quotas.


def test_new_key_takes_over_the_charges_of_its_source() -> None:
    ledger = Ledger()
    for model_id, key, source in (
        (1, KEY.fingerprint, KEY.source),
        (2, KEY.fingerprint, "elsewhere"),
        (3, OTHER_KEY.fingerprint, KEY.source),
        (4, OTHER_KEY.fingerprint, "elsewhere"),
    ):
        ledger, _ = with_start_begun(ledger, starting(model_id, key=key, source=source), EIGHT)

    def models(fingerprint: str, source: str) -> tuple[list[int], list[int]]:
        own, before = charges_of(ledger, fingerprint, source)
        return [charge.model_id for charge in own], [charge.model_id for charge in before]

    assert models(KEY.fingerprint, KEY.source) == ([1, 2], [3])
    assert models(OTHER_KEY.fingerprint, KEY.source) == ([3, 4], [1])
    assert models("a new one", KEY.source) == ([], [1, 3])
    assert models("a new one", "and a new source") == ([], [])


# Observed limits.


def observed_limits(count: int) -> StoredLimit:
    """A limit that was observed at eight."""
    return StoredLimit(seconds=3600.0, count=count, at=EIGHT, clean_windows=24.0)


def test_ledger_keeps_the_last_observed_limits_of_each_operation() -> None:
    ledger = with_observed_limits(Ledger(), "one", "start", (observed_limits(3),))
    ledger = with_observed_limits(ledger, "one", "log", (observed_limits(9),))
    ledger = with_observed_limits(ledger, "two", "start", (observed_limits(1),))
    ledger = with_observed_limits(ledger, "one", "start", (observed_limits(2), observed_limits(20)))
    assert ledger.limits == {
        "one": {"start": (observed_limits(2), observed_limits(20)), "log": (observed_limits(9),)},
        "two": {"start": (observed_limits(1),)},
    }
    assert pruned(ledger, EIGHT, HOUR).limits == ledger.limits
    ledger = with_observed_limits(ledger, "two", "start", ())
    assert pruned(ledger, EIGHT, HOUR).limits.keys() == {"one"}
    assert pruned(ledger, EIGHT + KEPT, HOUR).limits == {}


# Serialization.


def test_ledger_is_equal_after_a_round_trip() -> None:
    ledger, _ = with_start_begun(Ledger(), starting(), at(seconds=0.5))
    ledger, entry = with_start_begun(
        ledger, starting(8, baseline=Baseline(training_status=2)), EIGHT
    )
    ledger = with_start_resolved(ledger, StartOutcome(entry, acted=True), at(seconds=0.25))
    assert ledger.latest_runs == {8: LatestRun(superseded=True)}
    read = Ledger.model_validate_json(dump(ledger))
    assert read == ledger
    assert list(read.in_flight_starts) == [7]


@pytest.mark.parametrize(
    ("namespace", "source", "at_most"),
    [
        pytest.param(
            "team-cardiology", "Secret/team-cardiology/scriptix-api-key/api-key", 320, id="common"
        ),
        pytest.param("n" * 63, f"Secret/{'n' * 63}/{'s' * 100}/{'k' * 81}", 640, id="longest"),
    ],
)
def test_ledger_with_full_windows_fits_into_a_config_map(
    namespace: str, source: str, at_most: int
) -> None:
    """Of 10,000 resources: 1000 charges, 64 in-flight starts. Measured: 289 kB and 559 kB."""
    status = starting(source=source).status
    names = [f"{'m' * (len(namespace) * 4 - 6)}{number:05}" for number in range(10_000)]
    uids = [f"0f8fad5b-d9cb-469f-a165-{number:012}" for number in range(10_000)]
    ledger = Ledger(serial=1_732_000_000_000)
    for number in range(10_000):
        training = a_training(
            name=names[number],
            namespace=namespace,
            uid=uids[number],
            model_id=1_000_000 + number,
            status=status,
        )
        ledger, entry = with_start_begun(ledger, training, EIGHT)
        if number < 10_000 - 64:
            ledger = with_start_resolved(
                ledger, StartOutcome(entry, acted=True, run_start_time=EIGHT), EIGHT
            )
        if len(ledger.in_flight_starts) + len(ledger.latest_runs) > 2 * MAX_CHARGES:
            ledger = pruned(ledger, EIGHT, HOUR)
    text = dump(pruned(ledger, EIGHT, HOUR))
    assert len(text) < at_most * 1024


def test_ledger_with_an_unknown_field_cannot_be_read() -> None:
    """Another version may keep its in-flight starts there."""
    with pytest.raises(ValidationError, match="entries"):
        Ledger.model_validate_json('{"serial": 3, "entries": {"7": {}}}')
