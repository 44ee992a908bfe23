"""The tables that the pages in docs/ show, as text."""

from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["PACKAGE", "clock", "page", "seconds", "table"]

ROOT = Path(__file__).parents[3]
DOCS, PACKAGE = ROOT / "docs", ROOT / "operator" / "scriptix_operator"


def page(name: str) -> str:
    """The text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    head, *lines = (f"| {' | '.join(map(str, line))} |" for line in (header, *rows))
    return "\n".join((head, f"|{'---|' * len(header)}", *lines))


def clock(value: float) -> str:
    """Seconds as hours and minutes, such as 9:45."""
    minutes = round(value / 60)
    return f"{minutes // 60}:{minutes % 60:02}"


def seconds(value: float) -> str:
    """Seconds such as 0.6s."""
    return f"{round(value, 1):g}s"
