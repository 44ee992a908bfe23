"""Two installations that watch the same namespace, on a real API server."""

import copy
from dataclasses import dataclass
from datetime import timedelta

import pytest

from scriptix_operator.check import Severity, check
from scriptix_operator.core.cluster.served_by import SILENCE
from scriptix_operator.engine.clock import Clock
from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import Lab, Operator, phase_of

TRAININGS = tuple(f"t{number:02}" for number in range(12))


@dataclass
class Overlap:
    """An installation in the namespace of the trainings, and one that serves that namespace too."""

    lab: Lab
    other: Lab
    """The second installation's lab; both installations call the same simulator."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the second installation."""
        return {
            "KUBECONFIG": str(self.lab.control_plane.kubeconfig),
            "POD_NAMESPACE": self.other.namespace,
            "SCRIPTIX_BASE_URL": self.lab.simulator.url,
            "SCRIPTIX_WATCH_NAMESPACES": f"{self.lab.namespace},{self.other.namespace}",
        }

    async def second(self) -> Operator:
        """Start the second installation."""
        return await self.lab.operator(self.environment)

    async def readyz(self, operator: Operator) -> str:
        """The text of an operator's /readyz."""
        return (await self.lab.client.get(f"{await operator.url()}/readyz")).text

    async def server_of(self, name: str) -> str:
        """Return the installation that serves a resource."""
        return str((await self.lab.get(name))["status"]["servedBy"]["namespace"])

    async def fall_silent(self, name: str) -> None:
        """Move the last write of a resource's installation into the past."""
        long_ago = Clock().now() - SILENCE - timedelta(seconds=1)
        served_by = {"renewedAt": f"{long_ago:%Y-%m-%dT%H:%M:%SZ}"}
        await self.lab.patch(name, {"status": {"servedBy": served_by}}, "/status")


@pytest.fixture
def overlap(cluster: ControlPlane, lab: Lab) -> Overlap:
    """Create the second installation's namespace."""
    other = copy.copy(lab)
    other.namespace = f"{lab.namespace}-b"
    cluster.kubectl("create", "namespace", other.namespace)
    return Overlap(lab, other)


async def test_two_installations_start_each_new_training_once(overlap: Overlap) -> None:
    """The first start is slow, and a second one would consume the quota."""
    lab = overlap.lab
    for number in range(len(TRAININGS)):
        lab.model(800 + number, duration=10)
    await lab.secret()
    await lab.fault("delay", call="run", delay=1, times="forever")
    both = [await lab.operator(), await overlap.second()]
    for operator in both:
        await operator.printed("leading")
    for number, name in enumerate(TRAININGS):
        await lab.train(name, 800 + number)
    await lab.until_all(lambda items: all(phase_of(items[name]) == "Succeeded" for name in items))
    assert [len(lab.posts(800 + number)) for number in range(len(TRAININGS))] == [1] * 12


async def test_an_installation_reports_what_another_one_serves(overlap: Overlap) -> None:
    lab, other = overlap.lab, overlap.other
    lab.model(821, duration=20)
    lab.model(822)
    await lab.secret()
    await other.secret()
    await lab.operator()
    await lab.train("shared", 821)
    await lab.until_phase("shared", "Running")

    second = await overlap.second()
    await other.train("own", 822)
    await other.until_phase("own", "Succeeded")
    announced = f"1 resource is left alone until the installation in namespace {lab.namespace}"
    await second.printed(announced)
    assert announced in await overlap.readyz(second)
    metrics = await lab.client.get(f"{await second.url()}/metrics")
    assert "scriptix_trainings_served_elsewhere 1.0" in metrics.text
    event = await lab.until_event("shared", "ServedElsewhere")
    assert event["type"] == "Warning"
    assert other.namespace in event["message"]
    assert await reported(overlap) == [True]

    await lab.until_phase("shared", "Succeeded")
    assert await overlap.server_of("shared") == lab.namespace
    assert len(lab.posts(821)) == 1
    # A user who cannot wait removes the name.
    await lab.patch("shared", {"status": {"servedBy": None}}, "/status")
    await second.printed("no longer serves a resource")


async def reported(overlap: Overlap) -> list[bool]:
    """Whether `check` reports the second installation as bad, once its Lease shows it."""
    while True:
        found = [one async for one in check(overlap.environment)]
        said = [one for one in found if "left alone" in one.text]
        if said:
            return [one.severity is Severity.BAD for one in said]


async def test_moved_installation_takes_over_an_in_flight_start(
    overlap: Overlap,
) -> None:
    """The second installation's own start ledger does not have the start."""
    lab, other = overlap.lab, overlap.other
    lab.model(831)
    lab.model(832)
    await lab.secret()
    await other.secret()
    await other.train("own", 832)
    second = await overlap.second()
    await other.until_phase("own", "Succeeded")
    second.terminate()
    assert await second.ended() == 0

    await lab.fault("delay", call="run", delay=1.5)
    first = await lab.operator()
    await lab.train("moved", 831)
    await lab.simulator.until(lambda: len(lab.posts(831)) == 1)
    first.kill()
    await first.ended()
    await overlap.fall_silent("moved")
    await overlap.second()
    done = await lab.until_phase("moved", "Succeeded")
    assert len(lab.posts(831)) == 1
    assert done["status"]["run"]["ownership"] == "Unconfirmed"
    assert await overlap.server_of("moved") == other.namespace
