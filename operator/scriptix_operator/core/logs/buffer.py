"""The newest lines of a log, up to a bound.

The lines are kept as bytes: as objects, short lines would take six times the memory of their text.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from heapq import merge

from scriptix_operator.core.logs.lines import UNTIMED, Line

__all__ = ["LEADING", "LineBuffer", "second_at"]

LEADING = -(2**62)
"""The time in microseconds of lines before the first timestamp; in seconds: UNTIMED."""
MICROSECONDS = 1_000_000
SLACK_PARTS, LEAST_SLACK = 4, 64 * 1024
"""The buffer exceeds the bound by this part of it, at least by so many bytes, before lines are put
in order and dropped: each time costs a pass over all lines."""


def second_at(at: int) -> int:
    """The second of a time in microseconds since 1970."""
    return UNTIMED if at == LEADING else at // MICROSECONDS


class LineBuffer:
    """Takes lines in any order and keeps the newest.

    Args:
        max_bytes: Most UTF-8 bytes of lines kept.
        on_drop: Called with the time of each dropped line, in microseconds.
    """

    def __init__(self, max_bytes: int, on_drop: Callable[[int], None]) -> None:
        self._max_bytes, self._on_drop = max_bytes, on_drop
        self._slack = max(max_bytes // SLACK_PARTS, LEAST_SLACK)
        self._times, self._sizes, self._text = array("q"), array("I"), bytearray()
        self._ordered = self._ordered_bytes = 0
        """The number of lines in order, from the first on, and their bytes."""
        self._dropped_until: int | None = None
        """Time of the newest dropped line: older lines are dropped too."""

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[Line]:
        """The lines kept, oldest first; lines of the same time in the order of their arrival."""
        self.trim()
        end = 0
        for at, size in zip(self._times, self._sizes, strict=True):
            begin, end = end, end + size
            yield Line(second_at(at), self._text[begin : end - 1].decode())

    def is_too_old(self, at: int) -> bool:
        """Whether a line of this time would be dropped, as newer ones were."""
        return self._dropped_until is not None and at < self._dropped_until

    def add(self, at: int, text: str) -> None:
        """Take a line.

        Args:
            at: Its time, in microseconds since 1970.
            text: The line, without its newline.
        """
        if self.is_too_old(at):
            self._on_drop(at)
            return
        line = text.encode() + b"\n"
        if self._ordered == len(self) and (not self._ordered or at >= self._times[-1]):
            self._ordered += 1
            self._ordered_bytes += len(line)
        self._times.append(at)
        self._sizes.append(len(line))
        self._text += line
        is_unordered = len(self._text) - self._ordered_bytes > self._slack
        if is_unordered or len(self._text) > self._max_bytes + self._slack:
            self.trim()

    def trim(self) -> None:
        """Put the lines in order of time, and drop the oldest ones over the bound."""
        if self._ordered < len(self):
            # Stable: lines of the same time stay in the order of their arrival.
            time_of, rest = self._times.__getitem__, range(self._ordered, len(self))
            self._take(merge(range(self._ordered), sorted(rest, key=time_of), key=time_of))
        count = size = 0
        while len(self._text) - size > self._max_bytes:
            size += self._sizes[count]
            self._dropped_until = self._times[count]
            self._on_drop(self._times[count])
            count += 1
        del self._times[:count], self._sizes[:count], self._text[:size]
        self._ordered, self._ordered_bytes = len(self), len(self._text)

    def keep(self, is_kept: Callable[[int], bool]) -> None:
        """Remove the lines whose second is not to be kept; they do not count as dropped."""
        self.trim()
        self._take(i for i, at in enumerate(self._times) if is_kept(second_at(at)))

    def clear(self) -> None:
        """Remove all lines; they do not count as dropped."""
        self._take(())

    def _take(self, order: Iterable[int]) -> None:
        """Keep the lines at these indices, which are in order of time."""
        begins, end = array("Q"), 0
        for size in self._sizes:
            begins.append(end)
            end += size
        times, sizes, text = array("q"), array("I"), bytearray()
        for i in order:
            times.append(self._times[i])
            sizes.append(self._sizes[i])
            text += self._text[begins[i] : begins[i] + self._sizes[i]]
        self._times, self._sizes, self._text = times, sizes, text
        self._ordered, self._ordered_bytes = len(times), len(text)
