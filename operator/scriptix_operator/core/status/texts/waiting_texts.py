"""Texts of a resource that waits for its model, for another resource or for the start quota."""

from datetime import datetime

from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.core.model.wording import timestamp
from scriptix_operator.core.status.texts.registry import (
    ASK_ADMINISTRATOR,
    EXAMPLE_TIME,
    NOTHING,
    shown,
)

__all__ = [
    "api_refuses_rerun",
    "model_can_be_trained",
    "model_in_training",
    "model_not_ready",
    "model_not_ready_refused",
    "model_trained_elsewhere",
    "older_resource_first",
    "previous_training_refused",
    "previous_training_waited_for",
    "run_hidden",
    "stale_poll",
    "start_quota_used_up",
    "start_time_unreadable",
    "started_by_other",
    "started_by_unlisted",
    "training_by_other",
    "undocumented_status",
    "unreadable_resource_may_train",
]

OTHER = {"name": "cardiology-en"}
REPORT = "Report the reply to Scriptix support."


def _resource(name: str | None) -> str:
    """A resource that is named only within its namespace: tenants do not see each other's."""
    return "a resource in another namespace" if name is None else f"resource {name}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@shown(Reason.OBSERVED, action=NOTHING)
def model_can_be_trained() -> str:
    """The start is due within seconds."""
    return "The model can be trained; the operator schedules the start."


@shown(Reason.WAITING_FOR_MODEL)
def model_not_ready() -> str:
    """The API reports training_status 1, and spec.whenNotReady is Wait."""
    return (
        "The model is not ready to run. Upload training data (at least 5 hours of audio); the "
        "training starts automatically once the model is ready to run."
    )


@shown(FailureReason.START_REJECTED)
def model_not_ready_refused() -> str:
    """The API reports training_status 1, and spec.whenNotReady is Fail."""
    return "The model is not ready to run, and spec.whenNotReady is Fail."


def _previous_training(training_status: int) -> str:
    return {
        3: "The model is being trained",
        4: "The model is already trained",
        5: "The last training of the model failed",
    }[training_status]


@shown(Reason.WAITING_FOR_MODEL, example={"training_status": 4})
def previous_training_waited_for(training_status: int) -> str:
    """The model was trained before the first observation; spec.existingTraining is Wait."""
    return (
        f"{_previous_training(training_status)}. Upload new data after that training; the "
        "requested training starts automatically once the model is ready to run again."
    )


@shown(FailureReason.START_REJECTED, example={"training_status": 4})
def previous_training_refused(training_status: int) -> str:
    """The model was trained before the first observation; spec.existingTraining is Fail."""
    return f"{_previous_training(training_status)}, and spec.existingTraining is Fail."


@shown(Reason.WAITING_FOR_MODEL, action=NOTHING)
def model_in_training() -> str:
    """The model is being trained when a rerun is due."""
    return (
        "The model is being trained; the requested run starts automatically once that training "
        "has ended."
    )


@shown(Reason.WAITING_FOR_MODEL)
def api_refuses_rerun() -> str:
    """The API has refused a rerun of the model, which has not changed since."""
    return (
        "The API refuses a rerun of the unchanged model. Upload new data; the run then starts "
        "automatically."
    )


@shown(Reason.MODEL_IN_USE, example=OTHER, action=NOTHING)
def training_by_other(name: str | None) -> str:
    """Another resource follows a run of the model."""
    return (
        f"{_capital(_resource(name))} is training this model; this resource waits until that "
        "training has ended."
    )


@shown(Reason.MODEL_IN_USE, example=OTHER)
def model_trained_elsewhere(name: str | None) -> str:
    """The model's last training was requested by another resource."""
    return (
        f"The model's last training belongs to {_resource(name)}; this resource waits for new "
        "data. To train again, change spec.runToken of that resource."
    )


@shown(Reason.MODEL_IN_USE, example=OTHER, action=NOTHING)
def older_resource_first(name: str | None) -> str:
    """An older resource waits to train the model."""
    return (
        f"{_capital(_resource(name))} is older and waits to train this model first; this resource "
        "waits until that training has ended."
    )


@shown(Reason.MODEL_IN_USE, example=OTHER, action=NOTHING)
def started_by_other(name: str | None) -> str:
    """Another resource has a start of the model in flight."""
    return (
        f"{_capital(_resource(name))} has started this model, or is about to; this resource waits "
        "until that training has ended."
    )


@shown(Reason.MODEL_IN_USE, example=OTHER, action=ASK_ADMINISTRATOR)
def started_by_unlisted(name: str | None) -> str:
    """A start of the model is in flight, and its resource cannot be listed."""
    return (
        f"{_capital(_resource(name))} has started this model, or is about to, and the operator "
        "cannot read that resource. This resource waits until the operator can; the operator's "
        "log names the cause."
    )


@shown(Reason.MODEL_IN_USE, example=OTHER, action=ASK_ADMINISTRATOR)
def unreadable_resource_may_train(name: str | None) -> str:
    """A resource with the model cannot be read, and may have a run."""
    return (
        f"{_capital(_resource(name))} may be training this model, and the operator cannot read "
        "that resource. This resource waits until the operator can; the operator's log names the "
        "cause."
    )


@shown(Reason.MODEL_IN_USE, action=ASK_ADMINISTRATOR)
def run_hidden() -> str:
    """The model's last training belongs to no resource that the operator can read."""
    return (
        "The model's last training may belong to a resource that the operator cannot read or list. "
        "The requested run waits until the operator can; the operator's log names the cause."
    )


@shown(Reason.UNEXPECTED_STATUS, action=NOTHING)
def stale_poll() -> str:
    """A poll before the start shows an older run than is known."""
    return (
        "The API returned stale data: an older run than the operator has recorded. The operator "
        "polls again."
    )


@shown(Reason.UNEXPECTED_STATUS, action=REPORT)
def start_time_unreadable() -> str:
    """The run start time in a poll before the start is in no known form."""
    return (
        "The API reports the start time of the model's last training in an unknown form, so the "
        "operator cannot distinguish trainings. The operator starts and adopts nothing until the "
        "API reports the start time in a documented form."
    )


@shown(
    Reason.UNEXPECTED_STATUS,
    example={"training_status": 9, "awaited": "training_status 2 (ready to run)"},
    action=REPORT,
)
def undocumented_status(training_status: int | None, awaited: str = "") -> str:
    """The API reports a training_status that its documentation does not have."""
    return (
        f"The API reports training_status {training_status}, which is not documented; the operator "
        f"waits for {awaited or 'a documented training_status'}."
    )


@shown(
    Reason.WAITING_FOR_START_QUOTA,
    example={"position": 3, "of": 12, "at": EXAMPLE_TIME},
    action=NOTHING,
)
def start_quota_used_up(position: int, of: int, at: datetime | None) -> str:
    """The start quota of the API key is used up."""
    expected = "" if at is None else f", expected {timestamp(at)}"
    return (
        f"The run waits for the start quota of the API key: {position} of {of} in the "
        f"queue{expected}."
    )
