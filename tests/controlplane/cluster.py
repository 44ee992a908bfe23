"""Runs etcd, kube-apiserver and kube-controller-manager on loopback.

The differences from a production cluster matter to no test: no nodes, no scheduler, etcd without
fsync, and one administrator's token. RBAC, admission, garbage collection, namespaces and
ServiceAccount tokens are real. The API server makes its own serving certificate; the kubeconfig
trusts exactly that one, and its key signs the ServiceAccount tokens too.
"""

import base64
import os
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import yaml

from tests.controlplane.build import CONTROLLER_MANAGER
from tests.controlplane.errors import ControlPlaneError
from tests.tether import tethered

LOOPBACK = "127.0.0.1"
START_TIMEOUT_SECONDS = 120.0
# A watch that a test left open keeps the API server from ending; then it is killed.
STOP_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.05
# A port that was free can be taken before our server binds it; three times in a row is no accident.
ATTEMPTS = 3
LOG_TAIL_LINES = 15

# The controllers that act on the operator's objects. Without nodes the others have no work.
CONTROLLERS = (
    "clusterrole-aggregation",  # fills view, edit and admin, and what we add to them
    "garbage-collector",
    "namespace",
    "serviceaccount",
    "serviceaccount-token",
    "validatingadmissionpolicy-status",  # type-checks our policy's CEL
)


class PortTakenError(ControlPlaneError):
    """A port that was free a moment ago is taken; the next attempt uses other ports."""


class ControlPlane:
    """A running control plane; use it as a context manager, or call `start` and `stop`.

    Afterwards the directory keeps the logs, and etcd's data: a later start there finds the objects
    again.

    Args:
        assets: the directory with the binaries, from `find_or_build`.
        directory: where kubeconfig, logs, certificates and data go; created if missing.
        apiserver_flags: more flags for kube-apiserver; of a repeated flag the last one counts.
    """

    def __init__(
        self, assets: Path, directory: Path, *, apiserver_flags: Sequence[str] = ()
    ) -> None:
        self.assets = assets
        self.directory = directory.resolve()
        self.kubeconfig = self.directory / "kubeconfig"
        self._apiserver_flags = tuple(apiserver_flags)
        self._running: list[_Process] = []
        self._api: httpx.Client | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def api(self) -> httpx.Client:
        """The administrator's connection, for raw requests such as `api.get("/version")`."""
        if self._api is None:
            raise ControlPlaneError("the control plane is not running; call start() first")
        return self._api

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl as administrator and return what it prints.

        Raises:
            ControlPlaneError: with kubectl's own message.
        """
        reply = subprocess.run(
            [self.assets / "kubectl", "--kubeconfig", self.kubeconfig, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if reply.returncode != 0:
            raise ControlPlaneError(f"kubectl {' '.join(arguments)}: {reply.stderr.strip()}")
        return reply.stdout

    def start(self) -> None:
        """Start everything and return when the API server is ready.

        Raises:
            ControlPlaneError: with the tail of the log of the process that failed.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                self._start_once()
            except PortTakenError:
                self.stop()
                if not attempts_left:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """Stop all processes, clients before servers; does nothing when none run."""
        if self._api is not None:
            self._api.close()
            self._api = None
        while self._running:
            self._running.pop().stop()

    def _start_once(self) -> None:
        etcd_port, peer_port, api_port, manager_port = free_ports(4)
        etcd_url = f"http://{LOOPBACK}:{etcd_port}"
        token = secrets.token_hex(16)
        _write_private(self.directory / "tokens.csv", f"{token},admin,admin,system:masters\n")
        self._run("etcd", _etcd_flags(self.directory, etcd_url, f"http://{LOOPBACK}:{peer_port}"))
        flags = _apiserver_flags(self.directory, etcd_url, api_port)
        self._run("kube-apiserver", [*flags, *self._apiserver_flags])

        url = f"https://{LOOPBACK}:{api_port}"
        certificate = self.directory / "certs" / "apiserver.crt"
        self._wait(certificate.with_suffix(".key").is_file)  # written after the certificate
        _write_private(self.kubeconfig, _kubeconfig(url, certificate.read_bytes(), token))
        self._api = _client(url, certificate, token)
        self._wait(lambda: self._answers("/readyz"))

        if (self.assets / CONTROLLER_MANAGER).exists():
            flags = _controller_manager_flags(self.directory, self.kubeconfig, manager_port)
            self._run(CONTROLLER_MANAGER, flags)
            # Its first object; tests may rely on its controllers from here on.
            path = "/api/v1/namespaces/default/serviceaccounts/default"
            self._wait(lambda: self._answers(path))

    def _run(self, name: str, flags: Sequence[str]) -> None:
        log = self.directory / f"{name}.log"
        self._running.append(_Process(self.assets / name, flags, log))

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds, as long as all processes run."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        newest = self._running[-1]
        while not condition():
            for process in self._running:
                if process.ends_within(POLL_SECONDS):
                    raise process.failure("ended before it was ready")
            if time.monotonic() > deadline:
                raise newest.failure(f"was not ready within {START_TIMEOUT_SECONDS:.0f} seconds")

    def _answers(self, path: str) -> bool:
        try:
            return self.api.get(path).is_success
        except httpx.TransportError:  # it does not listen yet
            return False


