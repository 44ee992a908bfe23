"""The bounds that the operator's figures have to meet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from bench.real.figures import Figures
from bench.real.results import Results
from bench.real.subject import OPERATOR
from bench.report import Bar, at_most, shown

__all__ = ["bars"]

NAN = float("nan")
QUOTA_SECONDS = 60.0
"""Seconds in which the documented quota allows one poll of each of 100 resources with one key."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """A bar of one row; `read` takes the median of its runs."""

    row: str
    what: str
    read: Callable[[Figures], float | None]
    bound: float
    form: str = ".2f"


BOUNDS = (
    _Bound("1000 idle", "CPU ms for each poll without news", lambda f: f.cpu_per_poll, 2.0),
    _Bound("status-limited", "reconciles per poll", lambda f: f.reconciles_per_poll, 1.2),
    _Bound("plain", "peak memory in MB", lambda f: f.memory_peak, 110, ".0f"),
    _Bound("1000 idle", "peak memory in MB", lambda f: f.memory_peak, 130, ".0f"),
    _Bound("1000 restart", "peak memory in MB", lambda f: f.memory_peak, 130, ".0f"),
    _Bound("10000 idle", "peak memory in MB", lambda f: f.memory_peak, 300, ".0f"),
    _Bound("10000 restart", "peak memory in MB", lambda f: f.memory_peak, 300, ".0f"),
    _Bound(
        "10000 adoption",
        "all polled once ÷ 60 s",
        lambda f: None if f.all_polled is None else f.all_polled / QUOTA_SECONDS,
        1.5,
    ),
    _Bound("10000 restart", "all scheduled, in seconds", lambda f: f.all_scheduled, 15, ".1f"),
    _Bound("away-75s", "last end shown, in seconds", lambda f: f.last_shown, 10, ".1f"),
    _Bound("flaky", "all started, in seconds", lambda f: f.all_started, 30, ".1f"),
    _Bound("flaky", "delay p50 in seconds", lambda f: f.delay_p50, 2.5),
    _Bound("flaky", "delay max in seconds", lambda f: f.delay_max, 15, ".1f"),
)


def bars(results: Results) -> list[Bar]:
    """Return the bars of the rows that have run."""
    return [*_ratio(results), *_bounds(results), *_promises(results)]


def _ratio(results: Results) -> Iterator[Bar]:
    pairs = results.pairs("plain")
    if pairs:
        ratio = median(ours.cpu / theirs.cpu if theirs.cpu else NAN for ours, theirs in pairs)
        yield at_most("plain: CPU ÷ baseline's", ratio, 1.0)


def _bounds(results: Results) -> Iterator[Bar]:
    for bound in BOUNDS:
        figures = results.median(bound.row)
        if figures is not None:
            measured = bound.read(figures)
            figure = NAN if measured is None else measured
            yield at_most(f"{bound.row}: {bound.what}", figure, bound.bound, bound.form)


def _promises(results: Results) -> Iterator[Bar]:
    """Bars that each run of each row has to meet; shown is the worst one."""
    ours = [figures for _, side, figures in results.medians() if side == OPERATOR]
    ratios = [figures.runs_per_request for figures in ours if figures.runs_per_request is not None]
    if ratios:
        worst = max(ratios, key=lambda ratio: abs(ratio - 1))
        yield Bar("all rows: runs per request", "1.000", shown(worst, ".3f"), worst == 1.0)
    if ours:
        refusals = max(figures.refusals for figures in ours)
        yield at_most("all rows: refusals (429) in a row", refusals, 1, ".0f")
