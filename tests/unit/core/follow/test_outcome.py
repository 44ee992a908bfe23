"""core/follow/outcome.py: what a poll of the model says of the run in status."""

from datetime import timedelta
from decimal import Decimal

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.spec import QualityGate, TrainingSpec
from scriptix_operator.api.status import Baseline, HistoryEntry, LearningPoint, TrainingStatus
from scriptix_operator.core.follow.outcome import believe, follow, judge, model_status, with_poll
from scriptix_operator.core.model.remote import RemoteMetrics, RemoteModel
from tests.unit.core.builders import EIGHT, a_model, a_run, at, followed, metrics

SPEC = TrainingSpec(model_id=7)
BEFORE = EIGHT - timedelta(days=30)
"""The run start time of the previous run."""


def a_start(status: TrainingStatus | None = None, *, run_start_time: bool = True) -> TrainingStatus:
    """An owned run whose start time the reply names, or of which only the baseline is known."""
    run = a_run(
        ownership="Owned",
        claimed_at=EIGHT,
        baseline=Baseline(training_status=2, started_training_at=BEFORE),
    )
    facts = {"run": run, "started_at": EIGHT if run_start_time else None}
    return (status or followed()).model_copy(update=facts)


def a_poll(seconds: int) -> TrainingStatus:
    """An owned run that a poll has shown, started so long after the baseline's run."""
    status, start = a_start(), BEFORE + timedelta(seconds=seconds)
    assert status.run is not None
    run = replace(status.run, started_training_at=start)
    return replace(status, run=run, started_at=start)


def test_progress_brings_stage_and_expected_end() -> None:
    poll = a_model(3, progress=50, started_at=EIGHT)
    status, note = follow(SPEC, followed(), poll, at(hours=4), ())
    assert (status.progress, status.stage) == (50, "MainTraining")
    assert status.estimated_completion_at == at(hours=8)
    assert status.last_progress_at == at(hours=4)
    assert note is not None
    assert note.message == "The run is in stage MainTraining, at 50%."


def test_last_epoch_of_the_log_is_shown_with_the_progress() -> None:
    points = [
        LearningPoint(epoch=1, of=20, word_error_rate="45.2"),
        LearningPoint(epoch=5, of=20, word_error_rate="28.3"),
    ]
    poll = a_model(3, progress=30, started_at=EIGHT)
    _, note = follow(SPEC, followed(learning_curve=points), poll, at(hours=2), ())
    assert note is not None
    assert (
        note.message
        == "The run is in stage MainTraining, at 30%. The log's last epoch is 5/20, with WER 28.3%."
    )


def test_absent_progress_is_not_zero() -> None:
    poll = a_model(3, started_at=EIGHT)
    status, note = follow(SPEC, followed(), poll, at(hours=1), ())
    assert (status.progress, status.stage, status.last_progress_at) == (None, None, None)
    assert note is not None
    assert note.message == "The run is in progress."
    status, _ = follow(SPEC, followed(progress=45, stage="MainTraining"), poll, at(hours=1), ())
    assert (status.progress, status.stage) == (45, "MainTraining")


def test_progress_going_backwards_is_shown_as_it_is() -> None:
    known = followed(progress=75, stage="FineTuning", last_progress_at=at(hours=6))
    poll = a_model(3, progress=40, started_at=EIGHT)
    status, _ = follow(SPEC, known, poll, at(hours=7), ())
    assert (status.progress, status.stage) == (40, "MainTraining")
    assert status.last_progress_at == at(hours=7)
    assert status.finished_at is None


def test_unchanged_progress_keeps_its_time() -> None:
    poll = a_model(3, progress=50, started_at=EIGHT)
    status, _ = follow(SPEC, followed(), poll, at(hours=4), ())
    later, _ = follow(SPEC, status, poll, at(hours=5), ())
    assert later == status


def test_times_are_to_the_second_as_status_spells_them() -> None:
    poll = a_model(3, progress=50, started_at=EIGHT)
    status, _ = follow(SPEC, followed(), poll, at(hours=4, seconds=0.25), ())
    assert status.last_progress_at == at(hours=4)


