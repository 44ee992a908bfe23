"""core/scheduling/start_queue.py: the order of the resources that could start now."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.status import HistoryEntry
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.scheduling.start_queue import (
    QueueEntry,
    StartQueue,
    queue_entry_of,
)
from tests.unit.core.builders import EIGHT, a_run, a_status, a_training, at

PAST = (HistoryEntry(id="run-0", outcome="Succeeded"),)
NONE: Mapping[str, int] = {}


def a_queue_entry(  # noqa: PLR0913 - each has a default
    name: str,
    namespace: str = "team-a",
    *,
    minute: float = 0,
    priority: int = 0,
    repeated: bool = False,
    rerun: bool = False,
) -> QueueEntry:
    """A resource that could start, created and waiting since so many minutes after eight."""
    key = TrainingKey(namespace, name)
    since = at(minutes=minute)
    return QueueEntry(key, f"uid-{name}", repeated, priority, rerun, since, since)


def _order(
    *queue_entries: QueueEntry,
    started: Mapping[str, int] = NONE,
    first: int = 999,
) -> str:
    """Names of the first resources."""
    queue = StartQueue()
    for queue_entry in queue_entries:
        queue.join(queue_entry)
    keys = queue.order(started).first(first)
    return " ".join(key.name for key in keys)


# Queue entries.


def test_new_work_is_as_old_as_its_resource() -> None:
    training = a_training(created_at=at(minutes=3), priority=7)
    assert queue_entry_of(training, at(hours=1)) == QueueEntry(
        key=training.key,
        uid=training.uid,
        is_repeated=False,
        priority=7,
        is_rerun=False,
        created_at=at(minutes=3),
        joined_at=at(hours=1),
    )


@pytest.mark.parametrize(
    ("queued_at", "since"),
    [
        pytest.param(None, at(hours=1), id="it joins now"),
        pytest.param(at(minutes=5), at(minutes=5), id="it waits, or has waited before a refusal"),
    ],
)
def test_a_rerun_is_as_old_as_its_waiting(queued_at: datetime | None, since: datetime) -> None:
    status = a_status(run=a_run(id="run-1", queued_at=queued_at), history=PAST)
    queue_entry = queue_entry_of(a_training(status=status), at(hours=1))
    assert (queue_entry.is_rerun, queue_entry.since) == (True, since)


def test_a_first_run_does_not_become_younger_by_its_waiting() -> None:
    status = a_status(run=a_run(queued_at=at(minutes=5)))
    assert queue_entry_of(a_training(status=status), at(hours=1)).since == EIGHT


@pytest.mark.parametrize(("attempt", "is_repeated"), [(1, False), (2, True), (4, True)])
def test_start_is_a_repetition_from_the_second_attempt(
    attempt: int,
    is_repeated: bool,  # noqa: FBT001 - the expected value
) -> None:
    queue_entry = queue_entry_of(a_training(status=a_status(run=a_run(attempt=attempt))), EIGHT)
    assert queue_entry.is_repeated is is_repeated


# Order within a namespace.


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param(
            a_queue_entry("x", minute=1, priority=-1000, rerun=True),
            a_queue_entry("y", priority=1000, repeated=True),
            id="lost starts come behind all others",
        ),
        pytest.param(
            a_queue_entry("x", minute=1, priority=1, rerun=True),
            a_queue_entry("y", priority=0),
            id="then priority",
        ),
        pytest.param(
            a_queue_entry("x", priority=-999, minute=1),
            a_queue_entry("y", priority=-1000),
            id="negative, too",
        ),
        pytest.param(
            a_queue_entry("x", minute=1),
            a_queue_entry("y", rerun=True),
            id="then new work before reruns",
        ),
        pytest.param(a_queue_entry("y", minute=1), a_queue_entry("x", minute=1.01), id="then age"),
        pytest.param(
            a_queue_entry("x", repeated=True),
            a_queue_entry("y", minute=1, repeated=True),
            id="of lost ones, too",
        ),
        pytest.param(a_queue_entry("x"), a_queue_entry("y"), id="at last, anything that stays"),
    ],
)
def test_within_a_namespace(earlier: QueueEntry, later: QueueEntry) -> None:
    names = f"{earlier.key.name} {later.key.name}"
    assert _order(earlier, later) == _order(later, earlier) == names


# Order between namespaces.


@pytest.mark.parametrize(
    ("started", "order"),
    [
        pytest.param({}, "a1 b1 a2 b2", id="alternating namespaces"),
        pytest.param({"team-a": 1}, "b1 a1 b2 a2", id="the fewest starts first"),
        pytest.param({"team-a": 2}, "b1 b2 a1 a2", id="all that it is behind"),
        pytest.param({"team-a": 1, "team-b": 1, "team-c": 9}, "a1 b1 a2 b2", id="equally many"),
    ],
)
def test_namespace_with_the_fewest_starts_comes_first(started: dict[str, int], order: str) -> None:
    queue_entries = [
        a_queue_entry("a1", "team-a"),
        a_queue_entry("a2", "team-a", minute=1),
        a_queue_entry("b1", "team-b", minute=2),
        a_queue_entry("b2", "team-b", minute=3),
    ]
    assert _order(*queue_entries, started=started) == order


def test_equal_namespaces_rank_first_runs_then_the_oldest() -> None:
    queue_entries = [
        a_queue_entry("rerun", "team-a", minute=0, rerun=True),
        a_queue_entry("young", "team-b", minute=9),
        a_queue_entry("old", "team-c", minute=8),
    ]
    assert _order(*queue_entries) == "old young rerun"


@pytest.mark.parametrize("priority", [0, 1000])
def test_five_hundred_of_one_tenant_do_not_starve_anothers_one(priority: int) -> None:
    flood = [a_queue_entry(f"a{n:03}", "team-a", priority=priority) for n in range(500)]
    late = a_queue_entry("b", "team-b", minute=60, priority=-1000, rerun=True)
    assert _order(*flood, late, first=2) == "a000 b"
    assert _order(*flood, late, started={"team-a": 1}, first=2) == "b a000"


def test_order_within_a_tenant_is_kept() -> None:
    queue_entries = [
        a_queue_entry("urgent", "team-a", minute=5, priority=9),
        a_queue_entry("old", "team-a"),
        a_queue_entry("b", "team-b", minute=1),
    ]
    # The first resource of a namespace ranks it, not an older one behind.
    assert _order(*queue_entries) == "b urgent old"


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-2, 2), st.booleans(), st.integers(0, 5)),
        max_size=20,
    ),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 5)),
)
def test_each_start_goes_to_a_namespace_with_the_fewest_so_far(
    wishes: list[tuple[str, int, bool, int]], started: dict[str, int]
) -> None:
    queue_entries = [
        a_queue_entry(f"n{n}", namespace, minute=minute, priority=priority, rerun=rerun)
        for n, (namespace, priority, rerun, minute) in enumerate(wishes)
    ]
    queue = StartQueue()
    for queue_entry in queue_entries:
        queue.join(queue_entry)
    keys = queue.order(started).first(99)
    assert sorted(keys) == sorted(queue_entry.key for queue_entry in queue_entries)
    counts, waiting = (
        Counter(started),
        Counter(queue_entry.key.namespace for queue_entry in queue_entries),
    )
    for key in keys:
        assert counts[key.namespace] == min(counts[name] for name in waiting if waiting[name])
        counts[key.namespace] += 1
        waiting[key.namespace] -= 1


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-2, 2), st.booleans(), st.integers(0, 5)),
        max_size=20,
    ),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 5)),
    st.integers(0, 3),
)
def test_position_counts_who_comes_before_after_any_change(
    wishes: list[tuple[str, int, bool, int]],
    started: dict[str, int],
    gone: int,
) -> None:
    queue_entries = [
        a_queue_entry(f"n{n}", namespace, minute=minute, priority=priority, repeated=lost)
        for n, (namespace, priority, lost, minute) in enumerate(wishes)
    ]
    queue = StartQueue()
    for queue_entry in queue_entries:
        queue.join(queue_entry)
    for queue_entry in queue_entries[:gone]:
        queue.leave(queue_entry.key)
    order = queue.order(started)
    assert [order.index(key) for key in order] == list(range(len(queue_entries[gone:])))
    assert order.first(4) == tuple(order)[:4]


def test_order_is_a_snapshot_of_its_beginning() -> None:
    queue = StartQueue()
    for queue_entry in (a_queue_entry("one"), a_queue_entry("two", minute=1)):
        queue.join(queue_entry)
    keys = iter(queue.order(NONE))
    queue.leave(a_queue_entry("two").key)
    queue.join(a_queue_entry("three", "team-b"))
    assert [key.name for key in keys] == ["one", "two"]
    with pytest.raises(KeyError):
        queue.order(NONE).index(a_queue_entry("two").key)


def test_joining_does_not_rank_the_others_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each resource joins on its own after a restart, and asks for its position."""
    ranked: list[QueueEntry] = []
    within = vars(QueueEntry)["within"].fget

    def counted(queue_entry: QueueEntry) -> object:
        ranked.append(queue_entry)
        return within(queue_entry)

    monkeypatch.setattr(QueueEntry, "within", property(counted))
    queue = StartQueue()
    for number in range(200):
        queue_entry = a_queue_entry(f"n{number}", f"team-{number % 7}", minute=number * 37 % 200)
        queue.join(queue_entry)
        order = queue.order(NONE)
        order.first(8)
        order.index(queue_entry.key)
    assert len(ranked) <= 5 * 200


