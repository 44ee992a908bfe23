"""Generates from gitops/argocd's Lua files: their test data and the argocd-cm snippet.

`make gitops` runs this module; a test compares the files with its output. The folder
has the layout of Argo CD's own resource_customizations, so that it can be contributed, and passes
Argo CD's own tests (test_upstream.py).
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from scriptix_operator.api.names import GROUP, KIND, MANAGED_BY, MANAGED_BY_LABEL
from tests.gitops.states import STATES, manifest

__all__ = ["ARGOCD", "FOLDER", "SNIPPET", "generated", "lua"]

ARGOCD = Path(__file__).parents[2] / "gitops" / "argocd"
FOLDER = ARGOCD / "resource_customizations" / GROUP / KIND
SNIPPET = ARGOCD / "argocd-cm.yaml"

ACTIONS = ("retrain", "suspend", "resume")

INTRODUCTION = """\
# Settings of Argo CD for trainings, to be merged into its ConfigMap argocd-cm:
#
#     kubectl -n argocd patch configmap argocd-cm --patch-file argocd-cm.yaml
#
# Made from resource_customizations/ by `make gitops`; docs/gitops.md says what each part does.
# The last key replaces Argo CD's default of that name: its first two lines are that default.
"""

IGNORED_UPDATES = f"""\
jqPathExpressions:
  - '.metadata.annotations."cluster-autoscaler.kubernetes.io/last-updated"'
  - '.metadata.annotations."control-plane.alpha.kubernetes.io/leader"'
  # Logs and results of trainings change often, and nothing that Argo CD shows depends on them.
  - 'select(.metadata.labels["{MANAGED_BY_LABEL}"] == "{MANAGED_BY}") | .data'
"""


class _Literal(str):
    """Text that is written as a block scalar."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """A YAML dumper with block scalars."""


_Dumper.add_representer(
    _Literal, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def generated() -> dict[Path, str]:
    """Return all generated files, with their content."""
    return {SNIPPET: _snippet(), **dict(_test_data())}


def lua(path: str) -> str:
    """Read one of the Lua files."""
    return (FOLDER / path).read_text()


def _dump(document: object) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def _snippet() -> str:
    actions = {
        "discovery.lua": _Literal(lua("actions/discovery.lua")),
        "definitions": [
            {"name": name, "action.lua": _Literal(lua(f"actions/{name}/action.lua"))}
            for name in ACTIONS
        ],
    }
    kind = f"{GROUP}_{KIND}"
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd"},
        "data": {
            f"resource.customizations.health.{kind}": _Literal(lua("health.lua")),
            f"resource.customizations.actions.{kind}": _Literal(_dump(actions)),
            "resource.customizations.ignoreResourceUpdates.ConfigMap": _Literal(IGNORED_UPDATES),
        },
    }
    return INTRODUCTION + _dump(document)


def _test_data() -> Iterator[tuple[Path, str]]:
    """Test data of Argo CD's own tests: a resource in each state, and its health."""
    tests = []
    for name, state in STATES.items():
        resource = manifest(name)
        path = f"testdata/{name}.yaml"
        yield FOLDER / path, _dump(resource)
        message = resource["status"].get("message")
        if resource["status"]["observedGeneration"] != resource["metadata"]["generation"]:
            message = "Waiting for the operator to reconcile the resource"
        health = {"status": state.argocd, "message": message}
        tests.append({"healthStatus": health, "inputPath": path})
    yield FOLDER / "health_test.yaml", _dump({"tests": tests})


def _write() -> None:
    files = generated()
    for stale in set((FOLDER / "testdata").glob("*.yaml")) - files.keys():
        stale.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    _write()
