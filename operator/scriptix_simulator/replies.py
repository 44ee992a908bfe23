"""Replies of the API: every documented refusal, with its status and body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Literal

from pydantic import JsonValue

from .units import isoformat

__all__ = [
    "REQUIRED_HOURS",
    "Reply",
    "RetryHint",
    "bad_request",
    "insufficient_data",
    "insufficient_scope",
    "invalid_key",
    "method_not_allowed",
    "missing_key",
    "model_not_found",
    "model_not_ready",
    "no_such_path",
    "rate_limited",
    "refusal",
    "revoked_key",
    "too_large",
    "training_in_progress",
]

REQUIRED_HOURS = 5.0
"""Hours of audio that a model needs before it can be trained."""

RetryHint = Literal["all", "seconds", "date", "body", "none"]
"""Where a refusal names the time to retry: `all` is the header Retry-After, in seconds, and
`retry_after` in the body; `seconds` and `date` are the header alone, `body` the body alone."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply before it is sent.

    Attributes:
        status: HTTP status.
        payload: The body's bytes.
        content_type: None if there is no body.
        headers: Further headers.
        code: The error_code of a refusal.
        started: Run start time (unix seconds) of the run that this call started.
    """

    status: int
    payload: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    started: int | None = None

    @classmethod
    def of(cls, body: JsonValue, status: int = 200, started: int | None = None) -> "Reply":
        """Return a reply with a JSON body."""
        payload = json.dumps(body).encode()
        return cls(status, payload, "application/json", started=started)


def refusal(
    status: int, code: str, message: str, details: Mapping[str, JsonValue] | None = None
) -> Reply:
    """Return an error reply with the common body of the API's errors."""
    body: dict[str, JsonValue] = {
        "error": HTTPStatus(status).phrase,
        "message": message,
        "error_code": code,
        "details": dict(details or {}),
    }
    return Reply(status, json.dumps(body).encode(), "application/json", code=code)


def bad_request(message: str) -> Reply:
    """400: the request is invalid; for a start, any body except `{}` sent as JSON."""
    return refusal(400, "INVALID_REQUEST", message)


def insufficient_data(hours: float) -> Reply:
    """400: fewer than five hours of audio."""
    details: dict[str, JsonValue] = {"current_hours": hours, "required_hours": REQUIRED_HOURS}
    return refusal(400, "INSUFFICIENT_DATA", "Insufficient training data", details)


def missing_key() -> Reply:
    """401: no key was sent."""
    return refusal(401, "MISSING_API_KEY", "API key is missing")


def invalid_key() -> Reply:
    """401: the key is unknown, or was sent without its scheme."""
    return refusal(401, "INVALID_API_KEY", "API key is invalid")


def revoked_key() -> Reply:
    """401: the key was revoked."""
    return refusal(401, "KEY_REVOKED", "API key has been revoked")


def insufficient_scope() -> Reply:
    """403: the key may only read."""
    message = "API key lacks the custom_models:write scope"
    return refusal(403, "INSUFFICIENT_SCOPE", message, {"required_scope": "custom_models:write"})


def model_not_found(model: str) -> Reply:
    """404: no such model."""
    return refusal(404, "MODEL_NOT_FOUND", "Custom model not found", {"model_id": model})


def no_such_path() -> Reply:
    """404: no endpoint has this path."""
    return refusal(404, "NOT_FOUND", "No such endpoint")


def method_not_allowed(allowed: str) -> Reply:
    """405: the path is an endpoint's, the method is not; deleting a model is not simulated."""
    message = f"Use {allowed}"
    return refusal(405, "METHOD_NOT_ALLOWED", message)


def model_not_ready(status: int) -> Reply:
    """409: the status of the model does not allow a start."""
    details: dict[str, JsonValue] = {
        "current_status": status,
        "required_status": 2,
        "message": "Upload training data before starting training",
    }
    return refusal(409, "MODEL_NOT_READY", "Cannot start training: model not ready", details)


def training_in_progress(progress: int) -> Reply:
    """409: a run is under way."""
    details: dict[str, JsonValue] = {"training_progress": progress}
    return refusal(409, "TRAINING_IN_PROGRESS", "Training already in progress", details)


def too_large() -> Reply:
    """413: the body is too large; no request of this API needs a large one."""
    return refusal(413, "PAYLOAD_TOO_LARGE", "Request body is too large")


def rate_limited(
    limit: int, reset: int, retry_after: int, *, rate_info: bool, hint: RetryHint
) -> Reply:
    """429: the key's window is used up.

    Args:
        limit: Calls in a window.
        reset: When the next call is allowed, in unix seconds.
        retry_after: The same in seconds from now.
        rate_info: Whether the details have the rate-limit info, as the X-RateLimit headers do.
        hint: Where else the reply names the time to retry; some servers do not name it.
    """
    body: dict[str, JsonValue] = {
        "error": HTTPStatus.TOO_MANY_REQUESTS.phrase,
        "message": "Rate limit exceeded",
        "error_code": "RATE_LIMIT_EXCEEDED",
        "details": {"limit": limit, "reset_at": isoformat(reset)} if rate_info else {},
    }
    if hint in {"all", "body"}:
        body["retry_after"] = retry_after
    headers: dict[str, str] = {}
    if hint in {"all", "seconds"}:
        headers["Retry-After"] = str(retry_after)
    elif hint == "date":
        headers["Retry-After"] = formatdate(reset, usegmt=True)
    return Reply(
        429,
        json.dumps(body).encode(),
        "application/json",
        headers,
        code="RATE_LIMIT_EXCEEDED",
    )
