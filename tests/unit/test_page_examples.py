"""The numbers, metrics and fields on pages are those of the code.

Each example calls the pure core and renders the table that docs/quotas.md or docs/eta.md shows.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from scriptix_operator.api.crd import custom_resource_definition
from scriptix_operator.api.reasons import Stage
from scriptix_operator.core.eta.estimate import Running, estimate, longest_stage
from scriptix_operator.core.eta.timeline import MILESTONES, REFERENCE, PastRun
from scriptix_operator.core.follow.progressing import LEAST_STALL, STALLED_AFTER
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit, format_duration, parse_limits
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.circuit_breaker import CircuitBreaker
from scriptix_operator.core.scheduling.fair_queue import FairQueue
from scriptix_operator.core.scheduling.poll_interval import next_poll, shown_interval
from scriptix_operator.core.scheduling.poll_rates import PollRates
from scriptix_operator.core.scheduling.polls import SHARES, PollPriority
from scriptix_operator.core.scheduling.start_queue import QueueEntry, StartQueue
from scriptix_operator.settings import Settings
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import at

DOCS = Path(__file__).parents[2] / "docs"
MINUTE, HOUR = 60.0, 3600.0
NO_ANSWER = CallFailure(FailureKind.AMBIGUOUS, "HTTP 500", 500)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    head, *lines = (f"| {' | '.join(map(str, line))} |" for line in (header, *rows))
    return "\n".join((head, f"|{'---|' * len(header)}", *lines))


def clock(seconds: float) -> str:
    """A time of day, or hours and minutes, such as 9:45."""
    minutes = round(seconds / MINUTE)
    return f"{minutes // 60}:{minutes % 60:02}"


def seconds(value: float) -> str:
    """Seconds such as 0.6s."""
    return f"{round(value, 1):g}s"


def accepted(limiter: RateLimiter, times: Iterable[float]) -> None:
    """Make calls that the API accepts at once."""
    for time in times:
        limiter.answered(limiter.acquire(time), time)


# docs/quotas.md


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
                is_late=False,
                priority=priority,
                is_rerun=False,
                created_at=created_at,
                joined_at=created_at,
            )
        )
    order = queue.order({"team-a": 3, "team-b": 1}, late=True)
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
                queue.ask(f"{kind}-{number}", kind)
        for _ in range(100):
            name = queue.call(0.0)
            assert name is not None
            queue.leave(name)
            polls[PollPriority(name.partition("-")[0])] += 1
        rows.append((", ".join(wanted), *(polls[kind] for kind in PollPriority)))
    return table(("who wants polls", *PollPriority), rows)


def fair_intervals() -> str:
    """What is granted of the requested poll intervals, where not all fit."""
    demand = PollRates[str, PollPriority](SHARES)
    for requested, count in ((60, 150), (600, 20)):
        for number in range(count):
            demand.wants(f"{requested}-{number}", PollPriority.RUNNING, float(requested))
    rate = RateLimiter(Settings().limit_status).rate(0.0)
    granted = demand.granted_interval(PollPriority.RUNNING, rate)
    rows = []
    for requested, count in ((60, 150), (600, 20)):
        shown = shown_interval(float(requested), granted.floor) or "absent"
        rows.append((count, f"{requested}s", f"{granted.kept(float(requested)):.0f}s", shown))
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
        limiter.answered(limiter.acquire(now), now, refusal, rate_info)
        rows.append((text, limiter.limits(now)[0], format_duration(limiter.wait(now))))
    return table(header, rows)


def tried_again() -> str:
    """When one call more is tried, and how a refusal of that call is remembered."""
    limiter, now = RateLimiter(Settings().limit_starts), 0.0
    refusal = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=HOUR)
    rows = []
    for text in ("first refusal", "one start more is refused", "one start more is refused again"):
        limiter.answered(limiter.acquire(now), now, refusal, RateLimitInfo(limit=3))
        [observed] = limiter.observed_limits
        limit, windows = limiter.limits(now)[0], observed.clean_windows
        rows.append((text, limit, format_duration(windows * observed.seconds)))
        now += windows * observed.seconds
        assert limiter.limits(now)[0] == Limit(limit.count + 1, HOUR)
    return table(("event", "limit", "one start more is tried after"), rows)


def shared_key() -> str:
    """The limit after a refusal that another client's calls have caused."""
    limiter = RateLimiter(Settings().limit_status)
    accepted(limiter, [0.5 * n for n in range(80)])
    refusal = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=20.0)
    limiter.answered(limiter.acquire(40.0), 40.0, refusal, RateLimitInfo(limit=100))
    times = (0, 24, 48, 300, 672)
    rows = [(f"{after}s", limiter.limits(40.0 + after)[0]) for after in times]
    return table(("time since the refusal", "limit"), rows)


