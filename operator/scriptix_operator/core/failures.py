"""Why things fail and what to do about it: one table, one row a reason.

Source of messages and solutions: the remote API's document ("Troubleshooting Training Failures"
and "Error Responses").
"""

import re
from dataclasses import dataclass

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import LONG_TEXT, SHORT, TEXT, Failure
from scriptix_operator.core.remote import CallFailure, FailureKind, RemoteModel
from scriptix_operator.core.text import clean, one_line

__all__ = ["CATALOGUE", "Advice", "blocked_call", "failure", "rejected_start", "remote_failure"]


@dataclass(frozen=True, slots=True)
class Advice:
    """How a reason is recognised in the API's words, and what a person should do."""

    solution: str
    pattern: re.Pattern[str] | None = None
    codes: frozenset[str] = frozenset()
    retryable: bool = False


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


RERUN = "then change spec.runToken to train again"

CATALOGUE: dict[FailureReason, Advice] = {
    FailureReason.INSUFFICIENT_DATA: Advice(
        f"Upload more training audio (at least 5 hours, better 10 or more), {RERUN}.",
        _words(r"insufficient\b.*\bdata\b"),
        frozenset({"INSUFFICIENT_DATA"}),
    ),
    FailureReason.AUDIO_TRANSCRIPT_MISMATCH: Advice(
        "Check that each audio file is paired with its own transcript and that the timing is "
        f"aligned, upload the corrected pairs, {RERUN}.",
        _words(r"\b(audio|transcript).*mismatch|mismatch.*\b(audio|transcript)"),
    ),
    FailureReason.POOR_TRANSCRIPTS: Advice(
        "Review the transcripts: 95 % accuracy or better, matching the audio word for word; "
        f"upload the corrected ones, {RERUN}.",
        _words(r"transcript\w*\b.*\b(accuracy|quality|threshold)"),
    ),
    FailureReason.SYSTEM_ERROR: Advice(
        "Change spec.runToken to train again (spec.backoffLimit does that by itself); if it keeps "
        "failing, contact Scriptix support with the model id and the stored log.",
        _words(r"\b(system|internal)\b.*\berror"),
        retryable=True,
    ),
    FailureReason.TIMED_OUT: Advice(
        "The remote run was not cancelled and may still end: look at the model before training "
        f"again. Raise spec.timeoutSeconds if it needs longer, {RERUN}."
    ),
    FailureReason.QUALITY_GATE_FAILED: Advice(
        f"Add or correct training data, {RERUN}; or relax spec.qualityGate: the run is judged "
        "again without training."
    ),
    FailureReason.START_REJECTED: Advice(f"Mend what the message says, {RERUN}."),
    FailureReason.UNKNOWN: Advice(
        f"Read the message and the stored log, ask Scriptix support if they do not explain it, "
        f"{RERUN}."
    ),
    FailureReason.SECRET_NOT_FOUND: Advice(
        "Create the Secret with the API key, or name another one in spec.apiKeySecretRef; it is "
        "noticed within a minute."
    ),
    FailureReason.KEY_NOT_FOUND: Advice(
        "Put the API key into the Secret under the name that the message gives; it is noticed "
        "within a minute."
    ),
    FailureReason.UNAUTHORIZED: Advice(
        "Put a valid API key with the scope custom_models:write into the Secret; a new key is "
        "noticed within a minute."
    ),
    FailureReason.MODEL_NOT_FOUND: Advice(
        "Check spec.modelId, and that the API key belongs to the account that owns the model. "
        "modelId is immutable: create another resource to train another model."
    ),
}
"""Rows are tried in order for a remote message; the first whose code or pattern fits wins."""


def failure(reason: FailureReason, message: str, *, code: str | None = None) -> Failure:
    """A failure with its solution from the catalogue; texts bounded for status."""
    advice = CATALOGUE[reason]
    return Failure(
        reason=reason,
        code=None if code is None else one_line(code, SHORT),
        message=clean(message, LONG_TEXT),
        solution=one_line(advice.solution, TEXT),
        retryable=advice.retryable,
    )


def _classify(message: str, code: str | None) -> FailureReason:
    for reason, advice in CATALOGUE.items():
        if code is not None and code in advice.codes:
            return reason
        if advice.pattern is not None and advice.pattern.search(message):
            return reason
    return FailureReason.UNKNOWN


def remote_failure(model: RemoteModel) -> Failure:
    """Why a run at training_status 5 failed, by the API's own words."""
    message = clean(model.error or "", LONG_TEXT) or "The API gives no reason."
    return failure(_classify(message, model.error_code), message, code=model.error_code)


def rejected_start(call: CallFailure) -> Failure:
    """Why the API refused a start for good (400, 409, 413 or 422)."""
    reason = _classify(call.message, call.code)
    if reason is FailureReason.UNKNOWN:
        reason = FailureReason.START_REJECTED
    return failure(reason, call.message, code=call.code)


def blocked_call(call: CallFailure, key_source: str | None = None) -> Failure | None:
    """What a human must mend, where a refused call says so; None where it may pass by itself.

    Args:
        call: The refused call.
        key_source: Where the API key came from.
    """
    match call.kind:
        case FailureKind.UNAUTHORIZED:
            key = f" (the API key is that of {key_source})" if key_source else ""
            return failure(FailureReason.UNAUTHORIZED, f"{call.message}{key}", code=call.code)
        case FailureKind.NOT_FOUND:
            return failure(FailureReason.MODEL_NOT_FOUND, call.message, code=call.code)
        case _:
            return None