class _Process:
    """One of the binaries, its output in a file.

    Args:
        binary: the binary.
        flags: its arguments.
        log: the file for its output; an earlier one is replaced.
    """

    def __init__(self, binary: Path, flags: Sequence[str], log: Path) -> None:
        self.name = binary.name
        self.log = log
        with log.open("wb") as output:
            # A separate process group: ctrl-C must not reach the process; `stop` ends all in order.
            self._popen = subprocess.Popen(
                tethered([binary, *flags]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def ends_within(self, seconds: float) -> bool:
        """Wait up to `seconds` for the process to end."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """Terminate the process, and kill it if it takes too long."""
        self._popen.terminate()
        if not self.ends_within(STOP_TIMEOUT_SECONDS):
            self._popen.kill()
            self._popen.wait()

    def failure(self, what: str) -> ControlPlaneError:
        """Return the error that says what happened and shows the end of the log."""
        log = self.log.read_text(errors="replace")
        kind = PortTakenError if "address already in use" in log else ControlPlaneError
        lines = log.splitlines()[-LOG_TAIL_LINES:]
        return kind("\n".join([f"{self.name} {what}; the end of {self.log}:", *lines]))


def _etcd_flags(directory: Path, url: str, peer_url: str) -> list[str]:
    return [
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver_flags(directory: Path, etcd_url: str, port: int) -> list[str]:
    certificates = directory / "certs"
    return [
        f"--etcd-servers={etcd_url}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--cert-dir={certificates}",
        f"--token-auth-file={directory / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        # The API server writes its serving key before it reads this one.
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={certificates / 'apiserver.key'}",
        f"--service-account-signing-key-file={certificates / 'apiserver.key'}",
        "--service-cluster-ip-range=10.0.0.0/24",
        # Pods must not have to wait until their namespace's ServiceAccount is there.
        "--disable-admission-plugins=ServiceAccount",
        "--allow-privileged=true",
        "--endpoint-reconciler-type=none",
    ]


def _controller_manager_flags(directory: Path, kubeconfig: Path, port: int) -> list[str]:
    controllers = ",".join(f"{kind}-controller" for kind in CONTROLLERS)
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={directory / 'certs' / 'apiserver.key'}",
        f"--controllers={controllers}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        "--leader-elect=false",
    ]


def _kubeconfig(url: str, certificate: bytes, token: str) -> str:
    name = "scriptix-operator-test"
    trusted = base64.b64encode(certificate).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": url, "certificate-authority-data": trusted}}
        ],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "admin"}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)


def _client(url: str, certificate: Path, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cafile=certificate),
        trust_env=False,  # a proxy has no business on loopback
        timeout=60,
    )


def _write_private(path: Path, text: str) -> None:
    """Write a file with a credential; its mode is right from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def free_ports(count: int) -> list[int]:
    """Return different ports that are free right now."""
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports
