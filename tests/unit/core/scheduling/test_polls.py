"""core/scheduling/polls.py: which resource may poll when, in single cases and simulated rushes."""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT
from scriptix_operator.core.scheduling.polls import (
    SHARES,
    PollPriority,
    PollRequest,
    PollScheduler,
    WakeUp,
)

MINUTE = 60.0
TEN_A_MINUTE = (Limit(10, MINUTE),)
RUNNING, WAITING = PollPriority.RUNNING, PollPriority.WAITING


def a_key(number: int, name: str = "training") -> TrainingKey:
    """A resource."""
    return TrainingKey("team-a", f"{name}-{number}")


@pytest.fixture
def wake_ups() -> list[WakeUp]:
    """Return the list that takes the wake-ups."""
    return []


@pytest.fixture
def polls(wake_ups: list[WakeUp]) -> PollScheduler:
    """Return polls: ten a minute, two at once."""
    return PollScheduler(TEN_A_MINUTE, wake_ups)


def _ask(
    polls: PollScheduler, number: int, now: float, kind: PollPriority = RUNNING
) -> Permit | float:
    return polls.ask(a_key(number), PollRequest(kind, 60.0), now)


def _granted(polls: PollScheduler, numbers: Iterable[int], now: float) -> list[int]:
    """The numbers whose poll is granted now."""
    return [number for number in numbers if isinstance(_ask(polls, number, now), Permit)]


# One by one.


def test_polls_within_the_quota_are_granted_without_a_trigger(
    polls: PollScheduler, wake_ups: list[WakeUp]
) -> None:
    assert _granted(polls, range(2), 100.0) == [0, 1]
    assert wake_ups == []
    assert polls.limiter.in_flight == 2


def test_waiting_polls_are_triggered_one_by_one(
    polls: PollScheduler, wake_ups: list[WakeUp]
) -> None:
    assert _granted(polls, range(5), 100.0) == [0, 1]
    assert wake_ups == [WakeUp(a_key(2), 106.0)]
    assert _granted(polls, [3, 4], 106.0) == []
    assert _granted(polls, [2], 106.0) == [2]
    assert wake_ups == [WakeUp(a_key(3), 112.0)]


def test_dispatched_poll_gets_its_time_others_the_queues_length(
    polls: PollScheduler,
) -> None:
    waits = [_ask(polls, number, 100.0) for number in range(5)]
    # In case a resource is never dispatched: three in the queue take so long.
    assert waits[2:] == [6.0, 12.0, 18.0]
    # The resource asks too early: it gets its time again.
    assert _ask(polls, 2, 104.0) == 2.0
    assert isinstance(_ask(polls, 2, 106.0), Permit)


def test_a_wait_is_never_so_short_that_asking_again_is_the_load(wake_ups: list[WakeUp]) -> None:
    polls = PollScheduler((Limit(6000, MINUTE),), wake_ups)
    assert len(_granted(polls, range(1201), 0.0)) == 1200
    assert _ask(polls, 1201, 0.0) == DISPATCH_TIMEOUT


def test_granted_poll_is_not_triggered_again(polls: PollScheduler, wake_ups: list[WakeUp]) -> None:
    _granted(polls, range(4), 100.0)
    wake_ups.clear()
    assert _ask(polls, 3, 110.0) == 2.0  # one behind another that has yet to poll
    assert wake_ups == [WakeUp(a_key(3), 112.0)]
    assert _granted(polls, [2], 112.0) == [2]
    assert wake_ups == [WakeUp(a_key(3), 112.0)]
    assert _granted(polls, [3], 112.0) == [3]
    assert wake_ups == []


@pytest.mark.parametrize(
    ("after", "granted"),
    [(DISPATCH_TIMEOUT, []), (DISPATCH_TIMEOUT + 0.001, [3])],
    ids=["waited", "missed"],
)
def test_absent_resource_is_skipped_after_a_moment(
    polls: PollScheduler, after: float, granted: list[int]
) -> None:
    _granted(polls, range(4), 100.0)
    assert _granted(polls, [3], 106.0 + after) == granted


def test_next_poll_is_dispatched_without_a_request(
    polls: PollScheduler, wake_ups: list[WakeUp]
) -> None:
    _granted(polls, range(5), 100.0)
    wake_ups.clear()
    polls.tick(105.9)
    assert wake_ups == []
    polls.tick(106.1 + DISPATCH_TIMEOUT)
    assert wake_ups[0] == WakeUp(a_key(3), 106.1 + DISPATCH_TIMEOUT)


def test_poll_that_leaves_the_queue_delays_no_other(
    polls: PollScheduler, wake_ups: list[WakeUp]
) -> None:
    _granted(polls, range(5), 100.0)
    wake_ups.clear()
    polls.leave(a_key(2), 101.0)
    assert wake_ups == [WakeUp(a_key(3), 106.0)]
    polls.leave(a_key(4), 102.0)  # a resource that was not dispatched leaves no gap
    assert wake_ups == [WakeUp(a_key(3), 106.0)]
    assert _granted(polls, [3], 106.0) == [3]


