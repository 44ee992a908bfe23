"""The forecast of a run's final word error rate, with a band, from its learning curve.

The word error rate is extrapolated to the last epoch by a power law of the epoch, which is a
straight line in logarithms, fitted by least squares to the latest part of the curve. The band is a
split-conformal one: quantiles of the normalised errors of the same extrapolation over the varied
curves of bench/curves.py. `make bench ARGS=forecast` measures how often the band holds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from scriptix_operator.api.status import LearningPoint

__all__ = [
    "FROM_EPOCHS",
    "FinalRate",
    "Trend",
    "error_of",
    "final_rate",
    "is_rising",
    "trend_of",
]

FROM_EPOCHS = 5
"""Epochs of the curve below which there is no forecast."""
PART, LEAST = 3, 4
"""The power law is fitted to the latest third of the epochs, and to four at least: an earlier part
falls faster."""
BASE = 0.02
"""Error of a forecast from a curve without noise and without epochs to come, as a fraction."""
ERRORS = (-1.40, 0.08, 0.66)
"""The 10 %, 50 % and 90 % quantiles of the normalised errors, from bench/forecast.py."""
LEAST_RATE, HIGHEST_RATE = 0.05, 9999.0
"""Percent; bounds of what a logarithm and a short text can have."""
LEAST_RISE, RISE_OVER_NOISE = 0.03, 3.0
"""A curve rises if the fitted power law rises by so much, as a fraction of the rate, and by this
multiple of the noise: fewer than one in a hundred curves that fall are taken for rising ones."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The power law at the end of a curve, in natural logarithms."""

    level: float
    """Of the rate after the last epoch, without noise."""
    change: float
    """Of the rate from the last epoch to the end of the run; never positive."""
    rise: float
    """Of the rate over the fitted epochs; negative: the rate falls."""
    noise: float
    """Standard deviation of the rates around the power law."""

    @property
    def end(self) -> float:
        """Of the rate at the end of the run."""
        return self.level + self.change

    @property
    def scale(self) -> float:
        """The unit of the errors."""
        return -self.change + self.noise + BASE


@dataclass(frozen=True, slots=True)
class FinalRate:
    """The expected final word error rate, in percent."""

    likely: float
    low: float
    """One of ten runs like this ends below."""
    high: float
    """One of ten ends above."""


def final_rate(curve: Sequence[LearningPoint]) -> FinalRate | None:
    """The forecast from a learning curve; None: the curve does not say enough."""
    trend = _trend(curve)
    if trend is None or curve[-1].of < curve[-1].epoch:
        return None
    low, likely, high = (
        min(math.exp(trend.end + error * trend.scale), HIGHEST_RATE) for error in ERRORS
    )
    return FinalRate(likely, low, high)


def is_rising(curve: Sequence[LearningPoint]) -> bool:
    """Whether the word error rate rises over the latest epochs of the curve."""
    trend = _trend(curve)
    return trend is not None and trend.rise > max(LEAST_RISE, RISE_OVER_NOISE * trend.noise)


def _trend(curve: Sequence[LearningPoint]) -> Trend | None:
    """The trend of a curve; None: it has too few epochs, or is no curve of this operator."""
    if len(curve) < FROM_EPOCHS:
        return None
    epochs = [0, *(point.epoch for point in curve)]
    try:
        rates = [float(point.word_error_rate) for point in curve]
    except ValueError:  # a status edited by hand
        return None
    is_ascending = all(before < after for before, after in pairwise(epochs))
    if not is_ascending or not all(0 <= rate <= HIGHEST_RATE for rate in rates):
        return None
    return trend_of(epochs[1:], rates, max(curve[-1].of, epochs[-1]))


def trend_of(epochs: Sequence[int], rates: Sequence[float], planned: int) -> Trend:
    """Fit the power law.

    Args:
        epochs: Ascending numbers of at least four epochs.
        rates: The word error rate after each of them.
        planned: The number of epochs of the run.
    """
    count = max(math.ceil(len(epochs) / PART), LEAST)
    xs = [math.log(epoch) for epoch in epochs[-count:]]
    ys = [math.log(max(rate, LEAST_RATE)) for rate in rates[-count:]]
    x, y = fmean(xs), fmean(ys)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum(
        (a - x) ** 2 for a in xs
    )
    squares = sum((b - y - slope * (a - x)) ** 2 for a, b in zip(xs, ys, strict=True))
    return Trend(
        level=y + slope * (xs[-1] - x),
        change=min(slope, 0.0) * math.log(planned / epochs[-1]),
        rise=slope * (xs[-1] - xs[0]),
        noise=math.sqrt(squares / (count - 2)),
    )


def error_of(trend: Trend, final: float) -> float:
    """The error of an extrapolation in its own unit: what the quantiles in ERRORS are of."""
    return (math.log(max(final, LEAST_RATE)) - trend.end) / trend.scale
