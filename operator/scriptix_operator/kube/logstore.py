"""Stores a run's log in ConfigMaps: reads where the stored log ends, and appends.

A log needs two reads before it is fetched, one write if lines are new, one more for each sealed
segment, and two for each dropped segment. Sealed segments are read only after a crash, or if the
active segment was deleted.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import LogStatus
from scriptix_operator.core.logs.collector import Collected
from scriptix_operator.core.logs.plan import plan
from scriptix_operator.core.logs.segments import (
    EMPTY,
    LogIndex,
    SealedSegment,
    active_name,
    segment_name,
    segment_number,
)
from scriptix_operator.core.model.owner import Owner
from scriptix_operator.kube.configmaps import ConfigMaps, NameTaken, StoredConfigMap
from scriptix_operator.kube.errors import ConflictError

__all__ = ["LogStore", "OpenLog", "SavedLog"]

ATTEMPTS = 5
"""Attempts while others write; only a former leader or a user does."""


@dataclass(frozen=True, slots=True)
class OpenLog:
    """The stored logs of a resource, as read."""

    owner: Owner
    log_index: LogIndex
    active: StoredConfigMap | None
    numbers: frozenset[int]
    """The segments that exist, or may exist."""
    previous: LogStatus
    """status.log."""


@dataclass(frozen=True, slots=True)
class SavedLog:
    """The stored log after a save."""

    log: LogStatus
    """status.log, without the fields that the engine sets."""
    lines: int
    """Lines of the run that are stored, or were stored and dropped."""


class LogStore:
    """Saves logs; holds nothing between calls.

    Args:
        config_maps: The ConfigMaps that hold the logs.
    """

    def __init__(self, config_maps: ConfigMaps) -> None:
        self._config_maps = config_maps

    async def open(self, owner: Owner, previous: LogStatus | None) -> OpenLog:
        """Read the stored log, including segments of an interrupted save.

        Args:
            owner: The resource.
            previous: status.log, if there is one.

        Raises:
            NameTaken: Another object has the name of the active segment.
            KubeError: The log cannot be read.
        """
        active = await self._config_maps.get(owner, active_name(owner.name))
        log_index = LogIndex.read(active.data) if active else None
        # Segments that an interrupted save did not delete are still in status, not in the index.
        numbers = _numbers(owner, previous)
        if log_index is None:
            log_index = await self._rebuilt(owner, sorted(numbers))
        if previous is not None:
            log_index = replace(log_index, next=max(log_index.next, previous.next_segment))
        log_index = await self._with_unknown(owner, log_index)
        numbers.update(segment.number for segment in log_index.segments)
        return OpenLog(owner, log_index, active, frozenset(numbers), previous or LogStatus())

    async def save(
        self, stored_log: OpenLog, new: Collected, *, run_id: str, max_bytes: int
    ) -> SavedLog:
        """Store the new entries; after a failure open, fetch and save again.

        Args:
            stored_log: The stored log when `new` was collected.
            new: The entries of run `run_id` in a reply.
            run_id: The current run.
            max_bytes: spec.log.maxBytes: UTF-8 bytes of lines kept, of all runs.

        Raises:
            NameTaken: Another object has a needed name.
            KubeError: The log cannot be stored; a ConflictError if it was written since.
        """
        owner = stored_log.owner
        # Up to 16 MiB are assembled: in a thread, so that the event loop is not blocked.
        planned = await asyncio.to_thread(
            plan, stored_log.log_index, new, run_id=run_id, max_bytes=max_bytes
        )
        log_index = planned.log_index
        for sealed in planned.seal:
            await self._config_maps.create(
                owner,
                segment_name(owner.name, sealed.number),
                sealed.data(),
                run_id=sealed.run_id,
                immutable=True,
            )
            log_index = log_index.with_segment(sealed)
        await self._write_active(stored_log, log_index)
        for number in sorted(
            stored_log.numbers - {segment.number for segment in log_index.segments}
        ):
            await self._config_maps.delete(owner, segment_name(owner.name, number))
        return SavedLog(
            _status(stored_log, log_index),
            log_index.end.lines if log_index.run_id == run_id else 0,
        )

    async def _rebuilt(self, owner: Owner, numbers: Iterable[int]) -> LogIndex:
        """The index without a readable active segment: rebuilt from the segments in status."""
        log_index, segments = EMPTY, []
        for number in numbers:
            sealed = await self._read_segment(owner, number)
            if sealed is not None:
                log_index = log_index.adopt(sealed)
                segments.append(sealed.as_segment())
        # All segments are read: a user may have deleted one in between.
        return replace(log_index, segments=tuple(segments))

    async def _with_unknown(self, owner: Owner, log_index: LogIndex) -> LogIndex:
        """Add the segments that an interrupted save has sealed."""
        try:
            while sealed := await self._read_segment(owner, log_index.next):
                log_index = log_index.adopt(sealed)
        except NameTaken:
            pass  # the name matters only when that segment is sealed
        return log_index

    async def _read_segment(self, owner: Owner, number: int) -> SealedSegment | None:
        stored = await self._config_maps.get(owner, segment_name(owner.name, number))
        return None if stored is None else SealedSegment.read(number, stored.data)

    async def _write_active(self, stored_log: OpenLog, log_index: LogIndex) -> None:
        """Replace the active segment that was read.

        Others may have changed its metadata during the fetch, which can take minutes.
        """
        owner, active, name = (
            stored_log.owner,
            stored_log.active,
            active_name(stored_log.owner.name),
        )
        if active is None:
            if log_index.entries:
                await self._config_maps.create(
                    owner, name, log_index.data(), run_id=log_index.run_id
                )
            return
        for _ in range(ATTEMPTS):
            try:
                await self._config_maps.replace(
                    owner, active, log_index.data(), run_id=log_index.run_id
                )
            except ConflictError:
                found = await self._config_maps.get(owner, name)
                if found is None or found.data != active.data:
                    raise
                active = found
            else:
                return
        raise ConflictError(f"others keep writing ConfigMap {name}")


def _numbers(owner: Owner, status: LogStatus | None) -> set[int]:
    """The numbers of the segments that `status` names."""
    names = status.config_maps if status else ()
    numbers = (segment_number(owner.name, name) for name in names)
    return {number for number in numbers if number is not None}


def _status(stored_log: OpenLog, log_index: LogIndex) -> LogStatus:
    name = stored_log.owner.name
    names = tuple(segment_name(name, segment.number) for segment in log_index.segments)
    if log_index.entries:
        names = (*names, active_name(name))
    return replace(
        stored_log.previous,
        config_maps=names,
        entries=log_index.entries,
        bytes=log_index.size,
        truncated=log_index.truncated,
        next_segment=log_index.next,
    )
