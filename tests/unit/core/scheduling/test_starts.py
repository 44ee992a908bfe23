"""core/scheduling/starts.py: which resource may start, and the triggers for it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall, Permit
from scriptix_operator.core.scheduling.polls import WakeUp
from scriptix_operator.core.scheduling.queue_positions import SETTLING, Positions
from scriptix_operator.core.scheduling.start_queue import QueueEntry
from scriptix_operator.core.scheduling.starts import PATIENCE, REFRESH, Starts
from tests.unit.core.builders import at

HOUR = 3600.0
LOST = CallFailure(FailureKind.AMBIGUOUS, "no reply")
NOT_SENT = CallFailure(FailureKind.NOT_SENT, "no connection")
REFUSED = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=HOUR)


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


class Table:
    """The starts of one key, and their wake-ups.

    Args:
        count: Starts an hour.
        spent: Earlier starts.
        proved: Whether a whole window is known to be accepted.
    """

    def __init__(self, count: int = 5, *spent: PastCall, proved: bool = True) -> None:
        self.wake_ups: list[WakeUp] = []
        self.starts = Starts((Limit(count, HOUR),), self.wake_ups)
        self.reporting: list[WakeUp] = []
        self.starts._positions = Positions(self.reporting)
        self.starts.recall(spent)
        self.starts.limiter._limits.is_proved = proved

    def waits(self, now: float, *queue_entries: QueueEntry) -> list[float | None]:
        """Seconds that each would wait; None: the start is granted."""
        positions = (self.starts.ask(queue_entry, now) for queue_entry in queue_entries)
        return [None if place is None else place.start_in for place in positions]

    def free(self, now: float, *queue_entries: QueueEntry) -> str:
        """The names whose start is granted."""
        return "".join(c.key.name for c in queue_entries if self.starts.ask(c, now) is None)

    def triggered(self) -> list[tuple[str, float]]:
        """The resources that were triggered since, and for when."""
        triggered = [(wake_up.key.name, wake_up.at) for wake_up in self.wake_ups]
        self.wake_ups.clear()
        return triggered

    def starts_one(self, queue_entry: QueueEntry, now: float, seconds: float = 1.0) -> Permit:
        """Start a resource, and answer the call after so long."""
        assert self.starts.ask(queue_entry, now) is None
        permit = self.starts.acquire(queue_entry, now)
        self.starts.answered(permit, now + seconds)
        return permit


def _charged(count: int, at: float = 0.0, namespace: str = "team-a") -> Sequence[PastCall]:
    return [PastCall(at, namespace)] * count


# Positions.


def test_starts_within_the_quota_are_granted() -> None:
    table = Table(3)
    assert table.free(100.0, A, B, C, D) == "abc"
    assert table.waits(100.0, D) == [HOUR]


def test_queued_start_has_a_position_and_an_expected_time() -> None:
    table = Table(2, PastCall(0.0), PastCall(600.0))
    for queue_entry in (A, B, C):
        table.starts.ask(queue_entry, 1000.0 - SETTLING)
    positions = [table.starts.ask(queue_entry, 1000.0) for queue_entry in (A, B, C)]
    assert [place and place.position for place in positions] == [(1, 3), (2, 3), (3, 3)]
    assert [place and place.start_in for place in positions] == [2600, 3200, 6200]
    assert len(table.starts) == 3
    assert A.key in table.starts
    assert D.key not in table.starts


def test_higher_rank_goes_ahead_in_the_queue() -> None:
    table = Table(1, PastCall(0.0))
    assert table.waits(0.0, A, B) == [HOUR, 2 * HOUR]
    assert table.waits(0.0, replace(C, priority=1), A) == [HOUR, 2 * HOUR]


@pytest.mark.parametrize(
    ("spent_at", "ask_in"),
    [
        pytest.param(0.0, SETTLING, id="an hour: for the position"),
        pytest.param(-HOUR + 1, 1, id="a second: then"),
    ],
)
def test_when_to_ask_for_the_position(spent_at: float, ask_in: float) -> None:
    place = Table(1, PastCall(spent_at)).starts.ask(A, 0.0)
    assert place is not None
    assert (place.position, place.ask_in) == (None, ask_in)


@pytest.mark.parametrize(
    ("spent_at", "ask_in"),
    [
        pytest.param(0.0, REFRESH, id="an hour: now and then"),
        pytest.param(-HOUR + 60, 60, id="a minute: then"),
        pytest.param(-HOUR + 1, 1, id="a second: then"),
    ],
)
def test_when_to_ask_again(spent_at: float, ask_in: float) -> None:
    table = Table(1, PastCall(spent_at))
    table.starts.ask(A, -SETTLING)
    place = table.starts.ask(A, 0.0)
    assert place is not None
    assert place.ask_in == ask_in


def test_asking_for_the_position_keeps_the_order() -> None:
    """The resource has used its wake-up, and its start is an hour away."""
    table = Table(1, PastCall(-HOUR + 60))
    table.waits(0.0, A, B)
    table.starts.advance(SETTLING)
    place = table.starts.ask(B, 10.0)
    assert place is not None
    assert place.start_in == HOUR + 50
    assert place.ask_in == 50 + PATIENCE


def test_a_reported_position_is_of_the_snapshot_and_not_of_now() -> None:
    """The positions of the others are of the snapshot, too."""
    table = Table(1, PastCall(0.0))
    table.waits(0.0, A, B)
    table.starts.advance(SETTLING)
    urgent = replace(C, priority=1)
    positions = [table.starts.ask(queue_entry, SETTLING + 1) for queue_entry in (A, urgent, B)]
    assert [place and place.position for place in positions] == [(1, 2), None, (2, 2)]
    assert [place and place.start_in for place in positions] == [
        HOUR - SETTLING - 1,
        HOUR - SETTLING - 1,
        3 * HOUR - SETTLING - 1,
    ]


@pytest.mark.parametrize("way", ["leaves", "start not sent"])
def test_rejoining_has_no_earlier_position(way: str) -> None:
    table = Table(1)
    table.waits(0.0, A, B)
    table.starts.advance(SETTLING)
    if way == "leaves":
        table.starts.leave(A.key, SETTLING)
    else:
        table.starts.cancel(table.starts.acquire(A, SETTLING), SETTLING)
    table.starts.ask(replace(A, is_rerun=True), SETTLING + 1)  # B comes before it
    place = table.starts.ask(replace(A, is_rerun=True), SETTLING + 1)
    assert place is not None
    assert place.position is None


# Between namespaces.


@pytest.mark.parametrize("priority", [0, 1000])
def test_five_hundred_of_one_tenant_do_not_starve_anothers_one(priority: int) -> None:
    table = Table(5, *_charged(5))
    flood = [a_queue_entry(f"a{number}", priority=priority) for number in range(500)]
    for queue_entry in flood:
        table.starts.ask(queue_entry, 0.0)
    other = a_queue_entry("z", "team-b", priority=-1000)
    table.starts.ask(other, 0.0)
    place = table.starts.ask(other, SETTLING)
    assert place is not None
    assert place.position == (1, 501)
    assert table.free(HOUR, other) == "z"


def test_namespaces_alternate_counting_in_flight_starts() -> None:
    table = Table(9)
    other = a_queue_entry("z", "team-b")
    for queue_entry in (A, B, other):
        table.starts.ask(queue_entry, 0.0)
    table.starts.acquire(A, 0.0)
    positions = [table.starts._order(0.0).index(queue_entry.key) for queue_entry in (other, B)]
    assert positions == [0, 1]


# Triggers.


def test_next_starts_are_triggered_one_by_one_when_free() -> None:
    table = Table(1, PastCall(0.0))
    table.waits(100.0, A)
    assert table.triggered() == [("a", HOUR)]
    table.waits(100.0, B, C, D)
    later = [HOUR + PATIENCE * place for place in (1, 2, 3)]
    assert table.triggered() == list(zip("bcd", later, strict=True))
    table.waits(100.0, A, B, C, D)
    assert table.triggered() == []  # each has its wake-up already


def test_granted_start_is_not_triggered_again() -> None:
    table = Table(2)
    assert table.free(0.0, A, B) == "ab"
    assert table.triggered() == []
    table.starts_one(A, 0.0)
    assert table.triggered() == [("b", 0.0)]  # earlier than its last wake-up
    assert table.free(1.0, B) == "b"
    assert table.triggered() == []


def test_free_start_goes_to_the_next_if_the_first_is_absent() -> None:
    table = Table(1, PastCall(0.0))
    table.waits(0.0, A, B, C)
    assert table.free(HOUR - 0.001, A, B, C) == ""
    assert table.free(HOUR, B, C) == ""
    assert table.free(HOUR + PATIENCE - 0.001, B, C) == ""
    assert table.free(HOUR + PATIENCE, B, C) == "b"
    assert table.free(HOUR + 2 * PATIENCE, C) == "c"
    # The first caller starts; the others wait for the next start.
    table.starts_one(B, HOUR + 2 * PATIENCE)
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
    table = Table(2, PastCall(0.0, "team-a"))
    assert table.free(1000.0, first, B) == first.key.name
    table.starts.leave(first.key, 1000.0)
    table.starts.leave(B.key, 1000.0)
    # All call at once, the first in rank a moment later.
    assert table.free(2000.0, D) == "d"
    assert table.free(2000.0, first) == first.key.name
    assert table.free(2000.0 + PATIENCE - 0.001, D) == ""
    assert table.free(2000.0 + PATIENCE, D) == "d"


def test_leaving_frees_the_start_at_once() -> None:
    table = Table(1, PastCall(0.0))
    table.waits(0.0, A, B)
    table.triggered()
    table.starts.leave(A.key, 10.0)
    assert table.triggered() == [("b", HOUR)]
    assert table.waits(10.0, B) == [HOUR - 10]
    table.starts.leave(A.key, 10.0)  # nothing changes
    table.starts.leave(B.key, 10.0)
    assert (len(table.starts), table.triggered()) == (0, [])


def test_unsent_start_is_free_for_the_next() -> None:
    for answered in (False, True):
        table = Table(1)
        assert table.free(0.0, A, B) == "a"
        permit = table.starts.acquire(A, 0.0)
        table.triggered()
        if answered:
            assert not table.starts.answered(permit, 2.0, NOT_SENT)
        else:
            table.starts.cancel(permit, 2.0)
        assert table.triggered() == [("b", 2.0)]
        assert table.free(2.0, B) == "b"


# One at a time, until the limit is proved.


def test_one_start_is_in_flight_until_the_limit_is_proved() -> None:
    table = Table(3, proved=False)
    for queue_entry in (A, B, C, D):
        table.starts.ask(queue_entry, 0.0)
    first = table.starts.acquire(A, 0.0)
    table.triggered()
    table.starts.advance(SETTLING)
    place = table.starts.ask(B, SETTLING)
    assert place is not None
    assert (place.position, place.start_in, place.ask_in) == ((1, 3), 0, PATIENCE)
    assert table.triggered() == []
    table.starts.answered(first, 6.0)
    assert table.triggered()[0] == ("b", 6.0)
    for queue_entry, now in ((B, 6.0), (C, 8.0)):
        table.starts_one(queue_entry, now)
    # All three were accepted: from now on all free starts are granted at once.
    assert table.free(HOUR + 10, D, E) == "de"
    table.starts.acquire(D, HOUR + 10)
    assert table.free(HOUR + 10, E) == "e"


def test_a_start_that_took_long_leaves_the_next_its_time_to_come() -> None:
    """The start was free all the while, but one in flight held the others."""
    table = Table(3, proved=False)
    for queue_entry in (A, B, C):
        table.starts.ask(queue_entry, 0.0)
    permit = table.starts.acquire(A, 0.0)
    table.triggered()
    table.starts.answered(permit, 30.0, LOST)
    assert table.triggered() == [("b", 30.0), ("c", 30.0 + PATIENCE)]
    table = Table(2, proved=False)
    for queue_entry in (A, B, C):
        table.starts.ask(queue_entry, 0.0)
    permit = table.starts.acquire(A, 0.0)
    table.starts.answered(permit, 30.0, LOST)
    assert table.free(30.0, C) == ""
    assert table.free(30.0 + PATIENCE - 0.001, C, B) == "b"
    assert table.free(30.0 + PATIENCE, C) == "c"


def test_refusal_holds_all_starts_then_allows_one_at_a_time() -> None:
    table = Table(3)
    for queue_entry in (A, B, C):
        table.starts.ask(queue_entry, 0.0)
    permit = table.starts.acquire(A, 0.0)
    assert table.starts.answered(permit, 1.0, REFUSED, RateLimitInfo(limit=2))
    assert table.waits(1.0, B, C) == [HOUR, HOUR]
    assert table.free(HOUR + 1, B) == "b"
    table.starts.acquire(B, HOUR + 1)
    assert table.free(HOUR + 1, C) == ""


def test_starts_of_another_process_count_by_namespace() -> None:
    table = Table(5)
    table.starts.recall(_charged(3))
    assert table.free(10.0, A, B, C) == "ab"
    assert table.starts.limiter.calls_by_tag(10.0) == {"team-a": 3}


# A day.


@pytest.mark.parametrize("gone", [0, 5], ids=["all come", "some do not come"])
@pytest.mark.parametrize("is_proved", [True, False], ids=["many at once", "one at a time"])
def test_no_start_is_idle_in_a_day_and_tenants_alternate(
    gone: int,
    is_proved: bool,  # noqa: FBT001 - both ways
) -> None:
    """Each resource calls when triggered, or at the time to ask again; then it polls and starts."""
    table = Table(5, *_charged(5, namespace="gone"), proved=is_proved)
    flood = [a_queue_entry(f"a{number}", "team-a", priority=1000) for number in range(60)]
    others = [a_queue_entry(f"z{number}", "team-b") for number in range(5)]
    due = {queue_entry.key: 0.0 for queue_entry in (*flood, *others)}
    queue_entries = {queue_entry.key: queue_entry for queue_entry in (*flood, *others)}
    absent = {queue_entry.key for queue_entry in flood[5 : 5 + gone]}
    started: list[tuple[float, QueueEntry]] = []
    answers: list[tuple[float, Permit]] = []
    while True:
        key = min(due, key=lambda key: due[key])
        now = min(due[key], *(at for at, _ in answers), 9 * HOUR)
        if now >= 9 * HOUR:
            break
        if answers and answers[0][0] <= now:
            table.starts.answered(answers.pop(0)[1], now)
        elif key in absent and started:
            due[key] = 99 * HOUR
        else:
            place = table.starts.ask(queue_entries[key], now)
            due[key] = now + (0.3 if place is None else place.ask_in)
            if place is None and table.starts.ask(queue_entries[key], now + 0.2) is None:
                answers.append((now + 0.5, table.starts.acquire(queue_entries[key], now + 0.2)))
                started.append((now, queue_entries[key]))
                del due[key]
        for wake_up in (*table.wake_ups, *table.reporting):
            if wake_up.key in due and key not in absent:
                due[wake_up.key] = min(due[wake_up.key], max(wake_up.at, now))
        table.wake_ups.clear()
        table.reporting.clear()
    assert len(started) >= 0.95 * 8 * 5
    first = [queue_entry.key.namespace for _, queue_entry in started[:10]]
    assert first.count("team-b") >= 4
