"""kube/configmaps.py against a real API server: which objects are written, and which never."""

from collections.abc import Callable

import pytest

from scriptix_operator.core.model.owner import Owner
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.configmaps import ConfigMaps, NameTaken
from scriptix_operator.kube.errors import ConflictError, GoneError, RefusedError
from tests.operator.logsupport import (
    RESTORED,
    Json,
    KilledError,
    Namespace,
    Recorder,
    reference_to,
)

NAME = "cardio-result"
DATA = {"model_id": "123", "word_error_rate": "12.5"}


@pytest.fixture
def config_maps(client: KubeApi) -> ConfigMaps:
    """Return the object under test."""
    return ConfigMaps(client)


async def test_config_map_is_created_with_owner_labels_and_data(
    space: Namespace, config_maps: ConfigMaps
) -> None:
    owner = space.make_resource()
    assert await config_maps.put(owner, NAME, DATA, run_id="r1") is True
    made = space.read(NAME)
    assert made["data"] == DATA
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "scriptix-operator",
        "scriptix.io/training": "cardio",
        "scriptix.io/run": "r1",
    }
    assert made["metadata"]["annotations"] == {"argocd.argoproj.io/ignore-resource-updates": "true"}
    assert made["metadata"]["ownerReferences"] == [reference_to(owner)]
    assert "immutable" not in made


