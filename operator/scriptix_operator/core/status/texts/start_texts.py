"""Texts of a start and of the start ledger."""

from datetime import datetime

from scriptix_operator.api.reasons import Reason
from scriptix_operator.core.model.wording import timestamp
from scriptix_operator.core.status.texts.registry import (
    ASK_ADMINISTRATOR,
    EXAMPLE_TIME,
    NOTHING,
    shown,
)

__all__ = [
    "api_refused_start",
    "ledger_gap",
    "ledger_missing",
    "ledger_not_writable",
    "no_run_yet",
    "outcome_to_be_polled",
    "outcome_unknown",
    "start_accepted",
    "start_begins",
    "start_had_no_effect",
    "start_not_sent",
    "start_rate_limited",
    "status_undecided",
]

EXAMPLE_REFUSAL = "HTTP 409 TRAINING_IN_PROGRESS: Training already in progress"


@shown(
    Reason.WAITING_FOR_MODEL,
    example={
        "refusal": EXAMPLE_REFUSAL,
        "action": "The requested training starts automatically once the present one has ended and "
        "the model is ready to run.",
    },
)
def api_refused_start(refusal: str, action: str = "") -> str:
    """The API refused a start with 409, which the operator retries."""
    action = action or "The operator retries the start automatically."
    return f"The API refused the start: {refusal}. {action}"


@shown(Reason.RATE_LIMITED, example={"until": EXAMPLE_TIME}, action=NOTHING)
def start_rate_limited(until: datetime) -> str:
    """The API refused a start with 429."""
    return (
        "The API refused the start because of its rate limit; the operator retries the start at "
        f"{timestamp(until)}."
    )


@shown(Reason.START_LEDGER_NOT_WRITABLE, action=ASK_ADMINISTRATOR)
def ledger_not_writable() -> str:
    """The cluster refuses the write of the start ledger."""
    return (
        "The operator starts nothing, because it cannot write its start ledger; the operator's "
        "log names the cause. The operator retries automatically."
    )


@shown(
    Reason.WAITING_FOR_NAMESPACES,
    example={"gap": "namespace speech not listed"},
    action=ASK_ADMINISTRATOR,
)
def ledger_missing(gap: str) -> str:
    """The start ledger is missing or unreadable, and not all resources are known."""
    return (
        "The operator starts nothing: the start ledger is missing or unreadable, and the operator "
        f"rebuilds it only from all resources ({gap}). The operator's log names the cause; the "
        "training continues automatically once the cause is fixed."
    )


def ledger_gap(unlisted: str, unparsed: str) -> str:
    """The gap in ledger_missing: namespaces that are not listed, and those with hidden resources.

    Args:
        unlisted: The namespaces that are not listed, as text; empty: none.
        unparsed: The namespaces with a resource that cannot be parsed, as text; empty: none.
    """
    gaps = (
        f"{unlisted} not listed" if unlisted else "",
        f"a resource in {unparsed} cannot be parsed" if unparsed else "",
    )
    return "; ".join(gap for gap in gaps if gap)


@shown(Reason.STARTING, action=NOTHING)
def start_begins() -> str:
    """The intent is recorded, and the start is about to be sent."""
    return "The operator starts the training."


@shown(Reason.TRAINING, action=NOTHING)
def start_accepted() -> str:
    """The API has accepted the start; no poll has shown the run yet."""
    return "The API has accepted the start of the training."


@shown(
    Reason.API_UNAVAILABLE,
    example={"cause": "no connection: [Errno 111] Connection refused"},
    action="Check that the operator can reach the API.",
)
def start_not_sent(cause: str) -> str:
    """The start was not sent, for instance without a connection."""
    return f"The operator could not send the start: {cause}. The operator retries automatically."


@shown(Reason.START_OUTCOME_UNKNOWN, example={"cause": "no reply in time"}, action=NOTHING)
def outcome_to_be_polled(cause: str) -> str:
    """The reply to the start is lost or ambiguous, and no poll was made since."""
    return (
        f"The outcome of the start is unknown ({cause}). The operator polls the model to determine "
        "the outcome, and does not retry the start until then."
    )


def no_run_yet() -> str:
    """The observation in outcome_unknown: the model is as before the start."""
    return "the API reports no new run so far"


def status_undecided(training_status: int) -> str:
    """The observation in outcome_unknown: the polls decide nothing."""
    return (
        f"the API reports training_status {training_status}, which does not show whether the run "
        "began"
    )


@shown(
    Reason.START_OUTCOME_UNKNOWN,
    example={"reply": "HTTP 502: Bad Gateway", "observation": no_run_yet()},
    action=NOTHING,
)
def outcome_unknown(reply: str, observation: str) -> str:
    """Polls have not determined the outcome of the start yet."""
    said = f" ({reply})" if reply else ""
    return (
        f"The outcome of the start is unknown{said}: {observation}. The operator does not retry "
        "the start until the outcome is known."
    )


@shown(
    Reason.STARTING,
    Reason.START_OUTCOME_UNKNOWN,
    example={"attempt": 2, "reply": "HTTP 502: Bad Gateway"},
    action=NOTHING,
)
def start_had_no_effect(attempt: int, reply: str, next_attempt_at: datetime | None = None) -> str:
    """Polls show that the start has not happened; StartOutcomeUnknown from attempt 4 on."""
    cause = (
        f"The API answered the start with an error ({reply}), and the start had no effect"
        if reply
        else "The start had no effect"
    )
    when = "" if next_attempt_at is None else f" at {timestamp(next_attempt_at)}"
    return f"{cause}; the operator retries the start{when} (attempt {attempt})."
