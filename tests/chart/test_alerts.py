"""Alerts and dashboard use series that the operator exports."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, Helm, documents
from tests.chart.renders import values_of
from tests.chart.series import GROUPING, SERIES, exposed, faults

PROMTOOL_TESTS = Path(__file__).parent / "alerts.yaml"


def rules(helm: Helm, case: str = "pod-monitor") -> list[dict[str, Any]]:
    render = documents(helm.template(values_of(case)))
    [rule] = [document for document in render if document["kind"] == "PrometheusRule"]
    [group] = rule["spec"]["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def test_each_alert_uses_existing_series(offline: Helm) -> None:
    for rule in rules(offline):
        assert list(faults(rule["expr"])) == [], rule["alert"]
        assert 'job="scriptix-system/scriptix-operator"' in rule["expr"], rule["alert"]
        for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
            # The alert has the labels of the left side of an operator.
            assert label in GROUPING.findall(rule["expr"])[0].split(", "), rule["alert"]


def test_each_alert_has_severity_and_remedy(offline: Helm) -> None:
    names = [rule["alert"] for rule in rules(offline)]
    assert len(set(names)) == len(names)
    for rule in rules(offline):
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        annotations = rule["annotations"]
        assert annotations.keys() == {"summary", "description", "runbook_url"}
        assert re.search(r"\$(value|labels)", annotations["summary"] + annotations["description"])


def test_promtool_accepts_the_rules_and_their_tests_pass(
    offline: Helm, promtool: Path, tmp_path: Path
) -> None:
    rendered = rules(offline)
    file = tmp_path / "rules.yaml"
    # A test must repeat each annotation whole, so descriptions are checked, not tested.
    for kept in ({"summary", "description", "runbook_url"}, {"summary"}):
        written = [
            {**rule, "annotations": {name: rule["annotations"][name] for name in kept}}
            for rule in rendered
        ]
        file.write_text(yaml.safe_dump({"groups": [{"name": "operator", "rules": written}]}))
        assert run(promtool, "check", "rules", file) == ""
    shutil.copy(PROMTOOL_TESTS, tmp_path)
    assert run(promtool, "test", "rules", tmp_path / PROMTOOL_TESTS.name) == ""


def run(promtool: Path, *arguments: str | Path) -> str:
    """Run promtool; returns its output if it fails, else nothing."""
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_each_alert_has_a_test_that_fires_and_one_that_does_not() -> None:
    outcomes: dict[str, set[bool]] = {}
    for test in yaml.safe_load(PROMTOOL_TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            outcomes.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert outcomes == {rule["alert"]: {True, False} for rule in alerts}


def test_runbook_url_names_the_page_of_the_alert(offline: Helm) -> None:
    own, elsewhere = rules(offline), rules(offline, "service-monitor")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    home = f"https://github.com/scriptix/scriptix-operator/blob/v{version}/docs/runbook"
    for found, base in ((own, home), (elsewhere, "https://wiki.example.com/runbooks")):
        for rule in found:
            assert rule["annotations"]["runbook_url"] == f"{base}/{rule['alert']}.md"


def test_an_unreadable_resource_raises_an_alert(offline: Helm) -> None:
    [rule] = [r for r in rules(offline) if r["alert"] == "ScriptixTrainingUnreadable"]
    [(series, _)] = SERIES.findall(rule["expr"])
    # The series exists with 0 too, so the alert ends.
    assert series == "scriptix_trainings_unreadable"
    assert rule["expr"].startswith("max(")
    assert rule["expr"].endswith(") > 0")


def test_dashboard_uses_existing_series() -> None:
    for title, expression in panels():
        assert list(faults(expression)) == [], title


def test_dashboard_shows_every_series_of_the_operator() -> None:
    shown = {name for _, expression in panels() for name, _ in SERIES.findall(expression)}
    aside = ("_count", "_sum")  # beside a histogram's buckets
    ours = {name for name in exposed() if name.startswith("scriptix_")}
    assert {name for name in ours if not name.endswith(aside)} - shown == set()


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("scriptix_leaders", "no series scriptix_leaders"),
        ('scriptix_leader{phase="Running"}', "scriptix_leader has no label phase"),
        ('scriptix_trainings{phase="Done"}', "phase is never Done"),
        ("sum by (operation) (scriptix_trainings)", "no label operation"),
    ],
)
def test_wrong_expression_is_detected(expression: str, words: str) -> None:
    assert list(faults(expression)) == [words]


def test_dashboard_is_shipped_unchanged(offline: Helm) -> None:
    render = documents(offline.template(values_of("pod-monitor")))
    [shipped] = [d["data"] for d in render if d["metadata"]["name"].endswith("-dashboard")]
    text = shipped["scriptix-operator.json"]
    assert json.loads(text) == json.loads((CHART / "files" / "dashboard.json").read_text())
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert [rule["alert"] for rule in rules(offline)] == [rule["alert"] for rule in alerts]