def test_overdue_eta_is_computed_again() -> None:
    poll = a_model(3, progress=95, started_at=EIGHT)
    status, _ = follow(SPEC, followed(), poll, at(hours=7.5), ())
    assert status.estimated_completion_at == at(hours=8)
    late, _ = follow(SPEC, status, poll, at(hours=9), ())
    assert late.estimated_completion_at is not None
    assert late.estimated_completion_at > at(hours=9)


def test_run_at_100_percent_is_not_written_at_each_poll() -> None:
    poll = a_model(3, progress=100, started_at=EIGHT)
    status, _ = follow(SPEC, followed(), poll, at(hours=8), ())
    later, _ = follow(SPEC, status, poll, at(hours=9), ())
    assert later == status


@pytest.mark.parametrize(
    ("known", "seconds", "is_this"),
    [
        # An owned run: newer than the baseline's run start time, to the second.
        pytest.param(a_start(), 0, False, id="the baseline's"),
        pytest.param(a_start(), 1, True, id="a second later"),
        pytest.param(
            a_start(run_start_time=False), 1, True, id="a second later, none in the reply"
        ),
        # A poll has shown the run start time; another server rounds it differently.
        pytest.param(a_poll(1), 0, False, id="the baseline's, after the run was seen"),
        pytest.param(a_poll(2), 1, True, id="a second before what was seen"),
        # Two polls show the baseline's run start time: the run has no other.
        pytest.param(a_poll(0), 0, True, id="the baseline's, which is the run's"),
        pytest.param(a_poll(0), -1, False, id="before the run's, which is the baseline's"),
        # Adopted: the run's own start time replaces the baseline's.
        pytest.param(followed(started_at=BEFORE), 0, True, id="as at the adoption"),
        pytest.param(followed(started_at=BEFORE), -1, False, id="before the adoption"),
        pytest.param(followed(started_at=None), -1, True, id="none at the adoption"),
    ],
)
@pytest.mark.parametrize("state", [3, 4, 5])
def test_run_start_time_in_polls_identifies_the_run(
    known: TrainingStatus, seconds: int, state: int, *, is_this: bool
) -> None:
    seen = a_model(state, started_at=BEFORE + timedelta(seconds=seconds), progress=5)
    status, _ = follow(SPEC, known, seen, at(hours=1), ())
    assert (status != known) == is_this


def test_start_time_in_the_reply_is_replaced_once() -> None:
    status, _ = follow(SPEC, a_start(), a_model(3, started_at=at(seconds=-1)), at(minutes=1), ())
    assert status.run is not None
    assert (status.started_at, status.run.started_training_at) == (at(seconds=-1),) * 2
    again, _ = follow(SPEC, status, a_model(3, started_at=EIGHT), at(minutes=2), ())
    assert again == status


def test_run_start_time_of_an_adopted_run_is_recorded_once() -> None:
    status, _ = follow(
        SPEC, followed(started_at=None), a_model(3, started_at=EIGHT), at(hours=1), ()
    )
    assert status.started_at == EIGHT


def test_changed_run_start_time_is_reported_but_not_acted_on() -> None:
    later = a_model(3, progress=5, started_at=at(hours=2))
    status, note = follow(SPEC, followed(progress=50), later, at(hours=3), ())
    assert status.started_at == EIGHT
    assert status.progress == 5
    assert note is not None
    assert "another client may have started the model" in note.message


@pytest.mark.parametrize("state", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "status",
    [a_start(), a_start(run_start_time=False)],
    ids=["the reply named the run start time", "only the baseline is known"],
)
def test_stale_read_after_a_start_changes_nothing(state: int, status: TrainingStatus) -> None:
    """A reply from before the owned run is about the previous run."""
    poll = a_model(state, started_at=BEFORE, progress=3, metrics=metrics(), error="old")
    same, note = follow(SPEC, status, poll, at(minutes=1), ())
    assert same == status
    assert note is not None
    assert note.message.startswith("The run has started; the API ")


@pytest.mark.parametrize("state", [1, 2])
def test_model_that_is_not_running_yet_is_polled_again(state: int) -> None:
    status, note = follow(SPEC, followed(started_at=None), a_model(state), at(minutes=1), ())
    assert status.finished_at is None
    assert note is not None
    assert "does not report the run as running yet" in note.message


