"""Faults of the cluster and the machine while trainings run: docs/reliability.md lists them all.

Each test counts the calls at the simulator: no request is lost, none starts two runs, and nothing
is repeated without a pause.
"""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.crash.orders import VARIABLE, Orders
from tests.crash.proxy import proxied
from tests.operator.gate import Gate
from tests.operator.lab import TIMEOUT, Lab, Operator
from tests.operator.without_dns import FAILING, NOTED

MOST_CALLS = 8
"""Calls in any second, of all parts of the operator that retry: above, a loop has no pause."""


def busiest_second(times: Iterable[float]) -> int:
    """The most calls in any second."""
    ordered = sorted(times)
    return max((sum(at <= one < at + 1.0 for one in ordered) for at in ordered), default=0)


def shortest_pause(times: Iterable[float]) -> float:
    """The shortest time between two calls that follow each other."""
    return min(later - earlier for earlier, later in pairwise(times))


def lookups(noted: Path, port: int | None) -> list[float]:
    """When lookups for a port failed."""
    lines = (line.split() for line in noted.read_text().splitlines())
    return [float(at) for of, at in lines if of == str(port)]


def polls(lab: Lab, model_id: int) -> list[float]:
    """When the polls of a model arrived."""
    calls = lab.simulator.state.calls
    return [call.at for call in calls if call.kind == "model" and call.model == model_id]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(TIMEOUT):
        while not holds():  # noqa: ASYNC110 - it is asked, it does not tell
            await asyncio.sleep(0.05)


@pytest.fixture
async def gate(cluster: ControlPlane) -> AsyncIterator[Gate]:
    """Open a way to the API server that can be blocked."""
    made = Gate(cluster.api.base_url.port or 443)
    await made.open()
    yield made
    await made.shut()


async def test_trainings_continue_after_an_outage_of_the_api_server(
    lab: Lab, cluster: ControlPlane, gate: Gate, tmp_path: Path
) -> None:
    """All work ends once the Lease has expired; the process leads again at the first reply."""
    lab.model(821, duration=8000)
    lab.model(822)
    await lab.secret()
    there = {"KUBECONFIG": str(gate.kubeconfig(cluster, tmp_path / "gate.kubeconfig"))}
    leader = await lab.operator(there)
    await lab.train("running", 821)
    await lab.until_phase("running", "Running")
    await gate.block()
    await lab.admin("PATCH", "/models/821", {"finish": True})
    await lab.train("requested", 822)
    await leader.printed("leadership lost: the Lease could not be renewed within 10 s")
    await leader.printed("contending for the Lease again")
    assert busiest_second(gate.refused) <= MOST_CALLS
    gate.refused.clear()
    await until(lambda: len(gate.refused) > 2)
    assert shortest_pause(gate.refused) > 1.0
    assert lab.posts(822) == []
    before = len(leader.log)
    await gate.open()
    await lab.until_phase("running", "Succeeded")
    await lab.until_phase("requested", "Succeeded")
    assert [len(lab.posts(model)) for model in (821, 822)] == [1, 1]
    assert busiest_second(polls(lab, 821)) <= MOST_CALLS
    # A successor would stand by until the Lease of the leader before had expired.
    assert "standing by" not in leader.log[before:]
    assert leader.runs


async def test_slow_api_server_delays_a_start_and_sends_none_late(
    lab: Lab, cluster: ControlPlane, tmp_path: Path
) -> None:
    """As with a slow etcd: the two writes before a POST take longer than the send window."""
    lab.model(823)
    await lab.secret()
    async with proxied(cluster, tmp_path) as proxy:
        operator = await lab.operator({"KUBECONFIG": str(proxy.kubeconfig)}, send_window="1s")
        await operator.printed("leading")
        proxy.delay = 1.0
        await lab.train("slow", 823)
        await until(lambda: sum("/status" in write.name for write in proxy.writes) > 3)
        assert lab.posts() == []
        assert busiest_second(write.at for write in proxy.writes) <= MOST_CALLS
        assert "leadership lost" not in operator.log
        proxy.delay = 0.0
        await lab.until_phase("slow", "Succeeded")
    assert lab.starts(823) == len(lab.posts(823)) == 1


