"""Resources that are being deleted and still exist, because finalizers hold them."""

import json
from functools import partial

import pytest

from scriptix_operator.api.names import PLURAL
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.errors import ConflictError
from scriptix_operator.kube.trainings import Trainings, parse_training
from tests.operator.lab import Lab, Manifest, phase_of, reason_of
from tests.unit.core.builders import a_status

FINALIZER = "example.com/hold"
LEDGER = "scriptix-operator-ledger"
ENDLESS = 1000
RELEASED = "ReleasedRunningTraining"


async def held(lab: Lab, name: str, model_id: int, **spec: object) -> None:
    """Create a resource with a finalizer of another controller."""
    await lab.train(name, model_id, **spec)
    await lab.patch(name, {"metadata": {"finalizers": [FINALIZER]}})


async def let_go(lab: Lab, name: str) -> None:
    """Remove the finalizer, and wait until the resource is gone."""
    await lab.patch(name, {"metadata": {"finalizers": None}})
    await lab.until_all(lambda items: name not in items)


async def train_another(lab: Lab, model_id: int) -> None:
    """Train another model: events before it have been handled."""
    lab.model(model_id, duration=1)
    await lab.train(f"another-{model_id}", model_id)
    await lab.until_phase(f"another-{model_id}", "Succeeded")


async def in_flight_starts(lab: Lab) -> dict[str, Manifest]:
    """The in-flight starts of the ledger, by model."""
    ledger = await lab.config_map(LEDGER)
    assert ledger is not None
    found: dict[str, Manifest] = json.loads(ledger["data"]["ledger"])["inFlightStarts"]
    return found


def has_arrived(lab: Lab, model_id: int) -> bool:
    """Whether the POST for a model has arrived."""
    return bool(lab.posts(model_id))


async def event_count(lab: Lab, name: str, reason: str) -> int:
    """The number of times that an event was published."""
    return sum(e["count"] for e in await lab.events(name) if e["reason"] == reason)


async def test_an_intent_decided_before_a_deletion_conflicts(lab: Lab, client: KubeApi) -> None:
    trainings = Trainings(client)
    await held(lab, "leaving", 800)
    before = parse_training(await lab.get("leaving"))
    await lab.delete("leaving")
    after = await trainings.get(before.key)
    assert (before.is_being_deleted, after.is_being_deleted) == (False, True)
    with pytest.raises(ConflictError):
        await trainings.write_status(before, a_status(message="decided before"))
    written = await trainings.write_status(after, a_status(message="decided after"))
    assert written.is_being_deleted
    await let_go(lab, "leaving")


async def test_a_resource_being_deleted_starts_nothing(lab: Lab) -> None:
    lab.model(801, status=1)
    await lab.secret()
    await lab.operator()
    await held(lab, "leaving", 801)
    await lab.until_reason("leaving", "WaitingForModel")
    await lab.train_younger("living", "leaving", 801)
    await lab.until_reason("living", "ModelInUse")
    await lab.delete("leaving")
    left = await lab.until_reason("leaving", "BeingDeleted")
    await lab.admin("PATCH", "/models/801", {"status": 2})
    done = await lab.until_phase("living", "Succeeded")
    assert done["status"]["run"]["ownership"] == "Owned"
    # An edit and a request have no effect any more.
    await lab.edit("leaving", runToken="v2")
    await lab.until("leaving", lambda item: item["status"]["observedGeneration"] == 3)
    assert (await lab.get("leaving"))["metadata"]["deletionTimestamp"]
    assert "run" not in left["status"]
    assert len(lab.posts()) == 1
    await let_go(lab, "leaving")
    await train_another(lab, 802)
    assert await event_count(lab, "leaving", RELEASED) == 0


async def test_release_of_a_run_is_one_event_across_a_restart(lab: Lab) -> None:
    """Foreground deletion, the default of Argo CD: its finalizer is one of two here."""
    lab.model(803, duration=ENDLESS)
    await lab.secret()
    first = await lab.operator()
    await held(lab, "leaving", 803)
    running = await lab.until("leaving", lambda item: "log" in item.get("status", {}))
    reply = await lab.client.request(
        "DELETE",
        f"/apis/{running['apiVersion']}/namespaces/{lab.namespace}/{PLURAL}/leaving",
        json={"propagationPolicy": "Foreground"},
    )
    assert reply.is_success, reply.text
    # The garbage collector removes its finalizer again, some time later.
    assert "foregroundDeletion" in reply.json()["metadata"]["finalizers"]
    left = await lab.until_reason("leaving", "BeingDeleted")
    assert phase_of(left) == "Running"
    event = await lab.until_event("leaving", RELEASED)
    assert event["type"] == "Warning"
    calls = [call for call in lab.simulator.state.calls if call.model == 803]
    await train_another(lab, 804)
    assert 'name="leaving"' not in (await lab.client.get(f"{await first.url()}/metrics")).text
    first.terminate()
    await first.ended()
    await lab.operator()
    await train_another(lab, 805)
    assert reason_of(await lab.get("leaving")) == "BeingDeleted"
    await let_go(lab, "leaving")
    await train_another(lab, 806)
    assert await event_count(lab, "leaving", RELEASED) == 1
    assert [call for call in lab.simulator.state.calls if call.model == 803] == calls


async def test_unknown_start_is_resolved_while_deletion_is_pending(lab: Lab) -> None:
    models = {"acted": 807, "lost": 808}
    lab.model(807, duration=ENDLESS)
    lab.model(808, duration=ENDLESS)
    await lab.fault("delay", call="run", model=807, delay=3)
    await lab.fault("drop_before", call="run", model=808)
    await lab.secret()
    await lab.operator()
    for name, model_id in models.items():
        await held(lab, name, model_id)
        await lab.until(name, lambda item: "intent" in item.get("status", {}).get("run", {}))
        await lab.fault("status", call="model", model=model_id, status=503, times="forever")
        # A deletion that is observed before the POST leaves aborts the start.
        await lab.simulator.until(partial(has_arrived, lab, model_id))
        await lab.delete(name)
    await lab.simulator.until(lambda: lab.starts(807) == 1)
    assert set(await in_flight_starts(lab)) == {str(model_id) for model_id in models.values()}
    await lab.admin("DELETE", "/faults")
    acted = await lab.until_reason("acted", "BeingDeleted")
    lost = await lab.until_reason("lost", "BeingDeleted")
    assert acted["status"]["run"]["ownership"] == "Unconfirmed"
    assert {"ownership", "intent"}.isdisjoint(lost["status"]["run"])
    await train_another(lab, 809)
    assert await in_flight_starts(lab) == {}
    assert [lab.starts(model_id) for model_id in models.values()] == [1, 0]
    assert len(lab.posts(808)) == 1
    assert await event_count(lab, "acted", RELEASED) == 1
    assert await event_count(lab, "lost", RELEASED) == 0
    # A resource with the same model that is not being deleted is served next.
    await lab.train("living", 808)
    await lab.until_phase("living", "Running")
    assert lab.starts(808) == 1
