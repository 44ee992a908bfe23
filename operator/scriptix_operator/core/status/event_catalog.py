"""The event catalog: for each reason the type, when the event is published, and what to do."""

from dataclasses import dataclass

from scriptix_operator.api.reasons import EventReason, FailureReason, LogState, Reason

__all__ = ["EVENT_CATALOG", "EventEntry"]


@dataclass(frozen=True, slots=True)
class EventEntry:
    """One reason of events.

    Attributes:
        when: When the event is published.
        message_of: The reason or log state that has the same message; None: the event has texts of
            its own.
        is_warning: Whether the type is Warning; Normal otherwise.
    """

    when: str
    message_of: Reason | FailureReason | LogState | None = None
    is_warning: bool = True


EVENT_CATALOG: dict[EventReason, EventEntry] = {
    EventReason.WAITING_FOR_MODEL: EventEntry(
        "The model cannot be started yet.", Reason.WAITING_FOR_MODEL, is_warning=False
    ),
    EventReason.MODEL_IN_USE: EventEntry(
        "Another resource is training the same model.", Reason.MODEL_IN_USE
    ),
    EventReason.TRAINING_QUEUED: EventEntry(
        "The run waits for the start quota of the API key.",
        Reason.WAITING_FOR_START_QUOTA,
        is_warning=False,
    ),
    EventReason.START_LEDGER_NOT_WRITABLE: EventEntry(
        "The operator starts nothing, because it cannot write its start ledger.",
        Reason.START_LEDGER_NOT_WRITABLE,
    ),
    EventReason.WAITING_FOR_NAMESPACES: EventEntry(
        "The operator starts nothing, because it cannot rebuild its start ledger yet.",
        Reason.WAITING_FOR_NAMESPACES,
    ),
    EventReason.START_OUTCOME_UNKNOWN: EventEntry(
        "The outcome of a start is unknown.", Reason.START_OUTCOME_UNKNOWN
    ),
    EventReason.TRAINING_STARTED: EventEntry("The operator started a run.", is_warning=False),
    EventReason.TRAINING_ADOPTED: EventEntry("The operator adopted a run.", is_warning=False),
    EventReason.STAGE_CHANGED: EventEntry("The run reached another stage.", is_warning=False),
    EventReason.WORD_ERROR_RATE_RISING: EventEntry(
        "The word error rate rises over several epochs of the log; once a run."
    ),
    EventReason.QUALITY_GATE_AT_RISK: EventEntry(
        "The whole 80 % band of status.forecast misses spec.qualityGate; once a run."
    ),
    EventReason.TRAINING_SUCCEEDED: EventEntry(
        "The run finished and passed its quality gate.",
        Reason.TRAINING_SUCCEEDED,
        is_warning=False,
    ),
    EventReason.QUALITY_GATE_FAILED: EventEntry(
        "The run finished and missed its quality gate.", FailureReason.QUALITY_GATE_FAILED
    ),
    EventReason.TRAINING_FAILED: EventEntry("The run failed.", FailureReason.SYSTEM_ERROR),
    EventReason.TRAINING_TIMED_OUT: EventEntry(
        "spec.timeoutSeconds has passed.", FailureReason.TIMED_OUT
    ),
    EventReason.RETRY_SCHEDULED: EventEntry(
        "The run failed, and spec.backoffLimit allows another one.", Reason.WAITING_FOR_RETRY
    ),
    EventReason.PROGRESS_STALLED: EventEntry(
        "The run makes no progress for longer than expected in its stage.", Reason.PROGRESS_STALLED
    ),
    EventReason.START_REJECTED: EventEntry(
        "The API or the spec refused the start.", FailureReason.START_REJECTED
    ),
    EventReason.RATE_LIMITED: EventEntry(
        "The API refused a call because of its rate limit.", Reason.RATE_LIMITED
    ),
    EventReason.SECRET_NOT_FOUND: EventEntry(
        "The Secret with the API key is missing or forbidden.", FailureReason.SECRET_NOT_FOUND
    ),
    EventReason.KEY_NOT_FOUND: EventEntry(
        "The Secret has no usable value under the name of the key.", FailureReason.KEY_NOT_FOUND
    ),
    EventReason.UNAUTHORIZED: EventEntry(
        "The API rejects the API key.", FailureReason.UNAUTHORIZED
    ),
    EventReason.GATEWAY_REFUSED: EventEntry(
        "A proxy or gateway refuses the polls in place of the API.", FailureReason.GATEWAY_REFUSED
    ),
    EventReason.MODEL_NOT_FOUND: EventEntry(
        "The API does not know the model.", FailureReason.MODEL_NOT_FOUND
    ),
    EventReason.UNREADABLE: EventEntry(
        "The operator cannot read a field of spec or status; once for each new message."
    ),
    EventReason.REQUEST_ALREADY_USED: EventEntry("A value that was used before is set again."),
    EventReason.REQUEST_CANCELLED: EventEntry(
        "The operator cancelled a request or a retry before its start.", is_warning=False
    ),
    EventReason.RESULT_NOT_PUBLISHED: EventEntry(
        "The cluster refuses the result ConfigMap of a succeeded run.",
        FailureReason.RESULT_NOT_PUBLISHED,
    ),
    EventReason.LOG_NOT_STORED: EventEntry(
        "The log of the run is given up: status.log.state is Refused, Unavailable or NameTaken.",
        LogState.REFUSED,
    ),
    EventReason.RELEASED_RUNNING_TRAINING: EventEntry(
        "The resource was deleted while its run continues, or may continue, at the API."
    ),
    EventReason.SERVED_ELSEWHERE: EventEntry(
        "Another installation of the operator serves the resource."
    ),
}
"""In the order of EventReason."""
