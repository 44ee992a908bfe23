"""The calls to the API: their kinds, the permit of one call, and how the call ended."""

from dataclasses import dataclass
from enum import StrEnum

from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.window import Permit

__all__ = ["Answer", "Call", "CallPermit"]


class Call(StrEnum):
    """Kinds of calls, each with a quota of its own."""

    START = "start"
    STATUS = "status"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class CallPermit:
    """The permit of one call, to be completed or cancelled."""

    call: Call
    key: TrainingKey
    """The resource that the call is made for."""
    reserved: Permit
    """The reservation in the quota of this kind of call."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended."""

    model_id: int
    failure: CallFailure | None = None
    """How the call failed; None: it succeeded."""
    rate_info: RateLimitInfo | None = None
    """The rate-limit info of the reply."""
