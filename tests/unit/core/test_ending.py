"""core/ending.py: when the log is fetched, and when a run is published."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scriptix_operator.api.reasons import FailureReason, LogState
from scriptix_operator.api.status import (
    MAX_RECENT_LOG_CALLS,
    Baseline,
    LearningPoint,
    LogStatus,
    TrainingStatus,
)
from scriptix_operator.core.derive import settle
from scriptix_operator.core.ending import conclude, log_stored, log_unavailable, publish_failed
from scriptix_operator.core.failures import failure
from scriptix_operator.core.ledger import Entry, Settled
from scriptix_operator.core.observation import (
    Action,
    Decision,
    FetchLog,
    LogStored,
    LogUnavailable,
    Memory,
    PublishFailed,
    Rest,
)
from scriptix_operator.core.remote import FailureKind
from scriptix_operator.core.running import training_note
from scriptix_operator.core.situation import Situation
from tests.unit.core.builders import (
    EIGHT,
    a_run,
    a_situation,
    a_status,
    a_training,
    at,
    call_failed,
    followed,
)

RUNNING = followed()
SUCCEEDED = followed(finished_at=at(hours=8))
FAILED = SUCCEEDED.model_copy(update={"failure": failure(FailureReason.SYSTEM_ERROR, "x")})
TIMED_OUT = SUCCEEDED.model_copy(update={"failure": failure(FailureReason.TIMED_OUT, "x")})
UNPUBLISHED = SUCCEEDED.model_copy(
    update={"failure": failure(FailureReason.RESULT_NOT_PUBLISHED, "403 quota")}
)
REJECTED = a_status(
    run=a_run(), finished_at=EIGHT, failure=failure(FailureReason.START_REJECTED, "x")
)


def a_step(
    status: TrainingStatus,
    *,
    collect: str = "Always",
    news: bool = False,
    state: str | None = None,
    **spec: Any,  # noqa: ANN401 - values of spec fields
) -> Situation:
    """A step of a run whose log may have news, and be in a state."""
    if state is not None:
        status = status.model_copy(update={"log": LogStatus(state=state)})
    training = a_training(status=status, log={"collect": collect}, **spec)
    return a_situation(training, at(hours=1), Memory(log_wanted=news, failed_logs=2))


@pytest.mark.parametrize(
    ("step", "fetched"),
    [
        pytest.param(a_step(RUNNING, news=True), True, id="running, news"),
        pytest.param(a_step(RUNNING), False, id="running, no news"),
        pytest.param(a_step(RUNNING, news=True, collect="OnFailure"), False, id="not failed yet"),
        pytest.param(a_step(RUNNING, news=True, collect="Never"), False, id="running, Never"),
        pytest.param(a_step(SUCCEEDED), True, id="succeeded"),
        pytest.param(a_step(SUCCEEDED, collect="OnFailure"), False, id="succeeded, OnFailure"),
        pytest.param(a_step(SUCCEEDED, collect="Never"), False, id="succeeded, Never"),
        pytest.param(a_step(FAILED), True, id="failed"),
        pytest.param(a_step(FAILED, collect="OnFailure"), True, id="failed, OnFailure"),
        pytest.param(a_step(FAILED, collect="Never"), False, id="failed, Never"),
        pytest.param(a_step(TIMED_OUT, news=True), False, id="timed out"),
        pytest.param(a_step(REJECTED, news=True), False, id="never started"),
        pytest.param(a_step(SUCCEEDED, state="Collecting"), True, id="not whole yet"),
        pytest.param(a_step(SUCCEEDED, state="Complete"), False, id="whole"),
        pytest.param(a_step(SUCCEEDED, state="Unavailable"), False, id="there is none"),
        pytest.param(a_step(SUCCEEDED, state="NameTaken"), False, id="no place for it"),
        pytest.param(
            a_step(SUCCEEDED, state="Unavailable", news=True),
            True,
            id="there may be one at the end",
        ),
        pytest.param(
            a_step(SUCCEEDED, state="NameTaken", news=True),
            True,
            id="there may be place at the end",
        ),
        pytest.param(a_step(UNPUBLISHED), True, id="unpublished"),
        pytest.param(a_step(UNPUBLISHED, collect="OnFailure"), False, id="it has not failed"),
        pytest.param(a_step(SUCCEEDED, suspend=True), False, id="suspended at its end"),
    ],
)
def test_the_log_is_fetched_when_it_is_wanted_and_may_be_had(
    step: Situation,
    fetched: bool,  # noqa: FBT001 - the expected value
) -> None:
    assert isinstance(conclude(step).action, FetchLog) == fetched


def test_a_run_that_goes_on_is_looked_at_again_after_the_poll_interval() -> None:
    assert conclude(a_step(RUNNING, poll_interval_seconds=90)).action == Rest(90)
    news = a_step(RUNNING, news=True, poll_interval_seconds=90)
    assert conclude(news).action == FetchLog(90)


def test_a_finished_run_rests_for_good() -> None:
    assert conclude(a_step(SUCCEEDED, state="Complete")).action == Rest(None)
    assert conclude(a_step(SUCCEEDED)).action == FetchLog(None)


@pytest.mark.parametrize(
    ("status", "published"),
    [(RUNNING, False), (SUCCEEDED, True), (FAILED, False), (TIMED_OUT, False), (REJECTED, False)],
    ids=["running", "succeeded", "failed", "timed out", "rejected"],
)
@pytest.mark.parametrize("collect", ["Always", "Never"])
def test_only_a_success_is_published(
    status: TrainingStatus,
    published: bool,  # noqa: FBT001 - the expected value
    collect: str,
) -> None:
    assert conclude(a_step(status, collect=collect)).publish is published


def publishing(
    memory: Memory | None = None,
    *,
    refused: bool = True,
    **spec: Any,  # noqa: ANN401 - spec fields
) -> tuple[Situation, PublishFailed]:
    """A success that could not be published."""
    training = a_training(**{"log": {"collect": "Never"}, **spec})
    recorded = settle(training, RUNNING, EIGHT)
    success = settle(training, SUCCEEDED, at(hours=8))
    step = a_situation(training.with_status(recorded), at(hours=8), memory or Memory())
    decided = Decision(success, Rest(None), publish=True)
    return step, PublishFailed(decided, "create ConfigMap: 403 exceeded quota", refused=refused)


def test_a_result_that_is_refused_is_told_with_what_was_learned_of_the_run() -> None:
    decision = publish_failed(*publishing())
    status = decision.status
    assert status.failure is not None
    assert (status.failure.reason, status.phase) == ("ResultNotPublished", "Running")
    assert status.finished_at == at(hours=8)
    assert (status.message or "").startswith(
        "The training has succeeded, but its result is not published: create ConfigMap: 403 "
        "exceeded quota. Mend what the message names."
    )
    assert (decision.action, decision.publish) == (Rest(5), False)


def test_the_success_that_was_not_recorded_leaves_no_trace_in_the_conditions() -> None:
    """Else each try would write another time of transition."""
    decision = publish_failed(*publishing())
    assert {c.last_transition_time for c in decision.status.conditions if c.type != "Stalled"} == {
        EIGHT
    }


@pytest.mark.parametrize(
    ("before", "seconds"), [(0, 5), (1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (10**6, 60)]
)
def test_a_refused_result_is_tried_again_ever_more_seldom(before: int, seconds: float) -> None:
    decision = publish_failed(*publishing(Memory(failed_publishes=before)))
    assert decision.action == Rest(seconds)
    assert decision.memory.failed_publishes == before + 1


@pytest.mark.parametrize(("before", "told"), [(0, False), (3, False), (4, True), (5, True)])
def test_a_hiccup_of_the_cluster_is_not_told_before_it_lasts(
    before: int,
    told: bool,  # noqa: FBT001 - the expected value
) -> None:
    step, failed = publishing(Memory(failed_publishes=before), refused=False)
    decision = publish_failed(step, failed)
    assert (decision.status == step.status) is not told
    assert (decision.status.failure is not None) is told
    assert decision.memory.failed_publishes == before + 1


@pytest.mark.parametrize("refused", [True, False], ids=["told", "not told yet"])
def test_a_start_is_settled_once_its_outcome_is_recorded(
    refused: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """The ledger's entry is closed after the record, and not where nothing is recorded."""
    entry = Entry(
        serial=1,
        model_id=7,
        uid="uid",
        namespace="team-a",
        name="cardiology",
        run="run-1",
        attempt=1,
        baseline=Baseline(training_status=2),
    )
    step, failed = publishing(refused=refused)
    settled = Settled(entry, acted=True)
    decision = publish_failed(
        step, replace(failed, success=replace(failed.success, settled=settled))
    )
    assert decision.settled == (settled if refused else None)


