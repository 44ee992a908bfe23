"""The process that runs control plane, simulator and operator, and ends them when it ends.

The process reports progress to its parent on standard output, one JSON object per line. When the
parent is gone, standard input ends, and the process stops everything; `keep` on standard input
lifts that. Its child processes end with it even if it is killed.
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
from demo.terminal import LIMITS, NAMESPACE, check_command, exports, ignored
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.settings import SettingsError, load_settings
from tests.controlplane.cluster import LOOPBACK, ControlPlane
from tests.controlplane.errors import ControlPlaneError
from tests.gotools.toolchain import REPOSITORY

CRD = "crds/custommodeltrainings.scriptix.io.yaml"
SCENARIO = "demo/scenario.yaml"
KEEP = "keep\n"
READY_TIMEOUT_SECONDS = 120.0
CHECK_SECONDS = 0.5
PORT_LINE = r"health and metrics are served on port (\d+)"


def main() -> int:
    """Run the services until the parent is gone or SIGTERM comes; return the exit status."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    kept = threading.Event()
    threading.Thread(target=_end_with_parent, args=(kept,), daemon=True).start()
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


def limits(environment: Mapping[str, str]) -> dict[str, tuple[Limit, ...]]:
    """Return the limits of the simulated API by the variable that sets them, in simulated time.

    Raises:
        DemoError: a limit in the environment is invalid.
    """
    try:
        settings = load_settings(
            {name: environment[name] for name in LIMITS if name in environment}
        )
    except SettingsError as error:
        raise DemoError(str(error)) from error
    values = (settings.limit_starts, settings.limit_status, settings.limit_logs)
    return dict(zip(LIMITS, values, strict=True))


def describe_limits(allowed: Mapping[str, Sequence[Limit]], speed: float) -> str:
    """Describe the limits, and how long an hour takes."""
    each = ", ".join(f"{LIMITS[name]} {_spelled(ones)}" for name, ones in allowed.items())
    return (
        f"Limits of each API key: {each}; 1h takes {3600 / speed:.3g}s here. "
        f"To change them, set {', '.join(LIMITS)}."
    )


def _spelled(ones: Sequence[Limit]) -> str:
    return ",".join(map(str, ones))


def operator_settings(
    api_url: str, speed: float, allowed: Mapping[str, Sequence[Limit]]
) -> dict[str, str]:
    """Return the operator's settings; the API's limits shrink as its time does."""
    shrunk = {
        name: ",".join(f"{one.count}/{math.ceil(one.seconds * 1000 / speed)}ms" for one in ones)
        for name, ones in allowed.items()
    }
    return {
        "POD_NAMESPACE": NAMESPACE,
        "SCRIPTIX_BASE_URL": api_url,
        "SCRIPTIX_HTTP_HOST": LOOPBACK,
        "SCRIPTIX_HTTP_PORT": "0",
        **shrunk,
        "SCRIPTIX_LOG_FORMAT": "text",
        "SCRIPTIX_SECRET_TTL": "5s",
    }


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without settings for another operator of the user."""
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


def _end_with_parent(kept: threading.Event) -> None:
    if sys.stdin.readline() == KEEP:
        kept.set()
        return
    main_thread = threading.main_thread().ident
    if main_thread is not None:  # to this very thread, so that it wakes
        signal.pthread_kill(main_thread, signal.SIGTERM)


def _run(assets: Path, directory: Path, speed: float, kept: threading.Event) -> None:
    environment, allowed = without_settings(os.environ), limits(os.environ)
    if others := ignored(os.environ):
        _report("line", f"The demo has settings of its own and ignores {', '.join(others)}.")
    with ExitStack() as running:
        control_plane = running.enter_context(ControlPlane(assets, directory))
        version = control_plane.api.get("/version").json()["gitVersion"]
        _report("line", f"Kubernetes {version} is up: {control_plane.api.base_url}")
        _report("line", f"For another terminal:\n{exports(assets, directory)}\n")

        scenario = ["--models", SCENARIO, "--port", "0", "--speed", f"{speed:g}"]
        for name, ones in allowed.items():
            scenario.append(f"--{name.removeprefix('SCRIPTIX_').lower().replace('_', '-')}")
            scenario.append(_spelled(ones))
        simulator = Part(
            "simulator",
            [sys.executable, "-m", "scriptix_simulator", *scenario],
            directory / "simulator.log",
            environment,
        )
        running.callback(simulator.stop)
        url = simulator.wait_for_line(r"listening on (\S+)", READY_TIMEOUT_SECONDS)
        pace = f"8 hours of training in {8 * 3600 / speed:.0f} seconds"
        _report("line", f"The Scriptix simulator is up: {url} ({pace})")
        _report("line", describe_limits(allowed, speed))

        _report("line", f"\n$ kubectl apply -f {CRD}")
        _report("line", control_plane.kubectl("apply", "-f", CRD).rstrip())
        control_plane.kubectl("wait", "--for=condition=Established", "-f", CRD)
        control_plane.kubectl("create", "namespace", NAMESPACE)

        settings = operator_settings(url, speed, allowed) | {
            "KUBECONFIG": str(control_plane.kubeconfig)
        }
        operator = Part(
            "operator",
            [sys.executable, "-m", "scriptix_operator", "run"],
            directory / "operator.log",
            environment | settings,
        )
        running.callback(operator.stop)
        health = f"http://{LOOPBACK}:{operator.wait_for_line(PORT_LINE, READY_TIMEOUT_SECONDS)}"
        _wait_until_ready(operator, health)
        _report("line", f"\nThe operator is ready: {health}/metrics")
        _report("line", f"To check it:\n{check_command(directory, url, os.environ)}")
        _report("ready", {"simulator": url, "metrics": f"{health}/metrics"})
        _watch((simulator, operator), kept)


def _watch(parts: Sequence[Part], kept: threading.Event) -> None:
    """Check the parts; when one has ended, keep the others until the parent has the report."""
    try:
        while True:
            for part in parts:
                part.check()
            time.sleep(CHECK_SECONDS)
    except DemoError as error:
        if kept.is_set():
            raise
        _report("failed", str(error))
        while True:  # pause() would lose a signal that comes just before the call
            time.sleep(CHECK_SECONDS)


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
    with suppress(BrokenPipeError):  # the parent has ended and kept the services
        sys.stdout.write(json.dumps({kind: content}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    sys.exit(main())