# Joining and leaving.


def test_rejoining_keeps_the_position_and_leaving_loses_it() -> None:
    queue = StartQueue()
    one, two = a_queue_entry("one"), a_queue_entry("two", minute=1)
    for queue_entry in (one, two, one):
        queue.join(queue_entry)
    assert (len(queue), one.key in queue) == (2, True)
    assert queue.order(NONE).index(two.key) == 1
    queue.leave(one.key)
    queue.leave(TrainingKey("team-a", "never-there"))
    assert (len(queue), one.key in queue) == (1, False)
    assert queue.order(NONE).index(two.key) == 0


def test_edit_changes_the_position() -> None:
    queue = StartQueue()
    for queue_entry in (a_queue_entry("one"), a_queue_entry("two", minute=1)):
        queue.join(queue_entry)
    assert queue.order(NONE).index(a_queue_entry("two").key) == 1
    queue.join(a_queue_entry("two", minute=1, priority=1))
    assert len(queue) == 2
    assert queue.order(NONE).index(a_queue_entry("two").key) == 0


def test_order_follows_the_starts_and_is_cached() -> None:
    queue = StartQueue()
    queue.join(a_queue_entry("a", "team-a"))
    queue.join(a_queue_entry("b", "team-b"))
    started = Counter({"team-b": 1})
    order = queue.order(started)
    assert queue.order(Counter({"team-b": 1})) is order
    queue.join(a_queue_entry("a", "team-a"))
    assert queue.order(started) is order
    # The caller cannot change the order afterwards.
    before = queue.order(started)
    started["team-a"] = 2
    assert queue.order(started) is not before
    assert queue.order(started).index(a_queue_entry("b", "team-b").key) == 0


def test_queue_entries_differ_in_all_ranking_fields() -> None:
    queue_entry = a_queue_entry("one")
    queue = StartQueue()
    queue.join(queue_entry)
    order = queue.order(NONE)
    queue.join(replace(queue_entry, is_repeated=True))
    assert queue.order(NONE) is not order
