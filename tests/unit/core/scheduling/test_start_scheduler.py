"""core/scheduling/start_scheduler.py: which resource may start, and the triggers for it."""

from dataclasses import replace

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.key_scheduler import KeyScheduler
from scriptix_operator.core.scheduling.queue_positions import SETTLING, Positions
from scriptix_operator.core.scheduling.start_queue import QueueEntry, QueueSnapshot
from scriptix_operator.core.scheduling.start_scheduler import PATIENCE, REFRESH, QueuePosition
from scriptix_operator.core.scheduling.wake_up import WakeUp
from tests.unit.core.builders import at

HOUR = 3600.0
LOST = CallFailure(FailureKind.AMBIGUOUS, "no reply")
NOT_SENT = CallFailure(FailureKind.NOT_SENT, "no connection")


def a_queue_entry(name: str, namespace: str = "team-a", *, priority: int = 0) -> QueueEntry:
    """A resource that could start; names first in the alphabet are older."""
    key = TrainingKey(namespace, name)
    since = at(minutes=ord(name[0]), seconds=int(name[1:] or 0))
    return QueueEntry(
        key,
        name,
        is_repeated=False,
        priority=priority,
        is_rerun=False,
        created_at=since,
        joined_at=since,
    )


A, B, C, D, E = (a_queue_entry(name) for name in "abcde")


class Reporting(Positions):
    """Positions that keep their wake-ups apart from those for starts."""

    def __init__(self) -> None:
        super().__init__()
        self.wake_ups: list[WakeUp] = []

    def update(self, order: QueueSnapshot, now: float) -> list[WakeUp]:
        """Take a snapshot once due."""
        self.wake_ups += super().update(order, now)
        return []


class Table:
    """The starts of one key, and their wake-ups.

    Args:
        count: Starts an hour.
        started: The times of earlier starts of team-a.
        proved: Whether a whole window is known to be accepted.
    """

    def __init__(self, count: int = 5, *started: float, proved: bool = True) -> None:
        self.scheduler = KeyScheduler(dict.fromkeys(Call, (Limit(count, HOUR),)), -HOUR)
        self.positions = self.scheduler._starts._positions = Reporting()
        self.limiter = self.scheduler.limiters[Call.START]
        self.limiter.restore(PastCall(at, "team-a") for at in started)
        self.limiter._limits.is_proved = proved

    def ask(self, queue_entry: QueueEntry, now: float) -> QueuePosition | None:
        """Ask for a start; None: it is granted."""
        return self.scheduler.queue_position(queue_entry, now)

    def positioned(self, queue_entry: QueueEntry, now: float) -> QueuePosition:
        """Ask for a start that is not granted."""
        position = self.ask(queue_entry, now)
        assert position is not None
        return position

    def waits(self, now: float, *queue_entries: QueueEntry) -> list[float | None]:
        """Seconds that each would wait; None: the start is granted."""
        positions = [self.ask(queue_entry, now) for queue_entry in queue_entries]
        return [None if position is None else position.start_in for position in positions]

    def free(self, now: float, *queue_entries: QueueEntry) -> str:
        """The names whose start is granted."""
        return "".join(one.key.name for one in queue_entries if self.ask(one, now) is None)

    def triggered(self) -> list[tuple[str, float]]:
        """The resources that were triggered since, and for when."""
        return [(wake_up.key.name, wake_up.at) for wake_up in self.scheduler.take_wake_ups()]

    def acquire(self, queue_entry: QueueEntry, now: float) -> CallPermit:
        """Acquire the permit of a start that is granted."""
        permit = self.scheduler.acquire_start(queue_entry, now)
        assert isinstance(permit, CallPermit)
        return permit

    def complete(self, permit: CallPermit, now: float, failure: CallFailure | None = None) -> None:
        """Answer a start."""
        self.scheduler.complete(permit, Answer(7, failure), now, 0.5)

    def start(self, queue_entry: QueueEntry, now: float) -> None:
        """Start a resource, and answer after a second."""
        self.complete(self.acquire(queue_entry, now), now + 1.0)


