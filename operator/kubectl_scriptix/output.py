"""How commands print: for terminals, for pipes, and for programs."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

__all__ = ["OutputFormat", "console", "print_objects"]

PIPE_WIDTH = 200
"""Characters of a line where the output is no terminal: programs read it."""


class OutputFormat(StrEnum):
    """Values of --output."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def console(*, has_color: bool) -> Console:
    """The console of standard output; NO_COLOR and TERM=dumb are respected by Rich."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(
        no_color=True if not has_color else None, highlight=False, width=width, soft_wrap=False
    )


def print_objects(
    out: Console, form: OutputFormat, table: Table, objects: Sequence[dict[str, Any]]
) -> None:
    """Print objects as the caller asks for.

    Args:
        out: Where to print.
        form: The format.
        table: The table of the objects.
        objects: The objects as JSON values; `name` is the value of their key `name`.
    """
    match form:
        case OutputFormat.TABLE:
            out.print(table)
        case OutputFormat.JSON:
            sys.stdout.write(json.dumps(list(objects), indent=2, default=str) + "\n")
        case OutputFormat.YAML:
            sys.stdout.write(yaml.safe_dump(list(objects), sort_keys=False))
        case OutputFormat.NAME:
            sys.stdout.write("".join(f"{one['name']}\n" for one in objects))
