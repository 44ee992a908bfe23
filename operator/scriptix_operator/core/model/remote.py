"""The remote API as decisions see it: a model, its log, and what can go wrong with a call.

scriptix/ makes these from HTTP replies; nothing here knows HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from http import HTTPStatus

__all__ = [
    "CODE_KINDS",
    "ENDS",
    "RATE_LIMIT_WAIT",
    "CallFailure",
    "FailureKind",
    "LogEntry",
    "LogReply",
    "RateLimitInfo",
    "RemoteMetrics",
    "RemoteModel",
    "TrainingState",
    "code_of",
]


RATE_LIMIT_WAIT = 60.0
"""Seconds to wait after a 429 that names no wait; the API's document retries after 60."""


class TrainingState(IntEnum):
    """Known values of training_status; any other is kept as an int and is never terminal."""

    NOT_READY = 1
    READY = 2
    RUNNING = 3
    SUCCEEDED = 4
    FAILED = 5


ENDS = frozenset({TrainingState.SUCCEEDED, TrainingState.FAILED})
"""The training_status values of a run that has ended."""


@dataclass(frozen=True, slots=True)
class RemoteMetrics:
    """training_metrics, in percent except for training_hours; None: missing or unreadable."""

    word_error_rate: Decimal | None = None
    character_error_rate: Decimal | None = None
    accuracy_improvement: Decimal | None = None
    training_hours: Decimal | None = None
    test_word_error_rate: Decimal | None = None
    training_word_error_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """One poll of a custom model.

    Texts are as the API gave them, unbounded and hostile; core/model/text.py bounds them before
    they go anywhere.
    """

    id: int
    training_status: int
    key: str | None = None
    name: str | None = None
    status_message: str | None = None
    progress: int | None = None
    """Percent as given; None where the reply has none."""
    started_at: datetime | None = None
    """started_training_at: the run start time, UTC to the second."""
    is_start_time_unreadable: bool = False
    """started_training_at is present and cannot be read: neither absent nor known."""
    finished_at: datetime | None = None
    """finished_training_at or failed_at, whichever fits training_status."""
    metrics: RemoteMetrics | None = None
    error: str | None = None
    """`error` as text, whatever JSON type it came as."""
    error_code: str | None = None
    """`error.error_code` or `error.code`, where `error` is an object that has one."""
    unreadable: tuple[str, ...] = ()
    """Fields of the reply that are present and cannot be read, by their paths."""
    flaw: str | None = None
    """Why the fields cannot be read, in one bounded line without the key: for one warning."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the training log."""

    at: datetime | None
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class LogReply:
    """The counts of a reply with a log."""

    entries: int
    """Entries in the reply, those without content included."""
    total: int | None
    """`total_entries` as the API gave it; None: missing or unreadable."""


@dataclass(frozen=True, slots=True)
class RateLimitInfo:
    """What a reply says of the limit that its call counts against (X-RateLimit-*)."""

    limit: int | None = None
    """Calls allowed in a window."""
    remaining: int | None = None
    """Calls left in the window after this one."""
    reset: float | None = None
    """Seconds from the reply until more calls are allowed."""
    flaw: str | None = None
    """Which headers cannot be used, and why, in one bounded line without the key: for one warning.
    The unusable parts are None."""


class FailureKind(StrEnum):
    """What a failed call means for the caller."""

    NOT_SENT = "NotSent"
    """No connection was made: the server has seen nothing."""
    UNAUTHORIZED = "Unauthorized"
    """401, 402 or 403: the key is rejected."""
    NOT_FOUND = "NotFound"
    """404: the model is not known."""
    CONFLICT = "Conflict"
    """409: MODEL_NOT_READY, TRAINING_IN_PROGRESS or another."""
    REJECTED = "Rejected"
    """400, 413 or 422: the unchanged request would be rejected again."""
    RATE_LIMITED = "RateLimited"
    """429: the rate limit is exceeded."""
    AMBIGUOUS = "Ambiguous"
    """Others (5xx, 408, a time-out, a reset, an unreadable reply): the call may have acted."""


CODE_KINDS: Mapping[str, FailureKind] = {
    "INVALID_REQUEST": FailureKind.REJECTED,
    "INSUFFICIENT_DATA": FailureKind.REJECTED,
    "PAYLOAD_TOO_LARGE": FailureKind.REJECTED,
    "MISSING_API_KEY": FailureKind.UNAUTHORIZED,
    "INVALID_API_KEY": FailureKind.UNAUTHORIZED,
    "KEY_REVOKED": FailureKind.UNAUTHORIZED,
    "INSUFFICIENT_SCOPE": FailureKind.UNAUTHORIZED,
    "MODEL_NOT_FOUND": FailureKind.NOT_FOUND,
    "NOT_FOUND": FailureKind.NOT_FOUND,
    "MODEL_NOT_READY": FailureKind.CONFLICT,
    "TRAINING_IN_PROGRESS": FailureKind.CONFLICT,
    "RATE_LIMIT_EXCEEDED": FailureKind.RATE_LIMITED,
}
"""error_codes of the definite refusals; scriptix/errors.py has their HTTP statuses. In a 2xx, a
code means the same once the start is known to have started nothing."""


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call that did not succeed."""

    kind: FailureKind
    message: str
    """One line for people: no key, bounded."""
    status: int | None = None
    code: str | None = None
    """error_code of the API."""
    details: Mapping[str, object] = field(default_factory=dict)
    retry_after: float | None = None
    """Seconds to wait, where the API said so."""
    reset_seen: bool = False
    """The sender itself saw its connection end: the call is not in flight any more."""
    is_from_gateway: bool = False
    """A 4xx whose body is not the API's own JSON: a proxy or gateway has answered."""
    is_error_in_success: bool = False
    """A 2xx whose body carries an error and no training_status."""


HTTP_CODES = frozenset(HTTPStatus)
"""The registered HTTP statuses."""


def code_of(failure: CallFailure | None) -> str:
    """How a call ended, for the metrics: few values, whatever a server replies.

    Args:
        failure: How the call failed; None: it succeeded.

    Returns:
        `2xx` for an accepted call; the HTTP status of a refusal, or its class (`5xx`) if it is not
        registered; `unusable` for a 2xx that cannot be used; `none` where there was no reply.
    """
    if failure is None:
        return "2xx"
    status = failure.status
    if status is None:
        return "none"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return "unusable"
    return str(status) if status in HTTP_CODES else f"{status // 100}xx"
