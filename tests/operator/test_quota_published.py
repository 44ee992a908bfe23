"""The quota left, as a ConfigMap in the operator's namespace and as `check` prints it."""

import asyncio
import json
from typing import Any

from scriptix_operator.api.names import QUOTA
from scriptix_operator.check import Severity
from tests.operator.lab import TIMEOUT, Lab, phase_of
from tests.operator.rights.findings import findings


async def until_published(lab: Lab) -> dict[str, Any]:
    """Wait for the document, and return the part of the only key."""
    async with asyncio.timeout(TIMEOUT):
        while (found := await lab.config_map(QUOTA)) is None:  # noqa: ASYNC110 - the lab watches no ConfigMaps
            await asyncio.sleep(0.1)
    [key] = json.loads(found["data"]["quota.json"])["keys"].values()
    return dict(key)


async def test_quota_and_start_queue_are_published(lab: Lab) -> None:
    await lab.secret()
    await lab.operator(limit_starts="1/1h")
    for number, name in enumerate(("first", "second"), start=821):
        lab.model(number)
        await lab.train(name, number)
    items = await lab.until_all(
        lambda items: (
            {phase_of(item) for item in items.values()} <= {"Running", "Succeeded", "Queued"}
            and any("queue" in item["status"] for item in items.values())
        )
    )
    [waiting] = [item for item in items.values() if "queue" in item["status"]]
    key = await until_published(lab)
    [limit] = key["operations"]["start"]["limits"]
    assert limit == {"limit": 1, "window": "1h", "used": 1, "left": 0}
    queue = key["startQueue"]
    assert queue["length"] == 1
    [entry] = queue["namespaces"][lab.namespace]
    assert (entry["name"], entry["position"]) == (waiting["metadata"]["name"], 1)
    assert entry["estimatedStartAt"] == key["operations"]["start"]["nextFreeAt"]

    environment = {"KUBECONFIG": str(lab.control_plane.kubeconfig), "POD_NAMESPACE": lab.namespace}
    [finding] = await findings(environment, "quota")
    assert finding.severity is Severity.OK
    assert ": 0 of 1/1h start calls left; " in finding.text
    assert "; 1 resources wait for a start (at " in finding.text
    [finding] = await findings({**environment, "POD_NAMESPACE": "default"}, "quota")
    assert finding.text.startswith("no quota is published in ConfigMap default/")


async def test_unwritable_quota_config_map_delays_no_training(lab: Lab) -> None:
    path = f"/api/v1/namespaces/{lab.namespace}/configmaps"
    body = {"metadata": {"name": QUOTA}, "data": {"quota.json": "{}"}, "immutable": True}
    made = await lab.client.post(path, json=body)
    assert made.is_success, made.text
    await lab.secret()
    operator = await lab.operator()
    lab.model(823, duration=1)
    await lab.train("trained", 823)
    await lab.until_phase("trained", "Succeeded")
    await operator.printed(f"the quota left is not published: write ConfigMap .*/{QUOTA}: 422")
    reply = await lab.client.get(f"{await operator.url()}/metrics")
    assert 'scriptix_quota_writes_total{outcome="failed"} 1.0' in reply.text
