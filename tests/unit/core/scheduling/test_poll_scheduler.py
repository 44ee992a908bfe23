"""core/scheduling/poll_scheduler.py: which resource may poll when, alone and in rushes."""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT
from scriptix_operator.core.scheduling.key_scheduler import KeyScheduler
from scriptix_operator.core.scheduling.poll_scheduler import SHARES, PollPriority, PollRequest
from scriptix_operator.core.scheduling.wake_up import WakeUp

MINUTE = 60.0
RUNNING, WAITING = PollPriority.RUNNING, PollPriority.WAITING


def a_key(number: int, name: str = "training") -> TrainingKey:
    """A resource."""
    return TrainingKey("team-a", f"{name}-{number}")


def a_scheduler(polls: int = 10) -> KeyScheduler:
    """A key scheduler that is old enough for bursts: a fifth of so many polls a minute."""
    return KeyScheduler(dict.fromkeys(Call, (Limit(polls, MINUTE),)), -MINUTE)


@pytest.fixture
def scheduler() -> KeyScheduler:
    """Return a key scheduler: ten polls a minute, two at once."""
    return a_scheduler()


def _ask(
    scheduler: KeyScheduler, number: int, now: float, priority: PollPriority = RUNNING
) -> CallPermit | float:
    permit = scheduler.acquire_poll(a_key(number), PollRequest(priority, 60.0), now)
    assert isinstance(permit, CallPermit | float)
    return permit


def _granted(scheduler: KeyScheduler, numbers: Iterable[int], now: float) -> list[int]:
    """The numbers whose poll is granted now."""
    return [number for number in numbers if isinstance(_ask(scheduler, number, now), CallPermit)]


# One by one.


def test_waiting_polls_are_triggered_one_by_one(scheduler: KeyScheduler) -> None:
    assert _granted(scheduler, range(5), 100.0) == [0, 1]
    assert scheduler.take_wake_ups() == [WakeUp(a_key(2), 106.0)]
    assert _granted(scheduler, [3, 4], 106.0) == []
    assert _granted(scheduler, [2], 106.0) == [2]
    assert scheduler.take_wake_ups() == [WakeUp(a_key(3), 112.0)]
    assert scheduler.take_wake_ups() == []


def test_dispatched_poll_gets_its_time_others_the_queues_length(scheduler: KeyScheduler) -> None:
    waits = [_ask(scheduler, number, 100.0) for number in range(5)]
    # In case a resource is never dispatched: three in the queue take so long.
    assert waits[2:] == [6.0, 12.0, 18.0]
    # The resource asks too early: it gets its time again.
    assert _ask(scheduler, 2, 104.0) == 2.0
    assert isinstance(_ask(scheduler, 2, 106.0), CallPermit)


def test_a_wait_is_never_so_short_that_asking_again_is_the_load() -> None:
    scheduler = a_scheduler(6000)
    assert len(_granted(scheduler, range(1201), 0.0)) == 1200
    assert _ask(scheduler, 1201, 0.0) == DISPATCH_TIMEOUT


def test_granted_poll_is_not_triggered_again(scheduler: KeyScheduler) -> None:
    _granted(scheduler, range(4), 100.0)
    scheduler.take_wake_ups()
    assert _ask(scheduler, 3, 110.0) == 2.0  # one behind another that has yet to poll
    assert _granted(scheduler, [2], 112.0) == [2]
    assert _granted(scheduler, [3], 112.0) == [3]
    assert scheduler.take_wake_ups() == []


@pytest.mark.parametrize(
    ("after", "granted"),
    [(DISPATCH_TIMEOUT, []), (DISPATCH_TIMEOUT + 0.001, [3])],
    ids=["waited", "missed"],
)
def test_absent_resource_is_skipped_after_a_moment(
    scheduler: KeyScheduler, after: float, granted: list[int]
) -> None:
    _granted(scheduler, range(4), 100.0)
    assert _granted(scheduler, [3], 106.0 + after) == granted


def test_next_poll_is_dispatched_without_a_request(scheduler: KeyScheduler) -> None:
    _granted(scheduler, range(5), 100.0)
    scheduler.take_wake_ups()
    scheduler.tick(105.9)
    assert scheduler.take_wake_ups() == []
    scheduler.tick(106.1 + DISPATCH_TIMEOUT)
    assert scheduler.take_wake_ups()[0] == WakeUp(a_key(3), 106.1 + DISPATCH_TIMEOUT)


