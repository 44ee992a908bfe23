"""The report of a scenario, and how it is printed."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "Bar",
    "Report",
    "Table",
    "at_least",
    "at_most",
    "exactly",
    "lines_of",
    "shown",
    "status_of",
    "summary",
]

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """Figures; the first column is text, the others are aligned to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def lines(self) -> list[str]:
        """Return the table as text."""
        rows = [tuple(self.head), *map(tuple, self.rows)]
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        rule = tuple("-" * width for width in widths)
        return [_line(row, widths) for row in (rows[0], rule, *rows[1:])]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *others)).rstrip()


@dataclass(frozen=True, slots=True)
class Bar:
    """A bound that a figure has to meet."""

    what: str
    bar: str
    measured: str
    is_met: bool


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a scenario."""

    title: str
    about: str
    table: Table
    bars: tuple[Bar, ...] = ()


def at_most(what: str, measured: float, bar: float, form: str = ".2f") -> Bar:
    """Return a bar that is met by `bar` and less; NaN meets none."""
    return Bar(what, f"≤ {bar:{form}}", shown(measured, form), measured <= bar)


def at_least(what: str, measured: float, bar: float, form: str = ".2f") -> Bar:
    """Return a bar that is met by `bar` and more; NaN meets none."""
    return Bar(what, f"≥ {bar:{form}}", shown(measured, form), measured >= bar)


def exactly(what: str, measured: int, bar: int) -> Bar:
    """Return a bar that only `bar` meets."""
    return Bar(what, str(bar), str(measured), measured == bar)


def shown(figure: float | None, form: str = ".1f") -> str:
    """Return a figure as tables show it; None and NaN are shown as a dash."""
    if figure is None or math.isnan(figure):
        return NOTHING
    return "never" if math.isinf(figure) else f"{figure:{form}}"


def status_of(bars: Iterable[Bar]) -> int:
    """Return the exit status: 1 if a bar was missed."""
    return 0 if all(bar.is_met for bar in bars) else 1


def lines_of(report: Report) -> list[str]:
    """Return a report as text."""
    return [f"## {report.title}", "", report.about, "", *report.table.lines()]


def summary(bars: Iterable[Bar]) -> list[str]:
    """Return the bars as text: what | bar | measured."""
    rows = [
        (bar.what, bar.bar, bar.measured if bar.is_met else f"{bar.measured}  MISSED")
        for bar in bars
    ]
    return ["## Bars", "", *Table(("what", "bar", "measured"), rows).lines()]
