"""core/scheduling/queue_positions.py: which positions are reported, and when."""

from collections.abc import Iterable
from datetime import timedelta

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.scheduling.queue_positions import FIRST, INTERVAL, SETTLING, Positions
from scriptix_operator.core.scheduling.start_queue import QueueEntry, QueueSnapshot, StartQueue
from tests.unit.core.builders import EIGHT


class Line:
    """A start queue, ranked by number, and what its resources report.

    Args:
        numbers: The resources that wait from the beginning.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self.positions = Positions()
        self._queue = StartQueue()
        for number in numbers:
            self.join(number)

    def join(self, number: int) -> None:
        """Add a resource."""
        since = EIGHT + timedelta(seconds=number)
        self._queue.join(
            QueueEntry(
                key=_key(number),
                uid=f"u{number}",
                is_repeated=False,
                priority=0,
                is_rerun=False,
                created_at=since,
                joined_at=since,
            )
        )

    def leave(self, *numbers: int) -> None:
        """Remove resources."""
        for number in numbers:
            self._queue.leave(_key(number))

    def triggered(self, now: float) -> list[int]:
        """The resources that are triggered to report at a time."""
        wake_ups = self.positions.update(self._order(), now)
        assert all(wake_up.at == now for wake_up in wake_ups)
        return [int(wake_up.key.name) for wake_up in wake_ups]

    def of(self, number: int) -> tuple[int, int] | None:
        """The position that a resource reports."""
        return self.positions.of(_key(number))

    def _order(self) -> QueueSnapshot:
        return self._queue.order({})


def _key(number: int) -> TrainingKey:
    return TrainingKey("team-a", f"{number}")


def test_positions_are_taken_seconds_after_a_change_and_once() -> None:
    line = Line([1, 2])
    assert line.triggered(100.0) == []
    assert (line.of(1), line.positions.due_in(100.0)) == (None, SETTLING)
    assert line.triggered(100.0 + SETTLING - 0.001) == []
    assert line.triggered(100.0 + SETTLING) == [1, 2]
    assert (line.of(1), line.of(2)) == ((1, 2), (2, 2))
    assert line.triggered(999.0) == []


def test_resource_that_left_has_no_position() -> None:
    line = Line([1, 2])
    line.triggered(100.0)
    line.leave(1)
    assert line.triggered(100.0 + SETTLING) == [2]
    assert (line.of(1), line.of(2)) == (None, (1, 1))


def test_positions_are_taken_at_most_twice_a_minute() -> None:
    line = Line([1, 2, 3])
    line.triggered(0.0)
    assert line.triggered(SETTLING) == [1, 2, 3]
    line.leave(1)
    assert line.triggered(SETTLING + 1) == []
    line.leave(2)
    line.join(9)
    assert line.triggered(SETTLING + INTERVAL - 0.001) == []
    # No position has changed meanwhile, so none is reported twice.
    assert (line.of(2), line.of(3), line.of(9)) == ((2, 3), (3, 3), None)
    assert line.triggered(SETTLING + INTERVAL) == [3, 9]
    assert (line.of(3), line.of(9)) == ((1, 2), (2, 2))


def test_only_the_first_fifty_are_triggered_for_positions() -> None:
    line = Line(range(200))
    line.triggered(0.0)
    assert line.triggered(SETTLING) == list(range(FIRST))
    line.leave(0, 1)
    line.triggered(1000.0)
    assert line.triggered(1000.0 + SETTLING) == list(range(2, FIRST + 2))
    assert [line.of(number) for number in range(2, 200)] == [(n, 198) for n in range(1, 199)]


def test_an_overtaken_resource_gives_up_its_first_position() -> None:
    line = Line(range(10, 10 + FIRST + 1))
    line.triggered(0.0)
    line.triggered(SETTLING)
    line.join(1)
    line.join(2)
    line.triggered(1000.0)
    last_two = [FIRST + 8, FIRST + 9]
    assert line.triggered(1000.0 + SETTLING)[-2:] == last_two
    assert [line.of(number) for number in last_two] == [(FIRST + 1, 53), (FIRST + 2, 53)]


def test_only_changed_positions_trigger_a_reconcile() -> None:
    line = Line([1, 2, 4])
    line.triggered(0.0)
    line.triggered(SETTLING)
    line.leave(4)
    line.join(3)
    line.triggered(1000.0)
    assert line.triggered(1000.0 + SETTLING) == [3]
