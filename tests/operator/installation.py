"""Puts the CRD of this checkout on a test control plane; several test modules may use it."""

import time
from pathlib import Path

import httpx

from scriptix_operator.api import names
from tests.controlplane.cluster import ControlPlane

REPOSITORY = Path(__file__).parents[2]
CRD_FILE = REPOSITORY / "crds" / f"{names.CRD_NAME}.yaml"
CRD_PATH = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{names.CRD_NAME}"

SERVED_SECONDS = 30.0
POLL_SECONDS = 0.05


def install_crd(control_plane: ControlPlane) -> httpx.Response:
    """Apply the file in crds/ and wait until its kind is served and documented.

    Returns:
        The API server's reply to the manifest.
    """
    reply = control_plane.api.patch(
        CRD_PATH,
        params={"fieldManager": "tests", "force": "true", "fieldValidation": "Strict"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        content=CRD_FILE.read_bytes(),
    )
    assert reply.is_success, reply.text
    wait_until_served(control_plane, names.GROUP)
    return reply


def wait_until_served(control_plane: ControlPlane, group: str) -> None:
    """Wait until the resource answers under `group`, and its OpenAPI document is published."""
    paths = (
        f"/apis/{group}/{names.VERSION}/{names.PLURAL}",
        f"/openapi/v3/apis/{group}/{names.VERSION}",
    )
    deadline = time.monotonic() + SERVED_SECONDS
    while not all(control_plane.api.get(path).is_success for path in paths):
        assert time.monotonic() < deadline, f"{group} is not served after {SERVED_SECONDS:.0f} s"
        time.sleep(POLL_SECONDS)
