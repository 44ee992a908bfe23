"""The log lines of a run: preprocessing, 20 epochs with falling WER, and the end.

A complete run writes 156 lines, the document's `total_entries`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from .timeline import HOURS

__all__ = ["EPOCHS", "Line", "epoch_share", "lines", "word_error_rate"]

EPOCHS = 20

_STEPS = 6
"""Step lines in front of each epoch's own line."""

_PREPROCESSING = 9
_EVALUATION = 5

_EPOCH_HOURS = ((0, 0.25), (1, 0.5), (5, 2.0), (10, 4.0), (15, 6.0), (20, 7.5))
"""Epoch and hour at which its line is written: the document's timeline."""

_FIRST_ABOVE_FINAL = 32.7
"""Percentage points by which epoch 1 exceeds the final WER: 45.2 above 12.5."""

_DECAY = 0.834
"""Factor of that distance for each epoch; epoch 5 then has the documented 28.3."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its time (as a share of the run), its level and its text."""

    share: float
    level: str
    message: str


def epoch_share(epoch: float) -> float:
    """Return the share of the run (0 to 1) at which `epoch` (0 to 20) is complete."""
    (epoch0, hour0), (epoch1, hour1) = next(
        span for span in pairwise(_EPOCH_HOURS) if epoch <= span[1][0]
    )
    return (hour0 + (epoch - epoch0) / (epoch1 - epoch0) * (hour1 - hour0)) / HOURS


def word_error_rate(epoch: int, final: float) -> float:
    """Return the WER in percent after `epoch`, on the way down to `final`."""
    return round(final + _FIRST_ABOVE_FINAL * _DECAY ** (epoch - 1), 1)


def lines(final: float) -> Iterator[Line]:
    """Yield all lines but the closing one, in the order they are written.

    Args:
        final: The final WER of the run, in percent.
    """
    yield Line(0.0, "info", "Training started")
    yield Line(5 / 60 / HOURS, "info", "Preprocessing audio files...")
    for part in range(1, _PREPROCESSING + 1):
        share = (5 + part) / 60 / HOURS
        yield Line(share, "info", f"Preprocessed {part * 100 // _PREPROCESSING}% of audio files")
    for epoch in range(1, EPOCHS + 1):
        for step in range(1, _STEPS + 1):
            loss = 4.0 * 0.9 ** (epoch - 1 + step / _STEPS)
            yield Line(
                epoch_share(epoch - 1 + step / (_STEPS + 1)),
                "info",
                f"Epoch {epoch}/{EPOCHS} - step {step}/{_STEPS} - loss: {loss:.4f}",
            )
        rate = word_error_rate(epoch, final)
        yield Line(epoch_share(epoch), "info", f"Training epoch {epoch}/{EPOCHS} - WER: {rate}%")
    for part in range(1, _EVALUATION):
        share = (7.5 + 0.1 * part) / HOURS
        yield Line(share, "info", f"Final evaluation: test set {part}/{_EVALUATION - 1}")
