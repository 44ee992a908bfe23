"""Puts the API key into a header, and keeps it out of everything else."""

import re
from collections.abc import Generator

import httpx

from scriptix_operator.core.model.api_key import ApiKey

__all__ = ["KeyAuth", "check_header"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110: the characters of header names and authentication schemes."""

MIN_REDACTED = 4
"""Characters; redacting a shorter key would cut pieces out of ordinary words."""

PLACEHOLDER = "[API key]"


def check_header(name: str, scheme: str) -> None:
    """Check that a key can be sent in header `name`, after `scheme` (empty: the key alone).

    Raises:
        ValueError: The name or the scheme is invalid.
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"not a name for an HTTP header: {name!r}")
    if scheme and not _TOKEN.fullmatch(scheme):
        raise ValueError(f"not an authentication scheme: {scheme!r}")


class KeyAuth(httpx.Auth):
    """Puts the key into its header at the last moment.

    So no variable or argument of ours holds the header, and no output of variables can show it.

    Args:
        key: The key, already checked by core's `check_key`.
        header: Name of the header.
        scheme: The authentication scheme before the key; empty: none.
    """

    def __init__(self, key: ApiKey, header: str, scheme: str) -> None:
        self._key = key
        self._header = header
        self._scheme = scheme

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header; called by httpx."""
        request.headers[self._header] = f"{self._scheme} {self._key.value}".lstrip()
        yield request

    def redact(self, text: str) -> str:
        """Remove the key from a text: servers quote it in their replies."""
        if len(self._key.value) < MIN_REDACTED:
            return text
        return text.replace(self._key.value, PLACEHOLDER)
