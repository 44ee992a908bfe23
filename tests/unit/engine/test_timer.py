"""engine/timer.py: who is due next, on a clock that the test sets."""

import asyncio
from dataclasses import dataclass

import pytest

from scriptix_operator.core.training import TrainingKey
from scriptix_operator.engine.timer import Timer

A, B, C = (TrainingKey("team-a", name) for name in "abc")


@dataclass
class Hand:
    """A clock that stands still until it is moved."""

    at: float = 1000.0

    def __call__(self) -> float:
        """Read it."""
        return self.at


@pytest.fixture
def hand() -> Hand:
    """Return the clock."""
    return Hand()


@pytest.fixture
def timer(hand: Hand) -> Timer:
    """Return a timer on the clock."""
    return Timer(hand)


async def _names(timer: Timer) -> str:
    """Take out all that are due."""
    names = ""
    while (due := await timer.next(0)) is not None:
        names += due[0].name
    return names


async def test_what_is_due_comes_in_the_order_of_its_times(timer: Timer, hand: Hand) -> None:
    timer.set(A, 3)
    timer.set(B, 1)
    timer.set(C, 2)
    assert await _names(timer) == ""
    hand.at += 2
    assert await _names(timer) == "bc"
    hand.at += 1
    assert await _names(timer) == "a"
    assert await _names(timer) == ""


async def test_of_equal_times_the_one_set_first_comes_first(timer: Timer) -> None:
    for key in (C, A, B):
        timer.set(key, 0)
    assert await _names(timer) == "cab"


async def test_it_says_how_late_a_resource_is(timer: Timer, hand: Hand) -> None:
    timer.set(A, 1)
    hand.at += 4
    assert await timer.next(0) == (A, 3.0)


@pytest.mark.parametrize(("first", "second"), [(1, 5), (5, 1)], ids=["later", "sooner"])
async def test_a_new_time_takes_the_place_of_the_old(
    timer: Timer, hand: Hand, first: float, second: float
) -> None:
    timer.set(A, first)
    timer.set(A, second)
    hand.at += second - 0.5
    assert await _names(timer) == ""
    hand.at += 10
    assert await _names(timer) == "a"


@pytest.mark.parametrize(
    ("set_for", "forward", "due"),
    [
        pytest.param(None, 3, 3, id="not known before"),
        pytest.param(5, 3, 3, id="before its time"),
        pytest.param(3, 3, 3, id="at its time"),
        pytest.param(3, 5, 3, id="after its time"),
        pytest.param(3, -9, 0, id="in the past"),
    ],
)
async def test_a_time_is_brought_forward_and_never_put_off(
    timer: Timer, hand: Hand, set_for: float | None, forward: float, due: float
) -> None:
    if set_for is not None:
        timer.set(A, set_for)
    timer.bring_forward(A, forward)
    if due > 0:
        hand.at += due - 0.001
        assert await _names(timer) == ""
        hand.at += 0.001
    assert await _names(timer) == "a"
    hand.at += 10
    assert await _names(timer) == ""  # once


async def test_a_time_that_is_brought_forward_while_it_waits_is_noticed_at_once(
    timer: Timer,
) -> None:
    timer.set(A, 3600)
    waiting = asyncio.create_task(timer.next(3600))
    await asyncio.sleep(0)
    timer.bring_forward(A, 0)
    assert await waiting == (A, 0.0)


async def test_what_has_come_may_be_brought_forward_again(timer: Timer, hand: Hand) -> None:
    timer.set(A, 0)
    assert await _names(timer) == "a"
    timer.bring_forward(A, 1)
    hand.at += 1
    assert await _names(timer) == "a"


async def test_what_was_dropped_does_not_come(timer: Timer, hand: Hand) -> None:
    timer.set(A, 1)
    timer.set(B, 1)
    timer.drop(A)
    timer.drop(C)
    hand.at += 1
    assert await _names(timer) == "b"


async def test_a_time_set_while_it_waits_is_noticed_at_once(timer: Timer) -> None:
    timer.set(A, 3600)
    waiting = asyncio.create_task(timer.next(3600))
    await asyncio.sleep(0)
    timer.set(B, 0)
    assert await waiting == (B, 0.0)


async def test_a_wait_that_is_cancelled_loses_nothing(timer: Timer) -> None:
    waiting = asyncio.create_task(timer.next(3600))
    await asyncio.sleep(0)
    timer.set(A, 0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await _names(timer) == "a"
