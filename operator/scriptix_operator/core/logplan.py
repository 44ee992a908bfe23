"""Decides what to seal, what to keep and what to append when a log is fetched.

The remote log is given whole each time and may repeat lines, so what is new is a difference of
multisets. What the tail follows is written down with it (`before`); a fetched log that has no more
entries up to there than are known can only add after it, and the sealed lines need not be read.

A new run starts a new tail; what the old one held is sealed as the last chunk of its run. Chunks of
earlier runs count towards the bound and, being oldest, fall off first.

Known limits. A late entry older than lines that were dropped is not kept, and one for the very
second up to which lines were dropped may be mistaken for one of them. If the remote log loses
entries while another arrives late for a part that is sealed, that one may be missed. A chunk that
one killed save sealed and the next one, killed too, dropped may stay until the resource goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scriptix_operator.api.status import MAX_LOG_CONFIG_MAPS
from scriptix_operator.core.logbook import Book, Sealed, without
from scriptix_operator.core.loglines import START, Line, Position, RunLog, total

__all__ = ["Plan", "needs_sealed", "plan"]

CHUNK_BYTES = 512 * 1024
"""Most bytes of data in a sealed object: half of what a ConfigMap may hold."""
INDEX_BYTES = 512
"""Kept free in a sealed object for its index."""
SENT_BYTES = 1024 * 1024 - 64 * 1024
"""Most bytes of log in a request: above 1 MiB aiohttp warns that it blocks the event loop."""
CHUNKS_KEPT = 4
"""A chunk is at most this part of the bound, so that dropping one keeps most of the log."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order: create, write the tail, delete.

    So a chunk is there as long as the index knows it; for a moment more than the bound is stored.
    """

    seal: tuple[Sealed, ...]
    book: Book
    """What is stored afterwards, less the chunks in `seal`. Others are to be deleted."""


def needs_sealed(book: Book, log: RunLog, run_id: str) -> bool:
    """Whether what is new can be told only with the run's sealed lines.

    So it is when entries arrived late, or in the very second in which the last chunk ended.
    """
    if book.run_id != run_id or not book.before.lines:
        return False
    at = book.before.at
    known = book.before.lines + sum(line.at <= at for line in book.tail)
    return log.through(at) > known


def plan(
    book: Book,
    log: RunLog,
    *,
    run_id: str,
    max_bytes: int,
    sealed: Sequence[Sealed] | None = None,
) -> Plan:
    """Decide how to store what `log` has beyond `book`.

    Args:
        book: What is stored.
        log: All that the API gives of run `run_id`.
        run_id: The present run. An empty log leaves the tail to the run before.
        max_bytes: Most bytes of lines kept, of all runs.
        sealed: Where `needs_sealed`: those of `book.chunks_of_run` that are there, oldest first.
            Others, which a person deleted, leave the book.
    """
    if sealed is not None:
        there = {chunk.number for chunk in sealed}
        kept = (c for c in book.chunks if c.number < book.first or c.number in there)
        book = replace(book, chunks=tuple(kept))
    seals: list[Sealed] = []
    if log.entries and book.run_id != run_id:
        if book.tail:
            seals.append(Sealed(0, book.run_id, book.before, book.tail))
        book = replace(book, run_id=run_id, before=START, tail=(), first=book.next)

    cut, new = _unknown(book, log, max_bytes, sealed)
    if cut is not None:
        # More is new than may be kept at all: the log goes on from there.
        seals.clear()
        book = replace(book, chunks=(), before=cut, tail=())
    # Stable, so late lines find their place in the tail and all others stay where they are.
    lines = sorted((*book.tail, *new), key=lambda line: line.at)
    earlier = len(seals)
    full, before, tail = _fill(book, lines, max_bytes)
    seals += full

    chunks = list(book.chunks)
    sizes = [total(seal.lines) for seal in seals]
    size = sum(chunk.size for chunk in chunks) + sum(sizes) + total(tail)
    while size > max_bytes or len(chunks) + len(seals) >= MAX_LOG_CONFIG_MAPS:
        if chunks:
            size -= chunks.pop(0).size
        else:  # never without one: a tail is a quarter of the bound
            seals.pop(0)
            size -= sizes.pop(0)
            earlier = max(0, earlier - 1)
    numbered = tuple(replace(seal, number=book.next + i) for i, seal in enumerate(seals))
    first = book.first + earlier  # `earlier` is set only where first is the next number
    book = replace(book, chunks=tuple(chunks), first=first, before=before, tail=tail)
    return Plan(numbered, book)


def _unknown(
    book: Book, log: RunLog, max_bytes: int, sealed: Sequence[Sealed] | None
) -> tuple[Position | None, list[Line]]:
    """The lines of `log` that are not stored, in order.

    Returns:
        None and the lines; or, if more is new than may be kept, the newest lines and what comes
        before them.
    """
    stored = [line for chunk in sealed or () for line in chunk.lines]
    floor = sealed[0].before if sealed else book.before
    if not floor.lines:
        start = 0
        stored += book.tail
    elif sealed is not None:
        start = log.below(floor.at) + floor.same
        stored += book.tail
    else:
        start = log.through(floor.at)
        stored += [line for line in book.tail if line.at > floor.at]
    index, lines = log.newest(start, total(stored) + max_bytes)
    if index > start:
        return log.position(index), lines
    return None, list(without(lines, stored))


def _fill(
    book: Book, lines: Sequence[Line], max_bytes: int
) -> tuple[list[Sealed], Position, tuple[Line, ...]]:
    """Cut `lines` into full chunks and a rest.

    Returns:
        The chunks, what comes before the rest, and the rest.
    """
    limit = min(CHUNK_BYTES - INDEX_BYTES, max_bytes // CHUNKS_KEPT)
    chunks = []
    before = book.before
    begin = size = sent = 0
    for i, line in enumerate(lines):
        size += line.size
        sent += line.sent_size
        if (size > limit or sent > SENT_BYTES) and i > begin:
            chunk = Sealed(0, book.run_id, before, tuple(lines[begin:i]))
            chunks.append(chunk)
            before = before.after(chunk.lines)
            begin, size, sent = i, line.size, line.sent_size
    return chunks, before, tuple(lines[begin:])
