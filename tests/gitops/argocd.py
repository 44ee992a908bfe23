"""Argo CD without its user interface, as processes beside a test control plane.

Redis, the repo server, the application controller and the API server are the released ones, with
the settings that Argo CD is installed with, and with gitops/argocd/argocd-cm.yaml merged into them
as docs/gitops.md describes. The controller does not poll: a watch, or `refresh` as a webhook
would, triggers a comparison.
"""

import base64
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from demo.part import Part
from tests.controlplane.cluster import LOOPBACK, ControlPlane, free_ports
from tests.gitops.customizations import SNIPPET
from tests.gitops.tools import ARGOCD

__all__ = ["NAMESPACE", "ArgoCD"]

NAMESPACE = "argocd"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
PROJECTS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/appprojects"
START_SECONDS = 90.0
POLL_SECONDS = 0.05

PROGRAMS = ("argocd-repo-server", "argocd-application-controller", "argocd-server")
"""The components: the name of the program selects one of them."""
SCRIPTS = ("git-verify-wrapper.sh", "gpg-wrapper.sh")
"""Programs that the repo server runs for each commit, also where no signature is required."""


class ArgoCD:
    """A running Argo CD; use it as a context manager.

    Args:
        tools: The directory with the program.
        helm: The program that renders charts.
        source: The folder with its source, for CRDs and default settings.
        control_plane: The cluster of its Applications, and the first destination.
        directory: For logs and data.
    """

    def __init__(
        self, tools: Path, helm: Path, source: Path, control_plane: ControlPlane, directory: Path
    ) -> None:
        self._tools = tools
        self._helm = helm
        self._source = source
        self._control_plane = control_plane
        self._directory = directory
        self._parts: list[Part] = []
        self.url = ""

    def __enter__(self) -> Self:
        try:
            self._install()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End its processes."""
        while self._parts:
            self._parts.pop().stop()

    @property
    def log(self) -> Iterator[Mapping[str, Any]]:
        """The application controller's log records so far."""
        text = (self._directory / "argocd-application-controller.log").read_text()
        for line in text.splitlines():
            if line.startswith("{") and line.endswith("}"):  # the last line may be incomplete
                yield json.loads(line)

    def add_cluster(self, name: str, control_plane: ControlPlane) -> None:
        """Let Applications name a cluster as their destination."""
        user = yaml.safe_load(control_plane.kubeconfig.read_text())["users"][0]["user"]
        settings = {"bearerToken": user["token"], "tlsClientConfig": {"insecure": True}}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": f"cluster-{name}",
                "labels": {"argocd.argoproj.io/secret-type": "cluster"},
            },
            "stringData": {
                "name": name,
                "server": str(control_plane.api.base_url).rstrip("/"),
                "config": json.dumps(settings),
            },
        }
        self._control_plane.api.post(SECRETS, json=secret).raise_for_status()

    def _install(self) -> None:
        cluster = self._control_plane
        crds = self._source / "manifests" / "crds"
        cluster.kubectl("apply", "--server-side", "-k", str(crds))
        cluster.kubectl("create", "namespace", NAMESPACE)
        files = sorted((self._source / "manifests" / "base" / "config").glob("argocd-*.yaml"))
        arguments = [argument for file in files for argument in ("-f", str(file))]
        cluster.kubectl("-n", NAMESPACE, "apply", *arguments)
        cluster.kubectl(
            "-n", NAMESPACE, "patch", "configmap", "argocd-cm", "--patch-file", str(SNIPPET)
        )
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        cluster.api.patch(
            f"{SECRETS}/argocd-secret",
            json={"data": {"server.secretkey": key}},
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()
        self.add_cluster("first", cluster)
        self._until(lambda: cluster.api.get(PROJECTS).is_success)
        spec = {
            "sourceRepos": ["*"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        }
        project = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "default"},
            "spec": spec,
        }
        cluster.api.post(PROJECTS, json=project).raise_for_status()

    def _start(self) -> None:
        programs = self._directory / "bin"
        programs.mkdir()
        for program in PROGRAMS:
            (programs / program).symlink_to(self._tools / ARGOCD)
        (programs / "helm").symlink_to(self._helm)
        for script in SCRIPTS:
            shutil.copyfile(self._source / "hack" / script, programs / script)
            (programs / script).chmod(0o755)
        redis, repo, server, *metrics = free_ports(6)
        data = self._directory / "redis"
        data.mkdir()
        flags = ["--bind", LOOPBACK, "--port", str(redis), "--save", "", "--dir", str(data)]
        part = self._run("redis-server", ["redis-server", *flags])
        part.wait_for_line("(Ready to accept connections)", START_SECONDS)
        cache = ["--redis", f"{LOOPBACK}:{redis}"]
        plain = ["--repo-server", f"{LOOPBACK}:{repo}", "--repo-server-plaintext"]
        cluster = ["--kubeconfig", str(self._control_plane.kubeconfig), "--namespace", NAMESPACE]
        here = ["--address", LOOPBACK]
        repo_flags = [*here, "--port", str(repo), "--disable-tls", "--client-ca-path", ""]
        # Without a period only watches and tests trigger comparisons.
        controller_flags = [*plain, *cluster, "--app-resync", "0", "--loglevel", "debug"]
        server_flags = [*plain, *cluster, *here, "--port", str(server), "--disable-auth"]
        all_flags = (repo_flags, controller_flags, [*server_flags, "--insecure"])
        for program, own, port in zip(PROGRAMS, all_flags, metrics, strict=True):
            command = [str(programs / program), *cache, *own, "--metrics-port", str(port)]
            self._run(program, command)
        self.url = f"http://{LOOPBACK}:{server}"
        pages = [f"http://{LOOPBACK}:{port}/metrics" for port in metrics]
        for page in (*pages, f"{self.url}/healthz"):
            self._until(partial(_answers, page))

    def _run(self, name: str, command: list[str]) -> Part:
        scratch = self._directory / "scratch"
        for folder in ("gnupg", "tls", "ssh", "tmp"):
            (scratch / folder).mkdir(parents=True, exist_ok=True)
        (scratch / "ssh" / "ssh_known_hosts").touch()
        environment = {
            "PATH": f"{self._directory / 'bin'}:{os.environ['PATH']}",
            "HOME": str(scratch),
            "TMPDIR": str(scratch / "tmp"),
            "GNUPGHOME": str(scratch / "gnupg"),
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_TLS_DATA_PATH": str(scratch / "tls"),
            "ARGOCD_SSH_DATA_PATH": str(scratch / "ssh"),
            "ARGOCD_SYNC_WAVE_DELAY": "0",
        }
        part = Part(name, command, self._directory / f"{name}.log", environment)
        self._parts.append(part)
        return part

    def _until(self, holds: Callable[[], bool]) -> None:
        """Wait for the condition, as long as all started processes run."""
        deadline = time.monotonic() + START_SECONDS
        while not holds():
            for part in self._parts:
                part.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"Argo CD is not ready after {START_SECONDS:.0f} seconds")
            time.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:  # the server does not listen yet
        return False
