"""An operator killed anywhere in a start: one run, no human (docs/start-protocol.md).

A run without a fault discovers the awaits and the writes, so a new one becomes a case
automatically. `make test-crash` runs the whole matrix, `make test` a sample.
"""

from dataclasses import replace

import pytest

from tests.crash.kills import discover, kills, kills_at_post
from tests.crash.lifecycle_cases import lifecycle_cases
from tests.crash.matrix import Matrix, together
from tests.crash.pauses import between_check_and_send, pauses
from tests.crash.refusals import refusals
from tests.crash.scene import Situation
from tests.crash.stops import stops


def fault(name: str, fault: str, **rule: object) -> Situation:
    return Situation(name, faults=({"fault": fault, **rule},))


def lenient(situation: Situation) -> Situation:
    return replace(situation, name=f"{situation.name}; lenient", lenient=True)


def again(situation: Situation) -> Situation:
    return replace(situation, name=f"{situation.name}; rerun", rerun=True)


def with_shifted_clocks(situation: Situation) -> list[Situation]:
    """The clocks of the two operators ten minutes apart, either way."""
    return [
        replace(situation, name=f"{situation.name}; clock {name}", clock_shift=seconds)
        for name, seconds in (("+10 min", 600.0), ("-10 min", -600.0))
    ]


PLAIN = Situation("no fault")
AHEAD, BEHIND = with_shifted_clocks(PLAIN)

SLOW = fault("answered 1 s later", "delay", delay=1.0)
LATE = fault("acted on 6.5 s later", "delay", delay=6.5)
LOST = fault("lost before acting", "drop_before")
RESET = fault("reset before acting", "drop_before", reset=True)
RESET_LATE = fault("reset, acted on 1 s later", "late", after=1.0, reset=True)
REPLY_LOST = fault("acted on, reply lost", "drop_after")
GATEWAY_403 = fault("acted on, answered by a gateway's 403", "gateway", status=403, act=True)
ERROR_IN_SUCCESS = fault(
    "acted on, answered 200 with an error", "error_in_success", code="INSUFFICIENT_DATA", act=True
)

FAULTS = [SLOW, LATE, LOST, RESET, RESET_LATE, REPLY_LOST, GATEWAY_403, ERROR_IN_SUCCESS]
"""W is 5 s here, P 2 s, G 1.5 s: the latest that a POST may act is 6.5 s after it was sent, and
after a reset 1.5 s."""


@pytest.mark.timeout(600)
async def test_kill_at_any_await_starts_one_run(matrix: Matrix) -> None:
    await matrix.play(await kills(matrix, [PLAIN, again(lenient(PLAIN))], "one each"))


@pytest.mark.timeout(600)
async def test_pause_refusal_and_lifecycle_start_one_run(matrix: Matrix) -> None:
    found = await discover(matrix, PLAIN)
    cases = [between_check_and_send(lenient(AHEAD)), *lifecycle_cases([lenient(LATE)], found)]
    cases += kills_at_post(lenient(LATE), found)
    cases += [case for case in await refusals(matrix, PLAIN) if case.how == "reply lost"]
    await matrix.play(cases)


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_kill_at_any_await_in_any_mode_starts_one_run(matrix: Matrix) -> None:
    cases = await kills(matrix, [PLAIN, again(PLAIN), lenient(PLAIN), again(lenient(PLAIN))])
    await matrix.play(cases)


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_kill_among_other_faults_starts_one_run(matrix: Matrix) -> None:
    strict = [*FAULTS, *map(again, FAULTS)]
    clocks = kills(matrix, [AHEAD, BEHIND], "one each")
    faults = kills(matrix, [*strict, *map(lenient, strict)], "one each", faulty=True)
    await matrix.play(await together(clocks, faults))


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_operator_paused_past_its_lease_starts_no_second_run(matrix: Matrix) -> None:
    cases = []
    for one in (PLAIN, again(PLAIN)):
        strict = with_shifted_clocks(one)
        cases += pauses([*strict, *map(lenient, strict)], await discover(matrix, one))
    await matrix.play(cases)


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_sigterm_at_any_await_leaves_no_start_in_flight(matrix: Matrix) -> None:
    cases = []
    for one in (SLOW, again(SLOW)):
        cases += stops(one, await discover(matrix, one))
    await matrix.play(cases)


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_refused_write_starts_no_second_run(matrix: Matrix) -> None:
    situations = (PLAIN, lenient(REPLY_LOST), again(PLAIN))
    await matrix.play(await together(*(refusals(matrix, one) for one in situations)))


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_suspended_or_deleted_resource_starts_one_run(matrix: Matrix) -> None:
    situations = [LATE, LOST, REPLY_LOST]
    found = await discover(matrix, PLAIN)
    await matrix.play(lifecycle_cases([*situations, *map(lenient, situations)], found))
