"""Decides what to seal, what to keep and what to append when a log was fetched.

Lines are appended in the order of their time; one that arrived late, older than lines stored
before, keeps its own stamp behind them.

A new run starts a new tail; what the old one held is sealed as the last chunk of its run. Chunks of
earlier runs count towards the bound and, being oldest, fall off first.

Known limit. A chunk that one killed save sealed and the next one, killed too, dropped may stay
until the resource goes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from scriptix_operator.api.status import MAX_LOG_CONFIG_MAPS
from scriptix_operator.core.logbook import Book, Sealed
from scriptix_operator.core.logcollector import Collected
from scriptix_operator.core.loglines import START, Line, Position, total

__all__ = ["Plan", "plan"]

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


def plan(book: Book, new: Collected, *, run_id: str, max_bytes: int) -> Plan:
    """Decide how to store what is new.

    Args:
        book: What is stored, as `new` was collected with it.
        new: What a reply has of run `run_id`. With nothing of that, the tail is left to the run
            before.
        run_id: The present run.
        max_bytes: Most bytes of lines kept, of all runs.
    """
    seals: list[Sealed] = []
    if new.entries and book.run_id != run_id:
        if book.tail:
            seals.append(Sealed.of(book, book.before, book.tail))
        book = replace(book, run_id=run_id, since=new.since, before=START, tail=(), first=book.next)
    if new.cut is not None:
        # More is new than may be kept at all: the log goes on from there.
        seals.clear()
        book = replace(book, chunks=(), before=new.cut, tail=())
    earlier = len(seals)
    full, before, tail = _fill(book, chain(book.tail, new.lines), max_bytes)
    seals += full

    chunks = list(book.chunks)
    sizes = [len(seal.log) for seal in seals]
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


def _fill(
    book: Book, lines: Iterable[Line], max_bytes: int
) -> tuple[list[Sealed], Position, tuple[Line, ...]]:
    """Cut `lines` into full chunks and a rest.

    Returns:
        The chunks, what comes before the rest, and the rest.
    """
    limit = min(CHUNK_BYTES - INDEX_BYTES, max_bytes // CHUNKS_KEPT)
    chunks: list[Sealed] = []
    before, rest = book.before, list[Line]()
    size = sent = 0
    for line in lines:
        size += line.size
        sent += line.sent_size
        if (size > limit or sent > SENT_BYTES) and rest:
            chunks.append(Sealed.of(book, before, rest))
            before = chunks[-1].end
            rest, size, sent = [], line.size, line.sent_size
        rest.append(line)
    return chunks, before, tuple(rest)