# Positions.


def test_queued_start_has_a_position_and_an_expected_time() -> None:
    table = Table(2, 0.0, 600.0)
    for queue_entry in (A, B, C):
        table.ask(queue_entry, 1000.0 - SETTLING)
    positions = [table.ask(queue_entry, 1000.0) for queue_entry in (A, B, C)]
    assert [position and position.position for position in positions] == [(1, 3), (2, 3), (3, 3)]
    assert [position and position.start_in for position in positions] == [2600, 3200, 6200]
    assert table.scheduler.is_queued(A.key)
    assert not table.scheduler.is_queued(D.key)


@pytest.mark.parametrize(
    ("spent_at", "ask_in"),
    [
        pytest.param(0.0, SETTLING, id="an hour: for the position"),
        pytest.param(-HOUR + 1, 1, id="a second: then"),
    ],
)
def test_when_to_ask_for_the_position(spent_at: float, ask_in: float) -> None:
    position = Table(1, spent_at).positioned(A, 0.0)
    assert (position.position, position.ask_in) == (None, ask_in)


@pytest.mark.parametrize(
    ("spent_at", "ask_in"),
    [
        pytest.param(0.0, REFRESH, id="an hour: now and then"),
        pytest.param(-HOUR + 60, 60, id="a minute: then"),
        pytest.param(-HOUR + 1, 1, id="a second: then"),
    ],
)
def test_when_to_ask_again(spent_at: float, ask_in: float) -> None:
    table = Table(1, spent_at)
    table.ask(A, -SETTLING)
    position = table.positioned(A, 0.0)
    assert position.ask_in == ask_in


def test_asking_for_the_position_keeps_the_order() -> None:
    """The resource has used its wake-up, and its start is an hour away."""
    table = Table(1, -HOUR + 60)
    table.waits(0.0, A, B)
    table.scheduler.tick(SETTLING)
    position = table.positioned(B, 10.0)
    assert position.start_in == HOUR + 50
    assert position.ask_in == 50 + PATIENCE


def test_a_reported_position_is_of_the_snapshot_and_not_of_now() -> None:
    """The positions of the others are of the snapshot, too."""
    table = Table(1, 0.0)
    table.waits(0.0, A, B)
    table.scheduler.tick(SETTLING)
    urgent = replace(C, priority=1)
    positions = [table.ask(queue_entry, SETTLING + 1) for queue_entry in (A, urgent, B)]
    assert [position and position.position for position in positions] == [(1, 2), None, (2, 2)]
    assert [position and position.start_in for position in positions] == [
        HOUR - SETTLING - 1,
        HOUR - SETTLING - 1,
        3 * HOUR - SETTLING - 1,
    ]


@pytest.mark.parametrize("way", ["leaves", "start not sent"])
def test_rejoining_has_no_earlier_position(way: str) -> None:
    table = Table(1)
    table.waits(0.0, A, B)
    table.scheduler.tick(SETTLING)
    if way == "leaves":
        table.scheduler.forget(A.key, SETTLING)
    else:
        table.scheduler.cancel(table.acquire(A, SETTLING), SETTLING)
    table.ask(replace(A, is_rerun=True), SETTLING + 1)  # B comes before it
    position = table.positioned(replace(A, is_rerun=True), SETTLING + 1)
    assert position.position is None


# Between namespaces.


def test_namespaces_alternate_counting_in_flight_starts() -> None:
    table = Table(2)
    other = a_queue_entry("z", "team-b")
    for queue_entry in (A, B, other):
        table.ask(queue_entry, 0.0)
    table.acquire(A, 0.0)
    assert table.waits(0.0, other, B) == [None, HOUR]


# Triggers.


