"""Texts of polls that bring no usable reply."""

from collections.abc import Sequence
from datetime import datetime

from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.core.model.wording import timestamp
from scriptix_operator.core.status.texts.registry import EXAMPLE_TIME, NOTHING, shown

__all__ = [
    "facts_as_of",
    "last_known_facts",
    "named_wait",
    "poll_rate_limited",
    "poll_refused_once",
    "poll_unanswered",
    "polls_refused_by_gateway",
    "reply_fields_unreadable",
    "unreachable_since",
]

EXAMPLE_CAUSE = "HTTP 503: Service Unavailable"
CHECK_API = "Check the status of the API, and each proxy on the way to the API."


@shown(
    Reason.API_UNAVAILABLE,
    example={"cause": "HTTP 404 MODEL_NOT_FOUND: Model not found", "facts": ""},
    action=NOTHING,
)
def poll_refused_once(cause: str, facts: str) -> str:
    """The API refused one poll with a key, or of a model, that it accepted before."""
    return (
        f"The API refused a poll ({cause}), contrary to its earlier replies. The next poll "
        f"confirms or refutes the refusal{facts}."
    )


@shown(
    FailureReason.GATEWAY_REFUSED,
    example={"cause": "HTTP 403: Blocked by policy"},
)
def polls_refused_by_gateway(cause: str) -> str:
    """A proxy or gateway has refused the polls for 5 minutes."""
    return f"A proxy or gateway refuses the polls ({cause})."


def facts_as_of(at: datetime) -> str:
    """The age of the facts in status, as the end of a sentence."""
    return f"; status was last updated at {timestamp(at)}"


def last_known_facts() -> str:
    """The age of the facts in status where it is not known, as the end of a sentence."""
    return "; status shows the last known facts"


@shown(
    Reason.API_UNAVAILABLE,
    example={"since": EXAMPLE_TIME, "cause": EXAMPLE_CAUSE, "facts": facts_as_of(EXAMPLE_TIME)},
    action=CHECK_API,
)
def unreachable_since(since: datetime, cause: str, facts: str) -> str:
    """The circuit breaker of the API key is open: no resource with the key makes a call."""
    return f"The API has been unreachable since {timestamp(since)} ({cause}){facts}."


@shown(
    Reason.API_UNAVAILABLE,
    example={"cause": EXAMPLE_CAUSE, "facts": facts_as_of(EXAMPLE_TIME)},
    action=CHECK_API,
)
def poll_unanswered(cause: str, facts: str) -> str:
    """A poll brought no usable reply."""
    return f"The API did not answer the poll ({cause}){facts}."


@shown(Reason.API_UNAVAILABLE, example={"until": EXAMPLE_TIME}, action=NOTHING)
def named_wait(until: datetime) -> str:
    """The reply names the time until which the API is unavailable: follows the message."""
    return f"The reply asks the operator to wait; the next call is due at {timestamp(until)}."


@shown(Reason.RATE_LIMITED, example={"until": EXAMPLE_TIME}, action=NOTHING)
def poll_rate_limited(until: datetime) -> str:
    """The API refused a poll with 429."""
    return (
        "The API refused a call because of its rate limit; the operator polls again at "
        f"{timestamp(until)}."
    )


@shown(example={"fields": ("training_progress",)}, action="Report the reply to Scriptix support.")
def reply_fields_unreadable(fields: Sequence[str]) -> str:
    """Fields of the API's reply cannot be read: follows any message."""
    return f"The operator cannot read fields of the API's reply: {', '.join(fields)}."
