"""kube/cluster_config.py and kubeconfig.py: address, credentials and proxy of the API server."""

from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml

from scriptix_operator.kube.cluster_config import in_pod
from scriptix_operator.kube.connection import ClusterUnreachableError, configure
from scriptix_operator.kube.kubeconfig import read_kubeconfig

ENVIRON = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def _proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    for name in ("https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text(certifi.contents())
    return tmp_path


async def test_pod_uses_its_service_account_and_no_proxy(account: Path) -> None:
    config = in_pod(ENVIRON, account)
    assert (config.server, config.proxy) == ("https://10.0.0.1:443", None)
    assert await config.authorization() == "Bearer first"
    assert config.ssl_context().check_hostname


def test_ipv6_address_stands_in_brackets(account: Path) -> None:
    environ = {**ENVIRON, "KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert in_pod(environ, account).server == "https://[fd00::1]:443"


async def test_token_is_read_again_after_a_minute(account: Path) -> None:
    now = 0.0
    config = in_pod(ENVIRON, account, lambda: now)
    (account / "token").write_text("second")
    now = 59.9
    assert await config.authorization() == "Bearer first"
    now = 60.0
    assert await config.authorization() == "Bearer second"
    (account / "token").write_text("")
    now = 120.0
    with pytest.raises(OSError, match="token is empty"):
        await config.authorization()


@pytest.mark.parametrize("empty", ["token", "ca.crt"])
def test_empty_file_of_the_service_account_is_refused(account: Path, empty: str) -> None:
    (account / empty).write_text("")
    with pytest.raises((OSError, ValueError), match=f"{empty} is empty"):
        in_pod(ENVIRON, account)


async def test_missing_configuration_is_one_error() -> None:
    with pytest.raises(ClusterUnreachableError, match="are not both set"):
        await configure({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    with pytest.raises(ClusterUnreachableError, match="no usable cluster configuration"):
        await configure({"KUBECONFIG": "/nonesuch"})


def _kubeconfig(directory: Path, **cluster: str) -> str:
    document: dict[str, Any] = {
        "clusters": [{"name": "a", "cluster": {"server": "https://k.example:6443/", **cluster}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    file = directory / "kubeconfig"
    file.write_text(yaml.safe_dump(document))
    return str(file)


async def test_kubeconfig_names_server_token_and_tls_name(tmp_path: Path) -> None:
    config = await read_kubeconfig(_kubeconfig(tmp_path, **{"tls-server-name": "inside"}))
    assert (config.server, config.tls_server_name) == ("https://k.example:6443", "inside")
    assert await config.authorization() == "Bearer t"


@pytest.mark.parametrize(
    ("excluded", "cluster", "expected"),
    [
        pytest.param("", {}, PROXY, id="environment"),
        pytest.param("k.example", {}, None, id="excluded"),
        pytest.param("l.example", {}, PROXY, id="another host excluded"),
        pytest.param("", {"proxy-url": "http://own:1"}, "http://own:1", id="kubeconfig"),
    ],
)
async def test_proxy_of_kubeconfig_or_environment_is_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    excluded: str,
    cluster: dict[str, str],
    expected: str | None,
) -> None:
    monkeypatch.setenv("NO_PROXY", excluded)
    assert (await read_kubeconfig(_kubeconfig(tmp_path, **cluster))).proxy == expected
