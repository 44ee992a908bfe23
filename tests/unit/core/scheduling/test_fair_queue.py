"""core/scheduling/fair_queue.py: the order of calls, by shares and by arrival."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT, FairQueue

SHARES = {"a": 0.5, "b": 0.3, "c": 0.2}


def _queue(**waiting: int) -> FairQueue[str, str]:
    """A queue in which so many of each priority wait."""
    queue = FairQueue[str, str](SHARES)
    for kind, count in waiting.items():
        for number in range(count):
            queue.join(f"{kind}{number}", kind)
    return queue


def _serve(queue: FairQueue[str, str], calls: int, at: float = 0.0) -> list[str]:
    """Dispatch the next resources; each calls at once, and leaves."""
    served = []
    for _ in range(calls):
        key = queue.dispatch(at)
        if key is not None:
            queue.leave(key)
            served.append(key)
    return served


def _kinds(served: list[str]) -> Counter[str]:
    return Counter(key[0] for key in served)


def test_within_a_priority_the_queue_is_first_in_first_out() -> None:
    queue = _queue(a=3)
    queue.join("a0", "a")  # again: it keeps its position
    assert _serve(queue, 4) == ["a0", "a1", "a2"]


@pytest.mark.parametrize(
    ("waiting", "served"),
    [
        pytest.param({"a": 99, "b": 99, "c": 99}, {"a": 10, "b": 6, "c": 4}, id="all want more"),
        pytest.param({"a": 99, "b": 99}, {"a": 12, "b": 8}, id="what c does not want is shared"),
        pytest.param({"a": 2, "b": 99, "c": 99}, {"a": 2, "b": 11, "c": 7}, id="a wants little"),
        pytest.param({"c": 99}, {"c": 20}, id="alone"),
        pytest.param({"a": 3, "b": 1}, {"a": 3, "b": 1}, id="there is enough"),
    ],
)
def test_each_priority_gets_its_share_and_unused_ones(
    waiting: dict[str, int], served: dict[str, int]
) -> None:
    given_out = _kinds(_serve(_queue(**waiting), 20))
    assert sum(given_out.values()) == sum(served.values())
    assert all(abs(given_out[kind] - count) <= 1 for kind, count in served.items())


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30)), max_size=20),
    st.permutations("abc"),
)
def test_each_priority_has_its_share_from_the_first_call_on(
    before: list[tuple[str, int]], order: list[str]
) -> None:
    """A priority keeps its share after days alone, and after days without calls."""
    queue = _queue()
    for kind, count in before:
        for number in range(count):
            queue.join(f"{kind}-early{number}", kind)
            _serve(queue, number % 2 + 1)
    _serve(queue, 999)
    for kind in order:
        for number in range(99):
            queue.join(f"{kind}{number}", kind)
    served = _serve(queue, 60)
    for calls in range(1, 61):
        shares = _kinds(served[:calls])
        for kind, share in SHARES.items():
            assert share * calls - 2 <= shares[kind] <= share * calls + 2


def test_repeated_requests_get_no_more_than_their_share() -> None:
    queue = _queue(a=99)
    served = []
    for _ in range(32):
        queue.join("b", "b")
        served += _serve(queue, 1)
    assert _kinds(served)["b"] == 12


def test_empty_queue_dispatches_nothing() -> None:
    queue = _queue()
    assert queue.dispatch(5.0) is None
    assert (len(queue), queue.dispatched, queue.dispatched_for("a0")) == (0, 0, None)
    assert not queue.has_dispatch_after(0.0)


def test_dispatched_resource_stays_so_until_it_calls() -> None:
    queue = _queue(a=2)
    assert queue.dispatch(5.0) == "a0"
    queue.join("a0", "b")
    assert (len(queue), queue.dispatched, queue.dispatched_for("a0")) == (2, 1, 5.0)
    assert queue.dispatch(6.0) == "a1"
    queue.leave("a0")
    assert (len(queue), queue.dispatched, queue.dispatched_for("a0")) == (1, 1, None)


def test_changed_priority_joins_at_the_end_of_its_queue() -> None:
    queue = _queue(a=2, b=1)
    queue.join("a0", "b")
    assert len(queue) == 3
    assert _serve(queue, 9) == ["a1", "b0", "a0"]


def test_resource_that_leaves_is_not_dispatched() -> None:
    queue = _queue(a=3)
    queue.leave("a1")
    queue.leave("never-there")
    assert _serve(queue, 9) == ["a0", "a2"]


@pytest.mark.parametrize(("now", "expecting"), [(4.999, True), (5.0, False), (6.0, False)])
def test_queue_expects_a_dispatched_resource_for_a_while(now: float, expecting: bool) -> None:  # noqa: FBT001 - the expected value
    queue = _queue(a=1)
    queue.dispatch(5.0)
    assert queue.has_dispatch_after(now) == expecting


def test_deferred_resource_is_expected_at_its_new_time() -> None:
    queue = _queue(a=1)
    queue.dispatch(5.0)
    queue.defer("a0", 8.0)
    assert queue.dispatched_for("a0") == 8.0
    assert queue.has_dispatch_after(7.0)


@pytest.mark.parametrize(
    ("after", "left"),
    [(DISPATCH_TIMEOUT, 1), (DISPATCH_TIMEOUT + 0.001, 0)],
    ids=["waited for", "missed"],
)
def test_dispatched_resource_that_does_not_call_is_skipped(after: float, left: int) -> None:
    queue = _queue(a=1)
    queue.dispatch(5.0)
    queue.drop_missed(5.0 + after)
    assert (queue.dispatched, len(queue)) == (left, left)
    queue.join("a0", "a")  # it may join again
    assert len(queue) == 1