def test_the_log_of_an_unpublished_run_is_fetched_meanwhile_and_complete() -> None:
    step, failed = publishing(log={"collect": "Always"})
    decision = publish_failed(step, failed)
    assert decision.action == FetchLog(5)
    stored = log_stored(
        a_step(decision.status, news=True), LogStored(LogStatus(entries=5), CURVE, 5)
    )
    assert stored.status.log is not None
    assert (stored.status.log.state, stored.action) == ("Complete", Rest(5))
    later = Memory(log_not_before=at(hours=8, seconds=3))
    assert publish_failed(*publishing(later, log={"collect": "Always"})).action == Rest(3)


def test_an_unpublished_run_times_out_no_more() -> None:
    step = a_step(UNPUBLISHED, timeout_seconds=60)
    assert step.deadline is None


CURVE = (LearningPoint(epoch=1, of=20, word_error_rate="45.2"),)


@pytest.mark.parametrize(
    ("status", "state", "due_in"),
    [(RUNNING, "Collecting", 60), (SUCCEEDED, "Complete", None), (FAILED, "Complete", None)],
)
def test_a_stored_log_is_complete_once_the_run_has_ended(
    status: TrainingStatus, state: str, due_in: float | None
) -> None:
    stored = LogStored(LogStatus(entries=5, bytes=99), CURVE, due_in)
    decision = log_stored(a_step(status, news=True), stored)
    assert decision.status.log == LogStatus(
        entries=5,
        bytes=99,
        state=state,
        last_fetched_at=at(hours=1),
        recent_calls=(at(hours=1),),
    )
    assert decision.status.learning_curve == CURVE
    assert (decision.memory.log_wanted, decision.memory.failed_logs) == (False, 0)
    assert decision.action == Rest(due_in)


