"""The operator receives SIGTERM or SIGINT, once or again, with and without starts in flight."""

import json
import signal
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from scriptix_operator.api.names import LEASE, LEDGER
from tests.controlplane.cluster import ControlPlane
from tests.crash.proxy import Proxy, proxied
from tests.operator.lab import Lab, Operator

TERM, INT = signal.SIGTERM, signal.SIGINT
DAY = 86400.0


async def _operator(lab: Lab, proxy: Proxy, **settings: str) -> Operator:
    """Start an operator that reaches the cluster through `proxy`, and wait until it leads."""
    operator = await lab.operator({"KUBECONFIG": str(proxy.kubeconfig)}, **settings)
    await operator.printed("leading")
    return operator


async def _lease(lab: Lab) -> dict[str, Any]:
    lease: dict[str, Any] = (await lab.client.get(_lease_path(lab))).json()
    return lease


def _lease_path(lab: Lab) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{lab.namespace}/leases/{LEASE}"


async def _ledger(lab: Lab) -> dict[str, Any]:
    found = await lab.config_map(LEDGER)
    assert found is not None
    ledger: dict[str, Any] = json.loads(found["data"]["ledger"])
    return ledger


@pytest.mark.parametrize(
    ("first", "second"),
    [(TERM, TERM), (INT, INT), (INT, TERM)],
    ids=["SIGTERM twice", "ctrl-C twice", "ctrl-C, then SIGTERM"],
)
async def test_lease_is_released_after_a_second_signal(
    spawning_lab: Lab,
    cluster: ControlPlane,
    tmp_path: Path,
    first: signal.Signals,
    second: signal.Signals,
) -> None:
    lab = spawning_lab
    async with proxied(cluster, tmp_path) as proxy:
        operator = await _operator(lab, proxy)

        def insist(request: web.Request) -> None:
            # A renewal only writes; a read of the Lease precedes its release.
            if request.method == "GET" and request.path.endswith(f"/leases/{LEASE}"):
                operator.signal(second)

        proxy.on_request = insist
        operator.signal(first)
        assert await operator.ended() == 0
    assert "holderIdentity" not in (await _lease(lab))["spec"]
    assert f"{second.name}: already stopping" in operator.log


async def test_sigterm_waits_for_a_start_and_begins_no_other(
    lab: Lab, cluster: ControlPlane, tmp_path: Path
) -> None:
    lab.model(301)
    lab.model(302)
    await lab.secret()
    await lab.fault("delay", call="run", delay=1.0)
    async with proxied(cluster, tmp_path) as proxy:
        operator = await _operator(lab, proxy, post_timeout="60s")
        await lab.train("under-way", 301)
        await lab.simulator.until(lambda: len(lab.posts()) == 1)

        def refuse(request: web.Request) -> int | None:
            is_status = request.method != "GET" and request.path.endswith("/status")
            return HTTPStatus.SERVICE_UNAVAILABLE if is_status else None

        proxy.refuse = refuse
        operator.terminate()
        await operator.printed("starts under way: 1")
        operator.signal(INT)
        await operator.printed("SIGINT: already stopping")
        await lab.train("later", 302)
        async with httpx.AsyncClient(trust_env=False) as client:
            ready = await client.get(f"{await operator.url()}/readyz")
        assert (ready.status_code, "Stopping." in ready.text) == (503, True)
        assert (await _lease(lab))["spec"]["holderIdentity"].startswith("operator-0")
        await operator.printed("the reply to the start is not recorded yet")
        proxy.refuse = lambda _: None
        assert await operator.ended() == 0
    left = await lab.get("under-way")
    assert (left["status"]["phase"], left["status"]["run"]["ownership"]) == ("Running", "Owned")
    ledger = await _ledger(lab)
    assert (ledger.get("inFlightStarts", {}), len(ledger["charges"])) == ({}, 1)
    assert "holderIdentity" not in (await _lease(lab))["spec"]
    assert len(lab.posts()) == 1

    await lab.operator()
    await lab.until_phase("later", "Running")
    assert [call.model for call in lab.posts()] == [301, 302]


async def test_sigterm_aborts_a_start_whose_post_was_not_sent(
    lab: Lab, cluster: ControlPlane, tmp_path: Path
) -> None:
    lab.model(303)
    await lab.secret()
    async with proxied(cluster, tmp_path) as proxy:
        operator = await _operator(lab, proxy)

        def stop(request: web.Request) -> None:
            # The take-over creates the ledger; a PUT is the write between intent and POST.
            if request.method == "PUT" and request.path.endswith(f"/configmaps/{LEDGER}"):
                operator.terminate()
                proxy.on_request = lambda _: None

        proxy.on_request = stop
        await lab.train("unsent", 303)
        assert await operator.ended() == 0
    assert lab.posts() == []
    left = await lab.get("unsent")
    assert left["status"].get("run") is None
    assert (
        "The operator could not send the start: the operator is stopping."
        in left["status"]["message"]
    )
    ledger = await _ledger(lab)
    assert (ledger.get("inFlightStarts", {}), ledger.get("charges", {})) == ({}, {})

    await lab.operator()
    await lab.until_phase("unsent", "Running")
    assert len(lab.posts()) == 1


async def test_a_lost_lease_ends_the_wait_for_a_start(lab: Lab) -> None:
    lab.model(304)
    await lab.secret()
    await lab.fault("delay", call="run", delay=DAY)
    operator = await lab.operator(post_timeout="10m")
    await lab.train("under-way", 304)
    await lab.simulator.until(lambda: len(lab.posts()) == 1)
    operator.terminate()
    await operator.printed("starts under way: 1")
    reply = await lab.client.patch(
        _lease_path(lab),
        json={"spec": {"holderIdentity": "another"}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert reply.is_success, reply.text
    assert await operator.ended() == 1
    assert operator.log.count("the Lease is held by another") == 1


async def test_sigterm_waits_for_no_poll(lab: Lab) -> None:
    lab.model(305)
    await lab.secret()
    await lab.fault("drip", call="model", interval=10.0)  # a reply of many minutes
    operator = await lab.operator(post_timeout="10m")
    await lab.train("polled", 305)
    await lab.simulator.until(lambda: len(lab.simulator.state.calls) == 1)
    operator.terminate()
    assert await operator.ended() == 0
    assert "holderIdentity" not in (await _lease(lab))["spec"]
