"""core/scheduling/fair_queue.py: whose turn it is, by shares and by the order of asking."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT, FairQueue

SHARES = {"a": 0.5, "b": 0.3, "c": 0.2}


def _turns(**waiting: int) -> FairQueue[str, str]:
    """A line in which so many of each kind wait."""
    turns = FairQueue[str, str](SHARES)
    for kind, count in waiting.items():
        for number in range(count):
            turns.ask(f"{kind}{number}", kind)
    return turns


def _serve(turns: FairQueue[str, str], calls: int, at: float = 0.0) -> list[str]:
    """Call the next ones; each comes at once, and goes."""
    served = []
    for _ in range(calls):
        key = turns.call(at)
        if key is not None:
            turns.leave(key)
            served.append(key)
    return served


def _kinds(served: list[str]) -> Counter[str]:
    return Counter(key[0] for key in served)


def test_within_a_priority_the_queue_is_first_in_first_out() -> None:
    turns = _turns(a=3)
    turns.ask("a0", "a")  # again: it keeps its place
    assert _serve(turns, 4) == ["a0", "a1", "a2"]


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
    given_out = _kinds(_serve(_turns(**waiting), 20))
    assert sum(given_out.values()) == sum(served.values())
    assert all(abs(given_out[kind] - count) <= 1 for kind, count in served.items())


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30)), max_size=20),
    st.permutations("abc"),
)
def test_each_priority_has_its_share_from_the_first_call_on(
    before: list[tuple[str, int]], order: list[str]
) -> None:
    """A kind that had all to itself for days is not shut out, nor one that wanted nothing."""
    turns = _turns()
    for kind, count in before:
        for number in range(count):
            turns.ask(f"{kind}-early{number}", kind)
            _serve(turns, number % 2 + 1)
    _serve(turns, 999)
    for kind in order:
        for number in range(99):
            turns.ask(f"{kind}{number}", kind)
    served = _serve(turns, 60)
    for calls in range(1, 61):
        shares = _kinds(served[:calls])
        for kind, share in SHARES.items():
            assert share * calls - 2 <= shares[kind] <= share * calls + 2


@pytest.mark.parametrize(
    ("waits", "others"), [("a", "b"), ("b", "a"), ("c", "a")], ids=["high", "low", "lowest"]
)
def test_unused_share_is_not_saved_up(waits: str, others: str) -> None:
    turns = _turns(**{others: 99})
    _serve(turns, 50)
    for number in range(50):
        turns.ask(f"{waits}{number}", waits)
    fair = SHARES[waits] / (SHARES[waits] + SHARES[others])
    assert _kinds(_serve(turns, 20))[waits] <= 20 * fair + 1


def test_repeated_requests_get_no_more_than_their_share() -> None:
    turns = _turns(a=99)
    served = []
    for _ in range(32):
        turns.ask("b", "b")
        served += _serve(turns, 1)
    assert _kinds(served)["b"] == 12


def test_empty_queue_dispatches_nothing() -> None:
    turns = _turns()
    assert turns.call(5.0) is None
    assert (len(turns), turns.called, turns.called_for("a0")) == (0, 0, None)
    assert not turns.is_expecting(0.0)


def test_dispatched_resource_stays_so_until_it_calls() -> None:
    turns = _turns(a=2)
    assert turns.call(5.0) == "a0"
    turns.ask("a0", "b")
    assert (len(turns), turns.called, turns.called_for("a0")) == (2, 1, 5.0)
    assert turns.call(6.0) == "a1"
    turns.leave("a0")
    assert (len(turns), turns.called, turns.called_for("a0")) == (1, 1, None)


def test_changed_priority_joins_at_the_end_of_its_queue() -> None:
    turns = _turns(a=2, b=1)
    turns.ask("a0", "b")
    assert len(turns) == 3
    assert _serve(turns, 9) == ["a1", "b0", "a0"]


def test_resource_that_leaves_is_not_dispatched() -> None:
    turns = _turns(a=3)
    turns.leave("a1")
    turns.leave("never-there")
    assert _serve(turns, 9) == ["a0", "a2"]


@pytest.mark.parametrize(("now", "expecting"), [(4.999, True), (5.0, False), (6.0, False)])
def test_queue_expects_a_dispatched_resource_for_a_while(now: float, expecting: bool) -> None:  # noqa: FBT001 - the expected value
    turns = _turns(a=1)
    turns.call(5.0)
    assert turns.is_expecting(now) == expecting


def test_deferred_resource_is_expected_at_its_new_time() -> None:
    turns = _turns(a=1)
    turns.call(5.0)
    turns.put_off("a0", 8.0)
    assert turns.called_for("a0") == 8.0
    assert turns.is_expecting(7.0)


@pytest.mark.parametrize(
    ("after", "left"),
    [(DISPATCH_TIMEOUT, 1), (DISPATCH_TIMEOUT + 0.001, 0)],
    ids=["waited for", "missed"],
)
def test_dispatched_resource_that_does_not_call_is_skipped(after: float, left: int) -> None:
    turns = _turns(a=1)
    turns.call(5.0)
    turns.drop_missed(5.0 + after)
    assert (turns.called, len(turns)) == (left, left)
    turns.ask("a0", "a")  # it may come back
    assert len(turns) == 1