def trial_calls() -> str:
    """The delays of the trial calls while the API is unreachable."""
    delays = {}
    for jitter in (0.0, 1.0):
        breaker, now = CircuitBreaker(), 0.0
        for model in (1, 2, 3):
            assert breaker.blocks(now) is None
            breaker.answered(Permit(now), model, NO_ANSWER, now, jitter)
        delays[jitter] = [breaker.trial_at - now]
        while len(delays[jitter]) < 7:
            now, trial = breaker.trial_at, Permit(breaker.trial_at)
            breaker.sent(trial, now)
            breaker.answered(trial, 1, NO_ANSWER, now, jitter)
            delays[jitter].append(breaker.trial_at - now)
    rows = [
        (n, seconds(least), seconds(most))
        for n, (least, most) in enumerate(zip(delays[0.0], delays[1.0], strict=True), 1)
    ]
    return table(("trial call", "shortest delay", "longest delay"), rows)


# docs/eta.md


def first_run() -> str:
    """The estimates of a run that has the shape of the document's run, without past runs."""
    rows = []
    for progress in (10, 30, 50, 75, 95):
        elapsed = REFERENCE.share(progress) * REFERENCE.seconds
        timeline = tuple(
            round(REFERENCE.share(milestone) * REFERENCE.seconds)
            for milestone in MILESTONES
            if milestone <= progress
        )
        found = estimate(Running(1, progress, elapsed, elapsed, timeline), ())
        assert found is not None
        linear = elapsed * 100 / progress
        rows.append((f"{progress}%", *map(clock, (elapsed, linear, found.likely, found.late))))
    header = ("progress", "elapsed", "elapsed / progress", "p50", "p90")
    return table(header, rows)


def past_run(model_id: int, hours: float, at_30: float) -> PastRun:
    """A past run that was at 30 % after a share of its time, and even before and after."""
    at_30 *= hours * HOUR
    rest = (hours * HOUR - at_30) / 70
    times = (at_30 * m / 30 if m <= 30 else at_30 + (m - 30) * rest for m in MILESTONES)
    return PastRun.of(model_id, hours * HOUR, tuple(round(time) for time in times))


PAST = (past_run(1, 6, 0.20), past_run(2, 9, 0.22), past_run(2, 8, 0.40))


def predictions() -> str:
    """The predictions of past runs for a run at 30 % after two hours, and the estimates."""
    timelines = [(f"past run {n}", run) for n, run in enumerate(PAST, 1)]
    rows = [
        (text, clock(run.seconds), f"{run.share(30):.0%}", clock(2 * HOUR / run.share(30)))
        for text, run in (*timelines, ("the document's run", REFERENCE))
    ]
    return table(("timeline", "duration", "of that at 30%", "prediction"), rows)


def from_past_runs() -> str:
    """The estimates from these predictions."""
    rows = []
    for text, past in (("1, 2 and 3", PAST), ("1 and 2", PAST[:2]), ("none", ())):
        found = estimate(Running(3, 30, 2 * HOUR, 2 * HOUR, ()), past)
        assert found is not None
        rows.append((text, clock(found.likely), clock(found.late)))
    return table(("past runs", "p50", "p90"), rows)


