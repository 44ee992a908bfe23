"""The word error rate by epoch, read from lines like `Training epoch 1/20 - WER: 45.2%`.

docs/logs.md lists the other wordings that are read.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from scriptix_operator.api.status import MAX_LEARNING_POINTS, LearningPoint
from scriptix_operator.core.logs.buffer import second_at
from scriptix_operator.core.model.remote import LogEntry

__all__ = ["LearningCurve"]

SEARCHED = 512
"""Characters of a message that are searched; bounds the work on hostile lines."""

MAX_EPOCHS = 4096
"""Beyond so many epochs, every second one is kept while the log is read; bounds the memory."""

MAX_DIGITS = 6
"""Digits behind the decimal point that are kept."""

HIGHEST_FRACTION = 2.0
"""A curve without a percent sign, whose rates are all below this, is in fractions: 0.283 is 28.3%.
A run whose word error rate begins below 2% would not have to be trained."""

# Bounded repetitions, and patterns that are searched one behind the other: no backtracking between
# them.
_NUMBER = r"([0-9]{1,6})(?:\.0{1,6})?(?![0-9.]{0,1}[0-9])"
EPOCH = re.compile(
    rf"\bepoch[es]?['\"]?\s{{0,4}}[:=#]?\s{{0,4}}['\"\[(]?\s{{0,4}}{_NUMBER}"
    rf"(?:\s{{0,4}}(?:/|\(?of|out of)\s{{0,4}}{_NUMBER})?",
    re.IGNORECASE,
)
"""`epoch 3/20`, `Epoch: [3/20]`, `epoch=3 of 20`, `Epoch 3 (of 20)`, `'epoch': 3.0`, `epoch 3`."""
RATE = re.compile(
    r"(?:\b(best|lowest|previous|last|target|baseline|train|training)[\s_-]{1,4})?"
    r"(?<![a-z0-9])(?:WER|word[\s_-]?error[\s_-]?rate)(?![a-z0-9])['\"]?"
    r"(?:\s?\([a-z ]{1,16}\))?\s{0,4}(?:is\b|was\b)?\s{0,4}[:=]?\s{0,4}"
    r"([0-9]{1,4})(?:[.,]([0-9]{1,20}))?(?![0-9]|[.,][0-9])\s?(%?)",
    re.IGNORECASE,
)
"""`WER: 28.3%`, `wer=28,3`, `val_wer: 0.283`, `Word Error Rate (WER) is 28.3 %`. A rate of another
epoch, or on the training data, has a word in front that says so."""
BEHIND = re.compile(r"[\s(\[,;@'\"-]{0,4}(?:in|at|after|for)?[\s(\[]{0,4}$", re.IGNORECASE)
"""What stands between a rate and its epoch where the rate comes first: `28.3% (epoch 5/20)`."""


class LearningCurve:
    """The word error rates in the entries of a log, found one entry at a time."""

    def __init__(self) -> None:
        self._points: dict[int, tuple[int, _Point]] = {}

    def __len__(self) -> int:
        """The number of epochs kept."""
        return len(self._points)

    def add(self, at: int, entry: LogEntry) -> None:
        """Take an entry; of several entries of one epoch the latest counts.

        Args:
            at: Time of the entry, in microseconds since 1970, or LEADING.
            entry: The entry.
        """
        point = _point(entry)
        if point is None:
            return
        known = self._points.get(point.epoch)
        if known is not None and known[0] > at:
            return
        self._points[point.epoch] = at, point
        if len(self._points) > MAX_EPOCHS:
            epochs = sorted(self._points)
            self._points = {n: self._points[n] for n in (*epochs[::2], epochs[-1])}

    def points(self, is_own: Callable[[int], bool]) -> tuple[LearningPoint, ...]:
        """The curve.

        Args:
            is_own: Whether entries of a second belong to the run.

        Returns:
            At most 40 points by ascending epoch, evenly thinned, the first and the last kept.
        """
        own = [point for at, point in self._points.values() if is_own(second_at(at))]
        own.sort(key=lambda point: point.epoch)
        planned = max((point.of for point in own), default=0)
        is_fraction = all(not p.is_percent and float(p.rate) < HIGHEST_FRACTION for p in own)
        return tuple(
            LearningPoint(
                epoch=point.epoch,
                of=point.of or (planned if planned >= point.epoch else 0),
                word_error_rate=_percent(point.rate) if is_fraction else point.rate,
                at=point.at,
            )
            for point in _thin(own)
        )


class _Point(NamedTuple):
    epoch: int
    of: int
    """The number of epochs planned; 0: the line does not say."""
    rate: str
    is_percent: bool
    """Whether the rate has a percent sign."""
    at: datetime | None


def _point(entry: LogEntry) -> _Point | None:
    head = entry.message[:SEARCHED]
    epoch = EPOCH.search(head)
    if epoch is None:
        return None
    rate = _rate(head, epoch.start(), epoch.end())
    number, of = int(epoch[1]), int(epoch[2] or 0)
    if rate is None or not 1 <= number <= (of or number):
        return None
    digits = (rate[3] or "")[:MAX_DIGITS]
    text = f"{rate[2]}.{digits}" if digits else rate[2]
    return _Point(number, of, text, bool(rate[4]), entry.at)


def _rate(head: str, begin: int, end: int) -> re.Match[str] | None:
    """The rate behind the epoch, or just in front of it; `begin` and `end` are the epoch's."""
    behind = (found for found in RATE.finditer(head, end) if found[1] is None)
    if (found := next(behind, None)) is not None:
        return found
    in_front = (found for found in RATE.finditer(head[:begin]) if found[1] is None)
    return next((found for found in in_front if BEHIND.match(head[found.end() : begin])), None)


def _percent(fraction: str) -> str:
    """A fraction in percent, digit by digit: a float would change some."""
    return format(Decimal(fraction).scaleb(2), "f")


def _thin(points: list[_Point]) -> list[_Point]:
    if len(points) <= MAX_LEARNING_POINTS:
        return points
    last = MAX_LEARNING_POINTS - 1
    return [points[i * (len(points) - 1) // last] for i in range(MAX_LEARNING_POINTS)]
