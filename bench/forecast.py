"""How often the 80 % band of the forecast has the final word error rate.

The forecast is made after five epochs, and after a quarter, half and three quarters of the epochs.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles

from bench.curves import CALIBRATED, HELD_OUT, Family, noisy, simulated
from bench.report import Bar, Report, Table, at_least, at_most, shown
from scriptix_operator.api.status import LearningPoint
from scriptix_operator.core.eta.forecast import (
    ERRORS,
    FROM_EPOCHS,
    error_of,
    final_rate,
    is_rising,
    trend_of,
)

__all__ = ["forecast"]

RUNS = 400
"""Curves of each family."""
QUARTERS = (0.25, 0.5, 0.75)
COVERED = (0.75, 0.90)
"""Bounds of the fraction of runs that end in the 80 % band."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """One forecast and what became of it."""

    is_held: bool
    is_below: bool
    """Whether the run ends below the band, and so might keep a gate that it is said to miss."""
    width: float
    """Width of the band over the final rate."""
    error: float
    """Error of the likely rate over the final rate."""
    is_rising: bool
    """Whether the rate is reported as rising."""


def forecast(seed: int) -> Report:
    """Compare forecasts with the ends of curves."""
    rng = random.Random(f"forecast {seed}")  # noqa: S311 - repeatable on purpose
    errors = quantiles(_errors(rng), n=10, method="inclusive")
    varied, held_out = _found(rng, CALIBRATED), _found(rng, HELD_OUT)
    simulator = [one for rates, final in simulated() for one in _forecasts(rates, final)]
    groups = {
        "all varied curves": _joined(varied),
        "all held-out curves": _joined(held_out),
        "all curves": [*_joined(varied), *_joined(held_out), *simulator],
    }
    found = {
        **{f"varied: {name}": each for name, each in varied.items()},
        **{f"held out: {name}": each for name, each in held_out.items()},
        "the simulator's": simulator,
        **groups,
    }
    return Report(
        "Forecast of the final word error rate",
        f"Held: runs that end in the band, of {RUNS} curves of each family with forecasts after "
        f"{FROM_EPOCHS} epochs and three quarters; 80 % are wanted. Below: runs that end below the "
        "band; 10 % are wanted. Width: of the band over the final rate, median. Error: of the "
        "forecast over the final rate, median. Rising: reported as rising. The "
        "quantiles of the errors of other varied curves are "
        f"{', '.join(shown(errors[at], '.2f') for at in (0, 4, 8))}; the forecast has "
        f"{', '.join(shown(error, '.2f') for error in ERRORS)}.",
        Table(
            ("curves", "held %", "below %", "width %", "error %", "rising %"),
            [(name, *_row(each)) for name, each in found.items()],
        ),
        tuple(bar for name, each in groups.items() for bar in _bars(name, each)),
    )


def _errors(rng: random.Random) -> list[float]:
    """The normalised errors of the extrapolation over the varied curves."""
    curves = [noisy(rng, family) for family in CALIBRATED.values() for _ in range(RUNS)]
    return [
        error_of(trend_of(range(1, seen + 1), rates[:seen], len(rates)), rates[-1])
        for rates in curves
        for seen in _points(len(rates))
    ]


def _found(rng: random.Random, families: Mapping[str, Family]) -> dict[str, list[Forecast]]:
    return {
        name: [
            one
            for _ in range(RUNS)
            for rates in (noisy(rng, family),)
            for one in _forecasts(rates, rates[-1])
        ]
        for name, family in families.items()
    }


def _joined(found: Mapping[str, Sequence[Forecast]]) -> list[Forecast]:
    return [one for each in found.values() for one in each]


def _points(epochs: int) -> list[int]:
    """After how many epochs the forecasts are made."""
    quarters = {int(epochs * part) for part in QUARTERS}
    return sorted(seen for seen in {FROM_EPOCHS, *quarters} if FROM_EPOCHS <= seen < epochs)


def _curve(rates: Sequence[float], planned: int) -> list[LearningPoint]:
    return [
        LearningPoint(epoch=epoch, of=planned, word_error_rate=f"{rate:.1f}")
        for epoch, rate in enumerate(rates, 1)
    ]


def _forecasts(rates: Sequence[float], final: float) -> Iterator[Forecast]:
    for seen in _points(len(rates)):
        curve = _curve(rates[:seen], len(rates))
        expected = final_rate(curve)
        if expected is None:
            raise ValueError(f"no forecast from {seen} epochs")
        yield Forecast(
            expected.low <= final <= expected.high,
            final < expected.low,
            (expected.high - expected.low) / final,
            abs(expected.likely - final) / final,
            is_rising(curve),
        )


def _row(found: Sequence[Forecast]) -> tuple[str, ...]:
    measures: tuple[tuple[Callable[[Sequence[float]], float], list[float]], ...] = (
        (fmean, [one.is_held for one in found]),
        (fmean, [one.is_below for one in found]),
        (median, [one.width for one in found]),
        (median, [one.error for one in found]),
        (fmean, [one.is_rising for one in found]),
    )
    return tuple(shown(100 * measure(values)) for measure, values in measures)


def _bars(name: str, found: Sequence[Forecast]) -> tuple[Bar, Bar]:
    held = fmean(one.is_held for one in found)
    least, most = COVERED
    return (
        at_least(f"band of the forecast holds: {name}", held, least),
        at_most(f"band of the forecast holds: {name}", held, most),
    )