@pytest.mark.parametrize("state", [1, 2])
@pytest.mark.parametrize(
    "known",
    [None, EIGHT],
    ids=["never had a run start time", "its run start time is not given any more"],
)
def test_vanished_run_without_a_start_time_waits_for_the_timeout(state: int, known: object) -> None:
    seen = followed(started_at=known, progress=45, stage="MainTraining")
    status, note = follow(SPEC, seen, a_model(state), at(hours=3), ())
    assert status == seen
    assert note is not None
    assert note.reason == "UnexpectedStatus"
    assert note.message == (
        f"The run was at 45%, but the API now reports training_status {state} without a start "
        "time, so the operator cannot confirm the end of the run. The operator waits at most until "
        "spec.timeoutSeconds."
    )


@pytest.mark.parametrize("state", [1, 2])
@pytest.mark.parametrize(
    "run_start_time", [EIGHT, at(hours=1)], ids=["our run start time", "a later one"]
)
def test_model_changed_after_the_run_makes_the_outcome_unknown(
    state: int, run_start_time: object
) -> None:
    status, note = follow(
        SPEC, followed(), a_model(state, started_at=run_start_time), at(hours=9), ()
    )
    assert status.finished_at == at(hours=9)
    assert status.failure is not None
    assert (status.failure.reason, note) == ("Unknown", None)
    assert f"changed to training_status {state} before" in status.failure.message


@pytest.mark.parametrize("state", [0, 6, -1, 99, 2**53])
def test_an_unknown_status_is_never_the_end(state: int) -> None:
    status, note = follow(SPEC, followed(), a_model(state, started_at=EIGHT), at(hours=1), ())
    assert status == followed()
    assert note is not None
    assert (note.reason, f"training_status {state}," in note.message) == ("UnexpectedStatus", True)


def test_success_brings_metrics_and_rating() -> None:
    poll = a_model(4, started_at=EIGHT, finished_at=at(hours=8), metrics=metrics())
    known = followed(progress=95, estimated_completion_at=at(hours=9))
    status, note = follow(SPEC, known, poll, at(hours=8, minutes=1), ())
    assert status.finished_at == at(hours=8)
    assert (status.progress, status.stage) == (100, "FinalEvaluation")
    assert (status.failure, status.estimated_completion_at) == (None, None)
    assert status.metrics is not None
    assert status.metrics.model_dump(exclude_none=True) == {
        "word_error_rate": "12.5",
        "character_error_rate": "8.3",
        "accuracy_improvement": "18.7",
        "rating": "VeryGood",
    }
    assert note is not None
    assert note.message.startswith("The model is trained with a word error rate of 12.5%")


def test_all_metrics_are_kept_digit_by_digit() -> None:
    given = RemoteMetrics(
        word_error_rate=Decimal("12.50"),
        character_error_rate=Decimal("1E+1"),
        accuracy_improvement=Decimal("-0.0"),
        training_hours=Decimal("7.5"),
        test_word_error_rate=Decimal("11.2"),
        training_word_error_rate=Decimal("0.0000001"),
    )
    status, _ = follow(SPEC, followed(), a_model(4, metrics=given), at(hours=8), ())
    assert status.metrics is not None
    assert status.metrics.model_dump() == {
        "word_error_rate": "12.50",
        "character_error_rate": "10",
        "accuracy_improvement": "-0.0",
        "training_hours": "7.5",
        "test_word_error_rate": "11.2",
        "training_word_error_rate": "0.0000001",
        "rating": "VeryGood",
    }


def test_success_without_metrics_is_success() -> None:
    poll = a_model(4, started_at=EIGHT, metrics=None)
    status, _ = follow(SPEC, followed(), poll, at(hours=8), ())
    status, note = believe(SPEC, status, at(hours=9))
    assert (status.failure, status.metrics, status.finished_at) == (None, None, at(hours=8))
    assert note is not None
    assert "reports no word error rate" in note.message


def test_success_without_a_word_error_rate_has_no_rating() -> None:
    poll = a_model(4, started_at=EIGHT, metrics=metrics(None))
    status, _ = follow(SPEC, followed(), poll, at(hours=8), ())
    status, note = believe(SPEC, status, at(hours=9))
    assert status.metrics is not None
    assert (status.metrics.rating, status.metrics.character_error_rate) == (None, "8.3")
    assert note is not None
    assert "reports no word error rate" in note.message


