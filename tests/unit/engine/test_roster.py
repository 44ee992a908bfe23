"""engine/roster.py: which version counts, and what goes when a resource goes."""

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Phase
from scriptix_operator.api.status import LogStatus
from scriptix_operator.core.gauges import NO_GAUGES, Gauges
from scriptix_operator.core.observation import Memory
from scriptix_operator.core.timeline import MARKS, PastRun
from scriptix_operator.core.training import Training
from scriptix_operator.engine.roster import Roster
from tests.unit.core.builders import (
    EIGHT,
    KEY,
    OTHER_KEY,
    a_run,
    a_status,
    a_training,
    at,
    edited,
    followed,
)

REMEMBERED = Memory(failed_looks=3)


def _at(version: int, training: Training) -> Training:
    return replace(training, resource_version=str(version))


@pytest.fixture
def roster() -> Roster:
    """Return an empty one."""
    return Roster()


def test_a_resource_not_known_and_an_edit_are_new_a_write_of_status_is_not(roster: Roster) -> None:
    first = _at(5, a_training())
    assert roster.put(first) is True
    written = _at(6, first.with_status(a_status(message="Waiting.")))
    assert roster.put(written) is False
    assert roster.get(first.key) == written
    assert roster.put(_at(7, edited(written, priority=3))) is True
    assert roster.put(replace(_at(8, edited(written)), requested_at="now")) is True


def test_taking_over_is_news_and_a_first_write_is_not(roster: Roster) -> None:
    def by(version: int, namespace: str | None) -> Training:
        served = None if namespace is None else {"namespace": namespace, "renewed_at": EIGHT}
        return _at(version, a_training(status=a_status(served_by=served)))

    roster.put(by(1, None))
    assert roster.put(by(2, "ours")) is False
    assert roster.put(by(3, "ours")) is False
    assert roster.put(by(4, "other")) is True
    assert roster.put(by(5, None)) is True


def test_a_deletion_timestamp_is_news(roster: Roster) -> None:
    """Its generation changes at the API servers of today, which is not documented."""
    first = _at(5, a_training())
    roster.put(first)
    assert not roster.is_being_deleted(first)
    deleted = replace(_at(6, first), is_being_deleted=True)
    assert roster.put(deleted) is True
    assert roster.put(_at(7, deleted)) is False
    assert roster.is_being_deleted(first)
    assert not roster.is_being_deleted(a_training(uid="another"))


def test_versions_are_compared_as_numbers(roster: Roster) -> None:
    newer = _at(10, a_training())
    roster.put(newer)
    assert roster.put(_at(9, edited(newer))) is False
    assert roster.get(newer.key) == newer


def test_an_older_resource_of_the_same_name_does_not_displace_the_new(roster: Roster) -> None:
    new = _at(20, a_training(uid="new", model_id=8))
    roster.put(new)
    assert roster.put(_at(10, a_training(uid="old"))) is False
    assert roster.get(new.key) == new


def test_a_resource_made_anew_begins_without_what_was_remembered(roster: Roster) -> None:
    old, new = _at(10, a_training(uid="old")), _at(20, a_training(uid="new", model_id=8))
    roster.put(old)
    roster.remember(old, REMEMBERED)
    assert roster.put(new) is True
    assert roster.memory(new) == Memory()
    roster.remember(old, REMEMBERED)  # by a step that began before
    assert roster.memory(new) == Memory()
    assert roster.rivals(a_training(name="other")) == []


def test_what_a_step_has_written_does_not_bring_a_deleted_resource_back(roster: Roster) -> None:
    training = a_training()
    roster.put(training)
    assert roster.remove(training.key) == training
    roster.renew(_at(9, training))
    roster.remember(training, REMEMBERED)
    assert roster.get(training.key) is None
    assert list(roster) == []
    assert roster.memory(training) == Memory()


def test_what_a_step_has_written_counts_while_the_resource_is_there(roster: Roster) -> None:
    training = a_training()
    roster.put(training)
    roster.renew(_at(9, training))
    assert roster.get(training.key) == _at(9, training)


def test_rivals_are_the_others_with_the_same_model_in_any_namespace(roster: Roster) -> None:
    one, two = a_training(name="one"), a_training(name="two", namespace="team-b")
    for training in (one, two, a_training(name="three", model_id=8)):
        roster.put(training)
    assert roster.rivals(one) == [two]
    roster.remove(two.key)
    assert roster.rivals(one) == []


def test_of_several_rivals_those_who_stay_are_rivals_still(roster: Roster) -> None:
    one, two, three = (a_training(name=name) for name in ("one", "two", "three"))
    for training in (one, two, three):
        roster.put(training)
    roster.remove(two.key)
    assert roster.remove(two.key) is None
    assert roster.rivals(one) == [three]


def test_where_versions_are_no_numbers_the_newcomer_is_taken(roster: Roster) -> None:
    first = replace(a_training(), resource_version="b")
    second = replace(edited(first), resource_version="a")
    roster.put(first)
    assert roster.put(second) is True
    assert roster.get(first.key) == second


def test_phases_are_counted_and_one_of_a_newer_operator_stops_nothing(roster: Roster) -> None:
    for name, phase in {"a": None, "b": "Running", "c": "Running", "d": "Archived"}.items():
        roster.put(a_training(name=name, status=a_status(phase=phase)))
    assert roster.phases() == {Phase.PENDING: 2, Phase.RUNNING: 2}


# Past runs.

EVEN = tuple(36 * mark for mark in MARKS)


