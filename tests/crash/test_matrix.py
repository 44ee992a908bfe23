"""An operator that is struck anywhere in a start: one run, without a human (DESIGN §4).

The awaits and the writes are found by a run in which nothing breaks: one that somebody adds is a
case by itself. The whole matrix is `make test-crash`; the rest of it is in `make test`.
"""

from dataclasses import replace

import pytest

from tests.crash.kills import discover, kills
from tests.crash.lives import lives
from tests.crash.matrix import Matrix
from tests.crash.pauses import between_check_and_send, pauses
from tests.crash.refusals import refusals
from tests.crash.scene import Situation


def fault(name: str, fault: str, **rule: object) -> Situation:
    return Situation(name, faults=({"fault": fault, **rule},))


def lenient(situation: Situation) -> Situation:
    return replace(situation, name=f"{situation.name}; lenient", lenient=True)


def again(situation: Situation) -> Situation:
    return replace(situation, name=f"{situation.name}; rerun", rerun=True)


PLAIN = Situation("no fault")
AHEAD = Situation("clock 10 min ahead", clock_shift=600.0)
BEHIND = Situation("clock 10 min behind", clock_shift=-600.0)

SLOW = fault("answered 1 s later", "delay", delay=1.0)
LATE = fault("acted on 6.5 s later", "delay", delay=6.5)
LOST = fault("lost before acting", "drop_before")
RESET = fault("reset before acting", "drop_before", reset=True)
RESET_LATE = fault("reset, acted on 1 s later", "late", after=1.0, reset=True)
UNHEARD = fault("acted on, reply lost", "drop_after")

FAULTS = [SLOW, LATE, LOST, RESET, RESET_LATE, UNHEARD]
"""W is 5 s here, P 2 s, S 1.5 s: the latest that a POST may act is 6.5 s after it was sent, and
after a reset 1.5 s."""


@pytest.mark.timeout(600)
async def test_killed_at_any_await_a_start_happens_once(matrix: Matrix) -> None:
    cases = await kills(matrix, [PLAIN, again(lenient(PLAIN))], "one each")
    cases += (await kills(matrix, [lenient(LATE)], "one each", faulty=True))[:4]
    await matrix.play(cases)


@pytest.mark.timeout(600)
async def test_paused_refused_or_replaced_a_start_happens_once(matrix: Matrix) -> None:
    found = await discover(matrix, PLAIN)
    cases = [between_check_and_send(lenient(AHEAD)), *lives([lenient(LATE)], found)]
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
    severe = [lenient(one) for one in (LATE, RESET, RESET_LATE, UNHEARD)]
    situations = [*FAULTS, *severe, again(lenient(LATE)), again(lenient(LOST))]
    cases = await kills(matrix, [AHEAD, BEHIND], "one each")
    cases += await kills(matrix, situations, "one each", faulty=True)
    await matrix.play(cases)


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_paused_past_its_lease_an_operator_starts_nothing_twice(matrix: Matrix) -> None:
    situations = [AHEAD, BEHIND, lenient(AHEAD), again(lenient(BEHIND))]
    await matrix.play(pauses(situations, await discover(matrix, PLAIN)))


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_a_write_that_the_api_server_refuses_starts_nothing_twice(matrix: Matrix) -> None:
    await matrix.play([*await refusals(matrix, PLAIN), *await refusals(matrix, lenient(UNHEARD))])


@pytest.mark.whole
@pytest.mark.timeout(1800)
async def test_whatever_becomes_of_the_resource_a_start_happens_once(matrix: Matrix) -> None:
    situations = [LATE, LOST, UNHEARD]
    found = await discover(matrix, PLAIN)
    await matrix.play(lives([*situations, *map(lenient, situations)], found))