def test_next_starts_are_triggered_one_by_one_when_free() -> None:
    table = Table(1, 0.0)
    table.waits(100.0, A)
    assert table.triggered() == [("a", HOUR)]
    table.waits(100.0, B, C, D)
    later = [HOUR + PATIENCE * position for position in (1, 2, 3)]
    assert table.triggered() == list(zip("bcd", later, strict=True))
    table.waits(100.0, A, B, C, D)
    assert table.triggered() == []  # each has its wake-up already


def test_granted_start_is_not_triggered_again() -> None:
    table = Table(2)
    assert table.free(0.0, A, B) == "ab"
    assert table.triggered() == []
    table.start(A, 0.0)
    assert table.triggered() == [("b", 0.0)]  # earlier than its last wake-up
    assert table.free(1.0, B) == "b"
    assert table.triggered() == []


def test_free_start_goes_to_the_next_if_the_first_is_absent() -> None:
    table = Table(1, 0.0)
    table.waits(0.0, A, B, C)
    assert table.free(HOUR - 0.001, A, B, C) == ""
    assert table.free(HOUR, B, C) == ""
    assert table.free(HOUR + PATIENCE - 0.001, B, C) == ""
    assert table.free(HOUR + PATIENCE, B, C) == "b"
    assert table.free(HOUR + 2 * PATIENCE, C) == "c"
    # The first caller starts; the others wait for the next start.
    table.start(B, HOUR + 2 * PATIENCE)
    assert table.free(HOUR + 3 * PATIENCE, A, C) == ""
    assert table.waits(HOUR + 3 * PATIENCE, A, C) == [
        pytest.approx(HOUR - PATIENCE + 1),
        pytest.approx(2 * HOUR - PATIENCE + 1),
    ]


@pytest.mark.parametrize(
    "first", [A, a_queue_entry("z", "team-b")], ids=["a peer", "another tenant"]
)
def test_long_free_start_is_kept_for_the_first_rank(first: QueueEntry) -> None:
    """The first caller does not get the start: the next resources may call within seconds."""
    table = Table(2, 0.0)
    assert table.free(1000.0, first, B) == first.key.name
    table.scheduler.forget(first.key, 1000.0)
    table.scheduler.forget(B.key, 1000.0)
    # All call at once, the first in rank a moment later.
    assert table.free(2000.0, D) == "d"
    assert table.free(2000.0, first) == first.key.name
    assert table.free(2000.0 + PATIENCE - 0.001, D) == ""
    assert table.free(2000.0 + PATIENCE, D) == "d"


def test_each_free_start_is_kept_for_the_first_again() -> None:
    table = Table(2)
    assert table.free(0.0, A, B, C) == "ab"
    table.start(B, 6.0)
    assert table.free(6.0 + PATIENCE - 0.001, C) == ""
    assert table.free(6.0 + PATIENCE, C) == "c"


def test_leaving_frees_the_start_at_once() -> None:
    table = Table(1, 0.0)
    table.waits(0.0, A, B)
    table.triggered()
    table.scheduler.forget(A.key, 10.0)
    assert table.triggered() == [("b", HOUR)]
    assert table.waits(10.0, B) == [HOUR - 10]
    table.scheduler.forget(A.key, 10.0)  # nothing changes
    table.scheduler.forget(B.key, 10.0)
    assert table.triggered() == []


def test_unsent_start_is_free_for_the_next() -> None:
    for is_answered in (False, True):
        table = Table(1)
        assert table.free(0.0, A, B) == "a"
        permit = table.acquire(A, 0.0)
        table.triggered()
        if is_answered:
            table.complete(permit, 2.0, NOT_SENT)
        else:
            table.scheduler.cancel(permit, 2.0)
        assert table.triggered() == [("b", 2.0)]
        assert table.free(2.0, B) == "b"


# One at a time, until the limit is proved.