def test_a_learning_curve_that_was_seen_is_not_lost_with_old_lines() -> None:
    status = RUNNING.model_copy(update={"learning_curve": CURVE})
    decision = log_stored(a_step(status), LogStored(LogStatus(), (), 60))
    assert decision.status.learning_curve == CURVE


@pytest.mark.parametrize(
    ("wait", "due_in", "seconds"),
    [(15, 60, 15), (600, 60, 60), (None, 60, 60)],
)
def test_a_log_that_could_not_be_had_delays_no_look(
    wait: float | None, due_in: float | None, seconds: float | None
) -> None:
    failed = LogUnavailable(wait, LogState.COLLECTING, due_in)
    assert log_unavailable(a_step(RUNNING), failed).action == Rest(seconds)


@pytest.mark.parametrize("wait", [15, None])
def test_after_the_end_only_the_log_is_waited_for(wait: float | None) -> None:
    failed = LogUnavailable(wait, LogState.COLLECTING, None)
    assert log_unavailable(a_step(SUCCEEDED), failed).action == Rest(wait)


def test_a_log_is_tried_again_while_there_is_hope() -> None:
    decision = log_unavailable(
        a_step(RUNNING, news=True), LogUnavailable(15, LogState.COLLECTING, 60)
    )
    assert (decision.memory.log_wanted, decision.memory.failed_logs) == (True, 3)
    assert decision.status.log is None


