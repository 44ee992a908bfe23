"""core/scheduling/log_scheduler.py: the few log calls of a key; ended runs come first."""

import pytest

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT
from scriptix_operator.core.scheduling.key_scheduler import KeyScheduler
from scriptix_operator.core.scheduling.log_scheduler import RUNNING_PART, SHORTEST_WAIT

HOUR = 3600.0


def a_key(name: str) -> TrainingKey:
    """A resource."""
    return TrainingKey("team-a", name)


@pytest.fixture
def scheduler() -> KeyScheduler:
    """Return a key scheduler: four log calls an hour, one at a time, three for running runs."""
    return KeyScheduler(dict.fromkeys(Call, (Limit(4, HOUR),)), -HOUR)


def _ask(scheduler: KeyScheduler, name: str, now: float, *, has_ended: bool = True) -> float | None:
    """Request a call; returns the wait, or None if the call was granted and answered."""
    permit = scheduler.acquire_log(a_key(name), now, has_ended=has_ended)
    if not isinstance(permit, CallPermit):
        return permit
    scheduler.complete(permit, Answer(7), now, 0.5)
    return None


def _go_on(scheduler: KeyScheduler, name: str, now: float) -> float | None:
    return _ask(scheduler, name, now, has_ended=False)


@pytest.mark.parametrize("has_ended", [True, False])
def test_every_log_call_is_granted_within_the_quota(
    scheduler: KeyScheduler,
    has_ended: bool,  # noqa: FBT001 - both ways
) -> None:
    assert _ask(scheduler, "a", 0.0, has_ended=has_ended) is None
    assert _ask(scheduler, "b", 0.0, has_ended=has_ended) == 900
    assert _ask(scheduler, "b", 900.0, has_ended=has_ended) is None


def test_ended_runs_are_first_in_first_out(scheduler: KeyScheduler) -> None:
    _ask(scheduler, "a", 0.0)
    assert [_ask(scheduler, name, 100.0) for name in "bcd"] == [800, 1700, 2600]
    assert [_ask(scheduler, name, 900.0) for name in "dcb"] == [1800, 900, None]
    assert [_ask(scheduler, name, 1800.0) for name in "dc"] == [900, None]


def test_resources_that_ask_at_once_ask_once_more() -> None:
    scheduler = KeyScheduler(dict.fromkeys(Call, (Limit(36_000, HOUR),)), 0.0)
    due, asked = {f"run-{number}": 0.0 for number in range(20)}, 0
    while due:
        name = min(due, key=lambda one: due[one])
        now, asked = due.pop(name), asked + 1
        if wait := _ask(scheduler, name, now):
            due[name] = now + wait
    assert asked <= 2 * 20


def test_running_runs_wait_for_all_ended_runs(scheduler: KeyScheduler) -> None:
    _ask(scheduler, "a", 0.0)
    assert _go_on(scheduler, "r", 100.0) == 800
    _ask(scheduler, "b", 100.0)
    assert _go_on(scheduler, "r", 100.0) == 1700
    assert _go_on(scheduler, "r", 900.0) == 900  # b comes first, and may call a little later
    assert _ask(scheduler, "b", 901.0) is None


def test_absent_resource_is_skipped_after_a_moment(scheduler: KeyScheduler) -> None:
    _ask(scheduler, "a", 0.0)
    _ask(scheduler, "b", 100.0)
    assert _go_on(scheduler, "r", 900.0 + DISPATCH_TIMEOUT) is not None
    assert _go_on(scheduler, "r", 900.0 + DISPATCH_TIMEOUT + 0.001) is None


def test_resource_that_leaves_delays_no_other(scheduler: KeyScheduler) -> None:
    _ask(scheduler, "a", 0.0)
    _ask(scheduler, "b", 100.0)
    for name in ("b", "never-there"):
        scheduler.forget(a_key(name), 100.0)
    assert _go_on(scheduler, "r", 900.0) is None


def test_running_runs_have_a_share_of_the_log_quota(scheduler: KeyScheduler) -> None:
    assert RUNNING_PART == 0.75
    assert [_go_on(scheduler, "r", now) for now in (0.0, 900.0, 1800.0)] == [None] * 3
    assert _go_on(scheduler, "r", 2700.0) == 900
    assert _ask(scheduler, "e", 2700.0) is None
    assert _go_on(scheduler, "r", 3600.0) is None


@pytest.mark.parametrize("has_ended", [True, False])
def test_log_call_never_waits_for_less_than_a_second(
    scheduler: KeyScheduler,
    has_ended: bool,  # noqa: FBT001 - both ways
) -> None:
    _ask(scheduler, "a", 0.0, has_ended=has_ended)
    assert _ask(scheduler, "b", 900.0 - 1e-9, has_ended=has_ended) == SHORTEST_WAIT
    assert _ask(scheduler, "b", 900.0, has_ended=has_ended) is None
