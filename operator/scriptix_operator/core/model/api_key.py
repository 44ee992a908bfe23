"""The API key: carried as a value that cannot be printed by accident."""

import hashlib
from dataclasses import dataclass, field

__all__ = ["ApiKey", "check_key"]

MAX_KEY_LENGTH = 4096
"""Servers refuse headers of 8 KiB and more; nothing sensible is longer than this."""


def check_key(value: str) -> None:
    """Check that an HTTP header can carry `value` as a key.

    Raises:
        ValueError: The header cannot; the message says why and shows nothing of the key.
    """
    if not value:
        raise ValueError("the API key is empty")
    if len(value) > MAX_KEY_LENGTH:
        raise ValueError(f"the API key is longer than {MAX_KEY_LENGTH} characters")
    if any(c.isspace() for c in value):
        raise ValueError("the API key has a line break, a space or a tab in it")
    if not all("!" <= c <= "~" for c in value):
        raise ValueError("the API key has a character in it that an HTTP header cannot carry")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key for the Scriptix API and where it came from.

    Args:
        value: The key itself. Never in a repr, a log line, an event, a status or a metric.
        source: For people, for example `Secret/team-a/scriptix-api-key`.
    """

    value: str = field(repr=False)
    source: str

    @property
    def fingerprint(self) -> str:
        """Distinguishes keys without disclosing them: 12 hex digits of a domain-separated hash."""
        return hashlib.sha256(b"scriptix-operator/" + self.value.encode()).hexdigest()[:12]
