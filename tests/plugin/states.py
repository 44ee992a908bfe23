"""A training in each state that a status can show, with the texts of the operator."""

from collections.abc import Iterator
from dataclasses import replace as with_fields
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pkgutil import iter_modules

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import (
    Baseline,
    Failure,
    Intent,
    Metrics,
    Queue,
    Run,
    TrainingStatus,
)
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.status import texts
from scriptix_operator.core.status.conditions import ConditionReason, derive_status
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG
from scriptix_operator.core.status.texts.registry import TEXTS, Text

__all__ = ["NOW", "all_states", "training_with"]

for module in iter_modules(texts.__path__):  # each one registers its texts
    import_module(f"{texts.__name__}.{module.name}")

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=2)
LATER = NOW + timedelta(hours=3)
RUN = Run(id="e35c5d2eba", attempt=1, queued_at=EARLIER)
FOLLOWED = replace(RUN, ownership=Ownership.OWNED.value, claimed_at=EARLIER)
INTENT = Intent(attempt=1, at=NOW - timedelta(seconds=40), key_fingerprint="0123456789ab")
RUNNING = TrainingStatus(
    run=FOLLOWED,
    progress=45,
    stage="MainTraining",
    started_at=EARLIER,
    estimated_completion_at=LATER,
    estimated_completion_p90_at=LATER + timedelta(hours=1),
)
ENDED = replace(RUNNING, progress=100, finished_at=NOW - timedelta(minutes=30))
FACTS: dict[str, TrainingStatus] = {
    Reason.WAITING_FOR_START_QUOTA: TrainingStatus(
        run=RUN, queue=Queue(position=3, of=12, estimated_start_at=LATER)
    ),
    Reason.STARTING: TrainingStatus(
        run=replace(RUN, intent=INTENT, baseline=Baseline(training_status=2))
    ),
    Reason.START_OUTCOME_UNKNOWN: TrainingStatus(
        run=replace(RUN, intent=INTENT, baseline=Baseline(training_status=2))
    ),
    Reason.TRAINING: RUNNING,
    Reason.PROGRESS_STALLED: replace(RUNNING, progress_stalled_at=NOW - timedelta(minutes=50)),
    Reason.TRAINING_SUCCEEDED: replace(ENDED, metrics=Metrics(word_error_rate="9.5")),
    Reason.WAITING_FOR_RETRY: replace(
        ENDED,
        run=replace(FOLLOWED, retry_at=LATER),
        failure=Failure(reason=FailureReason.SYSTEM_ERROR.value, message="Training failed."),
    ),
    FailureReason.RESULT_NOT_PUBLISHED: ENDED,
}
"""The facts that come with a reason; for all others, the resource waits without a run."""


def training_with(
    status: TrainingStatus, spec: TrainingSpec | None = None, *, generation: int = 1
) -> Training:
    """A training with a status."""
    return Training(
        key=TrainingKey("speech", "cardiology-en"),
        uid="3f0e",
        generation=generation,
        resource_version="7",
        created_at=NOW - timedelta(days=1),
        requested_at="",
        spec=spec or TrainingSpec(model_id=123),
        status=status,
    )


def all_states() -> Iterator[tuple[str, Training]]:
    """A title and a training for each reason and each text that comes with the reason."""
    yield "no status yet", training_with(TrainingStatus())
    for reason in (*Reason, *FailureReason):
        for text in _texts(reason):
            title = f"{reason.value}: {text.when}"
            yield title, _training(reason, str(text))
        if isinstance(reason, FailureReason) and not _texts(reason):
            remedy = FAILURE_CATALOG[reason]
            message = remedy.examples[0] if remedy.examples else remedy.happened
            yield reason.value, _training(reason, message)


def _texts(reason: Reason | FailureReason) -> list[Text]:
    """The texts of a reason; members of two enumerations may be equal, so the type counts."""
    found = [text for text in TEXTS if any(one is reason for one in text.shown_for)]
    # In any order in which the modules were imported.
    return sorted(found, key=lambda text: text.function.__module__)


def _training(reason: Reason | FailureReason, message: str) -> Training:
    spec = TrainingSpec(model_id=123, suspend=reason is Reason.SUSPENDED, backoff_limit=3)
    facts = FACTS.get(reason, TrainingStatus())
    if isinstance(reason, FailureReason):
        remedy = FAILURE_CATALOG[reason]
        facts = facts if remedy.blocks else ENDED
        why = Failure(reason=reason.value, message=message, solution=remedy.solution)
        facts = replace(facts, run=facts.run or RUN, failure=why)
    training = training_with(TrainingStatus(), spec)
    if reason is Reason.BEING_DELETED:
        training = with_fields(training, is_being_deleted=True)
    status = derive_status(training, facts, EARLIER, ConditionReason(reason.value, message))
    return training.with_status(status)