def test_one_start_is_in_flight_until_the_limit_is_proved() -> None:
    table = Table(3, proved=False)
    for queue_entry in (A, B, C, D):
        table.ask(queue_entry, 0.0)
    first = table.acquire(A, 0.0)
    table.triggered()
    table.scheduler.tick(SETTLING)
    position = table.positioned(B, SETTLING)
    assert (position.position, position.start_in, position.ask_in) == ((1, 3), 0, PATIENCE)
    assert table.triggered() == []
    table.complete(first, 6.0)
    assert table.triggered()[0] == ("b", 6.0)
    for queue_entry, now in ((B, 6.0), (C, 8.0)):
        table.start(queue_entry, now)
    # All three were accepted: from now on all free starts are granted at once.
    assert table.free(HOUR + 10, D, E) == "de"
    table.acquire(D, HOUR + 10)
    assert table.free(HOUR + 10, E) == "e"


def test_a_start_that_took_long_leaves_the_next_its_time_to_come() -> None:
    """The start was free all the while, but one in flight held the others."""
    table = Table(3, proved=False)
    for queue_entry in (A, B, C):
        table.ask(queue_entry, 0.0)
    permit = table.acquire(A, 0.0)
    table.triggered()
    table.complete(permit, 30.0, LOST)
    assert table.triggered() == [("b", 30.0), ("c", 30.0 + PATIENCE)]
    table = Table(2, proved=False)
    for queue_entry in (A, B, C):
        table.ask(queue_entry, 0.0)
    permit = table.acquire(A, 0.0)
    table.complete(permit, 30.0, LOST)
    assert table.free(30.0, C) == ""
    assert table.free(30.0 + PATIENCE - 0.001, C, B) == "b"
    assert table.free(30.0 + PATIENCE, C) == "c"


# A day.


@pytest.mark.parametrize("gone", [0, 5], ids=["all come", "some do not come"])
@pytest.mark.parametrize("is_proved", [True, False], ids=["many at once", "one at a time"])
def test_no_start_is_idle_in_a_day_and_tenants_alternate(
    gone: int,
    is_proved: bool,  # noqa: FBT001 - both ways
) -> None:
    """Each resource calls when triggered, or at the time to ask again; then it polls and starts."""
    table = Table(5, proved=is_proved)
    table.limiter.restore([PastCall(0.0, "gone")] * 5)
    flood = [a_queue_entry(f"a{number}", "team-a", priority=1000) for number in range(60)]
    others = [a_queue_entry(f"z{number}", "team-b") for number in range(5)]
    due = {queue_entry.key: 0.0 for queue_entry in (*flood, *others)}
    queue_entries = {queue_entry.key: queue_entry for queue_entry in (*flood, *others)}
    absent = {queue_entry.key for queue_entry in flood[5 : 5 + gone]}
    started: list[tuple[float, QueueEntry]] = []
    answers: list[tuple[float, CallPermit]] = []
    while True:
        key = min(due, key=lambda key: due[key])
        now = min(due[key], *(at for at, _ in answers), 9 * HOUR)
        if now >= 9 * HOUR:
            break
        if answers and answers[0][0] <= now:
            table.complete(answers.pop(0)[1], now)
        elif key in absent and started:
            due[key] = 99 * HOUR
        else:
            position = table.ask(queue_entries[key], now)
            due[key] = now + (0.3 if position is None else position.ask_in)
            if position is None and table.ask(queue_entries[key], now + 0.2) is None:
                answers.append((now + 0.5, table.acquire(queue_entries[key], now + 0.2)))
                started.append((now, queue_entries[key]))
                del due[key]
        for wake_up in (*table.scheduler.take_wake_ups(), *table.positions.wake_ups):
            if wake_up.key in due and key not in absent:
                due[wake_up.key] = min(due[wake_up.key], max(wake_up.at, now))
        table.positions.wake_ups.clear()
    assert len(started) >= 0.95 * 8 * 5
    first = [queue_entry.key.namespace for _, queue_entry in started[:10]]
    assert first.count("team-b") >= 4