def overdue() -> str:
    """The estimates of a run that stays at 50 %, which it reached after 4 hours."""
    rows = []
    for hours in (4.0, 7.9, 8.0, 9.0, 12.0):
        found = estimate(Running(1, 50, 4 * HOUR, hours * HOUR, ()), ())
        assert found is not None
        rows.append((clock(hours * HOUR), clock(found.likely), clock(found.late)))
    return table(("elapsed", "p50", "p90"), rows)


def close_polls() -> str:
    """The poll interval by the distance to the ETA, with enough poll credits."""
    distances = (2 * HOUR, 10 * MINUTE, 5 * MINUTE, 2 * MINUTE, 30.0, -2 * MINUTE, -10 * MINUTE)
    rows = []
    for distance in distances:
        when = "before" if distance >= 0 else "after"
        text = f"{format_duration(abs(distance))} {when}"
        rows.append((text, seconds(next_poll(60.0, distance, 8 * HOUR, None).seconds)))
    return table(("time to the ETA", "next poll in"), rows)


def stalled() -> str:
    """Without past runs, how long a stage may last without progress."""
    rows = []
    for stage in Stage:
        longest = longest_stage(stage, None, ())
        rows.append((stage, clock(longest), clock(max(STALLED_AFTER * longest, LEAST_STALL))))
    return table(("stage", "in the document's timeline", "stalled after"), rows)


EXAMPLES: Sequence[tuple[str, Callable[[], str]]] = (
    ("quotas.md", sliding_window),
    ("quotas.md", start_queue),
    ("quotas.md", pacing),
    ("quotas.md", shares),
    ("quotas.md", fair_intervals),
    ("quotas.md", observed_limits),
    ("quotas.md", tried_again),
    ("quotas.md", shared_key),
    ("quotas.md", trial_calls),
    ("eta.md", first_run),
    ("eta.md", predictions),
    ("eta.md", from_past_runs),
    ("eta.md", overdue),
    ("eta.md", close_polls),
    ("eta.md", stalled),
)


@pytest.mark.parametrize(
    ("page", "example"), EXAMPLES, ids=[example.__name__ for _, example in EXAMPLES]
)
def test_page_shows_the_numbers_of_the_code(page: str, example: Callable[[], str]) -> None:
    assert example() in (DOCS / page).read_text(encoding="utf-8")


PAGES = ("architecture.md", "eta.md", "logs.md", "quotas.md", "start-protocol.md")


def unknown_fields(page: str) -> list[str]:
    """The fields of spec and status that a page names and the CRD does not have."""
    [version] = custom_resource_definition()["spec"]["versions"]
    root: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    named = re.findall(r"`((?:spec|status)(?:\.\w+)+)", page)
    return [path for path in named if not has_field(root, path.split("."))]


def has_field(schema: dict[str, Any], path: Sequence[str]) -> bool:
    """Whether a schema has a field; a list has the fields of its items."""
    for name in path:
        schema = schema.get("items", schema).get("properties", {}).get(name)
        if schema is None:
            return False
    return True


@pytest.mark.parametrize("page", PAGES)
def test_fields_that_a_page_names_exist(page: str) -> None:
    assert unknown_fields((DOCS / page).read_text(encoding="utf-8")) == []


def test_an_unknown_field_on_a_page_is_found() -> None:
    page = "`status.queue.position`, `status.history.run`, `spec.log.collect: Never`, `spec.prio`"
    assert unknown_fields(page) == ["status.history.run", "spec.prio"]


@pytest.mark.parametrize("page", ["eta.md", "quotas.md"])
def test_metrics_that_a_page_names_exist(page: str) -> None:
    exported = generate_latest(Metrics().registry).decode()
    known = set(re.findall(r"^# TYPE (scriptix_\w+)", exported, re.MULTILINE))
    named = set(re.findall(r"`(scriptix_\w+)`", (DOCS / page).read_text(encoding="utf-8")))
    assert named
    assert named <= known
