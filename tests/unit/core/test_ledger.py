"""core/ledger.py: what was paid for, and what may be under way."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import Baseline
from scriptix_operator.core.learned import KEPT, Learned
from scriptix_operator.core.ledger import (
    MAX_DEBITS,
    Debit,
    Entry,
    EntryOpenError,
    Ledger,
    Mark,
    Settled,
    closed,
    opened,
    pruned,
    remembered,
    spent,
    taught,
)
from scriptix_operator.core.training import Training
from scriptix_operator.kube.ledger import dump
from tests.unit.core.builders import EIGHT, KEY, OTHER_KEY, a_model, a_training, at
from tests.unit.core.ledgers import BEFORE, READY, debits_of, starting

HOUR = timedelta(hours=1)


# Opening.


def test_a_start_is_debited_and_its_models_entry_opened_under_one_number() -> None:
    ledger, entry = opened(Ledger(serial=41), starting(attempt=2), at(seconds=3))
    assert entry == Entry(
        serial=42,
        model_id=7,
        uid="uid-of-team-a-of-7",
        namespace="team-a",
        name="of-7",
        run="run-1",
        attempt=2,
        baseline=READY,
    )
    debit = Debit(
        serial=42,
        id="uid-of-team-a-of-7/run-1/2",
        model_id=7,
        namespace="team-a",
        key_source=KEY.source,
        at=at(seconds=3),
    )
    assert ledger == Ledger(serial=42, debits={KEY.fingerprint: (debit,)}, entries={7: entry})


@pytest.mark.parametrize(
    ("name", "attempt"), [("u/r/1", 1), ("u/r/12", 12), ("u/r/", 1), ("u/r/x", 1), ("", 1)]
)
def test_a_debit_tells_which_attempt_it_was_for(name: str, attempt: int) -> None:
    ledger, _ = opened(Ledger(), starting(attempt=4), EIGHT)
    (debit,) = debits_of(ledger)
    assert debit.attempt == 4
    assert replace(debit, id=name).attempt == attempt


def test_a_model_with_an_open_entry_gets_no_second_one_whoever_asks() -> None:
    ledger, _ = opened(Ledger(), starting(), EIGHT)
    for training in (starting(), starting(id="run-2"), starting(attempt=2)):
        with pytest.raises(EntryOpenError):
            opened(ledger, training, EIGHT)
    two, other = opened(ledger, starting(8), EIGHT)
    assert two.entries == {**ledger.entries, 8: other}


@pytest.mark.parametrize(
    "training",
    [a_training(), starting(intent=None), starting(baseline=None)],
    ids=["no run", "no intent", "no baseline"],
)
def test_a_start_without_an_intent_is_a_bug(training: Training) -> None:
    with pytest.raises(ValueError, match="has no intent to start"):
        opened(Ledger(), training, EIGHT)


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.booleans()), max_size=30))
def test_a_number_is_never_given_twice_and_a_conclusion_closes_its_own_entry_only(
    story: list[tuple[int, bool, bool]],
) -> None:
    """Each start has the same uid, run and attempt: after a withdrawal that is so."""
    ledger, all_entries = Ledger(), [Entry.model_validate(_an_entry(serial=0))]
    for model_id, acted, sent in story:
        before = ledger
        try:
            ledger, entry = opened(ledger, starting(model_id), EIGHT)
        except EntryOpenError:
            ledger = closed(ledger, Settled(ledger.entries[model_id], acted, sent=sent), EIGHT)
            assert model_id not in ledger.entries
        else:
            assert entry.serial > max(one.serial for one in all_entries)
            all_entries.append(entry)
        for old in all_entries:
            if old.serial not in {one.serial for one in ledger.entries.values()}:
                assert closed(ledger, Settled(old, acted), EIGHT).entries == ledger.entries
        assert ledger.serial >= before.serial


def _an_entry(**facts: Any) -> dict[str, Any]:  # noqa: ANN401 - values of Entry's fields
    names = {"uid": "u", "namespace": "n", "name": "m", "run": "r", "attempt": 1}
    return {"serial": 1, "model_id": 7, "baseline": READY, **names, **facts}


# Closing.


@pytest.mark.parametrize(
    ("answered", "ages_from"),
    [
        pytest.param(at(seconds=5), at(seconds=5), id="on the second"),
        pytest.param(at(seconds=5.000001), at(seconds=6), id="just after it"),
        pytest.param(at(seconds=5.999999), at(seconds=6), id="just before the next"),
    ],
)
def test_a_debit_ages_from_the_answer_and_never_early(
    answered: datetime, ages_from: datetime
) -> None:
    ledger, entry = opened(Ledger(), starting(), at(seconds=0.5))
    assert debits_of(ledger)[0].at == at(seconds=1)
    ledger = closed(ledger, Settled(entry, acted=True), answered)
    assert debits_of(ledger)[0].at == ages_from


@pytest.mark.parametrize("acted", [True, False])
def test_only_a_start_that_was_never_sent_takes_nothing_from_the_allowance(
    acted: bool,  # noqa: FBT001 - both sides
) -> None:
    ledger, entry = opened(Ledger(), starting(), EIGHT)
    ledger, _ = opened(ledger, starting(8), EIGHT)
    assert len(debits_of(closed(ledger, Settled(entry, acted=acted), EIGHT))) == 2
    given_back = closed(ledger, Settled(entry, acted=False, sent=False), EIGHT)
    assert [debit.model_id for debit in debits_of(given_back)] == [8]


def test_a_conclusion_about_one_entry_says_nothing_of_another() -> None:
    ledger, first = opened(Ledger(), starting(), EIGHT)
    ledger = closed(ledger, Settled(first, acted=False), EIGHT)
    ledger, second = opened(ledger, starting(), at(minutes=1))
    assert replace(second, serial=first.serial) == first
    late = closed(ledger, Settled(first, acted=False, sent=False), at(minutes=2))
    assert late.entries == {7: second}
    assert [debit.serial for debit in debits_of(late)] == [second.serial]
    assert debits_of(late)[0].at == at(minutes=1)
    # What is known of the model counts all the same.
    acted = closed(ledger, Settled(first, acted=True, marker=EIGHT), at(minutes=2))
    assert (acted.entries, acted.marks) == ({7: second}, {7: Mark(at=EIGHT)})


# Marks.

OLDER, NEWER = EIGHT - HOUR, EIGHT + HOUR


@pytest.mark.parametrize(
    ("there", "baseline", "marker", "mark"),
    [
        pytest.param(None, None, None, Mark(superseded=True), id="never trained before"),
        pytest.param(None, EIGHT, None, Mark(at=EIGHT, superseded=True), id="after another"),
        pytest.param(None, EIGHT, NEWER, Mark(at=NEWER), id="known"),
        pytest.param(Mark(at=EIGHT), OLDER, NEWER, Mark(at=NEWER), id="a newer one"),
        pytest.param(Mark(at=NEWER), OLDER, EIGHT, Mark(at=NEWER), id="an older one"),
        pytest.param(Mark(at=NEWER), EIGHT, None, Mark(at=NEWER), id="one before it"),
        pytest.param(
            Mark(at=EIGHT), EIGHT, None, Mark(at=EIGHT, superseded=True), id="one after it"
        ),
        pytest.param(
            Mark(at=EIGHT, superseded=True),
            OLDER,
            EIGHT,
            Mark(at=EIGHT, superseded=True),
            id="the one before, late",
        ),
        pytest.param(Mark(at=EIGHT, superseded=True), EIGHT, NEWER, Mark(at=NEWER), id="after it"),
        pytest.param(Mark(superseded=True), None, EIGHT, Mark(at=EIGHT), id="the first"),
        pytest.param(Mark(at=EIGHT), None, None, Mark(at=EIGHT), id="one that says less"),
    ],
)
def test_the_newest_training_is_remembered(
    there: Mark | None, baseline: datetime | None, marker: datetime | None, mark: Mark
) -> None:
    before = Baseline(training_status=2, started_training_at=baseline)
    ledger, entry = opened(Ledger(), starting(baseline=before), EIGHT)
    ledger = replace(ledger, marks={8: Mark()} | ({7: there} if there else {}))
    done = closed(ledger, Settled(entry, acted=True, marker=marker), EIGHT)
    assert done.marks == {7: mark, 8: Mark()}
    nothing = closed(ledger, Settled(entry, acted=False), EIGHT)
    assert nothing.marks == ledger.marks


@pytest.mark.parametrize(
    ("mark", "seen", "outdated"),
    [
        pytest.param(Mark(at=EIGHT), OLDER, set(range(-1, 7)), id="older"),
        pytest.param(Mark(at=EIGHT), EIGHT, set(), id="the same"),
        pytest.param(Mark(at=EIGHT), NEWER, set(), id="newer"),
        pytest.param(Mark(at=EIGHT), None, set(), id="absent"),
        pytest.param(Mark(), None, set(), id="nothing is known"),
        pytest.param(Mark(), OLDER, set(), id="nothing was known"),
        # A start has acted: who still shows the model before it, and at rest, is behind.
        pytest.param(Mark(at=EIGHT, superseded=True), EIGHT, {1, 2}, id="superseded"),
        pytest.param(Mark(at=EIGHT, superseded=True), OLDER, set(range(-1, 7)), id="long before"),
        pytest.param(Mark(at=EIGHT, superseded=True), NEWER, set(), id="the run itself"),
        pytest.param(Mark(at=EIGHT, superseded=True), None, set(), id="superseded, absent"),
        pytest.param(Mark(superseded=True), None, {1, 2}, id="the first, without a marker"),
        pytest.param(Mark(superseded=True), EIGHT, set(), id="the first itself"),
    ],
)
def test_a_look_from_before_the_newest_training_is_outdated(
    mark: Mark, seen: datetime | None, outdated: set[int]
) -> None:
    looks = {state: a_model(state, started_at=seen) for state in range(-1, 7)}
    assert {state for state, look in looks.items() if mark.outdates(look)} == outdated


# Forgetting.


def test_a_debit_is_kept_for_a_window_from_when_it_ages() -> None:
    ledger, entry = opened(Ledger(), starting(), EIGHT)
    ledger = closed(ledger, Settled(entry, acted=True), EIGHT)
    assert pruned(ledger, at(minutes=59, seconds=59), HOUR) == ledger
    assert pruned(ledger, at(hours=1), HOUR) == Ledger(serial=entry.serial)


def test_a_mark_is_kept_as_long_as_its_model_has_an_entry_or_a_debit() -> None:
    ledger, entry = opened(Ledger(), starting(), EIGHT)
    marks = {7: Mark(at=BEFORE), 8: Mark(at=BEFORE)}
    ledger = replace(ledger, marks=marks)
    late = at(hours=99)
    assert pruned(ledger, EIGHT, HOUR).marks == pruned(ledger, late, HOUR).marks == {7: marks[7]}
    assert (pruned(ledger, late, HOUR).debits, pruned(ledger, late, HOUR).entries) == (
        {},
        {7: entry},
    )
    done = closed(ledger, Settled(entry, acted=False), EIGHT)
    assert pruned(done, EIGHT, HOUR).marks == {7: marks[7]}
    assert pruned(done, late, HOUR).marks == {}


@given(st.sets(st.integers(1, 3)), st.sets(st.integers(1, 3)), st.integers(0, 7200))
def test_what_is_remembered_is_what_the_next_write_would_keep(
    debited: set[int], still_open: set[int], seconds: int
) -> None:
    ledger = Ledger()
    for model_id in sorted(debited | still_open):
        ledger, entry = opened(ledger, starting(model_id), at(minutes=model_id))
        if model_id not in still_open:
            ledger = closed(ledger, Settled(entry, acted=True), at(minutes=model_id))
    ledger = replace(ledger, marks={n: Mark(at=BEFORE) for n in range(1, 4)})
    now = at(seconds=seconds)
    kept = pruned(ledger, now, HOUR).marks
    for model_id in range(1, 5):
        assert remembered(ledger, model_id, now, HOUR) == kept.get(model_id)


def test_of_too_many_debits_the_newest_are_kept_in_their_order_whatever_their_keys() -> None:
    ledger = Ledger()
    for number in range(MAX_DEBITS + 3):
        training = starting(number + 1, key=f"key-{number % 2}")
        ledger, _ = opened(ledger, training, EIGHT)
    kept = pruned(ledger, EIGHT, HOUR)
    assert sorted(debit.serial for debit in debits_of(kept)) == list(range(4, MAX_DEBITS + 4))
    assert [debit.serial for debit in kept.debits["key-1"]] == list(range(4, MAX_DEBITS + 4, 2))
    assert kept.entries == ledger.entries


# Allowances.


def test_a_key_takes_over_what_its_source_has_spent_before() -> None:
    ledger = Ledger()
    for model_id, key, source in (
        (1, KEY.fingerprint, KEY.source),
        (2, KEY.fingerprint, "elsewhere"),
        (3, OTHER_KEY.fingerprint, KEY.source),
        (4, OTHER_KEY.fingerprint, "elsewhere"),
    ):
        ledger, _ = opened(ledger, starting(model_id, key=key, source=source), EIGHT)

    def models(fingerprint: str, source: str) -> tuple[list[int], list[int]]:
        own, before = spent(ledger, fingerprint, source)
        return [debit.model_id for debit in own], [debit.model_id for debit in before]

    assert models(KEY.fingerprint, KEY.source) == ([1, 2], [3])
    assert models(OTHER_KEY.fingerprint, KEY.source) == ([3, 4], [1])
    assert models("a new one", KEY.source) == ([], [1, 3])
    assert models("a new one", "and a new source") == ([], [])


# What was learned of limits.


def learned(count: int) -> Learned:
    """A limit that was learned at eight."""
    return Learned(seconds=3600.0, count=count, at=EIGHT, clean_windows=24.0)


def test_the_ledger_keeps_of_each_kind_of_call_what_was_learned_last() -> None:
    ledger = taught(Ledger(), "one", "start", (learned(3),))
    ledger = taught(ledger, "one", "log", (learned(9),))
    ledger = taught(ledger, "two", "start", (learned(1),))
    ledger = taught(ledger, "one", "start", (learned(2), learned(20)))
    assert ledger.limits == {
        "one": {"start": (learned(2), learned(20)), "log": (learned(9),)},
        "two": {"start": (learned(1),)},
    }
    assert pruned(ledger, EIGHT, HOUR).limits == ledger.limits
    ledger = taught(ledger, "two", "start", ())
    assert pruned(ledger, EIGHT, HOUR).limits.keys() == {"one"}
    assert pruned(ledger, EIGHT + KEPT, HOUR).limits == {}


# As text.


def test_it_is_the_same_after_it_was_written_and_read() -> None:
    ledger, _ = opened(Ledger(), starting(), at(seconds=0.5))
    ledger, entry = opened(ledger, starting(8, baseline=Baseline(training_status=2)), EIGHT)
    ledger = closed(ledger, Settled(entry, acted=True), at(seconds=0.25))
    assert ledger.marks == {8: Mark(superseded=True)}
    read = Ledger.model_validate_json(dump(ledger))
    assert read == ledger
    assert list(read.entries) == [7]


@pytest.mark.parametrize(
    ("namespace", "source", "at_most"),
    [
        pytest.param(
            "team-cardiology", "Secret/team-cardiology/scriptix-api-key/api-key", 320, id="common"
        ),
        pytest.param("n" * 63, f"Secret/{'n' * 63}/{'s' * 100}/{'k' * 81}", 640, id="longest"),
    ],
)
def test_with_full_windows_it_fits_into_a_config_map(
    namespace: str, source: str, at_most: int
) -> None:
    """Of 10,000 resources: 1000 debits and marks, 64 entries. Measured: 289 kB and 559 kB."""
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
        ledger, entry = opened(ledger, training, EIGHT)
        if number < 10_000 - 64:
            ledger = closed(ledger, Settled(entry, acted=True, marker=EIGHT), EIGHT)
        if len(ledger.entries) + len(ledger.marks) > 2 * MAX_DEBITS:
            ledger = pruned(ledger, EIGHT, HOUR)
    text = dump(pruned(ledger, EIGHT, HOUR))
    assert len(text) < at_most * 1024