async def test_unchanged_config_map_is_not_written(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    status_writer.calls.clear()
    assert await config_maps.put(owner, NAME, DATA, run_id="r1") is False
    assert status_writer.calls == [f"GET {NAME}"]


async def test_a_new_run_replaces_all_data_in_one_update(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    status_writer.calls.clear()
    assert await config_maps.put(owner, NAME, {"model_id": "9"}, run_id="r2") is True
    assert status_writer.writes == [f"PUT {NAME}"]
    assert space.read(NAME)["data"] == {"model_id": "9"}
    assert space.read(NAME)["metadata"]["labels"]["scriptix.io/run"] == "r2"


async def test_foreign_labels_stay_and_changed_own_ones_are_restored(
    space: Namespace, config_maps: ConfigMaps
) -> None:
    owner = space.make_resource()
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    ours = "argocd.argoproj.io/ignore-resource-updates"
    theirs = {
        "labels": {"team": "a", "scriptix.io/run": "x"},
        "annotations": {"note": "b", ours: "false"},
    }
    space.patch(NAME, {"metadata": theirs})
    assert await config_maps.put(owner, NAME, DATA, run_id="r1") is True
    metadata = space.read(NAME)["metadata"]
    assert metadata["labels"]["team"] == "a"
    assert metadata["annotations"] == {"note": "b", ours: "true"}
    assert metadata["labels"]["scriptix.io/run"] == "r1"


async def test_concurrent_write_is_detected_and_overwritten(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    status_writer.meanwhile(f"PUT {NAME}", lambda: space.patch(NAME, {"data": {"foreign": "1"}}))
    assert await config_maps.put(owner, NAME, {"model_id": "9"}, run_id="r2") is True
    assert space.read(NAME)["data"] == {"model_id": "9"}


async def test_config_map_deleted_concurrently_is_created_again(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    status_writer.meanwhile(f"PUT {NAME}", lambda: space.delete(NAME))
    assert await config_maps.put(owner, NAME, {"model_id": "9"}, run_id="r2") is True
    assert space.read(NAME)["data"] == {"model_id": "9"}


async def test_concurrent_creation_is_detected(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    status_writer.meanwhile(
        f"POST {NAME}", lambda: space.make(NAME, {"foreign": "1"}, reference_to(owner))
    )
    assert await config_maps.put(owner, NAME, DATA, run_id="r1") is True
    assert space.read(NAME)["data"] == DATA


async def test_config_map_made_immutable_by_a_user_is_recreated(
    space: Namespace, config_maps: ConfigMaps
) -> None:
    owner = space.make_resource()
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    before = space.patch(NAME, {"immutable": True})["metadata"]["uid"]
    assert await config_maps.put(owner, NAME, {"model_id": "9"}, run_id="r2") is True
    after = space.read(NAME)
    assert after["data"] == {"model_id": "9"}
    assert after["metadata"]["uid"] != before


async def test_creating_an_existing_config_map_is_a_conflict(
    space: Namespace, config_maps: ConfigMaps
) -> None:
    owner = space.make_resource()
    await config_maps.create(owner, NAME, DATA, run_id="r1", immutable=True)
    with pytest.raises(ConflictError):
        await config_maps.create(owner, NAME, {}, run_id="r2")
    assert space.read(NAME)["data"] == DATA
    assert space.read(NAME)["immutable"] is True


NO_SUCH_UID = "00000000-0000-0000-0000-000000000000"

# The garbage collector ignores references whose kind it cannot resolve.
FOREIGN: dict[str, Callable[[Owner, Owner], Json | None]] = {
    "no owner": lambda _owner, _other: None,
    "another-kind": lambda owner, _: reference_to(owner, kind="Nonesuch", uid=NO_SUCH_UID),
    "another-group": lambda owner, _: reference_to(
        owner, apiVersion="example.com/v1", uid=NO_SUCH_UID
    ),
    "another-name": lambda _, other: reference_to(other),
    "no-controller": lambda owner, _: reference_to(owner, controller=False),
}


LABELS = {
    "no owner": {name: value for name, value in RESTORED.items() if name != "scriptix.io/run"},
    "another-name": RESTORED,
    "no-controller": RESTORED,
}
"""Labels by the name of the case; a restored object has all three labels and no owner."""


@pytest.mark.parametrize("case", FOREIGN)
async def test_config_map_of_another_owner_is_never_touched(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder, case: str
) -> None:
    owner, other = space.make_resource(), space.make_resource("neuro")
    reference = FOREIGN[case](owner, other)
    before = space.make(NAME, {"theirs": "1"}, reference, LABELS.get(case))
    with pytest.raises(NameTaken, match=NAME) as caught:
        await config_maps.put(owner, NAME, DATA, run_id="r1")
    assert caught.value.name == NAME
    with pytest.raises(NameTaken):
        await config_maps.get(owner, NAME)
    assert await config_maps.delete(owner, NAME) is False
    assert status_writer.writes == []
    with pytest.raises(NameTaken):
        await config_maps.create(owner, NAME, DATA, run_id="r1")
    assert status_writer.writes == [f"POST {NAME}"]  # refused by the API server
    assert space.read(NAME) == before


def dead_reference(owner: Owner) -> Json:
    """Refer to an earlier incarnation in a version that the garbage collector cannot resolve."""
    return reference_to(owner, apiVersion="scriptix.io/v1alpha0", uid=NO_SUCH_UID)


async def test_config_map_of_a_deleted_resource_is_recreated(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    dead = space.make_resource()
    left = space.make(NAME, {"old": "1"}, reference_to(dead))
    space.delete_resource()
    owner = space.make_resource()
    # The garbage collector may be first; the result must be the same.
    assert await config_maps.get(owner, NAME) is None
    assert await config_maps.put(owner, NAME, DATA, run_id="r1") is True
    made = space.read(NAME)
    assert made["metadata"]["ownerReferences"] == [reference_to(owner)]
    assert made["metadata"]["uid"] != left["metadata"]["uid"]
    assert status_writer.writes[-1] == f"POST {NAME}"


async def test_config_map_of_a_deleted_resource_is_deleted_by_uid(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    left = space.make(NAME, {"old": "1"}, dead_reference(owner))
    assert await config_maps.put(owner, NAME, DATA, run_id="r1") is True
    assert status_writer.writes == [f"POST {NAME}", f"DELETE {NAME}", f"POST {NAME}"]
    made = space.read(NAME)
    assert made["data"] == DATA
    assert made["metadata"]["uid"] != left["metadata"]["uid"]


async def test_config_map_replaced_concurrently_is_not_deleted(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    space.make(NAME, {"old": "1"}, dead_reference(owner))

    def replace() -> None:
        space.delete(NAME)
        space.make(NAME, {"theirs": "1"})

    status_writer.meanwhile(f"DELETE {NAME}", replace)
    with pytest.raises(ConflictError):
        await config_maps.create(owner, NAME, DATA, run_id="r1")
    assert space.read(NAME)["data"] == {"theirs": "1"}
    with pytest.raises(NameTaken):
        await config_maps.put(owner, NAME, DATA, run_id="r1")


async def test_replaced_resource_keeps_config_maps_of_its_successor(
    space: Namespace, config_maps: ConfigMaps
) -> None:
    replaced = space.make_resource()
    space.delete_resource()
    successor = space.make_resource()
    await config_maps.put(successor, NAME, DATA, run_id="r2")
    with pytest.raises(NameTaken):
        await config_maps.put(replaced, NAME, {"old": "1"}, run_id="r1")
    assert space.read(NAME)["data"] == DATA
    assert await config_maps.delete(replaced, NAME) is False


async def test_restored_config_map_is_absent_and_replaced_completely(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    left = space.make(NAME, {"old": "1"}, labels=RESTORED)
    assert await config_maps.get(owner, NAME) is None
    assert await config_maps.delete(owner, NAME) is False
    assert space.read(NAME) == left
    status_writer.calls.clear()
    assert await config_maps.put(owner, NAME, DATA, run_id="r1") is True
    assert status_writer.writes == [f"POST {NAME}", f"PUT {NAME}"]
    made = space.read(NAME)
    assert made["data"] == DATA
    assert made["metadata"]["ownerReferences"] == [reference_to(owner)]
    ours = {**RESTORED, "scriptix.io/run": "r1"}
    del ours["velero.io/restore-name"]
    assert made["metadata"]["labels"] == ours
    assert made["metadata"]["uid"] == left["metadata"]["uid"]


async def test_restored_immutable_data_is_not_read_after_any_crash(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    for write in range(4):
        space.make(NAME, {"old": "1"}, labels=RESTORED, immutable=True)
        status_writer.kill(before=write)
        with pytest.raises(KilledError):
            await config_maps.create(owner, NAME, DATA, run_id="r1", immutable=True)
        writes = [f"POST {NAME}", f"PUT {NAME}", f"DELETE {NAME}", f"POST {NAME}"]
        assert status_writer.writes == writes[:write]
        status_writer.kill()
        assert await config_maps.get(owner, NAME) is None
        assert await config_maps.put(owner, NAME, DATA, run_id="r1") is True
        assert space.read(NAME)["metadata"]["ownerReferences"] == [reference_to(owner)]
        space.delete(NAME)


async def test_restored_config_map_with_a_new_uid_is_not_replaced(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    space.make(NAME, {"old": "1"}, labels=RESTORED)

    def replace() -> None:
        space.delete(NAME)
        space.make(NAME, {"theirs": "1"})

    status_writer.meanwhile(f"PUT {NAME}", replace)
    with pytest.raises(NameTaken):
        await config_maps.put(owner, NAME, DATA, run_id="r1")
    assert space.read(NAME)["data"] == {"theirs": "1"}


async def test_replaced_resource_leaves_restored_data_to_its_successor(
    space: Namespace, config_maps: ConfigMaps
) -> None:
    replaced = space.make_resource()
    space.delete_resource()
    space.make_resource()
    left = space.make(NAME, {"old": "1"}, labels=RESTORED)
    with pytest.raises(NameTaken):
        await config_maps.put(replaced, NAME, DATA, run_id="r1")
    assert space.read(NAME) == left


async def test_delete_removes_each_own_config_map_once(
    space: Namespace, config_maps: ConfigMaps
) -> None:
    owner = space.make_resource()
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    assert await config_maps.delete(owner, NAME) is True
    assert await config_maps.delete(owner, NAME) is False
    assert space.names() == []


async def test_deleting_a_config_map_that_is_gone_is_no_error(
    space: Namespace, config_maps: ConfigMaps, status_writer: Recorder
) -> None:
    owner = space.make_resource()
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    status_writer.meanwhile(f"DELETE {NAME}", lambda: space.delete(NAME))
    assert await config_maps.delete(owner, NAME) is True
    assert space.names() == []


async def test_refused_write_names_the_object(space: Namespace, config_maps: ConfigMaps) -> None:
    owner = space.make_resource()
    with pytest.raises(RefusedError, match=f"{space.name}/{NAME}"):
        await config_maps.put(owner, NAME, {"not a key": "1"}, run_id="r1")
    elsewhere = Owner("no-such-namespace", "cardio", owner.uid)
    with pytest.raises(GoneError):
        await config_maps.put(elsewhere, NAME, DATA, run_id="r1")
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    with pytest.raises(RefusedError):
        await config_maps.put(owner, NAME, {"not a key": "1"}, run_id="r1")


async def test_config_maps_of_a_deleted_resource_are_collected(
    space: Namespace, config_maps: ConfigMaps
) -> None:
    owner = space.make_resource()
    await config_maps.put(owner, NAME, DATA, run_id="r1")
    await config_maps.create(owner, "cardio-log-0001", DATA, run_id="r1", immutable=True)
    space.delete_resource()
    for name in (NAME, "cardio-log-0001"):
        space.control_plane.kubectl(
            "wait",
            "--for=delete",
            "--timeout=120s",
            f"--namespace={space.name}",
            f"configmap/{name}",
        )
    assert space.names() == []
