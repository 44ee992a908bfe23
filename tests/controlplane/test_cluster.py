"""The control plane starts, behaves like a real one, and leaves nothing running."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import kopf
import pytest
from kubernetes.aio import client as aio_client
from kubernetes.aio import config as aio_config

from tests.controlplane import cluster
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.errors import ControlPlaneError
from tests.gotools.toolchain import REPOSITORY

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager")


def running_in(directory: Path) -> list[str]:
    """Return the command lines of processes that name the directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
            continue  # no process, or one that has just ended
        if str(directory) in command and "tests.controlplane" not in command:
            found.append(command)
    return found


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has no event to wait for; pytest's time-out ends it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def config_map(name: str, **metadata: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def test_api_server_has_the_version_that_was_built(control_plane: ControlPlane) -> None:
    version = control_plane.api.get("/version").json()["gitVersion"]
    assert version.startswith("v1.")
    assert f"Server Version: {version}" in control_plane.kubectl("version")


def test_credentials_are_for_the_owner_only(control_plane: ControlPlane) -> None:
    for name in ("kubeconfig", "tokens.csv", "certs/apiserver.key"):
        assert stat.S_IMODE((control_plane.directory / name).stat().st_mode) == 0o600


def test_kubectl_error_is_passed_on(control_plane: ControlPlane) -> None:
    with pytest.raises(ControlPlaneError, match="NotFound"):
        control_plane.kubectl("get", "namespace", "no-such-one")


async def test_the_official_async_client_verifies_its_certificate(
    control_plane: ControlPlane, namespace: str
) -> None:
    configuration = aio_client.Configuration()
    await aio_config.load_kube_config(
        str(control_plane.kubeconfig), client_configuration=configuration
    )
    assert configuration.verify_ssl
    async with aio_client.ApiClient(configuration) as api:
        found = await aio_client.CoreV1Api(api).read_namespace(namespace)
    assert found.metadata is not None
    assert found.metadata.name == namespace


def test_kopf_can_log_in(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    login = kopf.login_with_kubeconfig(settings=kopf.OperatorSettings())
    assert login is not None
    assert login.ca_data
    assert not login.insecure


async def test_garbage_is_collected_by_owner_reference(
    control_plane: ControlPlane, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    uid = control_plane.api.post(path, json=config_map("owner")).json()["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    owned = config_map("owned", ownerReferences=[owner])
    control_plane.api.post(path, json=owned).raise_for_status()
    control_plane.api.delete(f"{path}/owner").raise_for_status()
    await until(lambda: control_plane.api.get(f"{path}/owned").status_code == HTTPStatus.NOT_FOUND)


async def test_a_deleted_namespace_ends(control_plane: ControlPlane, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    control_plane.api.delete(path).raise_for_status()
    await until(lambda: control_plane.api.get(path).status_code == HTTPStatus.NOT_FOUND)


async def test_service_account_token_has_only_what_rbac_grants(
    control_plane: ControlPlane, namespace: str
) -> None:
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    await until(lambda: control_plane.api.get(account).is_success)
    control_plane.kubectl(
        *("create", "rolebinding", "reader", f"--namespace={namespace}"),
        *("--clusterrole=view", f"--serviceaccount={namespace}:default"),
    )
    token = control_plane.kubectl("create", "token", "default", f"--namespace={namespace}").strip()

    def as_account(path: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return control_plane.api.get(path, headers=headers).status_code

    readable = f"/api/v1/namespaces/{namespace}/configmaps"
    # RBAC sees a new binding through a watch, a moment after it was written.
    await until(lambda: as_account(readable) == HTTPStatus.OK)
    assert as_account(f"/api/v1/namespaces/{namespace}/secrets") == HTTPStatus.FORBIDDEN
    assert as_account("/api/v1/namespaces/default/configmaps") == HTTPStatus.FORBIDDEN


def test_stop_leaves_no_process_and_keeps_logs_and_data(assets: Path, tmp_path: Path) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    with ControlPlane(assets, tmp_path) as first:
        first.api.post(path, json=config_map("kept")).raise_for_status()
        assert len(running_in(tmp_path)) == len(NAMES)
    assert running_in(tmp_path) == []
    assert all((tmp_path / f"{name}.log").stat().st_size for name in NAMES)
    with ControlPlane(assets, tmp_path) as second:
        assert second.api.get(f"{path}/kept").is_success


def test_an_apiserver_flag_takes_effect(assets: Path, tmp_path: Path) -> None:
    flag = "--runtime-config=apps/v1=false"
    with ControlPlane(assets, tmp_path, apiserver_flags=[flag]) as changed:
        assert changed.api.get("/apis/apps/v1").status_code == HTTPStatus.NOT_FOUND


def test_failed_start_shows_the_log_and_stops_the_others(assets: Path, tmp_path: Path) -> None:
    broken = ControlPlane(assets, tmp_path, apiserver_flags=["--no-such-flag"])
    with pytest.raises(ControlPlaneError, match=r"kube-apiserver ended .*\n(.|\n)*no-such-flag"):
        broken.start()
    assert running_in(tmp_path) == []
    with pytest.raises(ControlPlaneError, match="not running"):
        _ = broken.api


def test_a_port_that_was_taken_meanwhile_is_replaced(
    control_plane: ControlPlane, assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = control_plane.api.base_url.port
    assert taken is not None
    free_ports = cluster.free_ports
    answers = iter([[taken] * 4])
    monkeypatch.setattr(cluster, "free_ports", lambda n: next(answers, None) or free_ports(n))
    with ControlPlane(assets, tmp_path) as started:
        assert started.api.get("/readyz").is_success


def test_ports_that_are_never_free_are_a_failure(
    control_plane: ControlPlane, assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = control_plane.api.base_url.port
    monkeypatch.setattr(cluster, "free_ports", lambda n: [taken] * n)
    with pytest.raises(cluster.PortTakenError, match="ended before it was ready"):
        ControlPlane(assets, tmp_path).start()


@pytest.mark.parametrize(
    ("how", "status"),
    [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["SIGTERM", "ctrl-C", "SIGKILL"],
)
async def test_processes_end_with_their_parent(
    assets: Path, tmp_path: Path, how: signal.Signals, status: int
) -> None:
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.controlplane", "up", tmp_path),
        env=os.environ | {"KUBEBUILDER_ASSETS": str(assets)},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert up.stdout is not None
    assert await up.stdout.readline() == f"export KUBECONFIG={tmp_path / 'kubeconfig'}\n".encode()
    assert len(running_in(tmp_path)) == len(NAMES)
    up.send_signal(how)
    assert await up.wait() == status
    await until(lambda: running_in(tmp_path) == [])