def test_unused_poll_dispatch_delays_no_other(polls: PollScheduler) -> None:
    _granted(polls, range(4), 100.0)
    polls.cancel(a_key(2))
    assert _granted(polls, [3], 106.0) == [3]


def test_new_poll_waits_for_those_queued_before(polls: PollScheduler) -> None:
    _granted(polls, range(4), 100.0)
    assert _granted(polls, [99, 2, 99, 3], 106.0) == [2]


def test_unsent_poll_costs_nothing(polls: PollScheduler) -> None:
    permit = _ask(polls, 0, 100.0)
    assert isinstance(permit, Permit)
    assert not polls.answered(permit, 101.0, CallFailure(FailureKind.NOT_SENT, "no connection"))
    assert _granted(polls, range(3), 101.0) == [0, 1]


def test_refusal_holds_all_polls_and_may_infer_a_limit(
    polls: PollScheduler, wake_ups: list[WakeUp]
) -> None:
    permit = _ask(polls, 0, 100.0)
    assert isinstance(permit, Permit)
    refusal = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=30.0)
    assert polls.answered(permit, 101.0, refusal, RateLimitInfo(limit=5))
    assert _ask(polls, 1, 101.0) == 30.0
    assert wake_ups == [WakeUp(a_key(1), 131.0)]
    assert polls.limiter.limits(131.0) == (Limit(5, MINUTE),)
    assert _granted(polls, [1], 131.0) == [1]


def test_dispatched_poll_is_deferred_by_a_refusal(polls: PollScheduler) -> None:
    first, *_ = [_ask(polls, number, 100.0) for number in range(4)]
    assert isinstance(first, Permit)
    refusal = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=30.0)
    polls.answered(first, 101.0, refusal, RateLimitInfo(limit=5))
    assert _ask(polls, 2, 106.0) == 25.0
    # The dispatched resource keeps its precedence for all that time; no other may poll.
    assert _granted(polls, [3], 120.0) == []
    assert _granted(polls, [2], 131.0) == [2]


# Lengthened intervals.


def test_intervals_are_lengthened_to_fit_the_quota(
    polls: PollScheduler,
) -> None:
    for number in range(20):
        polls.ask(a_key(number), PollRequest(RUNNING, 60.0), 0.0)
    assert polls.interval_ratio(RUNNING, 0.0) == pytest.approx(2)
    for number in range(10):
        polls.ask(a_key(number), PollRequest(PollPriority.BASELINE, None), 0.0)
    assert polls.interval_ratio(RUNNING, 0.0) == pytest.approx(1)
    assert polls.interval_ratio(PollPriority.BASELINE, 0.0) == 1


def test_closer_polls_count_toward_the_quota(polls: PollScheduler) -> None:
    polls.ask(a_key(0), PollRequest(RUNNING, 60.0, speed_up=2.0), 0.0)
    for number in range(1, 19):
        polls.ask(a_key(number), PollRequest(RUNNING, 60.0), 0.0)
    assert polls.granted_interval(RUNNING, 0.0).kept(60) == pytest.approx(120)
    assert polls.granted_interval(RUNNING, 0.0).kept(60, 30) == pytest.approx(60)


def test_resource_that_leaves_shortens_the_other_intervals(polls: PollScheduler) -> None:
    for number in range(20):
        polls.ask(a_key(number), PollRequest(RUNNING, 60.0), 0.0)
    polls.cancel(a_key(1))  # only this poll
    assert polls.interval_ratio(RUNNING, 0.0) == pytest.approx(2)
    for number in range(10):
        polls.leave(a_key(number), 0.0)
    assert polls.interval_ratio(RUNNING, 0.0) == pytest.approx(1)


# Rushes.


@dataclass
class Rush:
    """Resources that poll repeatedly, at due times that their key scheduler also sets.

    Args:
        interval: The requested seconds between polls; None: one poll each.
        absent: Resources that do not poll when they are dispatched.
    """

    polls: PollScheduler
    wake_ups: list[WakeUp]
    interval: float | None = None
    absent: frozenset[TrainingKey] = frozenset()
    jitter: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - repeatable on purpose
    granted: list[tuple[float, TrainingKey, PollPriority]] = field(default_factory=list)
    asked: int = 0
    _due: dict[TrainingKey, float] = field(default_factory=dict)
    _kinds: dict[TrainingKey, PollPriority] = field(default_factory=dict)
    _heap: list[tuple[float, TrainingKey]] = field(default_factory=list)
    _replies: list[tuple[float, int, Permit]] = field(default_factory=list)

    def join(self, kind: PollPriority, count: int, at: float) -> None:
        """So many resources request a poll at once."""
        for number in range(count):
            key = a_key(number, kind.value)
            self._kinds[key] = kind
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
                self.polls.answered(heapq.heappop(self._replies)[2], now)
            else:
                at, key = heapq.heappop(self._heap)
                if self._due.get(key) == at:
                    del self._due[key]
                    self._step(key, now)
            for wake_up in self.wake_ups:
                if wake_up.key not in self._due or wake_up.at < self._due[wake_up.key]:
                    self._set(wake_up.key, max(wake_up.at, now))
            self.wake_ups.clear()

    def _step(self, key: TrainingKey, now: float) -> None:
        kind = self._kinds[key]
        if key in self.absent and self.asked >= len(self._kinds):
            return
        self.asked += 1
        outcome = self.polls.ask(key, PollRequest(kind, self.interval), now)
        if isinstance(outcome, Permit):
            self.granted.append((now, key, kind))
            reply = now + self.jitter.uniform(0.08, 0.4)
            heapq.heappush(self._replies, (reply, len(self.granted), outcome))
            if self.interval is not None:
                self._set(key, now + self.polls.granted_interval(kind, now).kept(self.interval))
        else:
            self._set(key, now + outcome)

    def times(self, begin: float = 0.0) -> list[float]:
        """The times of polls from this time on."""
        return [at for at, _, _ in self.granted if at >= begin]


