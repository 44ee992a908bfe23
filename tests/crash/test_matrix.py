"""An operator that is killed anywhere in a start: one run, no human (docs/start-protocol.md).

The awaits and the writes are found by a run in which nothing breaks: one that somebody adds is a
case by itself. The whole matrix is `make test-crash`; the rest of it is in `make test`.
"""

from dataclasses import replace

import pytest

from tests.crash.kills import discover, kills, kills_at_post
from tests.crash.lives import lives
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


def at_odds(situation: Situation) -> list[Situation]:
    """The clocks of the two operators ten minutes apart, either way."""
    return [
        replace(situation, name=f"{situation.name}; clock {name}", clock_shift=seconds)
        for name, seconds in (("+10 min", 600.0), ("-10 min", -600.0))
    ]


PLAIN = Situation("no fault")
AHEAD, BEHIND = at_odds(PLAIN)

SLOW = fault("answered 1 s later", "delay", delay=1.0)
LATE = fault("acted on 6.5 s later", "delay", delay=6.5)
LOST = fault("lost before acting", "drop_before")
RESET = fault("reset before acting", "drop_before", reset=True)
RESET_LATE = fault("reset, acted on 1 s later", "late", after=1.0, reset=True)
UNHEARD = fault("acted on, reply lost", "drop_after")
FILTERED = fault("acted on, answered by a gateway's 403", "gateway", status=403, act=True)
CONTRADICTED = fault(
    "acted on, answered 200 with an error", "error_in_success", code="INSUFFICIENT_DATA", act=True
)

FAULTS = [SLOW, LATE, LOST, RESET, RESET_LATE, UNHEARD, FILTERED, CONTRADICTED]
"""W is 5 s here, P 2 s, S 1.5 s: the latest that a POST may act is 6.5 s after it was sent, and
after a reset 1.5 s."""


@pytest.mark.timeout(600)
async def test_killed_at_any_await_a_start_happens_once(matrix: Matrix) -> None:
    await matrix.play(await kills(matrix, [PLAIN, again(lenient(PLAIN))], "one each"))


@pytest.mark.timeout(600)
async def test_paused_refused_or_replaced_a_start_happens_once(matrix: Matrix) -> None:
    found = await discover(matrix, PLAIN)
    cases = [between_check_and_send(lenient(AHEAD)), *lives([lenient(LATE)], found)]
    cases += kills_at_post(lenient(LATE), found)
    cases += [case for case in await refusals(matrix, PLAIN) if case.how == "reply lost"]
    await matrix.play(cases)


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_killed_at_any_await_in_any_way_a_start_happens_once(matrix: Matrix) -> None:
    cases = await kills(matrix, [PLAIN, again(PLAIN), lenient(PLAIN), again(lenient(PLAIN))])
    await matrix.play(cases)


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_killed_in_the_midst_of_other_faults_a_start_happens_once(matrix: Matrix) -> None:
    strict = [*FAULTS, *map(again, FAULTS)]
    clocks = kills(matrix, [AHEAD, BEHIND], "one each")
    faults = kills(matrix, [*strict, *map(lenient, strict)], "one each", faulty=True)
    await matrix.play(await together(clocks, faults))


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_paused_past_its_lease_an_operator_starts_nothing_twice(matrix: Matrix) -> None:
    cases = []
    for one in (PLAIN, again(PLAIN)):
        strict = at_odds(one)
        cases += pauses([*strict, *map(lenient, strict)], await discover(matrix, one))
    await matrix.play(cases)


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_stopped_at_any_await_an_operator_leaves_nothing_to_resolve(matrix: Matrix) -> None:
    cases = []
    for one in (SLOW, again(SLOW)):
        cases += stops(one, await discover(matrix, one))
    await matrix.play(cases)


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_a_write_that_the_api_server_refuses_starts_nothing_twice(matrix: Matrix) -> None:
    situations = (PLAIN, lenient(UNHEARD), again(PLAIN))
    await matrix.play(await together(*(refusals(matrix, one) for one in situations)))


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_whatever_becomes_of_the_resource_a_start_happens_once(matrix: Matrix) -> None:
    situations = [LATE, LOST, UNHEARD]
    found = await discover(matrix, PLAIN)
    await matrix.play(lives([*situations, *map(lenient, situations)], found))
