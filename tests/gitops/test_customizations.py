"""The files for Argo CD: generated files are current, and Argo CD's own defaults are kept."""

import os
import re
from typing import Any

import pytest
import yaml

from tests.gitops.customizations import FOLDER, SNIPPET, generated
from tests.gitops.tools import source

IGNORED = "resource.customizations.ignoreResourceUpdates.ConfigMap"


def test_snippet_and_test_data_are_current() -> None:
    files = generated()
    stale = [str(path) for path, text in files.items() if path.read_text() != text]
    assert stale == [], "run: make gitops"
    assert set((FOLDER / "testdata").glob("*")) == {
        path for path in files if path.parent.name == "testdata"
    }


def test_lua_files_use_no_libraries() -> None:
    for path in FOLDER.rglob("*.lua"):
        assert re.findall(r"\b(string|math|io|debug)\s*[.:]", path.read_text()) == []
        assert set(re.findall(r'require\("(\w+)"\)', path.read_text())) <= {"os"}
    assert "useOpenLibs" not in SNIPPET.read_text()


@pytest.mark.gitops
def test_the_snippet_keeps_argo_cd_s_default_for_config_maps() -> None:
    def paths(text: str) -> list[str]:
        data: dict[str, Any] = yaml.safe_load(text)["data"]
        found: list[str] = yaml.safe_load(data[IGNORED])["jqPathExpressions"]
        return found

    file = source(os.environ) / "manifests" / "base" / "config" / "argocd-cm.yaml"
    default, shipped = paths(file.read_text()), paths(SNIPPET.read_text())
    assert shipped[: len(default)] == default
    assert len(shipped) == len(default) + 1
