"""Unquoted values on their way from YAML to the API server."""

import json
from pathlib import Path

import pytest

from scriptix_operator.core.status.tokens import canonical
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.errors import ControlPlaneError
from tests.operator.lab import Lab, Manifest, phase_of

KUSTOMIZATION = """\
resources: [training.yaml]
patches:
- target: {kind: CustomModelTraining}
  patch: |-
    - {op: add, path: /spec/priority, value: 1}
"""
"""Without a JSON patch Kustomize rewrites dates in spec only, with one in annotations too."""


def written(
    directory: Path,
    token: str,
    *,
    requested_at: str = '""',
    bound: str = '"15"',
    name: str = "written",
) -> Path:
    """Write a training as a user does, values unquoted; return the manifest."""
    manifest = directory / "training.yaml"
    manifest.write_text(f"""\
apiVersion: scriptix.io/v1alpha1
kind: CustomModelTraining
metadata:
  name: {name}
  annotations:
    scriptix.io/requested-at: {requested_at}
spec:
  modelId: 321
  pollIntervalSeconds: 1
  runToken: {token}
  qualityGate:
    maxWordErrorRate: {bound}
""")
    (directory / "kustomization.yaml").write_text(KUSTOMIZATION)
    return manifest


async def applied(lab: Lab, *source: str) -> Manifest:
    """Apply with kubectl, and wait until the operator has observed it."""
    lab.control_plane.kubectl("-n", lab.namespace, "apply", *source)
    generation = (await lab.get("written"))["metadata"]["generation"]
    return await lab.until(
        "written",
        lambda item: (
            item.get("status", {}).get("observedGeneration") == generation
            and phase_of(item) == "Succeeded"
        ),
    )


async def test_a_date_that_kustomize_rewrites_starts_no_run(lab: Lab, tmp_path: Path) -> None:
    lab.model(321, duration=1)
    await lab.secret()
    await lab.operator()
    at = "2026-11-28T08:00:00.500+00:00"
    manifest = written(tmp_path, "2026-11-29", requested_at=at)
    first = await applied(lab, "-f", str(manifest))
    assert first["spec"]["runToken"] == "2026-11-29"
    # The model is startable each time.
    await lab.admin("PATCH", "/models/321", {"status": 2})
    kustomized = await applied(lab, "-k", str(tmp_path))
    assert kustomized["spec"]["runToken"] == "2026-11-29T00:00:00Z"
    annotations = kustomized["metadata"]["annotations"]
    assert annotations["scriptix.io/requested-at"] == "2026-11-28T08:00:00.5Z"
    plain = await applied(lab, "-f", str(manifest))
    for item in (kustomized, plain):
        assert item["status"]["run"] == first["status"]["run"]
        assert "repeatedRequest" not in item["status"]
    assert first["status"]["run"]["token"] == "2026-11-29"
    assert len(lab.posts(321)) == 1
    # Another day is another token, with each way to apply it.
    manifest = written(tmp_path, "2026-11-30", requested_at=at)
    lab.control_plane.kubectl("-n", lab.namespace, "apply", "-k", str(tmp_path))
    await lab.until(
        "written",
        lambda item: (
            item["status"]["run"]["token"] == "2026-11-30T00:00:00Z"
            and phase_of(item) == "Succeeded"
        ),
    )
    await lab.admin("PATCH", "/models/321", {"status": 2})
    await applied(lab, "-f", str(manifest))
    assert len(lab.posts(321)) == 2


REWRITTEN = (
    "2026-11-29",
    "2026-1-2",
    "2026-1-2T3:4:5Z",
    "2026-11-29t00:00:00Z",
    "2026-11-29 00:00:00",
    "2026-11-29  00:00:00.50",
    "2026-11-29T00:00:00,5Z",
    "2026-11-29T00:00:00.000Z",
    "2026-11-29T00:00:00.1234567899Z",
    "2026-11-29T00:00:00+00:00",
    "2026-11-29T00:00:00-00:00",
    "2026-11-29T02:00:00.10+02:00",
)
LEFT = (
    *("2026-11", "2026-02-30", "2026-11-29z", "v2026-11-29", "2026-11-29T24:00:00Z"),
    *("2026-11-29T00:00:00", "2026-11-29T00:00:00z", "2026-11-29 00:00:00Z"),
    "2026-11-29T02:00:00+02:00",
)


def test_date_rewritten_by_kustomize_is_the_same_token(
    cluster: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    texts = [*REWRITTEN, *LEFT]
    trainings = [
        written(tmp_path, text, name=f"t{number:02}").read_text()
        for number, text in enumerate(texts)
    ]
    (tmp_path / "training.yaml").write_text("---\n".join(trainings))
    options = ("--dry-run=server", "--output=json", "-k", str(tmp_path))
    made = json.loads(cluster.kubectl("-n", namespace, "apply", *options))["items"]
    tokens = {item["metadata"]["name"]: item["spec"]["runToken"] for item in made}
    by_text = {text: tokens[f"t{number:02}"] for number, text in enumerate(texts)}
    assert {text for text, token in by_text.items() if text != token} == set(REWRITTEN)
    assert {text: canonical(token) for text, token in by_text.items()} == {
        text: canonical(text) for text in texts
    }


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        *(("2026", "integer"), ("20261129", "integer"), ("1.0", "integer"), ("0x10", "integer")),
        *(("1_000", "integer"), ("1.10", "number"), ("yes", "boolean"), ("on", "boolean")),
    ],
)
def test_unquoted_token_that_is_not_a_string_is_refused(
    cluster: ControlPlane, namespace: str, tmp_path: Path, token: str, kind: str
) -> None:
    manifest = written(tmp_path, token)
    said = f'spec.runToken in body must be of type string: "{kind}"'
    with pytest.raises(ControlPlaneError, match=said):
        cluster.kubectl("-n", namespace, "apply", "--dry-run=server", "-f", str(manifest))


@pytest.mark.parametrize(
    ("bound", "kind"), [("15", "integer"), ("12.5", "number"), ("1e1", "integer")]
)
def test_unquoted_bound_is_refused(
    cluster: ControlPlane, namespace: str, tmp_path: Path, bound: str, kind: str
) -> None:
    said = f'spec.qualityGate.maxWordErrorRate in body must be of type string: "{kind}"'
    for option in ("-f", "-k"):
        source = written(tmp_path, '"v1"', bound=bound) if option == "-f" else tmp_path
        with pytest.raises(ControlPlaneError, match=said):
            cluster.kubectl("-n", namespace, "apply", "--dry-run=server", option, str(source))
