"""Instants in the format of status: UTC, to the second, with a `Z`."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, PlainSerializer, WithJsonSchema

__all__ = ["Time", "format_time", "parse_time"]


def parse_time(value: object) -> datetime:
    """Read an RFC 3339 instant; one without an offset is taken as UTC.

    Returns:
        The instant in UTC, cut to the second.

    Raises:
        ValueError: `value` is not an instant.
    """
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        moment = datetime.fromisoformat(value)
    else:
        raise ValueError(f"not a time such as 2025-01-16T08:00:00Z: {value!r:.64}")  # noqa: TRY004 - pydantic reads ValueError as "invalid"
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError as error:
        raise ValueError(f"time out of range: {value}") from error


def format_time(moment: datetime) -> str:
    """Write an instant as `2025-01-16T08:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    AwareDatetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "maxLength": 32}),
]
"""An instant in status: a plain string in the CRD, so that the schema can only widen."""
