"""JSON that arrives in pieces: each value is read as soon as it is complete, in bounded memory.

The methods of a reader are generators: they yield where the text ends before the JSON does, and
continue after more text was fed.
"""

import re
from collections.abc import Generator
from typing import TypeVar

from scriptix_operator.scriptix.jsontext import DECODER

__all__ = ["JsonStream", "NotJsonError", "Steps"]

_T = TypeVar("_T")
Steps = Generator[None, None, _T]
"""Yields where more text is needed; returns the result."""

MAX_VALUE = 1024 * 1024
"""Characters of one value. A larger value is skipped: a text with its size replaces it."""

_SPACE = re.compile(r"[ \t\n\r]*+")
_OPENING, _CLOSING = '"[{', '"]}'
_DEPTH = {'"': 0, "[": 1, "{": 1, "]": -1, "}": -1}
_AFTER_VALUE = " \t\n\r,:]}"
_BRACKET_OR_QUOTE = re.compile(r'["\[\]{}]')
_INSIDE_TEXT = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class NotJsonError(ValueError):
    """The text is not JSON."""


class JsonStream:
    """A reader of JSON over the text that is not read yet."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._has_ended = False

    def feed(self, text: str, *, is_last: bool) -> None:
        """Append text; the caller resumes the reader afterwards."""
        self._text = self._text[self._at :] + text
        self._at = 0
        self._has_ended = is_last

    def peek(self) -> Steps[str]:
        """The next character that is not white space, without reading it; "" at the end."""
        while True:
            self._at = _end(_SPACE.match(self._text, self._at))
            if self._at < len(self._text):
                return self._text[self._at]
            if self._has_ended:
                return ""
            yield

    def take(self, allowed: str) -> Steps[str]:
        """Read one character of `allowed`, after any white space.

        Raises:
            NotJsonError: The text has another character.
        """
        mark = yield from self.peek()
        if not mark or mark not in allowed:
            raise NotJsonError
        self._at += 1
        return mark

    def value(self) -> Steps[object]:
        """Read one value; for one that is too large, a text with its size.

        Raises:
            NotJsonError: The text is not JSON.
            RecursionError: The value is nested too deep.
        """
        yield from self.peek()
        while True:
            text, at = self._text, self._at
            try:
                value, end = DECODER.raw_decode(text, at)
            except ValueError:
                pass  # the value is malformed, or incomplete
            else:
                if _is_whole(text, end):
                    self._at = end
                    return value
            if self._has_ended:
                raise NotJsonError
            if len(text) - at > MAX_VALUE:
                return (yield from self._skipped())
            yield

    def rest(self) -> Steps[str]:
        """Read the remaining text.

        Raises:
            NotJsonError: The text has more than MAX_VALUE characters.
        """
        while not self._has_ended:
            if len(self._text) - self._at > MAX_VALUE:
                raise NotJsonError
            yield
        return self._text[self._at :]

    def _skipped(self) -> Steps[str]:
        """Skip a value of which more than MAX_VALUE characters have arrived, but not its end.

        Raises:
            NotJsonError: The value is malformed, because its end has arrived; or it has no end.
        """
        if self._text[self._at] not in _OPENING:
            raise NotJsonError
        scan = _Scan()
        size = self._scan_on(scan)
        if scan.is_over:
            raise NotJsonError
        while not scan.is_over:
            if self._has_ended:
                raise NotJsonError
            yield
            size += self._scan_on(scan)
        return f"[{size} characters left out]"

    def _scan_on(self, scan: "_Scan") -> int:
        """Skip the text that belongs to the value; returns the number of characters."""
        begin, self._at = self._at, scan.past(self._text, self._at)
        return self._at - begin


class _Scan:
    """Finds the end of a text, list or object without parsing it."""

    def __init__(self) -> None:
        self.is_over = False
        self._depth = 0
        self._is_in_text = False

    def past(self, text: str, at: int) -> int:
        """The index in `text` at which the value ends, or up to which it continues."""
        while at < len(text) and not self.is_over:
            if self._is_in_text:
                at = _end(_INSIDE_TEXT.match(text, at))
                if text[at : at + 1] != '"':
                    break  # at the end of `text`, or before a backslash that ends it
                at += 1
                self._is_in_text = False
            else:
                found = _BRACKET_OR_QUOTE.search(text, at)
                if found is None:
                    return len(text)
                at = found.end()
                self._is_in_text = found[0] == '"'
                self._depth += _DEPTH[found[0]]
            self.is_over = not self._is_in_text and self._depth == 0
        return at


def _is_whole(text: str, end: int) -> bool:
    """Whether a value that ends before `end` cannot continue in the next piece, as `1` can."""
    return text[end - 1] in _CLOSING or (end < len(text) and text[end] in _AFTER_VALUE)


def _end(found: re.Match[str] | None) -> int:
    """The end of the match of a pattern that matches everywhere."""
    if found is None:
        raise AssertionError("the pattern matches the empty text")
    return found.end()
