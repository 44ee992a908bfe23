"""Draws what the panels show, in the places that the dashboard gives them."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.dashboard.panels import Panel
from tests.dashboard.prometheus import Series
from tests.dashboard.scene import Shown

__all__ = ["draw"]

COLUMNS = 24
WIDTH, ROW = 18.0, 0.34
"""Inches of the whole, and of a row of the grid."""
NAMES_WIDTH = 2.6
"""Columns for the names beside bars."""
MOST_NAMES = 8
"""Series that a legend names."""
STYLE: Any = {  # its stub names each key
    "svg.hashsalt": "dashboard",  # the same ids in each drawing
    "svg.fonttype": "none",
    "font.size": 7,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
UNITS = {"s": " s", "percent": " %", "percentunit": "", "bytes": " bytes"}

Named = list[tuple[str, Series]]


def draw(shown: list[Shown], file: Path) -> None:
    """Draw the panels into an SVG file."""
    rows = max(one.panel.place[1] + one.panel.place[3] for one in shown)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, rows * ROW), facecolor="white")
        for one in shown:
            axes = figure.add_axes(_place(one.panel, rows))
            axes.set_title(one.panel.title, loc="left")
            _draw(axes, one)
        figure.savefig(file, format="svg", metadata={"Date": None})


def _place(panel: Panel, rows: int) -> tuple[float, float, float, float]:
    """Left, bottom, width and height in the figure; matplotlib's own layout takes minutes."""
    left, top, width, height = panel.place
    margin = NAMES_WIDTH if panel.kind == "bargauge" else 0.9
    return (
        (left + margin) / COLUMNS,
        1 - (top + height - 0.9) / rows,
        (width - margin - 0.4) / COLUMNS,
        (height - 2.0) / rows,
    )


def _draw(axes: Axes, shown: Shown) -> None:
    named = [
        (query.name(series.labels), series)
        for query, result in zip(shown.panel.queries, shown.results, strict=True)
        for series in result
    ]
    if not shown.panel.is_instant:
        _draw_lines(axes, named, shown.panel)
    elif shown.panel.kind == "stat":
        _draw_number(axes, named)
    else:
        _draw_bars(axes, named, shown.panel)


def _draw_number(axes: Axes, named: Named) -> None:
    axes.set_axis_off()
    text = ", ".join(name or f"{series.points[-1][1]:g}" for name, series in named)
    axes.text(0.5, 0.5, text, fontsize=16, ha="center", va="center", transform=axes.transAxes)


def _draw_bars(axes: Axes, named: Named, panel: Panel) -> None:
    names = [name for name, _ in named]
    axes.barh(names, [series.points[-1][1] for _, series in named], color="tab:green")
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}{UNITS.get(panel.unit, '')}")


def _draw_lines(axes: Axes, named: Named, panel: Panel) -> None:
    began_at = min((series.points[0][0] for _, series in named), default=0.0)
    for name, series in named:
        times = [at - began_at for at, _ in series.points]
        axes.plot(times, [value for _, value in series.points], label=name or None, linewidth=1)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}{UNITS.get(panel.unit, '')}")
    if any(name for name, _ in named):
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[:MOST_NAMES], labels[:MOST_NAMES], framealpha=0.7, loc="upper left")
