"""Texts of the end of a run: its outcome, its quality gate, its result and its retries."""

from datetime import datetime

from scriptix_operator.api.reasons import FailureReason, GateReason, Reason
from scriptix_operator.core.model.wording import duration, sentence, timestamp
from scriptix_operator.core.status.texts.registry import EXAMPLE_TIME, NO_ACTION, NOTHING, shown

__all__ = [
    "gate_changed",
    "gate_missed",
    "gate_missed_in_dry_run",
    "gate_passed",
    "gate_unjudged",
    "model_trained",
    "outcome_lost_by_reset",
    "outcome_replaced",
    "published_result_kept",
    "request_cancelled_after_success",
    "result_not_published",
    "results_awaited",
    "retry_begins",
    "retry_scheduled",
    "run_failed_without_reason",
    "success_unjudged",
    "timed_out",
    "unpublished_by_deletion",
]


@shown(FailureReason.UNKNOWN, example={"training_status": 2})
def outcome_lost_by_reset(training_status: int) -> str:
    """The model changed after the run, before a poll showed the outcome."""
    return (
        f"The model changed to training_status {training_status} before the operator could read "
        "the outcome of the run; the outcome is unknown."
    )


@shown(FailureReason.UNKNOWN)
def outcome_replaced() -> str:
    """Another run replaced the run before a poll showed the run."""
    return (
        "The run started and ended, but the model changed before the operator could read the "
        "outcome; the outcome is unknown."
    )


@shown(
    Reason.TRAINING,
    example={"training_status": 4, "until": EXAMPLE_TIME},
    action=NOTHING,
)
def results_awaited(training_status: int | str, until: datetime | None) -> str:
    """The API shows the end of the run without its results."""
    return (
        f"The API reports that the training has ended (training_status {training_status}), but not "
        f"the results; the operator waits for the results until {timestamp(until)}."
    )


@shown(Reason.TRAINING, action="Correct spec.qualityGate.")
def success_unjudged() -> str:
    """The run has succeeded, and spec.qualityGate cannot be read."""
    return (
        "The API reports that the training has succeeded. The operator judges and publishes the "
        "run once the operator can read spec.qualityGate."
    )


@shown(
    Reason.TRAINING_SUCCEEDED,
    example={"word_error_rate": "12.5", "rating": "VeryGood", "key": "cardiology_en"},
    action=NO_ACTION,
)
def model_trained(word_error_rate: str | None, rating: str | None, key: str | None) -> str:
    """The run has finished and passed its quality gate."""
    rate = (
        "; the API reports no word error rate"
        if word_error_rate is None
        else f" with a word error rate of {word_error_rate}% ({rating})"
    )
    use = f" Use the model as {key}." if key else ""
    return f"The model is trained{rate}.{use}"


@shown(
    Reason.TRAINING_SUCCEEDED,
    example={"misses": "word error rate is 12.5% (at most 10% wanted)"},
    action="To apply the changed gate, change spec.runToken.",
)
def gate_changed(misses: str) -> str:
    """An edit of spec.qualityGate after the publication: follows the success."""
    return (
        "spec.qualityGate changed after the operator published the result. The result stays "
        "published, and the changed gate applies from the next run on. The result misses the "
        f"changed gate: {misses}."
    )


@shown(
    FailureReason.QUALITY_GATE_FAILED,
    example={"misses": "word error rate is 31.0% (at most 25% wanted)"},
)
def gate_missed(misses: str) -> str:
    """A metric of the finished run misses a bound of spec.qualityGate, or is missing."""
    return f"The run misses its quality gate: {misses}."


@shown(
    FailureReason.QUALITY_GATE_FAILED,
    example={"run_id": "3f0c2a9d41", "published_key": "cardiology_en", "key": "cardiology_en"},
)
def published_result_kept(run_id: str, published_key: str | None, key: str | None) -> str:
    """The result of an earlier run is published: follows the missed bounds."""
    text = f"The result ConfigMap still holds the result of run {run_id}"
    if key is None or published_key != key:
        return f"{text}."
    return (
        f"{text}, but the API may already serve the model of this run under the same model key, "
        f"{key}."
    )


@shown(
    Reason.TRAINING_SUCCEEDED,
    example={"misses": "word error rate is 31.0% (at most 25% wanted)"},
    action="To enforce the gate from the next run on, remove spec.qualityGate.mode.",
)
def gate_missed_in_dry_run(misses: str) -> str:
    """The run misses a bound, and spec.qualityGate.mode is DryRun: follows the success."""
    return f"The run misses its quality gate, which DryRun does not enforce: {misses}."


@shown(
    Reason.TRAINING_SUCCEEDED,
    example={"misses": "character error rate is not given (at most 8% wanted)"},
    action=NO_ACTION,
)
def gate_unjudged(misses: str) -> str:
    """A metric is missing, and spec.qualityGate.mode is DryRun: follows the success."""
    return f"The operator cannot judge the run by its quality gate: {misses}."


@shown(
    GateReason.BOUNDS_KEPT,
    example={"bounds": "word error rate is 12.5% (at most 15% wanted)"},
    action=NO_ACTION,
)
def gate_passed(bounds: str) -> str:
    """The run keeps all bounds of spec.qualityGate, or none of them applies."""
    return f"The run passes its quality gate{f': {bounds}' if bounds else ''}."


@shown(Reason.TRAINING_SUCCEEDED, action=NO_ACTION)
def request_cancelled_after_success() -> str:
    """A request for a rerun is cancelled, and the run before has succeeded."""
    return (
        "The model is trained; the operator cancelled the request for another run before its start."
    )


@shown(FailureReason.TIMED_OUT, example={"seconds": 86400})
def timed_out(seconds: int) -> str:
    """spec.timeoutSeconds has passed since the start or the adoption."""
    return (
        f"The run did not end within {duration(seconds)} (spec.timeoutSeconds); the operator makes "
        "no further calls for the run."
    )


@shown(
    FailureReason.RESULT_NOT_PUBLISHED,
    example={"cause": "create ConfigMap speech/cardiology-en-result: 403 exceeded quota"},
)
def result_not_published(cause: str) -> str:
    """The cluster does not accept the ConfigMap with the result."""
    return sentence(
        f"The training has succeeded, but the operator could not publish the result: {cause}"
    )


@shown(FailureReason.RESULT_NOT_PUBLISHED)
def unpublished_by_deletion() -> str:
    """The resource is being deleted when its run succeeds."""
    return result_not_published("the resource is being deleted.")


@shown(FailureReason.UNKNOWN)
def run_failed_without_reason() -> str:
    """A failed run is restored from a history that does not have its message."""
    return "The run failed; the history does not have the message of the API."


@shown(Reason.OBSERVED, example={"number": 1, "limit": 3}, action=NOTHING)
def retry_begins(number: int, limit: int) -> str:
    """The time of a retry has come."""
    return f"Retry {number} of {limit} begins."


@shown(
    Reason.WAITING_FOR_RETRY,
    example={
        "run_id": "3f0c2a9d41",
        "cause": "Training failed due to system error.",
        "number": 1,
        "limit": 3,
        "at": EXAMPLE_TIME,
    },
    action="Nothing. To cancel the retry, lower spec.backoffLimit.",
)
def retry_scheduled(run_id: str, cause: str, number: int, limit: int, at: datetime | None) -> str:
    """The run has failed, and spec.backoffLimit allows another one."""
    return f"Run {run_id} failed: {cause} Retry {number} of {limit} follows at {timestamp(at)}."
