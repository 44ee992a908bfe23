"""The operator is told to stop, and told again while it does."""

import signal
from pathlib import Path

import pytest
from aiohttp import web

from tests.controlplane.cluster import ControlPlane
from tests.crash.proxy import proxied
from tests.operator.lab import Lab

TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.mark.parametrize(
    ("first", "second"),
    [(TERM, TERM), (INT, INT), (INT, TERM)],
    ids=["SIGTERM twice", "ctrl-C twice", "ctrl-C, then SIGTERM"],
)
async def test_a_second_signal_does_not_keep_the_lease_from_being_released(
    lab: Lab, cluster: ControlPlane, tmp_path: Path, first: signal.Signals, second: signal.Signals
) -> None:
    async with proxied(cluster, tmp_path) as proxy:
        operator = await lab.operator({"KUBECONFIG": str(proxy.kubeconfig)})
        await operator.printed("leading")

        def insist(request: web.Request) -> None:
            # A leader that renews writes only; it reads its Lease to give it up.
            if request.method == "GET" and request.path.endswith("/leases/scriptix-operator"):
                operator.signal(second)

        proxy.heard = insist
        operator.signal(first)
        assert await operator.ended() == 0
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{lab.namespace}/leases"
    lease = (await lab.client.get(f"{leases}/scriptix-operator")).json()
    assert "holderIdentity" not in lease["spec"]
    assert f"{second.name}: stopping already" in operator.log