def test_a_failed_run_says_why_and_when() -> None:
    poll = a_model(5, started_at=EIGHT, finished_at=at(hours=3), error="System error")
    status, note = follow(SPEC, followed(progress=40), poll, at(hours=4), ())
    assert status.failure is not None
    assert (status.failure.reason, status.finished_at, note) == ("SystemError", at(hours=3), None)
    assert status.progress == 40


def test_failed_run_without_an_error_is_failed() -> None:
    status, _ = follow(SPEC, followed(), a_model(5, started_at=EIGHT), at(hours=4, seconds=0.5), ())
    assert status.failure is not None
    assert (status.failure.reason, status.finished_at) == ("Unknown", at(hours=4))


@pytest.mark.parametrize(("limit", "retried"), [(0, False), (1, True)])
def test_retryable_failure_is_retried_if_the_spec_allows_it(
    limit: int,
    retried: bool,  # noqa: FBT001 - the expected value
) -> None:
    spec = TrainingSpec(model_id=7, backoff_limit=limit)
    status, _ = follow(
        spec, followed(), a_model(5, started_at=EIGHT, error="System error"), EIGHT, ()
    )
    assert status.run is not None
    assert (status.run.retry_at is not None) == retried


GATED = TrainingSpec(model_id=7, quality_gate=QualityGate(max_word_error_rate="10"))


def test_run_that_misses_its_gate_fails_and_keeps_its_metrics() -> None:
    poll = a_model(4, started_at=EIGHT, metrics=metrics())
    status, note = follow(GATED, followed(), poll, at(hours=8), ())
    assert status.failure is not None
    assert (status.failure.reason, note) == ("QualityGateFailed", None)
    assert status.metrics is not None
    # The run is judged again by a wider gate, and by the same one.
    judged, note = judge(SPEC, status)
    assert judged.failure is None
    assert note is not None
    assert note.reason == "TrainingSucceeded"
    assert judge(GATED, status) == (status, None)


def test_the_message_of_a_success_names_the_model_to_use() -> None:
    named = judge(SPEC, followed(model=model_status(a_model(4))))[1]
    unnamed = judge(SPEC, followed(model=model_status(a_model(4, key=None))))[1]
    assert named is not None
    assert unnamed is not None
    assert named.message.endswith(" Use the model as custom_model_7.")
    assert "Use it" not in unnamed.message


def test_model_fields_in_status_are_bounded() -> None:
    huge = "x" * 10**5
    shown = model_status(a_model(99, key=huge, name=huge, status_message=huge))
    assert [len(text or "") for text in (shown.key, shown.name, shown.status_message)] == [
        253,
        253,
        1024,
    ]
    assert shown.training_status == 99
    assert model_status(a_model(2, key=None)).key is None


@pytest.mark.parametrize(
    ("age", "changed", "stamped"),
    [
        pytest.param(None, False, True, id="first poll"),
        pytest.param(timedelta(minutes=1), False, False, id="nothing new"),
        pytest.param(timedelta(minutes=1), True, True, id="rides along"),
        pytest.param(timedelta(minutes=9, seconds=59), False, False, id="just not old enough"),
        pytest.param(timedelta(minutes=10), False, True, id="ten minutes"),
    ],
)
def test_poll_without_changes_is_written_every_ten_minutes(
    age: timedelta | None,
    changed: bool,  # noqa: FBT001 - a row of the table
    stamped: bool,  # noqa: FBT001 - a row of the table
) -> None:
    now = at(hours=1, seconds=0.5)
    last = None if age is None else now - age
    before = replace(followed(), last_observed_at=last)
    status = replace(before, progress=1) if changed else before
    seen = with_poll(status, before, now)
    assert seen.last_observed_at == (at(hours=1) if stamped else last)
    assert seen.progress == status.progress


def test_history_does_not_mistake_an_adopted_run() -> None:
    """An adopted run has no baseline: only its own run start time counts."""
    past = (HistoryEntry(id="0", started_training_at=BEFORE, outcome="Failed"),)
    poll: RemoteModel = a_model(4, started_at=EIGHT)
    status, _ = follow(SPEC, followed(history=past, started_at=None), poll, at(hours=8), ())
    assert status.finished_at is not None
