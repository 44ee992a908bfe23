"""Texts of a resource as a whole: suspended, deleted, unreadable, or served elsewhere."""

from scriptix_operator.api.reasons import EventReason, FailureReason, Reason
from scriptix_operator.core.model.wording import sentence
from scriptix_operator.core.status.texts.registry import NO_ACTION, NOTHING, shown

__all__ = [
    "being_deleted",
    "being_deleted_while_running",
    "being_deleted_while_starting",
    "effect_resource_followed",
    "effect_resource_skipped",
    "failure_with_solution",
    "first_poll_pending",
    "no_error_given",
    "no_reason_given",
    "nothing_started",
    "resources_left_alone",
    "suspended",
    "suspended_while_running",
    "suspended_while_starting",
    "unreadable",
    "used_value",
    "used_values_set",
]

RESUME = "Set spec.suspend to false to continue."


@shown(Reason.OBSERVED, action=NOTHING)
def first_poll_pending() -> str:
    """The resource is new."""
    return "The resource waits for its first status poll."


@shown(Reason.SUSPENDED)
def suspended() -> str:
    """spec.suspend is set, and no run is followed."""
    return f"spec.suspend is set: the operator does not call the API. {RESUME}"


@shown(Reason.SUSPENDED)
def suspended_while_running() -> str:
    """spec.suspend is set while a run is followed."""
    return (
        "spec.suspend is set: the operator does not call the API; the remote run continues (the "
        f"API cannot cancel a run). {RESUME}"
    )


@shown(Reason.SUSPENDED)
def suspended_while_starting() -> str:
    """spec.suspend is set while the outcome of a start is unknown."""
    return (
        "spec.suspend is set: the operator does not call the API. The outcome of the last start is "
        f"unknown; a run may be in progress at the API, which cannot cancel a run. {RESUME}"
    )


@shown(Reason.BEING_DELETED, action=NO_ACTION)
def being_deleted() -> str:
    """The resource is being deleted."""
    return "The resource is being deleted; the operator does not reconcile the resource any more."


@shown(Reason.BEING_DELETED, action="Nothing: the run ends at the API.")
def being_deleted_while_running() -> str:
    """The resource is being deleted while its run is followed."""
    return f"{being_deleted()} The run at the API continues, because the API cannot cancel a run."


@shown(Reason.BEING_DELETED, action="Check the model at the API.")
def being_deleted_while_starting() -> str:
    """The resource is being deleted while its start has an unknown outcome."""
    return (
        f"{being_deleted()} If the start has acted, the run at the API continues, because the API "
        "cannot cancel a run."
    )


@shown(Reason.UNREADABLE)
def nothing_started() -> str:
    """A field of a resource without a run cannot be read: precedes the cause."""
    return "The operator starts no training."


def effect_resource_followed() -> str:
    """The effect in unreadable where the resource is reconciled."""
    return "The operator starts nothing for the resource, and follows a run that has begun."


def effect_resource_skipped() -> str:
    """The effect in unreadable where the resource is not reconciled."""
    return "The operator skips the resource, starts nothing and follows no run."


@shown(
    Reason.UNREADABLE,
    EventReason.UNREADABLE,
    example={
        "fields": "spec.qualityGate.maxLatency (not a field that this version knows)",
        "effect": effect_resource_followed(),
        "where": "",
    },
)
def unreadable(fields: str, effect: str, where: str) -> str:
    """Fields of spec or status cannot be read."""
    return (
        f"This version of the operator cannot read {fields}. {effect} Correct the field, or run a "
        f"version of the operator that knows its value{where}."
    )


def failure_with_solution(message: str, solution: str = "") -> str:
    """The message of the conditions of a failure: the cause as a sentence, then the solution."""
    return f"{sentence(message)} {solution}" if solution else sentence(message)


@shown(FailureReason.UNKNOWN)
def no_reason_given() -> str:
    """The API reports training_status 5 without an error."""
    return "The API reports no error."


@shown(FailureReason.UNKNOWN, example={"status_message": "Training failed"})
def no_error_given(status_message: str) -> str:
    """The API reports training_status 5 without an error, but with a status_message."""
    return f"The API reports no error; the status message is: {status_message}"


@shown(
    EventReason.REQUEST_ALREADY_USED,
    example={"value": 'spec.runToken "2"', "run_id": "3f0c2a9d41"},
)
def used_value(value: str, run_id: str | None) -> str:
    """A value that was used before is set again: follows the message."""
    by = f"run {run_id} has answered it" if run_id else "an earlier start has used it"
    return f"{value} was used before and starts no run: {by}."


def used_values_set(values: str) -> str:
    """The sentences about used values, and what to do."""
    return f"{values} To train again, set a value that was never used."


def resources_left_alone(count: int, other: str, period: str, first: str) -> str:
    """The problem in /readyz: another installation serves resources that this one watches."""
    many = "1 resource is" if count == 1 else f"{count} resources are"
    return (
        f"{many} left alone until the installation in namespace {other}, which serves them, has "
        f"not written their status for {period}. Let no namespace be served by both "
        f"(SCRIPTIX_WATCH_NAMESPACES), or uninstall one of them. The first is {first}."
    )
