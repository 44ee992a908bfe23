"""The word error rate by epoch, read from lines like `Training epoch 1/20 - WER: 45.2%`."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from scriptix_operator.api.status import MAX_LEARNING_POINTS, LearningPoint
from scriptix_operator.core.logs.buffer import second_at
from scriptix_operator.core.model.remote import LogEntry

__all__ = ["LearningCurve"]

SEARCHED = 512
"""Characters of a message that are searched; bounds the work on hostile lines."""

MAX_EPOCHS = 4096
"""Beyond so many epochs, every second one is kept while the log is read; bounds the memory."""

# Two patterns, the second searched behind the first: no backtracking between them.
EPOCH = re.compile(
    r"\bepoch\s{0,4}[:#]?\s{0,4}([0-9]{1,6})\s{0,4}(?:/|of)\s{0,4}([0-9]{1,6})\b", re.IGNORECASE
)
WER = re.compile(
    r"\b(?:WER|word\s?error\s?rate)\b\s{0,4}[:=]?\s{0,4}([0-9]{1,4})(?:[.,]([0-9]{1,6}))?(?![0-9])",
    re.IGNORECASE,
)


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
        return tuple(
            LearningPoint(epoch=point.epoch, of=point.of, word_error_rate=point.rate, at=point.at)
            for point in _thin(own)
        )


class _Point(NamedTuple):
    epoch: int
    of: int
    rate: str
    at: datetime | None


def _point(entry: LogEntry) -> _Point | None:
    head = entry.message[:SEARCHED]
    epoch = EPOCH.search(head)
    if epoch is None:
        return None
    wer = WER.search(head, epoch.end())
    number, of = int(epoch[1]), int(epoch[2])
    if wer is None or not 1 <= number <= of:
        return None
    rate = wer[1] if wer[2] is None else f"{wer[1]}.{wer[2]}"
    return _Point(number, of, rate, entry.at)


def _thin(points: list[_Point]) -> list[_Point]:
    if len(points) <= MAX_LEARNING_POINTS:
        return points
    last = MAX_LEARNING_POINTS - 1
    return [points[i * (len(points) - 1) // last] for i in range(MAX_LEARNING_POINTS)]
