"""Results of calls in flight: observations that are recorded, whatever was edited meanwhile."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scriptix_operator.api.reasons import LogState
from scriptix_operator.api.status import LearningPoint, LogStatus
from scriptix_operator.core.model.remote import CallFailure, LogReply, RemoteModel

__all__ = [
    "LogExtent",
    "LogStored",
    "LogUnavailable",
    "PostFailed",
    "Posted",
    "WriteFailure",
]


@dataclass(frozen=True, slots=True)
class Posted:
    """The API accepted the start."""

    model: RemoteModel | None
    """The model in the reply; None where the reply had no body."""


@dataclass(frozen=True, slots=True)
class PostFailed:
    """The API refused the start, or its reply is not known."""

    failure: CallFailure
    again_in: float | None = None
    """Seconds until the key may start again, after a refusal for its rate."""


@dataclass(frozen=True, slots=True)
class LogExtent:
    """How much of a run's log there is, in a reply and in the cluster."""

    reply: LogReply
    of_run: int
    """Entries of the run in the reply."""
    known: int
    """Entries of the run that are stored, or were dropped to keep the bound."""
    skipped: int = 0
    """Entries in the reply that are older than the run."""


@dataclass(frozen=True, slots=True)
class LogStored:
    """The log was fetched and stored."""

    log: LogStatus
    learning_curve: tuple[LearningPoint, ...]
    due_in: float | None
    """Seconds until the next action other than the log is due; None: none is."""
    extent: LogExtent
    asked_at: datetime | None = None
    """When the log call was sent, which bounds the age of the log; None: just now."""


class WriteFailure(StrEnum):
    """Why the cluster did not take a log."""

    REFUSED = "Refused"
    """The cluster refuses the log until someone fixes the reported problem."""
    FAILED = "Failed"
    """The cluster may take the log at the next attempt."""


@dataclass(frozen=True, slots=True)
class LogUnavailable:
    """The log could not be fetched or stored now."""

    wait: float | None
    """Seconds until another attempt makes sense; None: none does."""
    state: LogState
    due_in: float | None
    """Seconds until the next action other than the log is due; None: none is."""
    tried: bool = True
    """False: the key's log quota is used up, so no call was made."""
    was_called: bool = False
    """The log call was made, so it counts against the quota, whatever its result."""
    refusal: CallFailure | None = None
    """The API or a gateway answered that there is no log, or the 2xx cannot be used."""
    write_failure: WriteFailure | None = None
    """The cluster did not take the log, or does not let the operator read what is stored."""
    message: str | None = None
    """Why, for people; None: nothing is wrong, or the reason is shown elsewhere."""
