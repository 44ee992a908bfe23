"""Learning curves, drawn in the terminal and as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from kubectl_scriptix.runs import number
from scriptix_operator.api.status import LearningPoint

__all__ = ["Curve", "curve_of", "draw_svg", "draw_text"]

MARKS = "*o+x#@%&"
"""One mark for each curve, so that the picture needs no colours."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#000000")
"""Okabe and Ito's palette, which people with colour blindness can tell apart."""
WIDTH, HEIGHT = 640, 360
"""Pixels of the SVG."""
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 40
"""Margins of the SVG in pixels."""
ROW = 18
"""Pixels between two lines of the SVG's legend."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The word error rates of a run.

    Attributes:
        label: Names the run.
        points: Epoch and WER in percent.
    """

    label: str
    points: tuple[tuple[int, float], ...]


def curve_of(label: str, points: Sequence[LearningPoint]) -> Curve:
    """The curve of a run; points whose WER is not a number are left out."""
    known = ((point.epoch, number(point.word_error_rate)) for point in points)
    return Curve(label, tuple((epoch, float(rate)) for epoch, rate in known if rate is not None))


@dataclass(frozen=True, slots=True)
class _Scale:
    """The ranges of both axes."""

    first: int
    last: int
    low: float
    high: float

    def x(self, epoch: int) -> float:
        """0 to 1, from left to right."""
        return (epoch - self.first) / (self.last - self.first)

    def y(self, rate: float) -> float:
        """0 to 1, from bottom to top."""
        return (rate - self.low) / (self.high - self.low)


def _scale(curves: Sequence[Curve]) -> _Scale:
    epochs = [epoch for curve in curves for epoch, _ in curve.points]
    rates = [rate for curve in curves for _, rate in curve.points]
    first, low = min(epochs), min(rates)
    return _Scale(first, max(*epochs, first + 1), low, max(*rates, low + 1))


def draw_text(curves: Sequence[Curve], *, width: int = 72, height: int = 16) -> str:
    """The curves in ASCII, with the WER at the left and the epochs below.

    Args:
        curves: At least one, each with at least one point.
        width: Characters of a line.
        height: Lines of the picture, without axis and legend.
    """
    scale, margin = _scale(curves), 7
    columns = width - margin - 1
    grid = [[" "] * columns for _ in range(height)]
    for curve, mark in zip(curves, _marks(curves), strict=True):
        for epoch, rate in curve.points:
            column = round(scale.x(epoch) * (columns - 1))
            row = round((1 - scale.y(rate)) * (height - 1))
            grid[row][column] = mark
    lines = []
    for row, cells in enumerate(grid):
        rate = scale.high - (scale.high - scale.low) * row / (height - 1)
        label = f"{rate:6.1f}" if row in {0, height // 2, height - 1} else " " * 6
        lines.append(f"{label} |{''.join(cells)}".rstrip())
    lines.append(f"{'':6} +{'-' * columns}")
    ends = f"{scale.first:<{columns // 2}}{scale.last:>{columns - columns // 2}}"
    lines.append(f"{'WER %':>6}  {ends}")
    lines.append(f"{'epoch':>{margin + 1 + columns // 2}}")
    lines += [f"  {mark} {one.label}" for one, mark in zip(curves, _marks(curves), strict=True)]
    return "\n".join(lines) + "\n"


def _marks(curves: Sequence[Curve]) -> list[str]:
    return [MARKS[number % len(MARKS)] for number in range(len(curves))]


def draw_svg(curves: Sequence[Curve]) -> str:
    """The curves as an SVG document that refers to nothing outside."""
    scale = _scale(curves)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    body = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = TOP + height * (1 - share)
        rate = scale.low + (scale.high - scale.low) * share
        body.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="g"/>')
        body.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="r">{rate:.1f}</text>')
    for share in (0.0, 0.5, 1.0):
        epoch = round(scale.first + (scale.last - scale.first) * share)
        x = LEFT + width * scale.x(epoch)
        body.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" class="m">{epoch}</text>')
    for index, curve in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)]
        places = [
            (LEFT + width * scale.x(epoch), TOP + height * (1 - scale.y(rate)))
            for epoch, rate in curve.points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        y = TOP + 14 + ROW * index
        body.append(f'<rect x="{WIDTH - 216}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        body.append(f'<text x="{WIDTH - 200}" y="{y}">{escape(curve.label)}</text>')
    label = "Word error rate in percent by epoch"
    body.append(f'<text x="{LEFT + width / 2}" y="{HEIGHT - 6}" class="m">{label}</text>')
    style = (
        "text{font:12px sans-serif;fill:#333}.r{text-anchor:end}.m{text-anchor:middle}"
        ".g{stroke:#ddd}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}"><style>{style}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(body)}</svg>\n'
    )
