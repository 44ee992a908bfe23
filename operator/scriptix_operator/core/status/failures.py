"""Failures from what the API says: with their reason and their remedy."""

from collections.abc import Mapping

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import LONG_TEXT, SHORT, TEXT, Failure
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RemoteModel
from scriptix_operator.core.model.text import clean, one_line
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG, Cause, FailureVariant
from scriptix_operator.core.status.texts import resource_texts, secret_texts, start_texts

__all__ = [
    "blocked_call",
    "failure",
    "refused_for_now",
    "rejected_start",
    "remote_failure",
    "with_details",
]


def failure(
    reason: FailureReason, message: str, *, code: str | None = None, cause: Cause | None = None
) -> Failure:
    """A failure with its solution from the catalog; texts bounded for status.

    Args:
        reason: The row.
        message: What happened.
        code: error_code of the API.
        cause: The case within the row; None: no case.
    """
    remedy = FAILURE_CATALOG[reason]
    solution = remedy.solution if cause is None else remedy.case(cause).solution
    return Failure(
        reason=reason,
        code=None if code is None else one_line(code, SHORT),
        message=clean(message, LONG_TEXT),
        solution=one_line(solution, TEXT),
        retryable=remedy.retryable,
    )


def _classify(message: str, code: str | None) -> FailureReason:
    for reason, remedy in FAILURE_CATALOG.items():
        if code is not None and code in remedy.codes:
            return reason
        if remedy.pattern is not None and remedy.pattern.search(message):
            return reason
    return FailureReason.UNKNOWN


def _case(reason: FailureReason, call: CallFailure) -> tuple[Cause, FailureVariant] | None:
    for cause, case in FAILURE_CATALOG[reason].cases:
        if call.code in case.codes or call.status in case.statuses:
            return cause, case
    return None


def _cause(reason: FailureReason, call: CallFailure) -> Cause | None:
    found = _case(reason, call)
    return None if found is None else found[0]


def remote_failure(model: RemoteModel) -> Failure:
    """Why a run at training_status 5 failed, by the API's own words."""
    message = clean(model.error or "", LONG_TEXT)
    if not message:
        said = clean(model.status_message or "", TEXT)
        message = resource_texts.no_error_given(said) if said else resource_texts.no_reason_given()
    return failure(_classify(message, model.error_code), message, code=model.error_code)


def rejected_start(call: CallFailure) -> Failure:
    """Why the API refused a start for good (400, 409, 413 or 422)."""
    reason = _classify(call.message, call.code)
    if reason is FailureReason.UNKNOWN or FAILURE_CATALOG[reason].retryable:
        # Only failed runs are retried automatically; an unchanged request would be refused again.
        reason = FailureReason.START_REJECTED
    return failure(reason, with_details(call), code=call.code, cause=_cause(reason, call))


def refused_for_now(call: CallFailure) -> str:
    """The message of a start that the API refused (409) and that is retried later."""
    found = _case(FailureReason.START_REJECTED, call)
    return start_texts.api_refused_start(with_details(call), found[1].waiting if found else "")


def blocked_call(call: CallFailure, key_source: str | None = None) -> Failure | None:
    """The failure that a human must fix, by a refused call; None where it may pass without action.

    Args:
        call: The refused call.
        key_source: Where the API key came from.
    """
    match call.kind:
        case FailureKind.UNAUTHORIZED:
            reason = FailureReason.UNAUTHORIZED
            text = secret_texts.api_key_rejected(call.message, key_source)
            return failure(reason, text, code=call.code, cause=_cause(reason, call))
        case FailureKind.NOT_FOUND:
            return failure(FailureReason.MODEL_NOT_FOUND, call.message, code=call.code)
        case _:
            return None


def with_details(call: CallFailure) -> str:
    """The refusal with the figures that the API gave: how many hours are missing, for example."""
    message, text = call.message.rstrip(" ."), _details(call.details)
    return one_line(f"{message} ({text})", LONG_TEXT // 2) if text else message


def _details(details: Mapping[str, object]) -> str:
    figures = ", ".join(
        f"{name}: {value}"
        for name, value in details.items()
        if value is not None and name != "message"
    )
    said = details.get("message")
    text = said.rstrip(" .") if isinstance(said, str) else ""
    return "; ".join(part for part in (figures, text) if part)
