"""engine/store.py: which version counts, and the removal of a resource."""

from datetime import datetime, timedelta

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Phase, Stage
from scriptix_operator.api.status import LogStatus
from scriptix_operator.core.cluster.served_by import left_for
from scriptix_operator.core.eta.timeline import MILESTONES, PastRun
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.in_process_state import InProcessState, PollState
from scriptix_operator.core.status.gauges import NO_GAUGES, Gauges
from scriptix_operator.core.status.run_measures import NOTHING_SEEN, SeenRun
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.store import TrainingStore
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

REMEMBERED = InProcessState(polls=PollState(failed=3))


def _at(version: int, training: Training) -> Training:
    return replace(training, resource_version=str(version))


@pytest.fixture
def store() -> TrainingStore:
    """Return an empty store."""
    return TrainingStore()


def test_new_resource_and_edit_are_changes_unlike_status(
    store: TrainingStore,
) -> None:
    first = _at(5, a_training())
    assert store.put(first) is True
    written = _at(6, first.with_status(a_status(message="Waiting.")))
    assert store.put(written) is False
    assert store.get(first.key) == written
    assert store.put(_at(7, edited(written, priority=3))) is True
    assert store.put(replace(_at(8, edited(written)), requested_at="now")) is True


def test_take_over_by_an_installation_is_a_change(store: TrainingStore) -> None:
    def by(version: int, namespace: str | None) -> Training:
        served = None if namespace is None else {"namespace": namespace, "renewed_at": EIGHT}
        return _at(version, a_training(status=a_status(served_by=served)))

    store.put(by(1, None))
    assert store.put(by(2, "ours")) is False
    assert store.put(by(3, "ours")) is False
    assert store.put(by(4, "other")) is True
    assert store.put(by(5, None)) is True


def test_takeover_by_a_clock_that_is_behind_lasts(store: TrainingStore) -> None:
    """Without the time of this process, two installations would take turns without a pause."""

    def by(version: int, namespace: str, renewed_at: datetime) -> Training:
        served = {"namespace": namespace, "renewed_at": renewed_at}
        return _at(version, a_training(status=followed(served_by=served)))

    now = Clock().now()
    for version, name in ((1, "ours"), (2, "other"), (3, "other")):
        store.put(by(version, name, now if name == "ours" else now - timedelta(hours=1)))
        [known] = store
        assert (left_for(known, "ours", now) is not None) is (name == "other")


def test_deletion_timestamp_is_a_change(store: TrainingStore) -> None:
    """Current API servers change the generation, which is not documented."""
    first = _at(5, a_training())
    store.put(first)
    assert not store.is_being_deleted(first)
    deleted = replace(_at(6, first), is_being_deleted=True)
    assert store.put(deleted) is True
    assert store.put(_at(7, deleted)) is False
    assert store.is_being_deleted(first)
    assert not store.is_being_deleted(a_training(uid="another"))


def test_versions_are_compared_as_numbers(store: TrainingStore) -> None:
    newer = _at(10, a_training())
    store.put(newer)
    assert store.put(_at(9, edited(newer))) is False
    assert store.get(newer.key) == newer


def test_older_resource_of_the_same_name_is_ignored(store: TrainingStore) -> None:
    new = _at(20, a_training(uid="new", model_id=8))
    store.put(new)
    assert store.put(_at(10, a_training(uid="old"))) is False
    assert store.get(new.key) == new


def test_recreated_resource_has_no_in_process_state(store: TrainingStore) -> None:
    old, new = _at(10, a_training(uid="old")), _at(20, a_training(uid="new", model_id=8))
    store.put(old)
    store.store_state(old, REMEMBERED)
    assert store.put(new) is True
    assert store.state(new) == InProcessState()
    store.store_state(old, REMEMBERED)  # by a reconcile that began before
    assert store.state(new) == InProcessState()
    assert store.competitors(a_training(name="other")) == []


