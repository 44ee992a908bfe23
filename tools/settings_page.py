"""Prints docs/reference/settings.md, made from the settings and their groups in `--help`."""

import sys
from collections.abc import Iterator
from typing import Final

from scriptix_operator.settings import described
from scriptix_operator.usage import SETTING_GROUPS

__all__ = ["TRACING_ROWS", "settings_page"]

INTRODUCTION: Final = """\
# Settings

<!-- Made from operator/scriptix_operator/settings.py by `make docs`; edit it there. -->

`scriptix-operator run` and `scriptix-operator check` read their settings from environment
variables. An invalid one ends the process with a line that names the variable. `run --help` and
`check --help` list all that these commands read, including proxies, CAs and the connection to the
cluster.

The chart has the values `settings` and `watchNamespaces` for the variables, and `extraEnv` for
those without a value of their own. With Kustomize, set literals of the ConfigMap
`scriptix-operator-settings` in an overlay, as `deploy/overlays/namespaced` does.
"""

TRACING: Final = """\
## Tracing

The standard variables of OpenTelemetry, which its SDK reads; [tracing.md](../tracing.md) has more.
The chart has the value `tracing.endpoint` for the first.
"""
TRACING_ROWS: Final = (
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "(empty)",
        "URL of the collector that takes the trace of each run by OTLP over HTTP; empty: none.",
    ),
    ("OTEL_EXPORTER_OTLP_HEADERS", "(empty)", "Headers for the collector; from a Secret."),
    ("OTEL_SERVICE_NAME", "`scriptix-operator`", "Name of the service in the traces."),
    ("OTEL_SDK_DISABLED", "`false`", "`true`: no traces, whatever the other variables say."),
)

HEADER: Final = ("| Variable | Default | Meaning |", "|---|---|---|")


def settings_page() -> str:
    """The whole page as Markdown."""
    groups = (
        "\n".join((f"## {title}\n", *HEADER, *_rows(names))) + "\n"
        for title, names in SETTING_GROUPS.items()
    )
    tracing = (_row(*row) for row in TRACING_ROWS)
    return "\n".join((INTRODUCTION, *groups, TRACING, *HEADER, *tracing)) + "\n"


def _rows(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        yield _row(*described(name))


def _row(variable: str, default: str, meaning: str) -> str:
    escaped = meaning.replace("|", "\\|")
    return f"| `{variable}` | {default} | {escaped} |"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
