"""Texts of events that are no message of a condition."""

from scriptix_operator.api.reasons import EventReason
from scriptix_operator.core.status.texts.registry import NOTHING, shown

__all__ = [
    "gate_at_risk",
    "request_cancelled",
    "retry_cancelled_by_limit",
    "retry_cancelled_with_request",
    "run_released",
    "served_elsewhere",
    "stage_changed",
    "start_released",
    "training_adopted",
    "training_started",
    "training_started_without_reply",
    "word_error_rate_rising",
]

RUN = {"run_id": "3f0c2a9d41", "model": "cardiology_en"}


def _of(model: str | None) -> str:
    return f" of {model}" if model else ""


@shown(EventReason.TRAINING_STARTED, example=RUN, action=NOTHING)
def training_started(run_id: str, model: str | None) -> str:
    """The API has accepted the start."""
    return f"The operator started run {run_id}{_of(model)}."


@shown(EventReason.TRAINING_STARTED, example=RUN, action=NOTHING)
def training_started_without_reply(run_id: str, model: str | None) -> str:
    """A poll shows the run of a start whose reply was lost."""
    lost = "the reply of the API to the start was lost"
    return f"The operator started run {run_id}{_of(model)}; {lost}."


@shown(EventReason.TRAINING_ADOPTED, example=RUN, action=NOTHING)
def training_adopted(run_id: str, model: str | None) -> str:
    """The model was trained, or is being trained, at the first observation."""
    return f"The operator adopted the existing training{_of(model)} as run {run_id}."


@shown(
    EventReason.STAGE_CHANGED,
    example={"stage": "FineTuning", "progress": 72, "before": ""},
    action=NOTHING,
)
def stage_changed(stage: str | None, progress: int | None, before: str) -> str:
    """A poll shows the run in another stage."""
    back = f" (back from {before})" if before else ""
    return f"The run has reached stage {stage}, at {progress}%{back}."


@shown(
    EventReason.WORD_ERROR_RATE_RISING,
    example={"epoch": 14, "word_error_rate": "14.1"},
    action="Check the training data; the API cannot cancel the run.",
)
def word_error_rate_rising(epoch: int, word_error_rate: str) -> str:
    """The learning curve rises over several epochs."""
    return (
        f"The word error rate rises over the last epochs of the log, to {word_error_rate}% after "
        f"epoch {epoch}; the run continues."
    )


@shown(
    EventReason.QUALITY_GATE_AT_RISK,
    example={"likely": "21.3", "low": "18.0", "high": "24.1"},
    action="Prepare better data, or relax spec.qualityGate; the API cannot cancel the run.",
)
def gate_at_risk(likely: str, low: str, high: str) -> str:
    """The whole band of the forecast misses the gate."""
    return (
        f"The run is expected to miss its quality gate: the forecast of its word error rate is "
        f"{likely}% (80 % band: {low}% to {high}%); the run continues."
    )


@shown(EventReason.REQUEST_CANCELLED, example={"request": 'spec.runToken "2"'})
def request_cancelled(request: str) -> str:
    """The value that requested a run is removed or replaced before the start."""
    return (
        f"The operator cancelled the request ({request}) before its start, because the resource no "
        "longer has that value. If Argo CD or Flux applies the resource, set the value in Git."
    )


@shown(EventReason.REQUEST_CANCELLED, example={"number": 1, "request": 'spec.runToken "2"'})
def retry_cancelled_with_request(number: int, request: str) -> str:
    """The value that requested a run is removed or replaced before a retry starts."""
    return (
        f"The operator cancelled retry {number} before its start, because the resource no longer "
        f"has the value that asked for the run ({request}). To train again, set a value that was "
        "never used."
    )


@shown(EventReason.REQUEST_CANCELLED, example={"number": 1})
def retry_cancelled_by_limit(number: int) -> str:
    """spec.backoffLimit is lowered before a retry starts."""
    return (
        f"The operator cancelled retry {number} before its start, because spec.backoffLimit was "
        "lowered. To train again, change spec.runToken."
    )


@shown(EventReason.RELEASED_RUNNING_TRAINING, action="Nothing: the run ends at the API.")
def run_released() -> str:
    """The resource is deleted while its run is followed."""
    return (
        "The resource was deleted while its training runs at the API. The API cannot cancel the "
        "run, which continues unobserved."
    )


@shown(EventReason.RELEASED_RUNNING_TRAINING, action="Check the model at the API.")
def start_released() -> str:
    """The resource is deleted before the outcome of its start is known."""
    return (
        "The resource was deleted before the outcome of its start was known. The training may run "
        "at the API, which cannot cancel the run; such a run continues unobserved."
    )


@shown(
    EventReason.SERVED_ELSEWHERE,
    example={"other": "scriptix-old", "own": "scriptix-system", "period": "30m"},
    action="Ask the administrators to let only one installation watch the namespace "
    "(SCRIPTIX_WATCH_NAMESPACES).",
)
def served_elsewhere(other: str, own: str, period: str) -> str:
    """Another installation of the operator serves the resource."""
    return (
        f"The installation of the operator in namespace {other} serves this resource. The "
        f"installation in namespace {own} also watches the resource, and leaves it alone until the "
        f"installation in {other} has not written the status for {period}."
    )
