"""Fields that this version cannot read, under the CRD of a newer one, at the real API server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scriptix_operator.api.crd import custom_resource_definition
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import CRD_PATH, install_crd
from tests.operator.lab import TIMEOUT, Lab, Manifest, Operator, condition_of, phase_of, reason_of

ENDLESS = 10_000
"""Hours of a run that the test ends."""
FOREIGN = {
    "type": "example.com/Billed",
    "status": "True",
    "lastTransitionTime": "2025-01-16T08:00:00.123456Z",
    "invoice": "2025-17",
}
"""A condition of another controller, with a field that this version's conditions lack."""


def newer_crd() -> dict[str, Any]:
    """Return the CRD of a newer version: more values, more fields, other types."""
    crd = custom_resource_definition()
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    spec, status = root["spec"]["properties"], root["status"]["properties"]
    spec["existingTraining"]["enum"].append("Ask")
    spec["qualityGate"]["properties"]["maxSentenceErrorRate"] = {"type": "string"}
    status["run"]["properties"]["attempt"] = {"x-kubernetes-int-or-string": True}
    for part in (status["conditions"]["items"], status["history"]["items"], root["status"]):
        part["x-kubernetes-preserve-unknown-fields"] = True
    return crd


@pytest.fixture(scope="module")
def control_plane(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run a control plane for this module: other tests need the CRD of this version."""
    with ControlPlane(assets, tmp_path_factory.mktemp("newer")) as running:
        install_crd(running)
        crd = running.api.get(CRD_PATH).json()
        newer = {**crd, "spec": {**crd["spec"], "versions": newer_crd()["spec"]["versions"]}}
        running.api.put(CRD_PATH, json=newer).raise_for_status()
        yield running


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """Return the control plane with the CRD of a newer version."""
    return control_plane


def stalled_for(item: Manifest, path: str) -> bool:
    stalled = condition_of(item, "Stalled")
    is_named = stalled is not None and f"cannot read {path} (" in stalled["message"]
    return is_named and stalled is not None and stalled["reason"] == "Unreadable"


async def unreadable_events(lab: Lab, name: str) -> list[tuple[str, int]]:
    await lab.until_event(name, "Unreadable")
    found = [event for event in await lab.events(name) if event["reason"] == "Unreadable"]
    return [(event["type"], event["count"]) for event in found]


async def gauge(lab: Lab, operator: Operator, value: int) -> None:
    """Wait until the metric has this value."""
    url = f"{await operator.url()}/metrics"
    line = f"scriptix_trainings_unreadable {value}.0"
    async with asyncio.timeout(TIMEOUT):
        while line not in (await lab.client.get(url)).text:  # noqa: ASYNC110 - it is asked, it does not tell
            await asyncio.sleep(0.1)


async def test_run_is_followed_and_none_started_with_a_newer_value(lab: Lab) -> None:
    lab.model(1, duration=ENDLESS)
    await lab.secret()
    operator = await lab.operator()
    await lab.train("newer", 1)
    await lab.until_phase("newer", "Running")
    history = [{"id": "run-0", "outcome": "Failed", "invoice": "2025-16"}]
    conditions = [*(await lab.get("newer"))["status"]["conditions"], FOREIGN]
    announced = {"conditions": conditions, "history": history, "invoices": 1}
    await lab.patch("newer", {"status": announced}, "/status")

    await lab.edit("newer", existingTraining="Ask", runToken="again")
    shown = await lab.until("newer", lambda item: stalled_for(item, "spec.existingTraining"))
    assert phase_of(shown) == "Running"
    assert condition_of(shown, "Reconciling") is None
    assert shown["status"]["observedGeneration"] == shown["metadata"]["generation"]
    assert await unreadable_events(lab, "newer") == [("Warning", 1)]
    operator.terminate()
    await operator.ended()

    operator = await lab.operator()
    await gauge(lab, operator, 1)
    await lab.admin("PATCH", "/models/1", {"finish": True})
    ended = await lab.until_phase("newer", "Succeeded")
    assert ended["status"]["metrics"]["wordErrorRate"] == "12.5"
    assert stalled_for(ended, "spec.existingTraining")
    assert (await lab.config_map("newer-result") or {})["data"]["model_id"] == "1"
    assert await unreadable_events(lab, "newer") == [("Warning", 1)]
    assert FOREIGN in ended["status"]["conditions"]
    assert ended["status"]["history"] == history
    assert lab.starts(1) == 1

    await lab.admin("PATCH", "/models/1", {"status": 2})
    await lab.edit("newer", existingTraining="Adopt")
    again = await lab.until("newer", lambda item: item["status"]["run"].get("token") == "again")
    assert condition_of(again, "Stalled") is None
    assert FOREIGN in again["status"]["conditions"]
    assert history[0].items() <= again["status"]["history"][1].items()
    assert again["status"]["invoices"] == 1
    await lab.until_phase("newer", "Running")
    assert lab.starts(1) == 2


async def test_run_is_judged_once_its_gate_can_be_read(lab: Lab) -> None:
    lab.model(2, duration=ENDLESS)
    await lab.secret()
    await lab.operator(results_wait="1s")
    await lab.train("gated", 2, qualityGate={"maxWordErrorRate": "5", "maxSentenceErrorRate": "9"})
    held = await lab.until("gated", lambda item: reason_of(item) == "Unreadable")
    assert stalled_for(held, "spec.qualityGate.maxSentenceErrorRate")
    assert lab.posts(2) == []
    await lab.edit("gated", qualityGate={"maxSentenceErrorRate": None})
    await lab.until_phase("gated", "Running")

    await lab.edit("gated", qualityGate={"maxSentenceErrorRate": "9"})
    await lab.until("gated", lambda i: stalled_for(i, "spec.qualityGate.maxSentenceErrorRate"))
    await lab.admin("PATCH", "/models/2", {"finish": True})
    ended = await lab.until("gated", lambda item: "metrics" in item["status"])
    assert phase_of(ended) == "Running"
    await lab.until(
        "gated", lambda i: "judges and publishes the run once" in i["status"]["message"]
    )
    await lab.edit("gated", qualityGate={"maxSentenceErrorRate": None})
    judged = await lab.until_phase("gated", "Failed")
    assert reason_of(judged) == "QualityGateFailed"
    assert await lab.config_map("gated-result") is None
    assert lab.starts(2) == 1


async def test_resource_with_an_unreadable_run_is_not_changed(lab: Lab) -> None:
    lab.model(3, duration=ENDLESS)
    await lab.secret()
    operator = await lab.operator()
    await lab.train("odd", 3)
    running = await lab.until_phase("odd", "Running")
    conditions = [*running["status"]["conditions"], FOREIGN]
    odd = {"run": {"attempt": "first"}, "conditions": conditions, "invoices": 1}
    await lab.patch("odd", {"status": odd}, "/status")
    shown = await lab.until("odd", lambda item: stalled_for(item, "status.run.attempt"))
    assert reason_of(shown) == "Unreadable"
    assert condition_of(shown, "Reconciling") is None
    assert FOREIGN in shown["status"]["conditions"]
    untouched = {**running["status"], "run": {**running["status"]["run"], "attempt": "first"}}
    derived = ("conditions", "message", "observedGeneration")
    assert {k: v for k, v in shown["status"].items() if k not in derived} == {
        **{k: v for k, v in untouched.items() if k not in derived},
        "invoices": 1,
    }
    assert await unreadable_events(lab, "odd") == [("Warning", 1)]

    # The run still counts: no other resource starts or adopts the model.
    await lab.admin("PATCH", "/models/3", {"finish": True})
    await lab.train("competitor", 3)
    waits = await lab.until_reason("competitor", "ModelInUse")
    assert "Resource odd may be training this model" in waits["status"]["message"]
    operator.kill()
    await operator.ended()
    before = (await lab.get("odd"))["metadata"]["resourceVersion"]
    operator = await lab.operator()
    await gauge(lab, operator, 1)
    await lab.until_reason("competitor", "ModelInUse")
    assert (await lab.get("odd"))["metadata"]["resourceVersion"] == before
    assert await unreadable_events(lab, "odd") == [("Warning", 1)]

    await lab.patch("odd", {"status": {"run": {"attempt": 1}}}, "/status")
    ended = await lab.until_phase("odd", "Succeeded")
    assert condition_of(ended, "Stalled") is None
    assert ended["status"]["message"].startswith("The model is trained")
    assert FOREIGN in ended["status"]["conditions"]
    assert lab.starts(3) == 1
