"""docs/quotas.md: the core computes the numbers in its tables."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit, format_duration, parse_limits
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.circuit_breaker import CircuitBreaker
from scriptix_operator.core.scheduling.failure_window import LEAST_CALLS
from scriptix_operator.core.scheduling.fair_queue import FairQueue
from scriptix_operator.core.scheduling.poll_interval import shown_interval
from scriptix_operator.core.scheduling.poll_rates import PollRates
from scriptix_operator.core.scheduling.poll_scheduler import SHARES, PollPriority
from scriptix_operator.core.scheduling.start_queue import QueueEntry, StartQueue
from scriptix_operator.settings import Settings
from tests.unit.core.builders import at
from tests.unit.pages.tables import clock, page, seconds, table

MINUTE, HOUR = 60.0, 3600.0
NO_ANSWER = CallFailure(FailureKind.AMBIGUOUS, "HTTP 500", 500)


def accepted(limiter: RateLimiter, times: Iterable[float]) -> None:
    """Make calls that the API accepts at once."""
    for time in times:
        limiter.complete(limiter.acquire(time), time)


def sliding_window() -> str:
    """When starts that wait may be made, after five starts within the hour."""
    now, limiter = 9.75 * HOUR, RateLimiter(parse_limits("5/1h"))
    accepted(limiter, [9 * HOUR + 10 * MINUTE * n for n in range(5)])
    waits = [limiter.wait(now, ahead) for ahead in range(6)]
    rows = [(n, clock(now + wait)) for n, wait in enumerate(waits, 1)]
    return table(("queue position", "start expected at"), rows)


def start_queue() -> str:
    """The order of five resources of three namespaces."""
    names = [("team-a", "a1", 10), ("team-a", "a2", 0), ("team-b", "b1", 0), ("team-b", "b2", 500)]
    queue = StartQueue()
    for minute, (namespace, name, priority) in enumerate([*names, ("team-c", "c1", 0)]):
        created_at = at(minutes=minute)
        queue.join(
            QueueEntry(
                TrainingKey(namespace, name),
                name,
                is_repeated=False,
                priority=priority,
                is_rerun=False,
                created_at=created_at,
                joined_at=created_at,
            )
        )
    order = queue.order({"team-a": 3, "team-b": 1})
    return ", ".join(key.name for key in order)


def pacing() -> str:
    """When calls that are paced may be made, each as soon as possible."""
    rows = []
    for call, limits, pick in (
        ("status call", Settings().limit_status, (1, 20, 21, 22, 101)),
        ("log call", Settings().limit_logs, (1, 4, 5, 6, 21)),
    ):
        limiter, now, times = RateLimiter(limits, evenly=True), 0.0, list[float]()
        for _ in range(max(pick)):
            now += limiter.wait(now)
            accepted(limiter, [now])
            times.append(now)
        rows += [(call, n, seconds(times[n - 1])) for n in pick]
    return table(("kind of call", "number", "made at"), rows)


def shares() -> str:
    """How many of 100 polls each priority makes."""
    rows = []
    for wanted in (tuple(PollPriority), (PollPriority.RUNNING, PollPriority.WAITING)):
        queue, polls = FairQueue[str, PollPriority](SHARES), Counter[PollPriority]()
        for number in range(100):
            for kind in wanted:
                queue.join(f"{kind}-{number}", kind)
        for _ in range(100):
            name = queue.dispatch(0.0)
            assert name is not None
            queue.leave(name)
            polls[PollPriority(name.partition("-")[0])] += 1
        rows.append((", ".join(wanted), *(polls[kind] for kind in PollPriority)))
    return table(("who wants polls", *PollPriority), rows)


def fair_intervals() -> str:
    """What is granted of the requested poll intervals, where not all fit."""
    rates = PollRates[str, PollPriority](SHARES)
    for requested, count in ((60, 150), (600, 20)):
        for number in range(count):
            rates.request(f"{requested}-{number}", PollPriority.RUNNING, float(requested))
    rate = RateLimiter(Settings().limit_status).rate(0.0)
    granted = rates.granted_interval(PollPriority.RUNNING, rate)
    rows = []
    for requested, count in ((60, 150), (600, 20)):
        shown = shown_interval(float(requested), granted.shortest) or "absent"
        rows.append((count, f"{requested}s", f"{granted.granted(float(requested)):.0f}s", shown))
    header = ("runs", "requested", "granted", "`status.pollIntervalSeconds`")
    return table(header, rows)


def observed_limits() -> str:
    """What a refusal after three accepted starts says of the limit, by how much the API names."""
    header = ("the refusal has", "limit from then on", "next start in")
    rows = []
    for text, wait, rate_info in (
        ("`X-RateLimit-Limit: 3`, `Retry-After: 3420`", 3420.0, RateLimitInfo(limit=3)),
        ("`Retry-After: 3420`", 3420.0, None),
        ("neither", None, None),
    ):
        limiter = RateLimiter(Settings().limit_starts)
        accepted(limiter, [0.0, MINUTE, 2 * MINUTE])
        now = 3 * MINUTE
        refusal = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=wait)
        limiter.complete(limiter.acquire(now), now, refusal, rate_info)
        rows.append((text, limiter.limits(now)[0], format_duration(limiter.wait(now))))
    return table(header, rows)


def tried_again() -> str:
    """When one call more is tried, and how a refusal of that call is remembered."""
    limiter, now = RateLimiter(Settings().limit_starts), 0.0
    refusal = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=HOUR)
    rows = []
    for text in ("first refusal", "one start more is refused", "one start more is refused again"):
        limiter.complete(limiter.acquire(now), now, refusal, RateLimitInfo(limit=3))
        [observed] = limiter.observed_limits
        limit, windows = limiter.limits(now)[0], observed.clean_windows
        rows.append((text, limit, format_duration(windows * observed.seconds)))
        now += windows * observed.seconds
        assert limiter.limits(now)[0] == Limit(limit.count + 1, HOUR)
    return table(("refusal", "limit", "one start more is tried after"), rows)


def shared_key() -> str:
    """The limit after a refusal that another client's calls have caused."""
    limiter = RateLimiter(Settings().limit_status)
    accepted(limiter, [0.5 * n for n in range(80)])
    refusal = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=20.0)
    limiter.complete(limiter.acquire(40.0), 40.0, refusal, RateLimitInfo(limit=100))
    times = (0, 24, 48, 300, 672)
    rows = [(f"{after}s", limiter.limits(40.0 + after)[0]) for after in times]
    return table(("time since the refusal", "limit"), rows)


