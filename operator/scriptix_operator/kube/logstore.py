"""Stores a run's log in ConfigMaps: reads where the log ends there, and appends.

Calls for a log: two reads, before the log is fetched; if lines are new one write; for each sealed
chunk one more, and two for each dropped one. Sealed chunks are read only after a crash, or if
somebody deleted the tail.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import LogStatus
from scriptix_operator.core.logbook import (
    EMPTY,
    Book,
    Sealed,
    chunk_name,
    chunk_number,
    tail_name,
)
from scriptix_operator.core.logcollector import Collected
from scriptix_operator.core.logplan import plan
from scriptix_operator.core.owner import Owner
from scriptix_operator.kube.configmaps import ConfigMaps, NameTaken, StoredConfigMap
from scriptix_operator.kube.errors import ConflictError

__all__ = ["LogStore", "OpenLog", "SavedLog"]

ATTEMPTS = 5
"""Tries where others write too; only a deposed leader or a person does."""


@dataclass(frozen=True, slots=True)
class OpenLog:
    """What is stored of a resource's logs, as it was read."""

    owner: Owner
    book: Book
    tail: StoredConfigMap | None
    numbers: frozenset[int]
    """The chunks that are there, or may be."""
    previous: LogStatus
    """status.log."""


@dataclass(frozen=True, slots=True)
class SavedLog:
    """What is stored after a save."""

    log: LogStatus
    """status.log, but for what the engine keeps in it."""
    lines: int
    """Lines of the run that are stored, or were."""


class LogStore:
    """Saves logs; holds nothing between calls.

    Args:
        config_maps: Where they go.
    """

    def __init__(self, config_maps: ConfigMaps) -> None:
        self._config_maps = config_maps

    async def open(self, owner: Owner, previous: LogStatus | None) -> OpenLog:
        """Read what is stored, with what a killed save has left.

        Args:
            owner: The resource.
            previous: status.log, if there is one.

        Raises:
            NameTaken: The name of the tail belongs to somebody else.
            KubeError: It cannot be read.
        """
        tail = await self._config_maps.get(owner, tail_name(owner.name))
        book = Book.read(tail.data) if tail else None
        # What a killed save did not come to delete is no longer in the tail, but still in status.
        numbers = _numbers(owner, previous)
        if book is None:
            book = await self._rebuilt(owner, sorted(numbers))
        if previous is not None:
            book = replace(book, next=max(book.next, previous.next_chunk))
        book = await self._with_unknown(owner, book)
        numbers.update(chunk.number for chunk in book.chunks)
        return OpenLog(owner, book, tail, frozenset(numbers), previous or LogStatus())

    async def save(
        self, opened: OpenLog, new: Collected, *, run_id: str, max_bytes: int
    ) -> SavedLog:
        """Store what is new; after a failure open, fetch and save again.

        Args:
            opened: What was stored when `new` was collected.
            new: What a reply has of run `run_id`.
            run_id: The present run.
            max_bytes: spec.log.maxBytes: UTF-8 bytes of lines kept, of all runs.

        Raises:
            NameTaken: A name belongs to somebody else.
            KubeError: ConflictError if somebody has written a log since, and what else may happen.
        """
        owner = opened.owner
        # Up to 16 MiB are put together: not on the event loop's time.
        planned = await asyncio.to_thread(
            plan, opened.book, new, run_id=run_id, max_bytes=max_bytes
        )
        book = planned.book
        for sealed in planned.seal:
            await self._config_maps.create(
                owner,
                chunk_name(owner.name, sealed.number),
                sealed.data(),
                run_id=sealed.run_id,
                immutable=True,
            )
            book = book.with_chunk(sealed)
        await self._write_tail(opened, book)
        for number in sorted(opened.numbers - {chunk.number for chunk in book.chunks}):
            await self._config_maps.delete(owner, chunk_name(owner.name, number))
        return SavedLog(_status(opened, book), book.end.lines if book.run_id == run_id else 0)

    async def _rebuilt(self, owner: Owner, numbers: Iterable[int]) -> Book:
        """Without a readable tail: what the chunks that status names tell."""
        book, chunks = EMPTY, []
        for number in numbers:
            sealed = await self._read_chunk(owner, number)
            if sealed is not None:
                book = book.adopt(sealed)
                chunks.append(sealed.as_chunk())
        # All of them: if one in between is gone, a person deleted it.
        return replace(book, chunks=tuple(chunks))

    async def _with_unknown(self, owner: Owner, book: Book) -> Book:
        """Take over the chunks that a save sealed before it was killed."""
        try:
            while sealed := await self._read_chunk(owner, book.next):
                book = book.adopt(sealed)
        except NameTaken:
            pass  # in the way only once that chunk is to be sealed
        return book

    async def _read_chunk(self, owner: Owner, number: int) -> Sealed | None:
        stored = await self._config_maps.get(owner, chunk_name(owner.name, number))
        return None if stored is None else Sealed.read(number, stored.data)

    async def _write_tail(self, opened: OpenLog, book: Book) -> None:
        """Write the tail in place of the one that was read.

        Others may have changed its metadata while the log was fetched, which can take minutes.
        """
        owner, tail, name = opened.owner, opened.tail, tail_name(opened.owner.name)
        if tail is None:
            if book.entries:
                await self._config_maps.create(owner, name, book.data(), run_id=book.run_id)
            return
        for _ in range(ATTEMPTS):
            try:
                await self._config_maps.replace(owner, tail, book.data(), run_id=book.run_id)
            except ConflictError:
                found = await self._config_maps.get(owner, name)
                if found is None or found.data != tail.data:
                    raise
                tail = found
            else:
                return
        raise ConflictError(f"others keep writing ConfigMap {name}")


def _numbers(owner: Owner, status: LogStatus | None) -> set[int]:
    """The chunks that `status` names."""
    names = status.config_maps if status else ()
    numbers = (chunk_number(owner.name, name) for name in names)
    return {number for number in numbers if number is not None}


def _status(opened: OpenLog, book: Book) -> LogStatus:
    name = opened.owner.name
    names = tuple(chunk_name(name, chunk.number) for chunk in book.chunks)
    if book.entries:
        names = (*names, tail_name(name))
    return replace(
        opened.previous,
        config_maps=names,
        entries=book.entries,
        bytes=book.size,
        truncated=book.truncated,
        next_chunk=book.next,
    )