def test_reconciles_write_does_not_restore_a_deleted_resource(
    store: TrainingStore,
) -> None:
    training = a_training()
    store.put(training)
    assert store.remove(training.key) == training
    store.renew(_at(9, training))
    store.store_state(training, REMEMBERED)
    assert store.get(training.key) is None
    assert list(store) == []
    assert store.state(training) == InProcessState()


def test_reconciles_write_counts_while_the_resource_exists(store: TrainingStore) -> None:
    training = a_training()
    store.put(training)
    store.renew(_at(9, training))
    assert store.get(training.key) == _at(9, training)


def test_competitors_have_the_same_model_in_any_namespace(store: TrainingStore) -> None:
    one, two = a_training(name="one"), a_training(name="two", namespace="team-b")
    for training in (one, two, a_training(name="three", model_id=8)):
        store.put(training)
    assert store.competitors(one) == [two]
    store.remove(two.key)
    assert store.competitors(one) == []


def test_remaining_competitors_are_kept(store: TrainingStore) -> None:
    one, two, three = (a_training(name=name) for name in ("one", "two", "three"))
    for training in (one, two, three):
        store.put(training)
    store.remove(two.key)
    assert store.remove(two.key) is None
    assert store.competitors(one) == [three]


def test_newcomer_counts_where_versions_are_no_numbers(store: TrainingStore) -> None:
    first = replace(a_training(), resource_version="b")
    second = replace(edited(first), resource_version="a")
    store.put(first)
    assert store.put(second) is True
    assert store.get(first.key) == second


def test_phases_are_counted_also_unknown_ones(store: TrainingStore) -> None:
    for name, phase in {"a": None, "b": "Running", "c": "Running", "d": "Archived"}.items():
        store.put(a_training(name=name, status=a_status(phase=phase)))
    assert store.phases() == {Phase.PENDING: 2, Phase.RUNNING: 2}


# Past runs.

EVEN = tuple(36 * milestone for milestone in MILESTONES)


def ended(hours: float, name: str = "cardiology", key: str = KEY.fingerprint) -> Training:
    """A resource whose run completed so many hours after it began at eight."""
    run = a_run(ownership="Owned", claimed_at=EIGHT, key_fingerprint=key)
    facts = {"run": run, "started_at": EIGHT, "timeline": EVEN}
    return a_training(name=name, status=a_status(finished_at=at(hours=hours), **facts))


def _past(store: TrainingStore, key: str = KEY.fingerprint) -> list[float]:
    return [run.seconds / 3600 for run in store.past_runs(key)]


def test_past_runs_of_resources_are_grouped_by_key(store: TrainingStore) -> None:
    assert store.past_runs(KEY.fingerprint) == ()
    store.put(ended(1))
    store.put(ended(2, "other", OTHER_KEY.fingerprint))
    assert store.past_runs(KEY.fingerprint) == (PastRun.of(7, 3600.0, EVEN),)
    assert _past(store, OTHER_KEY.fingerprint) == [2]


def test_ended_run_is_a_past_run_while_its_resource_exists(
    store: TrainingStore,
) -> None:
    running = _at(1, a_training(status=followed(run=ended(1).status.run)))
    store.put(running)
    assert _past(store) == []
    store.put(_at(2, running.with_status(ended(3).status)))
    assert _past(store) == [3]
    again = running.with_status(replace(ended(3).status, finished_at=None))
    store.put(_at(3, again))
    assert _past(store) == []
    store.put(_at(4, running.with_status(ended(4).status)))
    store.put(ended(2, "other"))
    assert _past(store) == [2, 4]
    store.remove(running.key)
    assert _past(store) == [2]


def test_past_runs_are_not_collected_at_each_poll(store: TrainingStore) -> None:
    running = _at(1, a_training(status=followed(progress=1)))
    store.put(running)
    store.put(ended(1, "other"))
    before = store.past_runs(KEY.fingerprint)
    store.put(_at(2, running.with_status(followed(progress=2))))
    assert store.past_runs(KEY.fingerprint) is before


PAST: dict[str, object] = {
    "id": "run-0",
    "outcome": "Succeeded",
    "timeline": EVEN,
    "started_at": EIGHT,
    "finished_at": at(hours=3),
}


