"""A training and its ConfigMaps as a backup tool restores them: new uids, no owner references."""

from scriptix_operator.api.names import API_VERSION, KIND
from tests.operator.lab import Lab, Manifest

CONFIG_MAPS = ("saved-log", "saved-result")


def log_is_complete(item: Manifest) -> bool:
    """Whether all of a run's log is stored."""
    state: str | None = item.get("status", {}).get("log", {}).get("state")
    return state == "Complete"


async def lose_and_restore(lab: Lab, model: int, *, with_status: bool) -> Manifest:
    """Train to the end, lose everything but the operator's ledger, and restore it as Velero does.

    Returns:
        The resource as it was backed up.
    """
    lab.model(model, duration=2)
    await lab.secret()
    operator = await lab.operator()
    await lab.train("saved", model)
    backup = await lab.until("saved", log_is_complete)
    config_maps = [await lab.config_map(name) for name in CONFIG_MAPS]
    operator.terminate()
    await operator.ended()
    await lab.delete("saved")
    api, path = lab.control_plane.api, f"/api/v1/namespaces/{lab.namespace}/configmaps"
    for config_map in config_maps:
        assert config_map is not None
        # The test deletes them: the garbage collector takes up to 30 s to discover a new CRD.
        api.delete(f"{path}/{config_map['metadata']['name']}")
        stale = {**restored(config_map), "data": {**config_map["data"], "stale": "yes"}}
        reply = api.post(path, json=stale)
        assert reply.is_success, reply.text
    path = f"/apis/{API_VERSION}/namespaces/{lab.namespace}/custommodeltrainings"
    resource = {"apiVersion": API_VERSION, "kind": KIND, **restored(backup), "spec": backup["spec"]}
    assert api.post(path, json=resource).is_success
    if with_status:
        await lab.patch("saved", {"status": backup["status"]}, "/status")
    await lab.operator(leader_election="false")
    return backup


def restored(saved: Manifest) -> Manifest:
    """The metadata that Velero keeps."""
    kept = {key: saved["metadata"].get(key) for key in ("name", "labels", "annotations")}
    kept["labels"] = {**(kept["labels"] or {}), "velero.io/restore-name": "nightly"}
    return {"metadata": kept}


async def assert_replaced(lab: Lab, training: Manifest) -> None:
    """Assert that both ConfigMaps are complete, current, and garbage collected in the end."""
    for name in CONFIG_MAPS:
        found = await lab.config_map(name)
        assert found is not None
        assert "stale" not in found["data"]
        assert found["metadata"]["labels"]["scriptix.io/run"] == training["status"]["run"]["id"]
        [owner] = found["metadata"]["ownerReferences"]
        assert owner["uid"] == training["metadata"]["uid"]


async def test_restored_without_status_a_run_is_adopted_and_published(lab: Lab) -> None:
    backup = await lose_and_restore(lab, 651, with_status=False)
    adopted = await lab.until("saved", log_is_complete)
    assert adopted["metadata"]["uid"] != backup["metadata"]["uid"]
    assert adopted["status"]["phase"] == "Succeeded"
    assert adopted["status"]["run"]["ownership"] == "Adopted"
    await assert_replaced(lab, adopted)
    assert lab.starts(651) == 1


async def test_restored_status_keeps_its_run_and_next_one_is_published(lab: Lab) -> None:
    backup = await lose_and_restore(lab, 652, with_status=True)
    calls = len(lab.simulator.state.calls)
    edited = await lab.edit("saved", suspend=True)
    seen = edited["metadata"]["generation"]
    kept = await lab.until("saved", lambda item: item["status"].get("observedGeneration") == seen)
    assert kept["status"]["run"] == backup["status"]["run"]
    assert len(lab.simulator.state.calls) == calls
    await lab.admin("PATCH", "/models/652", {"status": 2})
    await lab.edit("saved", suspend=False, runToken="v2")
    again = await lab.until(
        "saved",
        lambda item: log_is_complete(item) and item["status"]["run"]["token"] == "v2",
    )
    assert again["status"]["phase"] == "Succeeded"
    await assert_replaced(lab, again)
    assert lab.starts(652) == 2
