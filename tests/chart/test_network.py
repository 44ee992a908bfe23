"""Custom CAs and proxies: the operator's client uses what the chart sets."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scriptix_operator.api import names
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.scriptix import NotSentError, ScriptixClient
from tests.chart.helm import Document, Helm, documents
from tests.chart.network import INSIDE, network
from tests.chart.release import variables
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import install_crd
from tests.operator.lab import laboratory

CA_FILE = "SSL_CERT_FILE"
API_SERVER = "$(KUBERNETES_SERVICE_HOST)"
"""Kubernetes replaces the variable with the address when it starts the container."""


def mounted(manifests: str) -> dict[str, Document]:
    """Return the files in each folder of the container, by the volumes."""
    [deployment] = [d for d in documents(manifests) if d["kind"] == "Deployment"]
    spec = deployment["spec"]["template"]["spec"]
    [container] = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    return {m["mountPath"]: volumes[m["name"]] for m in container["volumeMounts"] if m["readOnly"]}


@pytest.mark.parametrize(
    ("assignments", "source", "key"),
    [
        (("customCA.configMap=company",), {"configMap": {"name": "company"}}, "ca.crt"),
        (
            ("customCA.secret=company", "customCA.key=bundle.pem"),
            {"secret": {"secretName": "company"}},
            "bundle.pem",
        ),
    ],
)
def test_ca_file_is_a_key_of_the_mounted_volume(
    offline: Helm, assignments: tuple[str, ...], source: Document, key: str
) -> None:
    render = offline.template(sets=assignments)
    file = Path(variables(render)[CA_FILE])
    assert file.name == key
    volume = mounted(render)[str(file.parent)]
    assert volume == {"name": volume["name"]} | source


def test_without_values_nothing_is_set(offline: Helm) -> None:
    assert variables(offline.template()).keys().isdisjoint({CA_FILE, "HTTPS_PROXY"})


def test_the_api_server_is_excluded_from_any_proxy(offline: Helm) -> None:
    assert variables(offline.template())["NO_PROXY"] == API_SERVER
    render = offline.template(sets=("proxy.exclude={a.example,.b}",))
    assert variables(render)["NO_PROXY"] == f"{API_SERVER},a.example,.b"


@pytest.fixture
def crd(cluster: ControlPlane) -> Iterator[None]:
    """Install the CRD for a test; releases of other tests own their CRD."""
    install_crd(cluster)
    yield
    cluster.kubectl("delete", "crd", names.CRD_NAME)


@pytest.fixture
def certificates(cluster: ControlPlane) -> Path:
    """Return a folder with a certificate that no CA of the system has signed, and its key."""
    return cluster.directory / "certs"


async def test_client_trusts_only_the_configured_ca(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with network(certificates, api_port=1) as made:

        async def read() -> str:
            async with ScriptixClient(base_url=f"https://127.0.0.1:{made.tls_port}") as client:
                with pytest.raises(Exception) as failure:  # noqa: PT011 - there is no API
                    await client.model(101, ApiKey("key", "a test"))
            return f"{type(failure.value).__name__}: {failure.value}"

        monkeypatch.delenv(CA_FILE, raising=False)
        refused = await read()
        assert refused.startswith(NotSentError.__name__)
        assert "certificate" in refused.lower()
        assert made.connections == []

        monkeypatch.setenv(CA_FILE, str(certificates / "apiserver.crt"))
        assert "certificate" not in (await read()).lower()
        assert len(made.connections) == 1


@pytest.mark.usefixtures("crd")
async def test_each_start_has_its_own_tunnel_through_a_proxy(
    cluster: ControlPlane, offline: Helm, certificates: Path, namespace: str, tmp_path: Path
) -> None:
    """The operator runs with the variables of the chart, except for addresses of the test."""
    url = f"https://{INSIDE}:8443"
    assignments = (f"settings.baseUrl={url}", "customCA.configMap=ca", "proxy.https=http://proxy")
    chart = variables(offline.template(sets=assignments))
    async with laboratory(cluster, namespace, tmp_path) as lab:
        api_port = urlsplit(lab.simulator.url).port
        assert api_port is not None
        async with network(certificates, api_port) as made:
            here = {
                CA_FILE: str(certificates / "apiserver.crt"),
                "HTTPS_PROXY": made.proxy_url,
                "SCRIPTIX_BASE_URL": url,
                "NO_PROXY": chart["NO_PROXY"].replace(API_SERVER, "127.0.0.1"),
            }
            assert chart.keys() >= here.keys()
            assert chart["SCRIPTIX_BASE_URL"] == url
            for model in (101, 102):
                lab.model(model)
            await lab.secret()
            await lab.operator({"no_proxy": here["NO_PROXY"], **here})
            await lab.train("first", 101)
            await lab.train("second", 102)
            await lab.until_phase("first", "Succeeded")
            await lab.until_phase("second", "Succeeded")
            await lab.close()
        assert set(made.asked) == {f"CONNECT {INSIDE}:8443"}
        starts = [sent for sent in made.connections if b"POST " in sent]
        assert len(starts) == len(lab.posts()) == 2
        for sent in starts:
            assert re.findall(rb"(?m)^(?:GET|POST) .* HTTP/1\.1\r$", bytes(sent)) == [
                sent.partition(b"\n")[0]
            ]
            assert b"\r\nconnection: close\r\n" in bytes(sent).lower()
