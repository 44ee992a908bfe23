"""When two texts are one request token (decision 0040).

YAML reads a date without quotes as a timestamp. kubectl and Helm keep its text; Kustomize writes it
in RFC 3339, a date alone as midnight UTC. Both must be one token, or a new kustomization.yaml would
start a paid run.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

__all__ = ["canonical", "spellings"]

# YAML's timestamps, as Kustomize reads them: numbers may lack their leading zero, a comma may
# begin the fraction, and a time without a zone is UTC.
_DATE = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})"
_TIME = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{1,2}):(?P<second>[0-9]{1,2})"
_FRACTION = r"(?:[.,](?P<fraction>[0-9]+))?"
_ZONE = r"(?: *(?:[Zz]|(?P<sign>[+-])(?P<hours>[0-9]{2}):(?P<minutes>[0-5][0-9])))?"
_TIMESTAMP = re.compile(rf"{_DATE}(?:(?:[Tt]| +){_TIME}{_FRACTION}{_ZONE})?")

_NANOSECONDS = 9
"""Digits of a fraction that Kustomize keeps."""


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The form in which a token is compared.

    A date or a timestamp gives its instant in UTC, such as `2026-11-29T00:00:00Z`, with up to nine
    digits of a second and no trailing zeros. Every other text is returned unchanged: `1` and `1.0`
    are two tokens.
    """
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return text
    fields = found.group("year", "month", "day", "hour", "minute", "second")
    year, month, day, hour, minute, second = (int(field or 0) for field in fields)
    east = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    try:
        zone = timezone(-east if found["sign"] == "-" else east)
        instant = datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):  # such as 2026-02-30, which Kustomize leaves alone
        return text
    fraction = (found["fraction"] or "")[:_NANOSECONDS].rstrip("0")
    return instant.isoformat().replace("+00:00", f".{fraction}Z" if fraction else "Z")


def spellings(text: str) -> frozenset[str]:
    """The texts whose hash may stand for a token in status.usedRequests.

    Earlier versions hashed the text as given, so the spelling that the other tool makes of a date
    counts too.
    """
    token = canonical(text)
    date = token.removesuffix("T00:00:00Z")
    return frozenset({text, token, date if canonical(date) == token else token})