def test_past_runs_outlast_a_rerun_that_waits_and_starts(store: TrainingStore) -> None:
    past = {**PAST, "key_fingerprint": KEY.fingerprint}
    rerun = a_training(status=a_status(run=a_run(), history=[past]))
    started = rerun.with_status(followed(run=ended(1).status.run, history=[past]))
    for version, training in enumerate((ended(3), rerun, started)):
        store.put(_at(version, training))
        assert _past(store) == [3]


def test_past_runs_of_an_earlier_version_count_after_a_start(store: TrainingStore) -> None:
    """History has no keyFingerprint, as after a restart."""
    rerun = a_training(status=a_status(run=a_run(), history=[PAST]))
    store.put(_at(1, rerun))
    store.put(_at(2, rerun.with_status(followed(run=ended(1).status.run, history=[PAST]))))
    assert _past(store) == [3]


# Gauges.


def test_gauges_are_shown_while_a_resource_is_in_the_store() -> None:
    shown: list[tuple[str, Gauges]] = []
    store = TrainingStore(lambda key, gauges: shown.append((key.name, gauges)))
    first = _at(1, a_training(uid="1", status=followed(progress=45)))
    store.put(first)
    store.put(_at(0, first.with_status(followed(progress=44))))  # older: ignored
    store.renew(_at(2, first.with_status(followed(progress=46))))
    store.put(_at(3, a_training(uid="2")))
    assert [gauges.progress for _, gauges in shown] == [0.45, 0.46, None, None]
    store.put(_at(4, a_training(uid="2", status=followed(progress=1))))
    store.remove(first.key)
    assert shown[-2:] == [("cardiology", Gauges(0.01)), ("cardiology", NO_GAUGES)]


def test_memory_of_a_run_ends_with_the_resource(store: TrainingStore) -> None:
    training, seen = _at(1, a_training(uid="1")), SeenRun(queued_at=EIGHT)
    store.store_seen_run(training, seen)  # deleted meanwhile
    assert store.seen_run(training) == NOTHING_SEEN
    store.put(training)
    store.store_seen_run(training, seen)
    assert store.seen_run(training) == seen
    store.remove(training.key)
    assert store.seen_run(training) == NOTHING_SEEN


# Stalled runs.


def test_stalled_runs_are_counted(store: TrainingStore) -> None:
    assert store.stalled() == 0
    for name, stalled_at in {"a": None, "b": EIGHT, "c": at(hours=1)}.items():
        store.put(a_training(name=name, status=followed(progress_stalled_at=stalled_at)))
    store.put(a_training(name="d"))
    assert store.stalled() == 2
    store.remove(a_training(name="b").key)
    assert store.stalled() == 1


def test_followed_runs_are_counted_by_stage(store: TrainingStore) -> None:
    store.put(a_training(name="a", status=followed(stage="FineTuning")))
    store.put(a_training(name="b", status=followed(stage="FineTuning", finished_at=EIGHT)))
    store.put(a_training(name="c", status=followed(stage="Distillation")))
    assert store.stages() == {Stage.FINE_TUNING: 1}


# Logs.


def test_log_calls_count_while_a_rerun_waits(store: TrainingStore) -> None:
    past = {"id": "run-0", "outcome": "Succeeded", "key_fingerprint": KEY.fingerprint}
    log = LogStatus(recent_calls=(EIGHT,))
    store.put(a_training(status=a_status(run=a_run(), history=[past], log=log)))
    assert store.log_calls(KEY.fingerprint) == (EIGHT,)


def test_log_calls_in_status_are_found_by_key(store: TrainingStore) -> None:
    for name, called_at in {"a": (), "b": (EIGHT, at(hours=1)), "c": (at(hours=2),)}.items():
        training = ended(3, name)
        log = LogStatus(recent_calls=called_at)
        store.put(training.with_status(replace(training.status, log=log)))
    store.put(a_training(name="d"))
    assert store.log_calls(KEY.fingerprint) == (EIGHT, at(hours=1), at(hours=2))
    assert store.log_calls("another") == ()
