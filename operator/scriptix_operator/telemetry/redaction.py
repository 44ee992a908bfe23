"""The last defence of API keys: known keys are masked wherever they appear in output.

Nothing prints a key on purpose (core/model/api_key.py keeps it out of reprs). But an error of a
library, a traceback or a dumped Secret may carry one, so the code that reads a key also registers
it here.
"""

import base64
import json
import re
import threading
from urllib.parse import quote

__all__ = ["Redactor"]

MASK = "***"
MIN_LENGTH = 4
"""Characters; shorter values are not secret, and masking them would make output unreadable."""


class Redactor:
    """Replaces registered values by `***`; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def hide(self, value: str) -> None:
        """Mask `value` from now on, plain and in the spellings that output gives it.

        Values shorter than 4 characters are not masked.
        """
        value = value.strip()
        if len(value) < MIN_LENGTH:
            return
        with self._lock:
            if value in self._spellings:
                return
            self._spellings |= _spellings(value)
            longest_first = sorted(self._spellings, key=len, reverse=True)
            patterns = [re.escape(one) for one in longest_first]
            self._pattern = re.compile("|".join(patterns))

    def redact(self, text: str) -> str:
        """Return `text` with each registered value masked."""
        pattern = self._pattern
        return text if pattern is None else pattern.sub(MASK, text)

    def redact_tree(self, value: object) -> object:
        """Mask all strings of a JSON-like value; other objects are returned unchanged."""
        match value:
            case str():
                return self.redact(value)
            case dict():
                return {self.redact_tree(key): self.redact_tree(one) for key, one in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.redact_tree(one) for one in value]
            case _:
                return value


def _spellings(value: str) -> set[str]:
    raw = value.encode("utf-8", "surrogatepass")
    spellings = {
        value,
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(raw, safe=""),
        base64.b64encode(raw).decode(),
        # A Secret's data, where the key may be followed by a newline: the groups that stay as
        # they are, less the last few characters.
        base64.b64encode(raw[: len(raw) // 3 * 3]).decode(),
    }
    return {one for one in spellings if len(one) >= MIN_LENGTH}
