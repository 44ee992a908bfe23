"""Following a remote run: what a poll of the model says of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.api.spec import UNREADABLE_GATE, TrainingSpec
from scriptix_operator.api.status import (
    LONG_TEXT,
    NAME,
    TEXT,
    Failure,
    Metrics,
    ModelStatus,
    PendingEnd,
    TrainingStatus,
)
from scriptix_operator.core.eta.timeline import PastRun
from scriptix_operator.core.follow.forecasting import with_forecast
from scriptix_operator.core.follow.progressing import (
    is_another_start,
    running,
    with_milestones_of,
    without_poll_facts,
)
from scriptix_operator.core.model.progress import DONE, rating_of, stage_of
from scriptix_operator.core.model.remote import ENDS, RemoteMetrics, RemoteModel, TrainingState
from scriptix_operator.core.model.text import clean, one_line
from scriptix_operator.core.status.conditions import ConditionReason
from scriptix_operator.core.status.failures import failure, remote_failure
from scriptix_operator.core.status.gate_condition import gate_condition, with_judgement
from scriptix_operator.core.status.published import last_published
from scriptix_operator.core.status.quality_gate import judgement, lacks_metric
from scriptix_operator.core.status.retry import with_retry
from scriptix_operator.core.status.texts import end_texts, poll_texts, run_texts, waiting_texts

__all__ = [
    "OBSERVATION_REFRESH",
    "believe",
    "ended_at",
    "follow",
    "is_of_end",
    "is_of_run",
    "judge",
    "model_status",
    "naming_unreadable",
    "trained_reason",
    "with_metrics",
    "with_poll",
]

CHANGED = frozenset({TrainingState.NOT_READY, TrainingState.READY})
"""The training_status values that new data brings a model to after a run."""

MAX_AHEAD = timedelta(days=1)
"""The API's time of an end is believed up to this far ahead of the operator's clock."""
OBSERVATION_REFRESH = timedelta(minutes=10)
"""lastObservedAt is written together with other changes; alone it is written at most this often."""


def model_status(model: RemoteModel) -> ModelStatus:
    """The model as status shows it, with bounded texts."""

    def bounded(text: str | None, limit: int) -> str | None:
        return None if text is None else one_line(text, limit)

    return ModelStatus(
        key=bounded(model.key, NAME),
        name=bounded(model.name, NAME),
        training_status=model.training_status,
        status_message=bounded(model.status_message, TEXT),
    )


def with_poll(status: TrainingStatus, before: TrainingStatus, now: datetime) -> TrainingStatus:
    """With the time of a poll, written together with other changes, or refreshed when old."""
    last = before.last_observed_at
    if status == before and last is not None and now - last < OBSERVATION_REFRESH:
        return status
    return replace(status, last_observed_at=now.replace(microsecond=0))


def follow(
    spec: TrainingSpec,
    status: TrainingStatus,
    model: RemoteModel,
    now: datetime,
    past: Sequence[PastRun],
) -> tuple[TrainingStatus, ConditionReason | None]:
    """What a poll says of the remote run in status, which is not finished.

    Args:
        spec: What is asked for.
        status: The facts so far.
        model: The poll.
        now: UTC.
        past: Completed runs with the same API key.

    Returns:
        The new facts and their reason (None where a failure in the facts gives the reason, and
        while an end is pending). A poll of an earlier run, or one that makes no sense, changes only
        the reason.
    """
    after, condition_reason = _follow(spec, status, model, now, past)
    return naming_unreadable(after, status.failure, model.unreadable), condition_reason


def naming_unreadable(
    status: TrainingStatus, before: Failure | None, unreadable: tuple[str, ...]
) -> TrainingStatus:
    """With the fields of the reply that were not read, in the message of a new failure.

    Args:
        status: The new facts.
        before: The failure in the facts before.
        unreadable: The fields.
    """
    why = status.failure
    if why is None or why is before or not unreadable:
        return status
    message = clean(f"{why.message} {poll_texts.reply_fields_unreadable(unreadable)}", LONG_TEXT)
    return replace(status, failure=replace(why, message=message))


def _follow(
    spec: TrainingSpec,
    status: TrainingStatus,
    model: RemoteModel,
    now: datetime,
    past: Sequence[PastRun],
) -> tuple[TrainingStatus, ConditionReason | None]:
    end = status.run.pending_end if status.run else None
    if end is not None:
        return _awaited(spec, status, end, model, now)
    match model.training_status:
        case TrainingState.RUNNING | TrainingState.SUCCEEDED | TrainingState.FAILED:
            if not _is_this_run(status, model):
                return status, ConditionReason(Reason.TRAINING, run_texts.previous_run_shown())
            return _followed(spec, _with_start_time(status, model), model, now, past)
        case TrainingState.NOT_READY | TrainingState.READY:
            if model.started_at is None or not _is_this_run(status, model):
                return status, _not_shown(status, model)
            text = end_texts.outcome_lost_by_reset(model.training_status)
            gone = failure(FailureReason.UNKNOWN, text)
            return _ended(_with_start_time(status, model), model, now, gone), None
        case other:
            text = waiting_texts.undocumented_status(other)
            return status, ConditionReason(Reason.UNEXPECTED_STATUS, text)


def _not_shown(status: TrainingStatus, model: RemoteModel) -> ConditionReason:
    """Why the operator waits, until the time-out, at 1 or 2 without this run's start time.

    The poll may be a stale read, in a response variant without run start times. Ending the run by
    such a poll could not be undone.
    """
    if status.progress is None:
        return ConditionReason(Reason.TRAINING, run_texts.run_not_shown())
    return ConditionReason(
        Reason.UNEXPECTED_STATUS,
        run_texts.run_not_shown_any_more(status.progress, model.training_status),
    )


def _is_this_run(status: TrainingStatus, model: RemoteModel) -> bool:
    """Whether the run that a poll shows is the one in status, by its run start time.

    The run start time is compared with polled ones only: another replica may have written the one
    in the reply to the start. The run start time must be newer than the baseline's. For an adopted
    run, and for one that two polls have shown under the baseline's, the run's own one is compared.
    With a baseline without one, rounding is allowed for: replicas may round.
    """
    if model.started_at is None:
        return not _is_left_over(status, model)
    run = status.run
    before = run.baseline.started_training_at if run and run.baseline else None
    own = run.started_training_at if run else None
    if own is not None and (before is None or own == before):
        may_round = before is None and run is not None and run.baseline is not None
        is_same = may_round and not is_another_start(own, model.started_at)
        return is_same or model.started_at >= own
    return before is None or model.started_at > before


def _with_start_time(status: TrainingStatus, model: RemoteModel) -> TrainingStatus:
    """With the first polled run start time, in place of the one in the reply."""
    run = status.run
    if run is None or run.started_training_at is not None or model.started_at is None:
        return status
    run = replace(run, started_training_at=model.started_at)
    return replace(status, run=run, started_at=model.started_at)


def _is_left_over(status: TrainingStatus, model: RemoteModel) -> bool:
    """Whether an end without a run start time may be the end that the baseline has.

    Without run start times only the order of events tells runs apart: the baseline's end says
    nothing until a poll has shown progress of this run.
    """
    baseline = status.run.baseline if status.run else None
    ended = model.training_status in ENDS
    same = baseline is not None and baseline.training_status == model.training_status
    return ended and same and not status.progress


def _followed(
    spec: TrainingSpec,
    status: TrainingStatus,
    model: RemoteModel,
    now: datetime,
    past: Sequence[PastRun],
) -> tuple[TrainingStatus, ConditionReason | None]:
    if model.training_status == TrainingState.RUNNING:
        status, condition_reason = running(status, model, now, spec.model_id, past)
        return with_forecast(spec, status, now), condition_reason
    return _at_end(spec, status, model, now)


def is_of_end(status: TrainingStatus, end: PendingEnd, model: RemoteModel) -> bool:
    """Whether a poll shows the end that is pending, by the start time that polls have shown."""
    if model.training_status not in ENDS or not _is_this_run(status, model):
        return False
    before, shown = end.started_training_at, model.started_at
    return before is None or shown is None or not is_another_start(before, shown)


def is_of_run(status: TrainingStatus, model: RemoteModel) -> bool:
    """Whether a poll shows the start time of the run in status, known from polls, too."""
    own, shown = status.run.started_training_at if status.run else None, model.started_at
    if own is None or shown is None or is_another_start(own, shown):
        return False
    return _is_this_run(status, model)


def _awaited(
    spec: TrainingSpec, status: TrainingStatus, end: PendingEnd, model: RemoteModel, now: datetime
) -> tuple[TrainingStatus, ConditionReason | None]:
    """Decide on a poll while results are awaited: it has them, shows another run, or is stale.

    1 or 2 without a run start time may be a stale read where the end has one: the wait continues.
    """
    if is_of_end(status, end, model):
        return _at_end(spec, status, model, now)
    before, shown = end.started_training_at, model.started_at
    if before is not None and shown is not None and is_another_start(before, shown):
        has_moved_on = shown > before
    else:
        is_unmarked = before is not None and shown is None
        is_changed = model.training_status in CHANGED and _is_this_run(status, model)
        has_moved_on = is_changed and not is_unmarked
    is_success = end.training_status == TrainingState.SUCCEEDED
    if not has_moved_on or (is_success and spec.quality_gate == UNREADABLE_GATE):
        return status, None
    return believe(spec, status, now)


def _at_end(
    spec: TrainingSpec, status: TrainingStatus, model: RemoteModel, now: datetime
) -> tuple[TrainingStatus, ConditionReason | None]:
    """Record a poll that shows the end of the run: final with its results, else pending."""
    if status.run is None:
        raise ValueError("the end of no run")
    first = status.run.pending_end or PendingEnd(
        training_status=model.training_status,
        seen_at=now,
        started_training_at=model.started_at,
        finished_at=model.finished_at,
    )
    end = replace(
        first,
        training_status=model.training_status,
        started_training_at=first.started_training_at or model.started_at,
        finished_at=model.finished_at or first.finished_at,
    )
    status = replace(
        without_poll_facts(status),
        run=replace(status.run, pending_end=end),
        started_at=status.started_at or model.started_at,
        metrics=with_metrics(status.metrics, model.metrics),
    )
    if model.training_status == TrainingState.SUCCEEDED:
        is_pending = lacks_metric(spec.quality_gate, status.metrics)
        return (status, None) if is_pending else believe(spec, status, now)
    is_pending = not (clean(model.error or "", TEXT) or clean(model.status_message or "", TEXT))
    return (status, None) if is_pending else believe(spec, status, now, remote_failure(model))


def believe(
    spec: TrainingSpec, status: TrainingStatus, now: datetime, why: Failure | None = None
) -> tuple[TrainingStatus, ConditionReason | None]:
    """End the run as the API has shown it, with the results that are known.

    Args:
        spec: What is asked for.
        status: With the end of the run.
        now: UTC.
        why: Failure of a run that has failed, in the API's words; None: the API gave none.
    """
    run = status.run
    if run is None or run.pending_end is None:
        raise ValueError("no end of a run was seen")
    end = run.pending_end
    status = replace(
        without_poll_facts(status),
        run=replace(run, pending_end=None),
        finished_at=ended_at(status.started_at, end.seen_at, end.finished_at),
        failure=None,
    )
    if end.training_status == TrainingState.FAILED:
        why = why or remote_failure(RemoteModel(id=spec.model_id, training_status=5))
        return with_retry(spec, replace(status, failure=why), now), None
    done = replace(status, progress=DONE, stage=stage_of(DONE).value)
    return judge(spec, with_milestones_of(done, DONE, end.seen_at))


def judge(
    spec: TrainingSpec, status: TrainingStatus
) -> tuple[TrainingStatus, ConditionReason | None]:
    """Hold a finished run against the quality gate, by the metrics in status."""
    published = last_published(status)
    found = judgement(spec.quality_gate, status.metrics, published)
    status = with_judgement(status, found)
    if found is not None and found.fails_run:
        text = found.message
        if published is not None:
            key = status.model.key if status.model else None
            kept = end_texts.published_result_kept(published.run_id, published.model_key, key)
            text = f"{text} {kept}"
        return replace(status, failure=failure(FailureReason.QUALITY_GATE_FAILED, text)), None
    return replace(status, failure=None), trained_reason(status)


def trained_reason(status: TrainingStatus) -> ConditionReason:
    """The reason and message of a run that has succeeded, with a gate that it missed in DryRun."""
    metrics, judged = status.metrics, gate_condition(status.conditions)
    text = end_texts.model_trained(
        metrics.word_error_rate if metrics else None,
        metrics.rating if metrics else None,
        status.model.key if status.model else None,
    )
    if judged is not None and judged.status != "True":
        text = f"{text} {judged.message}"
    return ConditionReason(Reason.TRAINING_SUCCEEDED, text)


def _ended(
    status: TrainingStatus, model: RemoteModel, now: datetime, why: Failure | None
) -> TrainingStatus:
    started_at = status.started_at or model.started_at
    return replace(
        without_poll_facts(status),
        started_at=started_at,
        finished_at=ended_at(started_at, now, model.finished_at),
        failure=why,
    )


def ended_at(
    started_at: datetime | None, now: datetime, named_end: datetime | None = None
) -> datetime:
    """When a run ended: as the API reports, else now; never before its beginning.

    Args:
        started_at: When the run began, by the API's clock.
        now: The operator's clock, which may be behind the API's.
        named_end: The end that the API reports. An end before the beginning belongs to another run,
            and an end in the future does not count.
    """
    if named_end is not None and (started_at or named_end) <= named_end <= now + MAX_AHEAD:
        return named_end
    now = now.replace(microsecond=0)
    return now if started_at is None else max(now, started_at)


def with_metrics(known: Metrics | None, given: RemoteMetrics | None) -> Metrics | None:
    """The metrics of a run after a poll: those of this poll, and those of earlier polls."""
    if known is None or given is None:
        return known if given is None else _metrics(given)
    # The names are the fields of the class, so the update needs no validation.
    new = {name: value for name, value in _metrics(given) if value is not None}
    return Metrics(**{**dict(known), **new})


def _metrics(metrics: RemoteMetrics) -> Metrics:
    def text(value: Decimal | None) -> str | None:
        return None if value is None else format(value, "f")

    wer = metrics.word_error_rate
    return Metrics(
        word_error_rate=text(wer),
        character_error_rate=text(metrics.character_error_rate),
        accuracy_improvement=text(metrics.accuracy_improvement),
        training_hours=text(metrics.training_hours),
        test_word_error_rate=text(metrics.test_word_error_rate),
        training_word_error_rate=text(metrics.training_word_error_rate),
        rating=None if wer is None else rating_of(wer).value,
    )