@pytest.mark.parametrize("way", ["forgotten", "not polled", "has not asked"])
def test_poll_that_leaves_the_queue_delays_no_other(scheduler: KeyScheduler, way: str) -> None:
    _granted(scheduler, range(5), 100.0)
    scheduler.take_wake_ups()
    for number in (2, 4):  # 4 was not dispatched, and leaves no gap
        key, is_polled = a_key(number), way == "has not asked"  # for example its Secret is gone
        if way == "forgotten":
            scheduler.forget(key, 101.0)
        else:
            scheduler.finish_reconcile(
                key, 101.0, is_queued=False, is_polled=is_polled, awaits_poll=False
            )
    assert scheduler.take_wake_ups() == [WakeUp(a_key(3), 106.0)]
    assert _granted(scheduler, [3], 106.0) == [3]


def test_waiting_poll_stays_queued_after_the_reconcile(scheduler: KeyScheduler) -> None:
    _granted(scheduler, range(4), 100.0)
    scheduler.finish_reconcile(a_key(2), 100.0, is_queued=False, is_polled=True, awaits_poll=True)
    assert _granted(scheduler, [3, 2], 106.0) == [2]


def test_new_poll_waits_for_those_queued_before(scheduler: KeyScheduler) -> None:
    _granted(scheduler, range(4), 100.0)
    assert _granted(scheduler, [99, 2, 99, 3], 106.0) == [2]


def test_dispatched_poll_is_deferred_by_a_refusal(scheduler: KeyScheduler) -> None:
    first, *_ = [_ask(scheduler, number, 100.0) for number in range(4)]
    assert isinstance(first, CallPermit)
    refusal = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=30.0)
    scheduler.complete(first, Answer(7, refusal, RateLimitInfo(limit=5)), 101.0, 0.5)
    assert _ask(scheduler, 2, 106.0) == 25.0
    # The dispatched resource keeps its precedence for all that time; no other may poll.
    assert _granted(scheduler, [3], 120.0) == []
    assert _granted(scheduler, [2], 131.0) == [2]


# Granted intervals.


def test_intervals_are_lengthened_to_fit_the_quota(scheduler: KeyScheduler) -> None:
    scheduler.acquire_poll(a_key(0), PollRequest(RUNNING, 60.0, speed_up=2.0), 0.0)
    for number in range(1, 19):
        _ask(scheduler, number, 0.0)
    assert scheduler.granted_interval(RUNNING, 0.0).granted(60) == pytest.approx(120)
    assert scheduler.state(0.0, is_used=True).poll_interval_ratio == pytest.approx(2)
    # A single poll takes no part in dividing the poll rate.
    for number in range(10):
        scheduler.acquire_poll(a_key(number), PollRequest(PollPriority.BASELINE, None), 0.0)
    assert scheduler.granted_interval(RUNNING, 0.0).granted(60) == pytest.approx(60)


@pytest.mark.parametrize(
    ("is_queued", "is_polled", "interval"),
    [
        pytest.param(False, True, 120, id="is polled"),
        pytest.param(True, True, 60, id="waits for a start"),
        pytest.param(False, False, 60, id="is not polled"),
    ],
)
def test_finished_reconcile_takes_a_share_only_if_polled(
    scheduler: KeyScheduler,
    is_queued: bool,  # noqa: FBT001 - both ways
    is_polled: bool,  # noqa: FBT001 - both ways
    interval: float,
) -> None:
    for number in range(20):
        _ask(scheduler, number, 0.0)
    for number in range(10, 20):
        scheduler.finish_reconcile(
            a_key(number), 0.0, is_queued=is_queued, is_polled=is_polled, awaits_poll=False
        )
    granted_interval = scheduler.granted_interval(RUNNING, 0.0)
    assert granted_interval.granted(60) == pytest.approx(interval)


# Rushes.


