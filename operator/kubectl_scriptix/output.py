"""How commands print: for terminals, for pipes, and for programs."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["OutputFormat", "markdown", "open_console", "print_objects", "print_text"]

PIPE_WIDTH = 200
"""Characters of a line where the output is no terminal: programs read it."""


class OutputFormat(StrEnum):
    """Values of --output."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"
    MARKDOWN = "markdown"


def open_console(has_color: bool) -> Console:  # noqa: FBT001 - Dependencies.open_console's only argument
    """The console of standard output; NO_COLOR and TERM=dumb are respected by Rich."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(no_color=None if has_color else True, highlight=False, width=width)


def print_text(out: Console, text: str) -> None:
    """Print text as it is; a terminal breaks long lines between words."""
    out.print(Text(text), soft_wrap=not out.is_terminal)


def print_objects(
    out: Console, form: OutputFormat, table: Table | str, objects: Sequence[dict[str, Any]]
) -> None:
    """Print objects in the format that the caller asks for.

    Args:
        out: Where to print.
        form: The format.
        table: The table of the objects, or a text in its place.
        objects: The objects as JSON values; `name` is the value of their key `name`.
    """
    match form:
        case OutputFormat.TABLE:
            out.print(table)
        case OutputFormat.MARKDOWN:
            out.out(markdown(table), highlight=False)
        case OutputFormat.JSON:
            out.out(json.dumps(list(objects), indent=2, default=str), highlight=False)
        case OutputFormat.YAML:
            out.out(yaml.safe_dump(list(objects), sort_keys=False), end="", highlight=False)
        case OutputFormat.NAME:
            out.out("".join(f"{one['name']}\n" for one in objects), end="", highlight=False)


def markdown(table: Table | str) -> str:
    """The table for a pull request."""
    if isinstance(table, str):
        return table
    heads = [str(column.header) for column in table.columns]
    columns = [[_cell(str(cell)) for cell in column.cells] for column in table.columns]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
