"""Lost replies to starts, and operators that crash: one run for each request, without a human."""

from collections.abc import Awaitable, Callable

import pytest

from scriptix_operator.api.names import LEASE
from tests.operator.lab import Lab, Operator, condition_of, phase_of


@pytest.mark.parametrize(
    ("fault", "rule", "posts"),
    [
        pytest.param("drop_after", {}, 1, id="the reply is lost after acting"),
        pytest.param("drop_before", {}, 2, id="the request is lost before acting"),
        pytest.param("drop_before", {"reset": True}, 2, id="the connection is reset"),
        pytest.param("status", {"status": 503, "act": True}, 1, id="503 after acting"),
        pytest.param("status", {"status": 500}, 2, id="500 before acting"),
        pytest.param("html", {"act": True}, 1, id="a proxy's page after acting"),
        pytest.param("delay", {"delay": 6.5}, 1, id="acting long after the client has given up"),
        pytest.param("truncated", {}, 1, id="half a reply"),
    ],
)
async def test_start_with_a_lost_reply_runs_once(
    lab: Lab, fault: str, rule: dict[str, object], posts: int
) -> None:
    lab.model(201)
    await lab.secret()
    await lab.fault(fault, call="run", **rule)
    await lab.operator()
    await lab.train("lost", 201)
    unknown = await lab.until_reason("lost", "StartOutcomeUnknown")
    assert phase_of(unknown) == "Starting"
    assert condition_of(unknown, "Reconciling") is not None
    done = await lab.until_phase("lost", "Succeeded")
    assert lab.starts(201) == 1
    assert len(lab.posts(201)) == posts
    assert done["status"]["run"]["ownership"] == ("Unconfirmed" if posts == 1 else "Owned")
    assert (await lab.until_event("lost", "StartOutcomeUnknown"))["type"] == "Warning"


async def test_start_interrupted_by_a_crash_is_resolved_after_restart(lab: Lab) -> None:
    lab.model(202)
    await lab.secret()
    await lab.fault("delay", call="run", delay=1.5)
    first = await lab.operator(leader_election="false")
    await lab.train("orphan", 202)
    await lab.simulator.until(lambda: len(lab.posts()) == 1)
    first.kill()
    await first.ended()
    left = await lab.get("orphan")
    assert left["status"]["run"]["intent"]["attempt"] == 1
    await lab.operator(leader_election="false")
    done = await lab.until_phase("orphan", "Succeeded")
    assert lab.starts(202) == len(lab.posts()) == 1
    assert done["status"]["run"]["ownership"] == "Unconfirmed"


async def test_restarted_operator_continues_to_follow_runs(lab: Lab) -> None:
    lab.model(203, duration=20)
    await lab.secret()
    first = await lab.operator()
    await lab.train("followed", 203)
    await lab.until_phase("followed", "Running")
    first.terminate()
    assert await first.ended() == 0
    assert "Traceback" not in first.log
    await lab.operator()
    await lab.until_phase("followed", "Succeeded")
    assert lab.starts(203) == 1


async def _terminate(_: Lab, leader: Operator) -> None:
    leader.terminate()
    assert await leader.ended() == 0
    assert "released the Lease" in leader.log


async def _kill(_: Lab, leader: Operator) -> None:
    leader.kill()
    await leader.ended()


async def _delete_lease(lab: Lab, leader: Operator) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{lab.namespace}/leases/{LEASE}"
    lab.control_plane.api.delete(path).raise_for_status()
    assert await leader.ended() == 1
    assert "leadership lost: the Lease is " in leader.log


@pytest.mark.parametrize("lose", [_terminate, _kill, _delete_lease])
async def test_second_replica_takes_over(
    lab: Lab, lose: Callable[[Lab, Operator], Awaitable[None]]
) -> None:
    lab.model(204, duration=8000)
    lab.model(205)
    await lab.secret()
    leader = await lab.operator()
    await leader.printed("leading")
    standby = await lab.operator()
    await standby.printed("standing by for")
    await lab.train("shared", 204)
    await lab.until_phase("shared", "Running")
    assert "leading" not in standby.log
    await lose(lab, leader)
    await standby.printed("leading")
    await lab.admin("PATCH", "/models/204", {"finish": True})
    await lab.train("next", 205)
    await lab.until_phase("shared", "Succeeded")
    await lab.until_phase("next", "Succeeded")
    assert [len(lab.posts(model)) for model in (204, 205)] == [1, 1]
