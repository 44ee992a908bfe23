"""The process that runs control plane, simulator and operator, and takes them with it when it ends.

It tells its starter on standard output how far it is, a JSON object a line. When the starter is
gone, standard input ends, and so does everything; `keep` on standard input lifts that. Everything
that it starts dies with it even if it is killed.
"""

import argparse
import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

import httpx

from demo.errors import DemoError
from demo.part import POLL_SECONDS, Part
from tests.controlplane.cluster import LOOPBACK, ControlPlane
from tests.controlplane.errors import ControlPlaneError
from tests.gotools.toolchain import REPOSITORY

CRD = "crds/custommodeltrainings.scriptix.io.yaml"
SCENARIO = "demo/scenario.yaml"
NAMESPACE = "scriptix-system"
KEEP = "keep\n"
READY_TIMEOUT_SECONDS = 120.0
CHECK_SECONDS = 0.5
PORT_LINE = r"health and metrics are served on port (\d+)"

HOUR_MILLISECONDS = 3_600_000
MINUTE_MILLISECONDS = 60_000


def main() -> int:
    """Run the services until the starter is gone or SIGTERM comes; return the exit status."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    kept = threading.Event()
    threading.Thread(target=_end_with_starter, args=(kept,), daemon=True).start()
    try:
        _run(options.assets, options.directory, options.speed, kept)
    except KeyboardInterrupt:  # this is how it is meant to end
        if kept.is_set():
            remove(options.directory)
    except (ControlPlaneError, DemoError) as error:
        sys.stderr.write(f"{error}\n")
        _report("failed", str(error))
        return 1
    return 0


def operator_settings(api_url: str, speed: float) -> dict[str, str]:
    """Return the operator's settings; the API's limits shrink as its time does."""
    hour = math.ceil(HOUR_MILLISECONDS / speed)
    minute = math.ceil(MINUTE_MILLISECONDS / speed)
    return {
        "POD_NAMESPACE": NAMESPACE,
        "SCRIPTIX_BASE_URL": api_url,
        "SCRIPTIX_HTTP_HOST": LOOPBACK,
        "SCRIPTIX_HTTP_PORT": "0",
        "SCRIPTIX_LIMIT_LOGS": f"20/{hour}ms",
        "SCRIPTIX_LIMIT_STARTS": f"5/{hour}ms",
        "SCRIPTIX_LIMIT_STATUS": f"100/{minute}ms",
        "SCRIPTIX_LOG_FORMAT": "text",
        "SCRIPTIX_SECRET_TTL": "5s",
    }


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what a user has set for an operator of his own."""
    own = ("SCRIPTIX_", "POD_", "KUBECONFIG")
    return {name: value for name, value in environment.items() if not name.startswith(own)}


def remove(directory: Path) -> None:
    """Remove the directory of a demo, and the one around it if that is empty then."""
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):  # another demo is at work there
        directory.parent.rmdir()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.services", description=__doc__)
    parser.add_argument("assets", type=Path, help="where the control plane's binaries are")
    parser.add_argument("directory", type=Path, help="for data, kubeconfig and logs")
    parser.add_argument("--speed", type=float, required=True)
    return parser


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # cleaning up is not to be interrupted again
    raise KeyboardInterrupt


def _end_with_starter(kept: threading.Event) -> None:
    if sys.stdin.readline() == KEEP:
        kept.set()
        return
    main_thread = threading.main_thread().ident
    if main_thread is not None:  # to this very thread, so that it wakes
        signal.pthread_kill(main_thread, signal.SIGTERM)


def _run(assets: Path, directory: Path, speed: float, kept: threading.Event) -> None:
    environment = without_settings(os.environ)
    with ExitStack() as running:
        control_plane = running.enter_context(ControlPlane(assets, directory))
        version = control_plane.api.get("/version").json()["gitVersion"]
        _report("told", f"Kubernetes {version} is up: {control_plane.api.base_url}")

        scenario = ["--models", SCENARIO, "--port", "0", "--speed", f"{speed:g}"]
        simulator = Part(
            "simulator",
            [sys.executable, "-m", "scriptix_simulator", *scenario],
            directory / "simulator.log",
            environment,
        )
        running.callback(simulator.stop)
        url = simulator.wait_for_line(r"listening on (\S+)", READY_TIMEOUT_SECONDS)
        pace = f"8 hours of training in {8 * 3600 / speed:.0f} seconds"
        _report("told", f"The Scriptix simulator is up: {url} ({pace})")

        _report("told", f"\n$ kubectl apply -f {CRD}")
        _report("told", control_plane.kubectl("apply", "-f", CRD).rstrip())
        control_plane.kubectl("wait", "--for=condition=Established", "-f", CRD)
        control_plane.kubectl("create", "namespace", NAMESPACE)

        settings = operator_settings(url, speed) | {"KUBECONFIG": str(control_plane.kubeconfig)}
        operator = Part(
            "operator",
            [sys.executable, "-m", "scriptix_operator", "run"],
            directory / "operator.log",
            environment | settings,
        )
        running.callback(operator.stop)
        health = f"http://{LOOPBACK}:{operator.wait_for_line(PORT_LINE, READY_TIMEOUT_SECONDS)}"
        _wait_until_ready(operator, health)
        _report("told", f"\nThe operator is ready: {health}/metrics")
        _report("ready", {"simulator": url, "metrics": f"{health}/metrics"})
        _watch((simulator, operator), kept)


def _watch(parts: Sequence[Part], kept: threading.Event) -> None:
    """Look after the parts; when one has ended, leave the others until the starter has heard."""
    try:
        while True:
            for part in parts:
                part.check()
            time.sleep(CHECK_SECONDS)
    except DemoError as error:
        if kept.is_set():
            raise
        _report("failed", str(error))
        signal.pause()


def _wait_until_ready(operator: Part, health: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while not _answers(f"{health}/readyz"):
        operator.check()
        if time.monotonic() > deadline:
            raise operator.failure("did not become ready")
        time.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success  # a proxy has no business on loopback
    except httpx.TransportError:
        return False


def _report(kind: str, content: object) -> None:
    with suppress(BrokenPipeError):  # the starter has left, and kept us
        sys.stdout.write(json.dumps({kind: content}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    sys.exit(main())
