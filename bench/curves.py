"""Learning curves: families that calibrate the forecast, and others that are held out.

Each family is a function from a generator of random numbers to the word error rates of a run, epoch
by epoch. Noise comes on top. Nothing of the operator is used.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence

from scriptix_simulator.training_log import EPOCHS, word_error_rate

__all__ = ["CALIBRATED", "HELD_OUT", "Family", "noisy", "simulated"]

Family = Callable[[random.Random], Sequence[float]]

NOISE = (0.0, 0.005, 0.01, 0.02, 0.04)
"""Standard deviations of an epoch's rate, as fractions of the rate."""
LEAST = 0.1
"""Percent."""
FINALS = (4.0, 6.0, 8.0, 10.0, 12.5, 15.0, 18.0, 22.0, 26.0, 30.0)
"""Final rates of the simulator's curves, in percent."""


def _run(rng: random.Random) -> tuple[range, float, float]:
    """The epochs of a run, the rate that its curve tends to, and how far above it begins."""
    epochs, final = rng.randint(8, 60), rng.uniform(4, 30)
    return range(1, epochs + 1), final, rng.uniform(0.5, 4) * final


def _power_law(rng: random.Random) -> Sequence[float]:
    epochs, final, above = _run(rng)
    exponent = rng.uniform(0.3, 1.5)
    return [final + above * epoch**-exponent for epoch in epochs]


def _exponential(rng: random.Random) -> Sequence[float]:
    epochs, final, above = _run(rng)
    decay = rng.uniform(1.5, 6) / len(epochs)
    return [final + above * math.exp(-decay * (epoch - 1)) for epoch in epochs]


def _final_plateau(rng: random.Random) -> Sequence[float]:
    """Falls, and then stays as it is."""
    epochs, final, above = _run(rng)
    begin = rng.uniform(0.3, 0.8) * len(epochs)
    decay = rng.uniform(1.5, 4) / begin
    return [final + above * math.exp(-decay * (min(epoch, begin) - 1)) for epoch in epochs]


def _plateau_between(rng: random.Random) -> Sequence[float]:
    """Falls, pauses, and falls again."""
    epochs, final, above = _run(rng)
    begin = rng.uniform(0.3, 0.6) * len(epochs)
    end = begin + rng.uniform(0.1, 0.3) * len(epochs)
    active = (min(epoch, begin) + max(epoch - end, 0.0) for epoch in epochs)
    return [final + above * math.exp(-3 * (each - 1) / len(epochs)) for each in active]


def _late_drop(rng: random.Random) -> Sequence[float]:
    """Drops at once in the second half, as after a change of the learning rate."""
    rates = rng.choice((_power_law, _exponential))(rng)
    begin, left = rng.uniform(0.5, 0.9) * len(rates), 1 - rng.uniform(0.05, 0.2)
    return [rate * (left if epoch >= begin else 1) for epoch, rate in enumerate(rates, 1)]


def _stretched(rng: random.Random) -> Sequence[float]:
    """A stretched exponential (Weibull)."""
    epochs, final, above = _run(rng)
    shape, time = rng.uniform(0.5, 1.3), rng.uniform(0.1, 0.4) * len(epochs)
    return [final + above * math.exp(-(((epoch - 1) / time) ** shape)) for epoch in epochs]


def _hill(rng: random.Random) -> Sequence[float]:
    """A hyperbola (Hill, or MMF)."""
    epochs, final, above = _run(rng)
    half, degree = rng.uniform(0.1, 0.5) * len(epochs), rng.uniform(0.8, 2.5)
    return [final + above / (1 + (epoch / half) ** degree) for epoch in epochs]


def _logarithmic(rng: random.Random) -> Sequence[float]:
    epochs, final, above = _run(rng)
    return [final + above * (1 - math.log(epoch) / math.log(len(epochs))) for epoch in epochs]


def _logistic(rng: random.Random) -> Sequence[float]:
    """Begins slowly, falls, and ends slowly."""
    epochs, final, above = _run(rng)
    middle, width = rng.uniform(0.1, 0.4) * len(epochs), rng.uniform(0.05, 0.15) * len(epochs)
    return [final + above / (1 + math.exp((epoch - middle) / width)) for epoch in epochs]


def _late_rise(rng: random.Random) -> Sequence[float]:
    """Falls, and rises again in the second half: overfitting."""
    rates = _exponential(rng)
    begin, rise = rng.uniform(0.5, 0.9) * len(rates), rng.uniform(0.1, 0.3) / len(rates)
    return [rate * (1 + max(epoch - begin, 0) * rise) for epoch, rate in enumerate(rates, 1)]


def _cosine(rng: random.Random) -> Sequence[float]:
    """Follows a cosine schedule of the learning rate."""
    epochs, final, above = _run(rng)
    bend = rng.uniform(1, 3)
    parts = (epoch / len(epochs) for epoch in epochs)
    return [final + above * ((1 + math.cos(math.pi * part)) / 2) ** bend for part in parts]


def _two_speeds(rng: random.Random) -> Sequence[float]:
    """A sum of two exponentials, one fast and one slow."""
    epochs, final, above = _run(rng)
    fast, slow, part = rng.uniform(0.3, 1), rng.uniform(0.02, 0.1), rng.uniform(0.3, 0.7)
    return [
        final + above * (part * math.exp(-fast * epoch) + (1 - part) * math.exp(-slow * epoch))
        for epoch in epochs
    ]


CALIBRATED: Mapping[str, Family] = {
    "power law": _power_law,
    "exponential": _exponential,
    "plateau at the end": _final_plateau,
    "plateau between": _plateau_between,
    "late drop": _late_drop,
}
HELD_OUT: Mapping[str, Family] = {
    "stretched exponential": _stretched,
    "hyperbola": _hill,
    "logarithmic": _logarithmic,
    "logistic": _logistic,
    "late rise": _late_rise,
    "cosine": _cosine,
    "two exponentials": _two_speeds,
}
"""Families that calibrate nothing; the last two were added when the forecast was complete."""


def noisy(rng: random.Random, family: Family) -> list[float]:
    """A curve of a family, with noise in each epoch, also in the last one."""
    noise = rng.choice(NOISE)
    return [max(rate * (1 + rng.gauss(0, noise)), LEAST) for rate in family(rng)]


def simulated() -> list[tuple[list[float], float]]:
    """The curves of the simulator, which have no noise, and their final rates."""
    return [
        ([word_error_rate(epoch, final) for epoch in range(1, EPOCHS + 1)], final)
        for final in FINALS
    ]