HUNDRED_A_MINUTE = (Limit(100, MINUTE),)


def _rush(wake_ups: list[WakeUp], interval: float | None = None) -> Rush:
    return Rush(PollScheduler(HUNDRED_A_MINUTE, wake_ups), wake_ups, interval)


def _most_within(times: list[float], seconds: float) -> int:
    return max(sum(begin <= at < begin + seconds for at in times) for begin in times)


def test_thousand_polls_at_once_are_sent_in_order_and_paced(
    wake_ups: list[WakeUp],
) -> None:
    rush = _rush(wake_ups)
    rush.join(WAITING, 1000, 0.0)
    rush.run(11 * MINUTE)
    assert [key for _, key, _ in rush.granted] == sorted({key for _, key, _ in rush.granted})
    times = rush.times()
    assert len(times) == 1000
    assert times[-1] <= 10 * MINUTE
    assert times[:21] == [0.0] * 20 + [pytest.approx(0.6)]
    assert _most_within(times, 0.59) == 20
    assert len([at for at in times if at < MINUTE]) == 100
    # Each resource is triggered once, when its poll is granted; few ask again without a grant.
    assert rush.asked <= 3 * 1000


def test_first_window_has_no_poll_burst(wake_ups: list[WakeUp]) -> None:
    rush = _rush(wake_ups)
    rush.polls.limiter.pace(0.0)
    rush.join(WAITING, 1000, 0.0)
    rush.run(11 * MINUTE)
    times = rush.times()
    assert _most_within([at for at in times if at < MINUTE], 0.59) == 1
    assert _most_within(times, 0.59) <= 20
    assert len([at for at in times if at < MINUTE]) == 100
    assert len(times) == 1000


@pytest.mark.parametrize("wanted", [set(PollPriority), {RUNNING, WAITING}, {PollPriority.BASELINE}])
def test_each_priority_has_its_share_under_overload(
    wanted: set[PollPriority], wake_ups: list[WakeUp]
) -> None:
    rush = _rush(wake_ups, interval=60.0)
    for kind in wanted:
        rush.join(kind, 500, 0.0)
    rush.run(10 * MINUTE)
    assert len(rush.times()) >= 0.97 * 1000
    # The first resources use the burst; from then on all wait.
    counts = Counter(kind for at, _, kind in rush.granted if at > 0)
    whole = sum(SHARES[kind] for kind in wanted)
    for kind in wanted:
        assert counts[kind] == pytest.approx(counts.total() * SHARES[kind] / whole, rel=0.05)


def test_past_use_does_not_lower_a_later_share(
    wake_ups: list[WakeUp],
) -> None:
    rush = _rush(wake_ups, interval=60.0)
    rush.join(RUNNING, 90, 0.0)
    rush.run(30 * MINUTE)
    rush.join(WAITING, 500, 30 * MINUTE)
    rush.run(40 * MINUTE)
    after = Counter(kind for at, _, kind in rush.granted if at >= 30 * MINUTE)
    assert after[RUNNING] >= 0.9 * 10 * 100 * 2 / 3


def test_small_priority_waits_briefly_under_overload(wake_ups: list[WakeUp]) -> None:
    rush = _rush(wake_ups)
    rush.join(RUNNING, 2000, 0.0)
    rush.join(PollPriority.RESOLUTION, 5, 100.0)
    rush.run(2 * MINUTE)
    times = [at for at, _, kind in rush.granted if kind is PollPriority.RESOLUTION]
    assert len(times) == 5
    assert times[-1] <= 100.0 + 5 * 0.6 * 3


def test_absent_resources_cost_the_others_a_moment_each(wake_ups: list[WakeUp]) -> None:
    absent = frozenset(a_key(number, WAITING.value) for number in range(30, 40))
    rush = Rush(PollScheduler(HUNDRED_A_MINUTE, wake_ups), wake_ups, absent=absent)
    rush.join(WAITING, 200, 0.0)
    rush.run(5 * MINUTE)
    assert len(rush.times()) == 190
    assert rush.times()[-1] <= 190 * 0.6 + len(absent) * (DISPATCH_TIMEOUT + 0.6)
