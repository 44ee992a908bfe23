"""core/announcements.py: who is told that places have changed, and when."""

from datetime import timedelta

from scriptix_operator.core.announcements import AHEAD, Announcements
from scriptix_operator.core.looks import Wake
from scriptix_operator.core.startqueue import Claim, Order, StartQueue
from scriptix_operator.core.training import TrainingKey
from tests.unit.core.builders import EIGHT


def a_queue(length: int) -> StartQueue:
    """A queue of so many, in the order of their numbers."""
    queue = StartQueue()
    for number in range(length):
        key, since = TrainingKey("team-a", f"{number}"), EIGHT + timedelta(seconds=number)
        claim = Claim(key, f"u{number}", False, False, 0, False, since, since)  # noqa: FBT003
        queue.join(claim)
    return queue


def _order(queue: StartQueue) -> Order:
    return queue.order({}, late=True)


def _told(wakes: list[Wake]) -> list[tuple[str, float]]:
    """Take out who was told when to look."""
    told = [(wake.key.name, round(wake.at, 3)) for wake in wakes]
    wakes.clear()
    return told


def test_all_look_at_a_new_order_one_after_the_other_and_at_the_same_once() -> None:
    wakes: list[Wake] = []
    announcements, queue = Announcements(wakes), a_queue(2)
    announcements.changed(_order(queue), 100.0)
    assert _told(wakes) == [("0", 102.55), ("1", 105.1)]
    announcements.changed(_order(queue), 103.0)
    assert _told(wakes) == []


def test_changes_meanwhile_are_told_together_after_it() -> None:
    wakes: list[Wake] = []
    announcements, queue = Announcements(wakes), a_queue(3)
    announcements.changed(_order(queue), 100.0)
    assert len(_told(wakes)) == 3
    for name in ("0", "1"):
        queue.leave(TrainingKey("team-a", name))
        announcements.changed(_order(queue), 101.0)
    # Who leaves after it was told looks in vain.
    assert _told(wakes) == [("1", 107.7), ("2", 110.25)]


def test_a_long_queue_is_told_bit_by_bit_as_time_goes_on() -> None:
    """Thousands at once would hold up everybody else."""
    wakes: list[Wake] = []
    announcements, queue = Announcements(wakes), a_queue(1000)
    announcements.changed(_order(queue), 0.0)
    told = _told(wakes)
    assert 0 < len(told) < 300
    assert told[-1][1] <= AHEAD
    for now in range(1, 60):
        announcements.changed(_order(queue), float(now))
    assert [name for name, _ in told + _told(wakes)] == [f"{number}" for number in range(1000)]


def test_who_has_left_before_it_was_told_is_left_alone() -> None:
    wakes: list[Wake] = []
    announcements, queue = Announcements(wakes), a_queue(1000)
    announcements.changed(_order(queue), 0.0)
    queue.leave(TrainingKey("team-a", "999"))
    announcements.changed(_order(queue), 54.0)
    names = [name for name, _ in _told(wakes)]
    assert "999" not in names
    assert "998" in names
