"""Why a run waits for its start, and what blocks a resource, for the metrics."""

from typing import Final

from scriptix_operator.api.reasons import FailureReason, Phase, Reason
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import is_blocked, reason_of
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG

__all__ = ["BLOCKING_REASONS", "WAITING_REASONS", "blocking_reason", "waiting_reason"]

WAITING_REASONS: Final[tuple[str, ...]] = (
    Reason.OBSERVED,
    Reason.WAITING_FOR_MODEL,
    Reason.MODEL_IN_USE,
    Reason.WAITING_FOR_START_QUOTA,
    Reason.WAITING_FOR_RETRY,
    Reason.API_UNAVAILABLE,
    Reason.RATE_LIMITED,
    Reason.START_LEDGER_NOT_WRITABLE,
    Reason.WAITING_FOR_NAMESPACES,
    Reason.UNEXPECTED_STATUS,
    Reason.UNREADABLE,
    FailureReason.SECRET_NOT_FOUND,
    FailureReason.KEY_NOT_FOUND,
    FailureReason.UNAUTHORIZED,
    FailureReason.MODEL_NOT_FOUND,
    FailureReason.GATEWAY_REFUSED,
)
"""The reasons of the conditions with which a resource waits."""
BLOCKING_REASONS: Final[tuple[str, ...]] = tuple(
    reason.value for reason, remedy in FAILURE_CATALOG.items() if remedy.blocks
)
"""The failures that block a resource until a human has fixed a problem."""
WAITING_PHASES = frozenset({Phase.PENDING, Phase.QUEUED})


def waiting_reason(training: Training) -> str | None:
    """The reason with which the run of a resource waits for its start; None: it does not wait.

    A resource without conditions, or with a reason of a newer version, is Observed: its next
    reconcile gives it another reason.
    """
    status = training.status
    if training.is_being_deleted or (status.phase or Phase.PENDING) not in WAITING_PHASES:
        return None
    reason = reason_of(status)
    return reason if reason in WAITING_REASONS else Reason.OBSERVED.value


def blocking_reason(training: Training) -> str | None:
    """The failure that blocks a resource; None: nothing does, or nothing is to be done now."""
    status = training.status
    if training.is_being_deleted or training.spec.suspend or not is_blocked(status):
        return None
    reason = None if status.failure is None else status.failure.reason
    return reason if reason in BLOCKING_REASONS else None
