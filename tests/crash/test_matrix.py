"""An operator that is killed at any await of a start: one run, without a human.

The awaits are found by a run in which nobody is killed: one that somebody adds is a case by itself.
"""

import pytest

from tests.crash.matrix import Matrix
from tests.crash.scene import Situation
from tests.crash.table import Outcome

PLAIN = Situation("no other fault")
RERUN = Situation("a rerun, new data", rerun=True)
LATE = Situation("acted on 6.5 s later", faults=({"fault": "delay", "delay": 6.5},))
BEFORE = Situation("reply lost before acting", faults=({"fault": "drop_before"},))
AFTER = Situation("reply lost after acting", faults=({"fault": "drop_after"},))


def assert_one_run_each(outcomes: list[Outcome]) -> None:
    assert outcomes
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    told = [f"{one.where}, {one.how}: {one.runs} runs; {one.problem[:3000]}" for one in bad]
    assert not told, "\n\n".join(told)


@pytest.mark.timeout(600)
async def test_killed_at_any_await_a_start_happens_once(matrix: Matrix) -> None:
    assert_one_run_each(await matrix.kill_everywhere(PLAIN, sample="one each"))


@pytest.mark.whole
@pytest.mark.timeout(900)
@pytest.mark.parametrize("situation", [PLAIN, RERUN], ids=lambda one: one.name)
async def test_killed_at_any_await_in_any_way_a_start_happens_once(
    matrix: Matrix, situation: Situation
) -> None:
    assert_one_run_each(await matrix.kill_everywhere(situation))
