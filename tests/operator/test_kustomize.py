"""Names that Kustomize changes: of generated Secrets, and of objects that read a result."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.gotools.toolchain import REPOSITORY
from tests.operator.lab import QUIET, Manifest, laboratory

EXAMPLE = REPOSITORY / "deploy" / "examples" / "generated-secret"
PAGE = REPOSITORY / "docs" / "gitops.md"
OLD_KEY, NEW_KEY = "key-before-9f3", "key-after-7c1"


def block_of(page: str, first: str) -> str:
    """Return the block of a page that begins with this line."""
    found = re.search(rf"^    {re.escape(first)}\n(?:    .*\n)*", page, re.MULTILINE)
    assert found is not None
    return re.sub(r"^    ", "", found[0], flags=re.MULTILINE)


def written(directory: Path, kustomization: Manifest) -> Path:
    """Write a kustomization.yaml beside a copy of the example, which is its base."""
    shutil.copytree(EXAMPLE, directory / "base")
    overlay = directory / "overlay"
    overlay.mkdir()
    document = {"resources": ["../base"], **kustomization}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return overlay


def built(control_plane: ControlPlane, folder: Path) -> dict[str, Manifest]:
    """Build a folder with Kustomize; returns the objects by kind."""
    documents = yaml.safe_load_all(control_plane.kubectl("kustomize", str(folder)))
    return {document["kind"]: document for document in documents}


def reference_of(training: Manifest) -> str:
    """The name of the Secret that a training refers to."""
    name: str = training["spec"]["apiKeySecretRef"]["name"]
    return name


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        pytest.param({}, "scriptix-api-key-", id="hash"),
        pytest.param({"namePrefix": "dev-"}, "dev-scriptix-api-key-", id="prefix"),
        pytest.param({"nameSuffix": "-eu"}, "scriptix-api-key-eu-", id="suffix"),
        pytest.param({"namespace": "speech"}, "scriptix-api-key-", id="namespace"),
        pytest.param(
            {"secretGenerator": [{"name": "scriptix-api-key", "behavior": "replace"}]},
            "scriptix-api-key-",
            id="replaced",
        ),
    ],
)
def test_reference_follows_the_generated_secret(
    cluster: ControlPlane, tmp_path: Path, changes: Manifest, name: str
) -> None:
    for generator in changes.get("secretGenerator", ()):
        generator["literals"] = ["api-key=another"]
    objects = built(cluster, written(tmp_path, changes))
    secret, training = objects["Secret"], objects["CustomModelTraining"]
    assert secret["metadata"]["name"].startswith(name)
    assert reference_of(training) == secret["metadata"]["name"]
    assert secret["metadata"].get("namespace") == training["metadata"].get("namespace")


def test_a_reference_stays_without_the_configuration(cluster: ControlPlane, tmp_path: Path) -> None:
    """The page says so; once Kustomize knows the field, the configuration can be removed."""
    shutil.copytree(EXAMPLE, tmp_path / "plain")
    file = tmp_path / "plain" / "kustomization.yaml"
    document = yaml.safe_load(file.read_text())
    del document["configurations"]
    file.write_text(yaml.safe_dump(document))
    assert reference_of(built(cluster, file.parent)["CustomModelTraining"]) == "scriptix-api-key"


def test_the_page_shows_the_configuration_of_the_example() -> None:
    shown = yaml.safe_load(block_of(PAGE.read_text(), "# name-references.yaml"))
    assert shown == yaml.safe_load((EXAMPLE / "name-references.yaml").read_text())


CONSUMER = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: transcriber
spec:
  template:
    spec:
      containers:
        - name: transcriber
          envFrom:
            - configMapRef: {name: cardiology-en-result}
            - configMapRef: {name: settings}
"""


def test_the_replacement_on_the_page_renames_the_result(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    shown = yaml.safe_load(block_of(PAGE.read_text(), "replacements:"))
    changes = {"namePrefix": "dev-", "nameSuffix": "-eu", "resources": ["../base", "app.yaml"]}
    overlay = written(tmp_path, {**changes, **shown})
    (overlay / "app.yaml").write_text(CONSUMER)
    objects = built(cluster, overlay)
    [container] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    names = [source["configMapRef"]["name"] for source in container["envFrom"]]
    assert objects["CustomModelTraining"]["metadata"]["name"] == "dev-cardiology-en-eu"
    assert names == ["dev-cardiology-en-eu-result", "settings"]


async def test_a_changed_key_under_a_hashed_name_starts_no_run(
    cluster: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    patch = "- {op: add, path: /spec/pollIntervalSeconds, value: 1}"
    patched = {"target": {"kind": "CustomModelTraining"}, "patch": patch}
    overlay = written(tmp_path, {"patches": [patched]})
    file = tmp_path / "base" / "kustomization.yaml"
    example = file.read_text()

    async def apply(key: str) -> Manifest:
        """Put a key into the generator, apply, and wait until the operator observes it."""
        file.write_text(example.replace("put-your-key-here", key))
        cluster.kubectl("-n", namespace, "apply", "-k", str(overlay))
        generation = (await lab.get("cardiology-en"))["metadata"]["generation"]
        return await lab.until(
            "cardiology-en",
            lambda item: item.get("status", {}).get("observedGeneration") == generation,
        )

    config = replace(QUIET, keys={OLD_KEY: "write", NEW_KEY: "write"})
    async with laboratory(cluster, namespace, tmp_path, config) as lab:
        lab.model(101, duration=10_000)
        await lab.operator()
        await apply(OLD_KEY)
        first = await lab.until_phase("cardiology-en", "Running")
        # The key is changed during the run, and the old one revoked.
        running = await apply(NEW_KEY)
        assert reference_of(running) != reference_of(first)
        del lab.simulator.state.keys[OLD_KEY]
        await lab.admin("PATCH", "/models/101", {"finish": True})
        done = await lab.until_phase("cardiology-en", "Succeeded")
        # After the end, with a model that is startable.
        await lab.admin("PATCH", "/models/101", {"status": 2})
        lab.simulator.state.keys[OLD_KEY] = "write"
        ended = await apply(OLD_KEY)
        assert (reference_of(ended), ended["status"]["phase"]) == (reference_of(first), "Succeeded")
        for item in (running, done, ended):
            assert item["status"]["run"]["id"] == first["status"]["run"]["id"]
        assert len(lab.posts()) == 1