def ended(hours: float, name: str = "cardiology", key: str = KEY.fingerprint) -> Training:
    """A resource whose run went to its end, so many hours after it began at eight."""
    run = a_run(ownership="Owned", claimed_at=EIGHT, key_fingerprint=key)
    facts = {"run": run, "started_at": EIGHT, "timeline": EVEN}
    return a_training(name=name, status=a_status(finished_at=at(hours=hours), **facts))


def _past(roster: Roster, key: str = KEY.fingerprint) -> list[float]:
    return [run.seconds / 3600 for run in roster.past_runs(key)]


def test_past_runs_are_those_that_resources_tell_of_by_their_key(roster: Roster) -> None:
    assert roster.past_runs(KEY.fingerprint) == ()
    roster.put(ended(1))
    roster.put(ended(2, "other", OTHER_KEY.fingerprint))
    assert roster.past_runs(KEY.fingerprint) == (PastRun.of(7, 3600.0, EVEN),)
    assert _past(roster, OTHER_KEY.fingerprint) == [2]


def test_a_run_is_told_of_as_soon_as_it_ends_and_as_long_as_its_resource_is_there(
    roster: Roster,
) -> None:
    running = _at(1, a_training(status=followed(run=ended(1).status.run)))
    roster.put(running)
    assert _past(roster) == []
    roster.put(_at(2, running.with_status(ended(3).status)))
    assert _past(roster) == [3]
    again = running.with_status(replace(ended(3).status, finished_at=None))
    roster.put(_at(3, again))
    assert _past(roster) == []
    roster.put(_at(4, running.with_status(ended(4).status)))
    roster.put(ended(2, "other"))
    assert _past(roster) == [2, 4]
    roster.remove(running.key)
    assert _past(roster) == [2]


def test_past_runs_are_not_gathered_anew_for_each_look(roster: Roster) -> None:
    running = _at(1, a_training(status=followed(progress=1)))
    roster.put(running)
    roster.put(ended(1, "other"))
    before = roster.past_runs(KEY.fingerprint)
    roster.put(_at(2, running.with_status(followed(progress=2))))
    assert roster.past_runs(KEY.fingerprint) is before


PAST: dict[str, object] = {
    "id": "run-0",
    "outcome": "Succeeded",
    "timeline": EVEN,
    "started_at": EIGHT,
    "finished_at": at(hours=3),
}


def test_past_runs_outlast_a_rerun_that_waits_and_starts(roster: Roster) -> None:
    past = {**PAST, "key_fingerprint": KEY.fingerprint}
    rerun = a_training(status=a_status(run=a_run(), history=[past]))
    started = rerun.with_status(followed(run=ended(1).status.run, history=[past]))
    for version, training in enumerate((ended(3), rerun, started)):
        roster.put(_at(version, training))
        assert _past(roster) == [3]


def test_past_runs_of_an_earlier_version_count_once_the_rerun_starts(roster: Roster) -> None:
    """As after a restart: history[].keyFingerprint is absent."""
    rerun = a_training(status=a_status(run=a_run(), history=[PAST]))
    roster.put(_at(1, rerun))
    roster.put(_at(2, rerun.with_status(followed(run=ended(1).status.run, history=[PAST]))))
    assert _past(roster) == [3]


# Gauges.


def test_gauges_are_shown_while_a_resource_is_in_the_store() -> None:
    shown: list[tuple[str, Gauges]] = []
    roster = Roster(lambda key, gauges: shown.append((key.name, gauges)))
    first = _at(1, a_training(uid="1", status=followed(progress=45)))
    roster.put(first)
    roster.put(_at(0, first.with_status(followed(progress=44))))  # older: not taken in
    roster.renew(_at(2, first.with_status(followed(progress=46))))
    roster.put(_at(3, a_training(uid="2")))
    assert [gauges.progress for _, gauges in shown] == [45, 46, None, None]
    roster.put(_at(4, a_training(uid="2", status=followed(progress=1))))
    roster.remove(first.key)
    assert shown[-2:] == [("cardiology", Gauges(1)), ("cardiology", NO_GAUGES)]


# Runs that stand still.


def test_runs_that_stand_still_are_counted(roster: Roster) -> None:
    assert roster.stalled() == 0
    for name, stalled_at in {"a": None, "b": EIGHT, "c": at(hours=1)}.items():
        roster.put(a_training(name=name, status=followed(progress_stalled_at=stalled_at)))
    roster.put(a_training(name="d"))
    assert roster.stalled() == 2
    roster.remove(a_training(name="b").key)
    assert roster.stalled() == 1


# Logs.


def test_log_calls_count_while_a_rerun_waits(roster: Roster) -> None:
    past = {"id": "run-0", "outcome": "Succeeded", "key_fingerprint": KEY.fingerprint}
    log = LogStatus(recent_calls=(EIGHT,))
    roster.put(a_training(status=a_status(run=a_run(), history=[past], log=log)))
    assert roster.log_calls(KEY.fingerprint) == (EIGHT,)


def test_log_calls_in_status_are_found_by_key(roster: Roster) -> None:
    for name, called_at in {"a": (), "b": (EIGHT, at(hours=1)), "c": (at(hours=2),)}.items():
        training = ended(3, name)
        log = LogStatus(recent_calls=called_at)
        roster.put(training.with_status(replace(training.status, log=log)))
    roster.put(a_training(name="d"))
    assert roster.log_calls(KEY.fingerprint) == (EIGHT, at(hours=1), at(hours=2))
    assert roster.log_calls("another") == ()
