"""Charts with the operator's chart as a dependency, as docs/helm.md describes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.chart.helm import CHART, Document, Helm

__all__ = ["write_parent"]


def write_parent(
    helm: Helm,
    folder: Path,
    values: Mapping[str, Any],
    *templates: Document,
    alias: str = CHART.name,
) -> Path:
    """Write a chart and have Helm fetch its dependency.

    Args:
        helm: The Helm that fetches the dependency.
        folder: The chart's folder, which is also its name.
        values: Values of the dependency.
        templates: The chart's own templates.
        alias: Another name of the dependency.
    """
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    dependency = {
        "name": CHART.name,
        "version": version,
        "repository": f"file://{CHART}",
        "condition": f"{alias}.enabled",
    }
    if alias != CHART.name:
        dependency["alias"] = alias
    chart = {"apiVersion": "v2", "name": folder.name, "version": "1.0.0"}
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart | {"dependencies": [dependency]}))
    (folder / "values.yaml").write_text(yaml.safe_dump({alias: dict(values)}))
    (folder / "templates" / "own.yaml").write_text(yaml.safe_dump_all(templates))
    helm("dependency", "update", folder)
    return folder
