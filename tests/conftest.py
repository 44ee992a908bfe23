"""Fixtures that any test may use: built tools, a control plane for the session, a namespace."""

import os
import re
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.chart import promtool as prometheus
from tests.chart import tools as chart
from tests.controlplane import build as controlplane
from tests.controlplane.cluster import ControlPlane
from tests.distribution import ByGroup, distributed
from tests.gitops import tools as gitops
from tests.gotools.errors import ToolError

# A slow machine is no failure of the code under test. Every run tries the same examples, so that a
# red test is about the change at hand; HYPOTHESIS_PROFILE=explore tries new ones, fuzz many more.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", settings.get_profile("repeatable"), derandomize=False)
settings.register_profile("fuzz", settings.get_profile("explore"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

BUILDS: Mapping[str, Callable[[Mapping[str, str], TextIO], Path]] = {
    "assets": controlplane.find_or_build,
    "chart_tools": chart.TOOLS.find_or_build,
    "gitops_tools": gitops.TOOLS.find_or_build,
    "lua_tools": gitops.LUA_TOOLS.find_or_build,
    "promtool": prometheus.find_or_unpack,
    "prometheus_program": prometheus.find_or_unpack_prometheus,
}
"""How tools are found or made, by the name of the fixture that returns their folder or program."""

BUILT = pytest.StashKey[dict[str, Path | ToolError]]()


def pytest_configure() -> None:
    """Let child processes receive ctrl-C, although nohup and cron start pytest without it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByGroup | None:
    """Distribute as tests/distribution.py says, unless the command line says otherwise."""
    return ByGroup(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Reorder the tests in the processes of pytest-xdist."""
    if hasattr(config, "workerinput"):
        items[:] = distributed(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the needed tools before the first test: no test's time-out includes the minutes.

    A failure is reported by the tests that need the tool; the others run.
    """
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None  # a part of pytest that cannot be switched off
    with capture.global_and_fixture_disabled():
        # In this order: the others reuse packages that the control plane's build has compiled.
        for name in [name for name in BUILDS if name in wanted]:
            _find_or_build(session.config, name)


def _find_or_build(config: pytest.Config, name: str) -> Path | ToolError:
    built = config.stash.setdefault(BUILT, {})
    if name not in built:
        try:
            built[name] = BUILDS[name](os.environ, sys.stderr)
        except ToolError as error:
            built[name] = error
    return built[name]


def _built(request: pytest.FixtureRequest) -> Path:
    """Return what the fixture's name stands for; fail the test if there is none."""
    found = _find_or_build(request.config, str(request.fixturename))
    if isinstance(found, ToolError):
        pytest.fail(f"What this tests with is not there. {found}", pytrace=False)
    return found


@pytest.fixture(scope="session")
def assets(request: pytest.FixtureRequest) -> Path:
    """Return the directory with etcd, kube-apiserver, kube-controller-manager and kubectl."""
    return _built(request)


@pytest.fixture(scope="session")
def chart_tools(request: pytest.FixtureRequest) -> Path:
    """Return the directory with helm and kubeconform."""
    return _built(request)


@pytest.fixture(scope="session")
def gitops_tools(request: pytest.FixtureRequest) -> Path:
    """Return the directory with argocd, fluxapply and kstatus."""
    return _built(request)


@pytest.fixture(scope="session")
def lua_tools(request: pytest.FixtureRequest) -> Path:
    """Return the directory with Argo CD's tests of Lua files."""
    return _built(request)


@pytest.fixture(scope="session")
def promtool(request: pytest.FixtureRequest) -> Path:
    """Return the program that tests alert rules."""
    return _built(request)


@pytest.fixture(scope="session")
def prometheus_program(request: pytest.FixtureRequest) -> Path:
    """Return the program that evaluates the dashboard."""
    return _built(request)


@pytest.fixture(scope="session")
def helm(chart_tools: Path) -> Path:
    """Return the program; `tests.chart.helm.Helm` keeps the user's own configuration out."""
    return chart_tools / chart.HELM


@pytest.fixture(scope="session")
def kubeconform(chart_tools: Path) -> Path:
    """Return the program that checks manifests against schemas."""
    return chart_tools / chart.KUBECONFORM


@pytest.fixture(scope="session")
def control_plane(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run a control plane for the session; under pytest-xdist each worker has its own."""
    with ControlPlane(assets, tmp_path_factory.mktemp("controlplane")) as running:
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """Create a namespace for the test, so that tests do not affect each other."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    name = f"{readable}-{secrets.token_hex(4)}"
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    control_plane.api.post("/api/v1/namespaces", json=document).raise_for_status()
    yield name
    try:
        control_plane.api.delete(f"/api/v1/namespaces/{name}")
    except httpx.TransportError as error:
        # The test may have stopped the API server; the session's end removes everything anyway.
        sys.stderr.write(f"namespace {name} stays behind: {error}\n")
