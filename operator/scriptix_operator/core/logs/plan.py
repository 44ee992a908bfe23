"""Decides which lines to seal, to keep and to append after a log was fetched.

Lines are appended in the order of their time; a line that arrives late, older than lines stored
before, is appended behind them with its own timestamp.

A new run starts a new active segment; the old active segment is sealed as the last segment of its
run. Segments of earlier runs count towards the bound and, being oldest, are dropped first.

Known limit. A segment that one killed save has sealed and the next killed save has dropped may stay
until the resource is deleted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from scriptix_operator.api.status import MAX_LOG_CONFIG_MAPS
from scriptix_operator.core.logs.collector import Collected
from scriptix_operator.core.logs.lines import START, Line, Position, total
from scriptix_operator.core.logs.segments import LogIndex, SealedSegment

__all__ = ["Plan", "plan"]

SEGMENT_BYTES = 512 * 1024
"""Most bytes of data in a sealed object: half of what a ConfigMap may hold."""
INDEX_BYTES = 512
"""Bytes kept free in a sealed object for its index."""
SENT_BYTES = 1024 * 1024 - 64 * 1024
"""Most bytes of log in a request: above 1 MiB aiohttp warns that it blocks the event loop."""
SEGMENTS_KEPT = 4
"""The bound is at least so many segments, so that dropping one keeps most of the log."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes of a save, in this order: create segments, write the active one, delete segments.

    So a segment exists as long as the index names it; for a moment more than the bound is stored.
    """

    seal: tuple[SealedSegment, ...]
    log_index: LogIndex
    """The index afterwards, without the segments in `seal`. Other segments are to be deleted."""


def plan(log_index: LogIndex, new: Collected, *, run_id: str, max_bytes: int) -> Plan:
    """Decide how to store the new lines.

    Args:
        log_index: The stored log that `new` was collected with.
        new: The entries of run `run_id` in a reply. Without any, the active segment stays with the
            previous run.
        run_id: The present run.
        max_bytes: Most bytes of lines kept, of all runs.
    """
    seals: list[SealedSegment] = []
    if new.entries and log_index.run_id != run_id:
        if log_index.active:
            seals.append(SealedSegment.of(log_index, log_index.before, log_index.active))
        log_index = replace(
            log_index, run_id=run_id, since=new.since, before=START, active=(), first=log_index.next
        )
    if new.cut is not None:
        # More is new than may be kept at all: the stored log restarts at the cut.
        seals.clear()
        log_index = replace(log_index, segments=(), before=new.cut, active=())
    earlier = len(seals)
    full, before, active = _fill(log_index, chain(log_index.active, new.lines), max_bytes)
    seals += full

    segments = list(log_index.segments)
    sizes = [len(seal.log) for seal in seals]
    size = sum(segment.size for segment in segments) + sum(sizes) + total(active)
    while size > max_bytes or len(segments) + len(seals) >= MAX_LOG_CONFIG_MAPS:
        if segments:
            size -= segments.pop(0).size
        else:  # there is one: an active segment is at most a quarter of the bound
            seals.pop(0)
            size -= sizes.pop(0)
            earlier = max(0, earlier - 1)
    numbered = tuple(replace(seal, number=log_index.next + i) for i, seal in enumerate(seals))
    first = log_index.first + earlier  # `earlier` is set only where first is the next number
    log_index = replace(
        log_index, segments=tuple(segments), first=first, before=before, active=active
    )
    return Plan(numbered, log_index)


def _fill(
    log_index: LogIndex, lines: Iterable[Line], max_bytes: int
) -> tuple[list[SealedSegment], Position, tuple[Line, ...]]:
    """Cut `lines` into full segments and a rest.

    Returns:
        The segments, the position of the rest, and the rest.
    """
    limit = min(SEGMENT_BYTES - INDEX_BYTES, max_bytes // SEGMENTS_KEPT)
    segments: list[SealedSegment] = []
    before, rest = log_index.before, list[Line]()
    size = sent = 0
    for line in lines:
        size += line.size
        sent += line.sent_size
        if (size > limit or sent > SENT_BYTES) and rest:
            segments.append(SealedSegment.of(log_index, before, rest))
            before = segments[-1].end
            rest, size, sent = [], line.size, line.sent_size
        rest.append(line)
    return segments, before, tuple(rest)