@dataclass
class Rush:
    """Resources that poll repeatedly, at due times that their key scheduler also sets.

    Args:
        interval: The requested seconds between polls; None: one poll each.
        absent: Resources that do not poll when they are dispatched.
    """

    scheduler: KeyScheduler = field(default_factory=lambda: a_scheduler(100))
    interval: float | None = None
    absent: frozenset[TrainingKey] = frozenset()
    jitter: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - repeatable on purpose
    granted: list[tuple[float, TrainingKey, PollPriority]] = field(default_factory=list)
    asked: int = 0
    _due: dict[TrainingKey, float] = field(default_factory=dict)
    _prioritys: dict[TrainingKey, PollPriority] = field(default_factory=dict)
    _heap: list[tuple[float, TrainingKey]] = field(default_factory=list)
    _replies: list[tuple[float, int, CallPermit]] = field(default_factory=list)

    def join(self, priority: PollPriority, count: int, at: float) -> None:
        """So many resources request a poll at once."""
        for number in range(count):
            key = a_key(number, priority.value)
            self._prioritys[key] = priority
            self._set(key, at)

    def _set(self, key: TrainingKey, at: float) -> None:
        self._due[key] = at
        heapq.heappush(self._heap, (at, key))

    def run(self, until: float) -> "Rush":
        """Simulate until this time."""
        while True:
            now = min(queue[0][0] for queue in (self._heap, self._replies, [(until,)]) if queue)
            if now >= until:
                return self
            if self._replies and self._replies[0][0] <= now:
                self.scheduler.complete(heapq.heappop(self._replies)[2], Answer(7), now, 0.5)
            else:
                at, key = heapq.heappop(self._heap)
                if self._due.get(key) == at:
                    del self._due[key]
                    self._step(key, now)
            for wake_up in self.scheduler.take_wake_ups():
                if wake_up.key not in self._due or wake_up.at < self._due[wake_up.key]:
                    self._set(wake_up.key, max(wake_up.at, now))

    def _step(self, key: TrainingKey, now: float) -> None:
        priority = self._prioritys[key]
        if key in self.absent and self.asked >= len(self._prioritys):
            return
        self.asked += 1
        outcome = self.scheduler.acquire_poll(key, PollRequest(priority, self.interval), now)
        if isinstance(outcome, CallPermit):
            self.granted.append((now, key, priority))
            reply = now + self.jitter.uniform(0.08, 0.4)
            heapq.heappush(self._replies, (reply, len(self.granted), outcome))
            if self.interval is not None:
                granted_interval = self.scheduler.granted_interval(priority, now)
                self._set(key, now + granted_interval.granted(self.interval))
        else:
            assert isinstance(outcome, float)
            self._set(key, now + outcome)

    def times(self) -> list[float]:
        """The times of the polls."""
        return [at for at, _, _ in self.granted]


def test_thousand_polls_at_once_are_sent_in_order_and_paced() -> None:
    rush = Rush()
    rush.join(WAITING, 1000, 0.0)
    rush.run(11 * MINUTE)
    assert [key for _, key, _ in rush.granted] == sorted({key for _, key, _ in rush.granted})
    times = rush.times()
    assert len(times) == 1000
    assert times[-1] <= 10 * MINUTE
    assert times[:21] == [0.0] * 20 + [pytest.approx(0.6)]
    assert max(sum(begin <= at < begin + 0.59 for at in times) for begin in times) == 20
    assert len([at for at in times if at < MINUTE]) == 100
    # Each resource is triggered once, when its poll is granted; few ask again without a grant.
    assert rush.asked <= 3 * 1000


def test_each_priority_has_its_share_under_overload() -> None:
    rush = Rush(interval=60.0)
    for priority in PollPriority:
        rush.join(priority, 500, 0.0)
    rush.run(10 * MINUTE)
    assert len(rush.times()) >= 0.97 * 1000
    # The first resources use the burst; from then on all wait.
    counts = Counter(priority for at, _, priority in rush.granted if at > 0)
    for priority, share in SHARES.items():
        assert counts[priority] == pytest.approx(counts.total() * share, rel=0.05)


def test_absent_resources_cost_the_others_a_moment_each() -> None:
    absent = frozenset(a_key(number, WAITING.value) for number in range(30, 40))
    rush = Rush(absent=absent)
    rush.join(WAITING, 200, 0.0)
    rush.run(5 * MINUTE)
    assert len(rush.times()) == 190
    assert rush.times()[-1] <= 190 * 0.6 + len(absent) * (DISPATCH_TIMEOUT + 0.6)
