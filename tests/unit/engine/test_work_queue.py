"""engine/work_queue.py: which resource is due next, on a clock that the test sets."""

import asyncio
from dataclasses import dataclass

import pytest

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.engine.work_queue import WorkQueue

A, B, C = (TrainingKey("team-a", name) for name in "abc")


@dataclass
class Hand:
    """A clock that the test advances."""

    at: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


@pytest.fixture
def hand() -> Hand:
    """Return the clock."""
    return Hand()


@pytest.fixture
def work_queue(hand: Hand) -> WorkQueue:
    """Return a work queue on the clock."""
    return WorkQueue(hand)


async def _names(work_queue: WorkQueue) -> str:
    """Take out all due resources."""
    names = ""
    while (due := await work_queue.next(0)) is not None:
        names += due[0].name
    return names


async def test_due_resources_come_in_the_order_of_their_times(
    work_queue: WorkQueue, hand: Hand
) -> None:
    work_queue.set(A, 3)
    work_queue.set(B, 1)
    work_queue.set(C, 2)
    assert await _names(work_queue) == ""
    hand.at += 2
    assert await _names(work_queue) == "bc"
    hand.at += 1
    assert await _names(work_queue) == "a"
    assert await _names(work_queue) == ""


async def test_of_equal_times_the_one_set_first_comes_first(work_queue: WorkQueue) -> None:
    for key in (C, A, B):
        work_queue.set(key, 0)
    assert await _names(work_queue) == "cab"


async def test_work_queue_reports_latency(work_queue: WorkQueue, hand: Hand) -> None:
    work_queue.set(A, 1)
    hand.at += 4
    assert await work_queue.next(0) == (A, 3.0)


@pytest.mark.parametrize(("first", "second"), [(1, 5), (5, 1)], ids=["later", "sooner"])
async def test_new_due_time_replaces_the_old(
    work_queue: WorkQueue, hand: Hand, first: float, second: float
) -> None:
    work_queue.set(A, first)
    work_queue.set(A, second)
    hand.at += second - 0.5
    assert await _names(work_queue) == ""
    hand.at += 10
    assert await _names(work_queue) == "a"


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
async def test_due_time_is_brought_forward_but_never_deferred(
    work_queue: WorkQueue, hand: Hand, set_for: float | None, forward: float, due: float
) -> None:
    if set_for is not None:
        work_queue.set(A, set_for)
    work_queue.bring_forward(A, forward)
    if due > 0:
        hand.at += due - 0.001
        assert await _names(work_queue) == ""
        hand.at += 0.001
    assert await _names(work_queue) == "a"
    hand.at += 10
    assert await _names(work_queue) == ""  # once


async def test_earlier_due_time_interrupts_the_wait(
    work_queue: WorkQueue,
) -> None:
    work_queue.set(A, 3600)
    waiting = asyncio.create_task(work_queue.next(3600))
    await asyncio.sleep(0)
    work_queue.bring_forward(A, 0)
    assert await waiting == (A, 0.0)


async def test_taken_resource_may_be_queued_again(work_queue: WorkQueue, hand: Hand) -> None:
    work_queue.set(A, 0)
    assert await _names(work_queue) == "a"
    work_queue.bring_forward(A, 1)
    hand.at += 1
    assert await _names(work_queue) == "a"


async def test_dropped_resource_is_not_returned(work_queue: WorkQueue, hand: Hand) -> None:
    work_queue.set(A, 1)
    work_queue.set(B, 1)
    work_queue.drop(A)
    work_queue.drop(C)
    hand.at += 1
    assert await _names(work_queue) == "b"


async def test_new_due_time_interrupts_the_wait(work_queue: WorkQueue) -> None:
    work_queue.set(A, 3600)
    waiting = asyncio.create_task(work_queue.next(3600))
    await asyncio.sleep(0)
    work_queue.set(B, 0)
    assert await waiting == (B, 0.0)


async def test_a_wait_that_is_cancelled_loses_nothing(work_queue: WorkQueue) -> None:
    waiting = asyncio.create_task(work_queue.next(3600))
    await asyncio.sleep(0)
    work_queue.set(A, 0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await _names(work_queue) == "a"


def test_resources_that_are_due_are_counted(work_queue: WorkQueue, hand: Hand) -> None:
    for key, seconds in ((A, 0), (B, 1), (C, 2)):
        work_queue.set(key, seconds)
    work_queue.drop(A)
    hand.at += 1
    assert work_queue.due() == 1
