"""Checks of a simulated day: a smaller one in `make test`, a whole one in `make test-day`."""

from functools import partial

import pytest

from tests.virtual.day import Day
from tests.virtual.judge import Judge
from tests.virtual.loop import run_virtually
from tests.virtual.plan import HOUR, SERVERS, Plan, Span

SMALL = Plan(
    hours=6,
    resources=16,
    reruns=2,
    run_hours=(1, 2),
    outage=Span(1.9 * HOUR, 2.3 * HOUR),
    change=Span(3.9 * HOUR, 3.9 * HOUR + 10),
)
WHOLE = Plan(
    hours=24,
    resources=100,
    reruns=8,
    run_hours=(6, 12),
    outage=Span(9 * HOUR, 9.4 * HOUR),
    change=Span(15.2 * HOUR, 15.2 * HOUR + 10),
)
LITTLE = Plan(
    hours=2,
    resources=5,
    reruns=1,
    run_hours=(0.2, 0.6),
    outage=Span(1.1 * HOUR, 1.2 * HOUR),
    change=Span(1.5 * HOUR, 1.5 * HOUR + 10),
    servers=SERVERS[:4],
)
SEED = 1
HINTED, BLIND = 0.95, 0.5
"""Minimum fraction of the start quota in use, with and without retry times in refusals (decision
0018: the smallest limit that fits is half of the real one, at worst)."""


async def _live(plan: Plan, seed: int) -> Day:
    day = Day(plan, seed)
    await day.live()
    return day


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(SMALL, id="small", marks=pytest.mark.timeout(900)),
        pytest.param(WHOLE, id="whole", marks=[pytest.mark.whole, pytest.mark.timeout(7200)]),
    ],
)
def judge(request: pytest.FixtureRequest) -> Judge:
    return Judge(run_virtually(partial(_live, request.param, SEED)))


def test_each_requested_run_starts_once_despite_faults(judge: Judge) -> None:
    assert list(judge.wrong_starts()) == []
    assert judge.runs_started() > len(SERVERS) * 10


def test_every_final_status_matches_its_model(judge: Judge) -> None:
    assert list(judge.wrong_ends()) == []


def test_no_call_within_the_limit_is_refused(judge: Judge) -> None:
    assert judge.refusals_within_limit() == []


def test_one_refusal_is_enough_to_observe_a_limit(judge: Judge) -> None:
    assert judge.refusals_after_the_first() == []
    assert judge.refusals(), "no server had a lower limit than configured"


def test_start_quota_is_used_while_resources_wait(judge: Judge) -> None:
    least = {key: HINTED if judge.is_hinted(key) else BLIND for key in judge.keys}
    use = {key: judge.use(key) for key in judge.keys}
    assert {key: part for key, part in use.items() if part < least[key]} == {}


def test_no_start_is_left_idle_while_resources_wait(judge: Judge) -> None:
    assert [idle for key in judge.keys for idle in judge.idle_starts(key)] == []


def test_no_poll_is_left_idle_while_one_is_overdue(judge: Judge) -> None:
    assert [idle for key in judge.keys for idle in judge.idle_polls(key)] == []


def test_same_seed_gives_the_same_calls() -> None:
    first, again, other = (
        run_virtually(partial(_live, LITTLE, seed)).digest() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