def trial_calls() -> str:
    """The delays of the trial calls while the API is unreachable."""
    delays = {}
    for jitter in (0.0, 1.0):
        breaker, now = CircuitBreaker(), 0.0
        for model in range(LEAST_CALLS):
            assert breaker.blocks(now) is None
            breaker.complete(Permit(now), model, NO_ANSWER, now, jitter)
        delays[jitter] = [breaker.trial_at - now]
        while len(delays[jitter]) < 7:
            now, trial = breaker.trial_at, Permit(breaker.trial_at)
            breaker.acquire(trial, now)
            breaker.complete(trial, 1, NO_ANSWER, now, jitter)
            delays[jitter].append(breaker.trial_at - now)
    rows = [
        (n, seconds(least), seconds(most))
        for n, (least, most) in enumerate(zip(delays[0.0], delays[1.0], strict=True), 1)
    ]
    return table(("trial call", "shortest delay", "longest delay"), rows)


EXAMPLES: Sequence[Callable[[], str]] = (
    sliding_window,
    start_queue,
    pacing,
    shares,
    fair_intervals,
    observed_limits,
    tried_again,
    shared_key,
    trial_calls,
)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.__name__ for example in EXAMPLES])
def test_page_shows_the_numbers_of_the_code(example: Callable[[], str]) -> None:
    assert example() in page("quotas.md")
