"""Fixtures that any test may use: a real control plane for the session, a namespace for a test."""

import os
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.controlplane.build import find_or_build
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.errors import ControlPlaneError

# A slow machine is no failure of the code under test. Every run tries the same examples, so that a
# red test is about the change at hand; HYPOTHESIS_PROFILE=explore looks for new ones, fuzz long.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", settings.get_profile("repeatable"), derandomize=False)
settings.register_profile("fuzz", settings.get_profile("explore"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

ASSETS = pytest.StashKey[Path | ControlPlaneError]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the control plane before the first test: minutes that no test's time-out has to bear.

    A failure is kept for the tests that need it; the others run.
    """
    wanted = any("assets" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None  # a part of pytest that cannot be switched off
    with capture.global_and_fixture_disabled():
        _find_assets(session.config)


def _find_assets(config: pytest.Config) -> Path | ControlPlaneError:
    if ASSETS not in config.stash:
        try:
            config.stash[ASSETS] = find_or_build(os.environ, sys.stderr)
        except ControlPlaneError as error:
            config.stash[ASSETS] = error
    return config.stash[ASSETS]


@pytest.fixture(scope="session")
def assets(request: pytest.FixtureRequest) -> Path:
    """Return the directory with etcd, kube-apiserver, kube-controller-manager and kubectl."""
    found = _find_assets(request.config)
    if isinstance(found, ControlPlaneError):
        pytest.fail(f"There is no control plane to test with. {found}", pytrace=False)
    return found


@pytest.fixture(scope="session")
def control_plane(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run a control plane for the session; under pytest-xdist each worker has its own."""
    with ControlPlane(assets, tmp_path_factory.mktemp("controlplane")) as running:
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a namespace of the test's own, so that tests see nothing of each other."""
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
