"""Stores a run's log in ConfigMaps: reads what is there, asks core.logplan, writes the difference.

Calls for a save: one read; if lines are new one write; for each sealed chunk one more, and two for
each dropped one. Sealed chunks are read only when `needs_sealed` says so, after a crash, or if
somebody deleted the tail.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from scriptix_operator.api.status import LogStatus
from scriptix_operator.core.logbook import (
    EMPTY,
    Book,
    Sealed,
    chunk_name,
    chunk_number,
    tail_name,
)
from scriptix_operator.core.loglines import RunLog
from scriptix_operator.core.logplan import Plan, needs_sealed, plan
from scriptix_operator.core.owner import Owner
from scriptix_operator.core.remote import LogEntry
from scriptix_operator.kube.configmaps import ConfigMaps, StoredConfigMap
from scriptix_operator.kube.errors import ConflictError

__all__ = ["LogStore"]

ATTEMPTS = 5
"""Tries where others write too; only a deposed leader or a person does."""


class LogStore:
    """Saves logs; holds nothing between saves.

    Args:
        config_maps: Where they go.
    """

    def __init__(self, config_maps: ConfigMaps) -> None:
        self._config_maps = config_maps

    async def save(  # noqa: PLR0913 - the contract with the engine
        self,
        owner: Owner,
        run_id: str,
        entries: Sequence[LogEntry],
        *,
        max_bytes: int,
        previous: LogStatus | None,
        run_started_at: datetime | None,
    ) -> LogStatus:
        """Store what is new in `entries`; can be repeated after any failure.

        Args:
            owner: The resource.
            run_id: The present run.
            entries: The whole log as the API gave it, of earlier runs too.
            max_bytes: spec.log.maxBytes: UTF-8 bytes of lines kept, of all runs.
            previous: status.log, if there is one.
            run_started_at: When the run began; None: not known, all entries are taken for its own.

        Returns:
            status.log, with lastFetchedAt and state as in `previous`.

        Raises:
            NameTaken: A name belongs to somebody else.
            KubeError: ConflictError if others keep writing the tail, and what else may happen.
        """
        # Up to 64 MiB are looked through: not on the event loop's time.
        log = await asyncio.to_thread(RunLog.of, entries, run_started_at)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                book = await self._save(owner, log, run_id, max_bytes, previous)
            except ConflictError:
                if attempt == ATTEMPTS:
                    raise
            else:
                return _status(owner, book, previous or LogStatus())
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _save(
        self,
        owner: Owner,
        log: RunLog,
        run_id: str,
        max_bytes: int,
        previous: LogStatus | None,
    ) -> Book:
        tail, book = await self._load(owner, previous)
        # What a killed save did not come to delete is no longer in the tail, but still in status.
        known = _numbers(owner, previous)
        while True:
            known.update(chunk.number for chunk in book.chunks)
            sealed: list[Sealed] | None = None
            if needs_sealed(book, log, run_id):
                numbers = (chunk.number for chunk in book.chunks_of_run)
                sealed = await self._read_chunks(owner, numbers)
            planned = await asyncio.to_thread(
                plan, book, log, run_id=run_id, max_bytes=max_bytes, sealed=sealed
            )
            stored = await self._seal(owner, planned)
            if stored is not None:
                break
            book = await self._adopt_next(owner, book)
        await self._write_tail(owner, tail, stored)
        for number in sorted(known - {chunk.number for chunk in stored.chunks}):
            await self._config_maps.delete(owner, chunk_name(owner.name, number))
        return stored

    async def _load(
        self, owner: Owner, previous: LogStatus | None
    ) -> tuple[StoredConfigMap | None, Book]:
        """Read the tail; without a readable one, what status tells of the chunks."""
        tail = await self._config_maps.get(owner, tail_name(owner.name))
        book = Book.read(tail.data) if tail else None
        if previous is None:
            return tail, book or EMPTY
        if book is None:
            book = EMPTY
            chunks = await self._read_chunks(owner, sorted(_numbers(owner, previous)))
            for chunk in chunks:
                book = book.adopt(chunk)
            # All of them: if one in between is gone, a person deleted it.
            book = replace(book, chunks=tuple(chunk.as_chunk() for chunk in chunks))
        return tail, replace(book, next=max(book.next, previous.next_chunk))

    async def _read_chunk(self, owner: Owner, number: int) -> Sealed | None:
        stored = await self._config_maps.get(owner, chunk_name(owner.name, number))
        return None if stored is None else Sealed.read(number, stored.data)

    async def _read_chunks(self, owner: Owner, numbers: Iterable[int]) -> list[Sealed]:
        """Read those that are still there."""
        read = [await self._read_chunk(owner, number) for number in numbers]
        return [sealed for sealed in read if sealed is not None]

    async def _seal(self, owner: Owner, planned: Plan) -> Book | None:
        """Create the full chunks.

        Returns:
            What is stored then, once the tail is written; None if a chunk is there already.
        """
        book = planned.book
        for sealed in planned.seal:
            try:
                await self._config_maps.create(
                    owner,
                    chunk_name(owner.name, sealed.number),
                    sealed.data(),
                    run_id=sealed.run_id,
                    immutable=True,
                )
            except ConflictError:
                return None
            book = book.with_chunk(sealed)
        return book

    async def _adopt_next(self, owner: Owner, book: Book) -> Book:
        """Take over the chunks that a save sealed before it was killed.

        Raises:
            ConflictError: They are gone again.
        """
        found = book
        while chunk := await self._read_chunk(owner, found.next):
            found = found.adopt(chunk)
        if found is book:
            raise ConflictError("a log chunk was there and is gone")
        return found

    async def _write_tail(self, owner: Owner, tail: StoredConfigMap | None, book: Book) -> None:
        if tail is not None:
            await self._config_maps.replace(owner, tail, book.data(), run_id=book.run_id)
        elif book.entries:
            await self._config_maps.create(
                owner, tail_name(owner.name), book.data(), run_id=book.run_id
            )


def _numbers(owner: Owner, status: LogStatus | None) -> set[int]:
    """The chunks that `status` names."""
    names = status.config_maps if status else ()
    numbers = (chunk_number(owner.name, name) for name in names)
    return {number for number in numbers if number is not None}


def _status(owner: Owner, book: Book, previous: LogStatus) -> LogStatus:
    names = tuple(chunk_name(owner.name, chunk.number) for chunk in book.chunks)
    if book.entries:
        names = (*names, tail_name(owner.name))
    return previous.model_copy(
        update={
            "config_maps": names,
            "entries": book.entries,
            "bytes": book.size,
            "truncated": book.truncated,
            "next_chunk": book.next,
        }
    )
