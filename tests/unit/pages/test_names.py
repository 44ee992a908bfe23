"""Pages name fields and metrics that exist, and searches that find something."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import generate_latest

from scriptix_operator.api.crd import custom_resource_definition
from scriptix_operator.api.status import LogStatus, Run, TrainingStatus
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.pages.tables import PACKAGE, page

PAGES = (
    "architecture.md",
    "eta.md",
    "logs.md",
    "quality-gate.md",
    "quotas.md",
    "start-protocol.md",
)


def unknown_fields(text: str) -> list[str]:
    """The fields of spec and status that a page names and the CRD does not have."""
    [version] = custom_resource_definition()["spec"]["versions"]
    root: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    named = re.findall(r"`((?:spec|status)(?:\.\w+)+)", text)
    return [path for path in named if not has_field(root, path.split("."))]


def has_field(schema: dict[str, Any], path: Sequence[str]) -> bool:
    """Whether a schema has a field; a list has the fields of its items."""
    for name in path:
        schema = schema.get("items", schema).get("properties", {}).get(name)
        if schema is None:
            return False
    return True


@pytest.mark.parametrize("name", PAGES)
def test_fields_that_a_page_names_exist(name: str) -> None:
    assert unknown_fields(page(name)) == []


def test_an_unknown_field_on_a_page_is_found() -> None:
    text = "`status.queue.position`, `status.history.run`, `spec.log.collect: Never`, `spec.prio`"
    assert unknown_fields(text) == ["status.history.run", "spec.prio"]


@pytest.mark.parametrize("name", ["eta.md", "quotas.md"])
def test_metrics_that_a_page_names_exist(name: str) -> None:
    exported = generate_latest(Metrics().registry).decode()
    known = set(re.findall(r"^# TYPE (scriptix_\w+)", exported, re.MULTILINE))
    named = set(re.findall(r"`(scriptix_\w+)`", page(name)))
    assert named
    assert named <= known


def test_each_status_field_is_found_by_a_keyword_argument() -> None:
    """As docs/architecture.md says: the search for `field=` lists the lines that decide a field."""
    modules = (*(PACKAGE / "core").rglob("*.py"), PACKAGE / "kube" / "logstore.py")
    source = "\n".join(module.read_text(encoding="utf-8") for module in modules)
    names = {*TrainingStatus.model_fields, *Run.model_fields, *LogStatus.model_fields}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}=", source)] == []
