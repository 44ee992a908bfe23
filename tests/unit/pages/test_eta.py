"""docs/eta.md: the core computes the numbers in its tables."""

from collections.abc import Callable, Sequence

import pytest

from scriptix_operator.api.reasons import Stage
from scriptix_operator.core.eta.estimate import Running, estimate, longest_stage
from scriptix_operator.core.eta.timeline import MILESTONES, REFERENCE, PastRun
from scriptix_operator.core.follow.progressing import LEAST_STALL, STALLED_AFTER
from scriptix_operator.core.ratelimit.limits import format_duration
from scriptix_operator.core.scheduling.poll_interval import next_poll
from tests.unit.pages.tables import clock, page, seconds, table

MINUTE, HOUR = 60.0, 3600.0


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
    return table(("timeline", "duration", "share of it at 30%", "prediction"), rows)


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
    return table(("stage", "in the document's run", "stalled after"), rows)


EXAMPLES: Sequence[Callable[[], str]] = (
    first_run,
    predictions,
    from_past_runs,
    overdue,
    close_polls,
    stalled,
)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.__name__ for example in EXAMPLES])
def test_page_shows_the_numbers_of_the_code(example: Callable[[], str]) -> None:
    assert example() in page("eta.md")
