"""The word error rate by epoch, read from lines like `Training epoch 1/20 - WER: 45.2%`."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from scriptix_operator.api.status import MAX_LEARNING_POINTS, LearningPoint
from scriptix_operator.core.loglines import RunLog
from scriptix_operator.core.remote import LogEntry

__all__ = ["learning_curve"]

SEARCHED = 512
"""Characters of a message that are searched; bounds the work on hostile lines."""

# Two patterns, the second searched behind the first: no backtracking between them.
EPOCH = re.compile(
    r"\bepoch\s{0,4}[:#]?\s{0,4}([0-9]{1,6})\s{0,4}(?:/|of)\s{0,4}([0-9]{1,6})\b", re.IGNORECASE
)
WER = re.compile(
    r"\b(?:WER|word\s?error\s?rate)\b\s{0,4}[:=]?\s{0,4}([0-9]{1,4})(?:[.,]([0-9]{1,6}))?(?![0-9])",
    re.IGNORECASE,
)


def learning_curve(
    entries: Iterable[LogEntry], run_started_at: datetime | None = None
) -> tuple[LearningPoint, ...]:
    """Find the learning curve in a log.

    Args:
        entries: The log as the API gave it.
        run_started_at: Entries before it belong to an earlier run.

    Returns:
        At most 40 points by ascending epoch, evenly thinned, the first and the last kept. Of an
        epoch that is told more than once the latest counts.
    """
    points: dict[int, _Point] = {}
    for entry in RunLog.of(entries, run_started_at).entries:
        point = _point(entry)
        if point is not None:
            points[point.epoch] = point
    kept = _thin([points[epoch] for epoch in sorted(points)])
    return tuple(
        LearningPoint(epoch=point.epoch, of=point.of, word_error_rate=point.rate, at=point.at)
        for point in kept
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
