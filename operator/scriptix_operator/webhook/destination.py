"""Where notifications go, and the keys that sign them. The URL is a credential, as the keys are."""

import base64
import binascii
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["Destination", "check_sink_url", "decode_keys", "is_loopback"]

PREFIX = "whsec_"
LEAST_KEY, MOST_KEY = 24, 64
"""Bytes of a key, as Standard Webhooks has them."""
MOST_KEYS = 4
MOST_URL = 2048
"""Characters."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The sink: its URL, and the signing keys."""

    url: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)


def check_sink_url(text: str, *, allow_insecure_http: bool) -> None:
    """Check the URL of the sink; no text of an error repeats the URL.

    Raises:
        ValueError: The URL cannot be used.
    """
    try:
        url = urlsplit(text)
        is_url = bool(url.hostname) and url.port != 0
        host = url.hostname or ""
    except ValueError:
        raise ValueError("is not a URL, for example https://hooks.example.com/scriptix") from None
    if not is_url or url.scheme not in {"http", "https"} or len(text) > MOST_URL:
        raise ValueError("is not an https URL, for example https://hooks.example.com/scriptix")
    if not text.isascii() or not text.isprintable() or " " in text or url.fragment:
        raise ValueError("has a fragment, white space or characters that a URL does not have")
    if url.username is not None or url.password is not None:
        raise ValueError("has a user or password in it; the sink verifies the signature instead")
    if url.scheme == "http" and not (allow_insecure_http and is_loopback(host)):
        raise ValueError(
            "is plain http; use https, or a loopback host with SCRIPTIX_ALLOW_INSECURE_HTTP=true"
        )


def decode_keys(text: str) -> tuple[bytes, ...]:
    """The signing keys, one or more in base64 separated by white space, each after `whsec_`.

    Raises:
        ValueError: A key cannot be used; the text does not repeat it.
    """
    words = text.split()
    if not 1 <= len(words) <= MOST_KEYS:
        raise ValueError(f"has no key, or more than {MOST_KEYS}")
    return tuple(_decode_key(word.removeprefix(PREFIX)) for word in words)


def _decode_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64 after whsec_") from None  # the cause quotes the key
    if not LEAST_KEY <= len(key) <= MOST_KEY:
        raise ValueError(f"has a key of {len(key)} bytes, not of {LEAST_KEY} to {MOST_KEY}")
    return key


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