@pytest.mark.parametrize("shift", [3600.0, -3600.0], ids=["ahead", "behind"])
async def test_clock_an_hour_off_loses_and_repeats_no_start(
    lab: Lab, tmp_path: Path, shift: float
) -> None:
    """The clock of a crashed operator, and so each time that it wrote, differs by an hour."""
    lab.model(824)
    lab.model(825)
    await lab.secret()
    await lab.fault("delay", call="run", delay=4)
    orders = Orders(notes=tmp_path / "notes", clock_shift=shift)
    first = await lab.operator(
        {VARIABLE: orders.model_dump_json()},
        module="tests.crash.subject",
        leader_election="false",
    )
    await lab.train("sent", 824)
    await lab.simulator.until(lambda: len(lab.posts()) == 1)
    first.kill()
    await first.ended()
    await lab.operator(leader_election="false")
    await lab.train("next", 825)
    done = await lab.until_phase("sent", "Succeeded")
    await lab.until_phase("next", "Succeeded")
    assert done["status"]["run"]["ownership"] == "Unconfirmed"
    assert [len(lab.posts(model)) for model in (824, 825)] == [1, 1]
    assert busiest_second(polls(lab, 824)) <= MOST_CALLS


async def test_failing_dns_is_waited_for(lab: Lab, cluster: ControlPlane, tmp_path: Path) -> None:
    """First neither host is found, then only the API server, then both."""
    lab.model(826)
    await lab.secret()
    await lab.train("unresolved", 826)
    failing, noted, kubeconfig = (tmp_path / name for name in ("failing", "noted", "kubeconfig"))
    async with proxied(cluster, tmp_path) as proxy:
        text = proxy.kubeconfig.read_text().replace("127.0.0.1", "localhost")
        kubeconfig.write_text(text)
        [entry] = yaml.safe_load(text)["clusters"]
        cluster_port = str(httpx.URL(entry["cluster"]["server"]).port)
        api = httpx.URL(lab.simulator.url).copy_with(host="localhost")
        failing.write_text(f"{cluster_port} {api.port}")
        operator = await lab.operator(
            {
                "KUBECONFIG": str(kubeconfig),
                "SCRIPTIX_BASE_URL": str(api),
                FAILING: str(failing),
                NOTED: str(noted),
            },
            module="tests.operator.without_dns",
        )
        await operator.printed("the API server is unreachable: .*[Nn]ame")
        failing.write_text(str(api.port))
        waiting = await lab.until_reason("unresolved", "ApiUnavailable")
        assert "name resolution" in waiting["status"]["message"]
        assert (polls(lab, 826), lab.posts()) == ([], [])
        await until(lambda: len(lookups(noted, api.port)) > 1)
        assert shortest_pause(lookups(noted, api.port)) > 0.5
        failing.write_text("")
        await lab.until_phase("unresolved", "Succeeded")
        assert operator.log.count("the API server is unreachable: ") == 1
    assert len(lab.posts()) == 1


async def kubelet_restarts(operator: Operator) -> None:
    """Wait until the process has ended, or its liveness probe has failed three times; end it."""
    failures, url = 0, await operator.url()
    async with asyncio.timeout(TIMEOUT), httpx.AsyncClient(timeout=1.0) as client:
        while operator.runs and failures < 3:
            await asyncio.sleep(0.2)
            try:
                is_alive = (await client.get(f"{url}/healthz")).is_success
            except httpx.TransportError:
                is_alive = False
            failures = 0 if is_alive else failures + 1
    with contextlib.suppress(ProcessLookupError):
        operator.kill()
    await operator.ended()


async def test_process_without_memory_is_restarted_and_continues(lab: Lab) -> None:
    """A process that caught all errors, and passed its probe, would be restarted by nobody."""
    lab.model(827, duration=8000)
    lab.model(828)
    await lab.secret()
    first = await lab.operator(leader_election="false")
    await lab.train("running", 827)
    await lab.until_phase("running", "Running")
    # Not RLIMIT_AS, which also counts addresses without memory.
    resource.prlimit(first.pid, resource.RLIMIT_DATA, (1, 1))
    await lab.train("requested", 828)
    await kubelet_restarts(first)
    await lab.admin("PATCH", "/models/827", {"finish": True})
    await lab.operator(leader_election="false")
    for name in ("running", "requested"):
        await lab.until_phase(name, "Succeeded")
    assert [lab.starts(model) for model in (827, 828)] == [1, 1]