@pytest.mark.parametrize("was_called", [True, False])
def test_failed_log_call_counts_only_if_it_was_made(*, was_called: bool) -> None:
    before = tuple(at(minutes=n) for n in range(MAX_RECENT_LOG_CALLS))
    status = RUNNING.model_copy(update={"log": LogStatus(recent_calls=before)})
    failed = replace(LOST, was_called=was_called)
    log = log_unavailable(a_step(status), failed).status.log
    assert log is not None
    assert log.recent_calls == ((*before[1:], at(hours=1)) if was_called else before)


LOST = LogUnavailable(15, LogState.COLLECTING, None)
NO_LOG = replace(LOST, refusal=call_failed(FailureKind.NOT_FOUND, status=404))
BY_GATEWAY = replace(LOST, refusal=call_failed(FailureKind.AMBIGUOUS, is_from_gateway=True))
STORED = LogStored(LogStatus(), (), None)


@pytest.mark.parametrize(
    ("replies", "is_missing"),
    [
        pytest.param([NO_LOG], False, id="one"),
        pytest.param([NO_LOG, NO_LOG], True, id="two"),
        pytest.param([LOST, NO_LOG], False, id="an answer that says nothing, and one"),
        pytest.param([NO_LOG, LOST, NO_LOG], True, id="two, and one between that says nothing"),
        pytest.param([BY_GATEWAY] * 5 + [NO_LOG], False, id="one, and five of a gateway"),
        pytest.param([BY_GATEWAY] * 6, True, id="six of a gateway"),
        pytest.param([NO_LOG, STORED, NO_LOG], False, id="the log between"),
        pytest.param([BY_GATEWAY] * 5 + [STORED, BY_GATEWAY], False, id="the log before the last"),
    ],
)
def test_log_is_unavailable_once_refusals_confirm_it(
    replies: Sequence[LogStored | LogUnavailable], *, is_missing: bool
) -> None:
    step = a_step(SUCCEEDED)
    for reply in replies:
        if isinstance(reply, LogStored):
            decision = log_stored(step, reply)
        else:
            decision = log_unavailable(step, reply)
        step = replace(step.having_status(decision.status), memory=decision.memory)
    state = step.status.log.state if step.status.log else None
    assert (state == "Unavailable", step.memory.log_wanted) == (is_missing, not is_missing)


def test_the_epoch_that_a_log_tells_is_shown_at_once_and_not_by_the_next_look() -> None:
    running = RUNNING.model_copy(update={"progress": 45, "stage": "MainTraining"})
    point = LearningPoint(epoch=9, of=20, word_error_rate="20.2")
    stored = log_stored(a_step(running), LogStored(LogStatus(), (point,), 60)).status
    told = "Training: MainTraining, 45%. Last logged: epoch 9/20, WER 20.2%."
    assert stored.message == told
    assert training_note(stored).message == told


def test_a_failed_log_is_left_alone_for_its_wait_however_often_the_model_is_looked_at() -> None:
    failed = log_unavailable(
        a_step(RUNNING, news=True), LogUnavailable(90, LogState.COLLECTING, 60)
    )
    training = a_training(status=RUNNING)

    def after(seconds: float, status: TrainingStatus = RUNNING) -> Action:
        moment = at(hours=1) + timedelta(seconds=seconds)
        step = a_situation(training.with_status(status), moment, failed.memory)
        return conclude(step).action

    assert after(89) == Rest(60)
    assert after(90) == FetchLog(60)
    assert after(89, SUCCEEDED) == Rest(1)
    assert after(90, SUCCEEDED) == FetchLog(None)


@pytest.mark.parametrize("known", [None, "Collecting"], ids=["never stored", "stored before"])
@pytest.mark.parametrize("state", [LogState.NAME_TAKEN, LogState.UNAVAILABLE])
def test_a_log_that_can_never_be_had_says_why(known: str | None, state: LogState) -> None:
    step = a_step(SUCCEEDED, news=True, state=known)
    decision = log_unavailable(step, LogUnavailable(None, state, None))
    assert decision.status.log is not None
    assert decision.status.log.state == state
    again = a_step(decision.status, news=decision.memory.log_wanted)
    assert conclude(again).action == Rest(None)
