"""core/follow/log_collection.py: when the log is fetched, and how status shows it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, LogState
from scriptix_operator.api.status import (
    MAX_RECENT_LOG_CALLS,
    LearningPoint,
    LogStatus,
    TrainingStatus,
)
from scriptix_operator.core.follow.log_collection import is_last_fetch, superseded
from scriptix_operator.core.follow.next_action import conclude, log_stored, log_unavailable
from scriptix_operator.core.follow.progressing import training_reason
from scriptix_operator.core.model.remote import FailureKind, LogReply
from scriptix_operator.core.reconcile.call_results import (
    LogExtent,
    LogStored,
    LogUnavailable,
    WriteFailure,
)
from scriptix_operator.core.reconcile.context import Durations, ReconcileContext
from scriptix_operator.core.reconcile.in_process_state import InProcessState, LogFetchState
from scriptix_operator.core.reconcile.vocabulary import Action, FetchLog, Poll, RequeueAfter
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import (
    EIGHT,
    WHOLE_LOG,
    Life,
    a_context,
    a_model,
    a_run,
    a_training,
    at,
    call_failed,
    followed,
)

RUNNING = followed()
SUCCEEDED = followed(finished_at=at(hours=8))
FAILED = replace(SUCCEEDED, failure=failure(FailureReason.SYSTEM_ERROR, "x"))
CURVE = (LearningPoint(epoch=1, of=20, word_error_rate="45.2"),)
LOST = LogUnavailable(15, LogState.COLLECTING, None)
NOT_TAKEN = replace(
    LOST,
    was_called=True,
    write_failure=WriteFailure.REFUSED,
    message=(
        "The operator could not store the log: create ConfigMap team-a/cardiology-log: 403 "
        "exceeded quota"
    ),
)


def an_ended_life(status: int = 4, **spec: Any) -> Life:  # noqa: ANN401 - values of spec fields
    """A run whose end a poll has just shown; its log is due."""
    life = Life(a_training(**spec), durations=Durations()).runs().waits(60)
    life.polls(a_model(status, started_at=EIGHT, error="System error" if status == 5 else None))
    assert isinstance(life.action, FetchLog)
    return life


def log_of(life: Life) -> LogStatus:
    """The status.log of a resource."""
    assert life.status.log is not None
    return life.status.log


def a_step(status: TrainingStatus, *, has_new_lines: bool = False) -> ReconcileContext:
    """The context of a run whose log may have new lines."""
    return a_context(
        a_training(status=status),
        at(hours=1),
        InProcessState(log_fetches=LogFetchState(is_wanted=has_new_lines)),
    )


def stored(extent: LogExtent = WHOLE_LOG, curve: tuple[LearningPoint, ...] = ()) -> LogStored:
    """A stored log."""
    return LogStored(LogStatus(entries=3, bytes=99), curve, None, extent)


# Fetches after the end.


def test_log_is_fetched_at_the_end_and_after_10s_and_2m() -> None:
    life = an_ended_life()
    for wait, state in ((10, "Collecting"), (110, "Collecting"), (None, "Complete")):
        assert life.stores_log().action == RequeueAfter(wait)
        assert log_of(life).state == state
        # A restart neither repeats a fetch nor leaves one out.
        assert life.restarts().wake_ups().action == RequeueAfter(wait)
        life.waits(wait or 86400).wake_ups()
        assert isinstance(life.action, FetchLog) == (wait is not None)
    assert (log_of(life).end_seen_at, log_of(life).next_fetch_at) == (at(seconds=60), None)
    assert life.event_reasons == ["TrainingStarted", "TrainingSucceeded"]


@pytest.mark.parametrize(
    ("waited", "rest"),
    [(5, 5), (9, 1), (10, 110), (119, 1), (120, None), (9999, None)],
)
def test_fetch_that_waits_for_its_permit_counts_for_those_missed(
    waited: float, rest: float | None
) -> None:
    life = an_ended_life()
    life.learns(LogUnavailable(waited, LogState.COLLECTING, None, tried=False))
    assert life.waits(waited).wake_ups().action == FetchLog(None)
    assert life.stores_log().action == RequeueAfter(rest)


def test_slow_fetch_that_was_sent_at_the_end_is_not_the_last() -> None:
    life = an_ended_life()
    sent = life.now
    life.waits(130).learns(replace(stored(), asked_at=sent))
    assert (log_of(life).state, log_of(life).last_fetched_at) == ("Collecting", sent)
    assert life.action == RequeueAfter(0)
    assert life.wake_ups().action == FetchLog(None)
    assert life.stores_log().action == RequeueAfter(None)
    assert log_of(life).state == "Complete"


@pytest.mark.parametrize(
    ("seconds", "retry_at", "is_last"),
    [
        pytest.param(119, None, False, id="before the last"),
        pytest.param(120, None, True, id="the last"),
        pytest.param(0, 60, False, id="another before the retry"),
        pytest.param(10, 60, True, id="none before the retry"),
    ],
)
def test_last_fetch_is_the_one_that_none_follows(
    seconds: float, retry_at: float | None, *, is_last: bool
) -> None:
    run = a_run(retry_at=None if retry_at is None else at(seconds=retry_at))
    status = followed(run=run, finished_at=EIGHT, log=LogStatus(end_seen_at=EIGHT))
    assert is_last_fetch(status, at(seconds=seconds), 120.0) == is_last
    assert not is_last_fetch(RUNNING, at(seconds=seconds), 120.0)


@pytest.mark.parametrize(
    ("fetched_at", "claimed", "state"),
    [
        pytest.param(EIGHT, [EIGHT], "Partial", id="in the same second"),
        pytest.param(EIGHT, [at(hours=-1), None, at(hours=1)], "Partial", id="after the end"),
        pytest.param(None, [at(hours=1)], "Unavailable", id="nothing fetched"),
        pytest.param(EIGHT, [at(hours=-1), None], None, id="before the end"),
        pytest.param(EIGHT, [], None, id="no other resource"),
    ],
)
def test_another_run_of_the_model_ends_the_fetches(
    fetched_at: datetime | None, claimed: list[datetime | None], state: str | None
) -> None:
    log = LogStatus(state="Collecting", end_seen_at=EIGHT, last_fetched_at=fetched_at)
    training = a_training(status=followed(finished_at=EIGHT, log=log))
    others = [a_training(name="other", status=followed(run=a_run(claimed_at=c))) for c in claimed]
    found = superseded(training, others, None)
    assert (found and found.state) == state
    if found is None:
        return
    decision = log_unavailable(a_context(training, EIGHT, InProcessState()), found)
    assert decision.action == RequeueAfter(None)
    after = decision.status.log
    assert after is not None
    assert (after.state, after.next_fetch_at) == (state, None)
    assert (after.message or "").startswith("Another run of the model began before the ")
    assert ("operator tries again" in (after.message or "")) == (state == "Unavailable")


def test_running_run_is_not_superseded() -> None:
    other = a_training(name="other", status=followed(run=a_run(claimed_at=at(hours=1))))
    assert superseded(a_training(status=RUNNING), [other], None) is None


def test_fetches_after_the_end_have_a_whole_second_between_them() -> None:
    life = an_ended_life()
    life.durations = Durations(log=0.5)
    assert life.stores_log().action == RequeueAfter(1)
    life.waits(1).wake_ups()
    assert life.stores_log().action == RequeueAfter(None)


def test_retry_waits_for_the_first_fetch_after_the_end_only() -> None:
    life = an_ended_life(5, backoff_limit=1)
    first = life.run.id
    assert life.stores_log().action == RequeueAfter(10)
    assert life.waits(10).wake_ups().action == FetchLog(50)
    assert life.learns(replace(LOST, wait=3600)).action == RequeueAfter(50)
    assert life.waits(50).wake_ups().action == Poll()
    log = log_of(life)
    assert life.run.id != first
    assert (log.state, log.end_seen_at, log.next_fetch_at) == (None, None, None)


def test_retry_waits_for_the_first_fetch_also_after_it_failed() -> None:
    life = an_ended_life(5, backoff_limit=1)
    life.learns(replace(LOST, wait=3600))
    assert life.waits(60).wake_ups().action == RequeueAfter(3540)
    assert life.waits(3540).wake_ups().action == FetchLog(60)
    assert life.stores_log().action == RequeueAfter(0)
    assert life.wake_ups().action == Poll()


def test_rerun_leaves_out_the_later_fetches_of_the_run_before() -> None:
    life = an_ended_life(run_token="v1")
    life.stores_log()
    assert life.edit(run_token="v2").waits(5).wake_ups().action == Poll()
    assert (log_of(life).state, log_of(life).next_fetch_at) == (None, None)


def test_suspend_holds_the_later_fetches() -> None:
    life = an_ended_life()
    life.stores_log()
    assert life.edit(suspend=True).waits(10).wake_ups().action == RequeueAfter(None)
    assert log_of(life).state == "Collecting"
    life.edit(suspend=False).wake_ups()
    assert isinstance(life.action, FetchLog)


def test_stored_log_that_is_not_wanted_is_partial() -> None:
    life = an_ended_life()
    life.stores_log()
    assert life.edit(log={"collect": "Never"}).waits(10).wake_ups().action == RequeueAfter(None)
    assert (log_of(life).state, log_of(life).next_fetch_at) == ("Partial", None)
    assert "because spec.log.collect is Never; entries that are newer" in (
        log_of(life).message or ""
    )
    # Refusals that are final for the run.
    assert life.edit(log={"collect": "Always"}).wake_ups().action == RequeueAfter(None)


def test_log_not_wanted_before_its_first_fetch_has_no_state() -> None:
    life = an_ended_life()
    life.learns(NOT_TAKEN)
    assert life.edit(log={"collect": "Never"}).wake_ups().action == RequeueAfter(None)
    log = log_of(life)
    assert (log.state, log.message, log.next_fetch_at) == (None, None, None)
    life.edit(log={"collect": "Always"}).waits(15).wake_ups()
    assert isinstance(life.action, FetchLog)


def test_log_of_a_run_that_timed_out_is_partial() -> None:
    life = Life(a_training(timeout_seconds=3600), durations=Durations()).runs().waits(60)
    life.polls(a_model(3, progress=30, started_at=EIGHT))
    life.stores_log()
    assert life.waits(3600).wake_ups().action == RequeueAfter(None)
    assert (log_of(life).state, log_of(life).next_fetch_at) == ("Partial", None)
    assert "because spec.timeoutSeconds has passed; entries that are newer" in (
        log_of(life).message or ""
    )


def test_given_up_log_that_is_not_wanted_stays_given_up() -> None:
    life = an_ended_life()
    for _ in range(3):
        life.learns(NOT_TAKEN)
    assert life.edit(log={"collect": "Never"}).wake_ups().action == RequeueAfter(None)
    assert (log_of(life).state, log_of(life).next_fetch_at) == ("Refused", None)
    assert life.edit(log={"collect": "Always"}).wake_ups().action == FetchLog(None)


@pytest.mark.parametrize("state", ["Unavailable", "NameTaken", "Refused"])
def test_log_that_an_older_version_gave_up_is_left_alone(state: str) -> None:
    log = LogStatus(state=state)
    status = followed(observed_generation=1, finished_at=at(hours=1), log=log)
    life = Life(a_training(status=status), durations=Durations())
    assert life.waits(86400).wake_ups().action == RequeueAfter(None)
    assert log_of(life).state == state
    # An edit causes another attempt.
    assert life.edit(priority=1).wake_ups().action == FetchLog(None)
    assert log_of(life).end_seen_at == life.now


def test_restart_does_not_shorten_the_wait_after_a_failure() -> None:
    life = an_ended_life()
    life.learns(replace(NOT_TAKEN, wait=3600))
    for seconds in (5, 3000):
        assert life.restarts().waits(seconds).wake_ups().action == RequeueAfter(3600 - seconds)
        life.now -= timedelta(seconds=seconds)
    assert life.waits(3600).wake_ups().action == FetchLog(None)


def test_fetch_that_was_not_tried_changes_no_status() -> None:
    life = an_ended_life()
    before = log_of(life)
    life.learns(replace(LOST, wait=900, tried=False))
    assert log_of(life) == before


def test_end_of_the_run_clears_the_failures_before_it() -> None:
    life = Life(durations=Durations()).runs().waits(60)
    life.polls(a_model(3, progress=5, started_at=EIGHT))
    for _ in range(2):
        life.learns(replace(NOT_TAKEN, wait=3600))
    assert log_of(life).next_fetch_at is None
    life.waits(60).polls(a_model(4, started_at=EIGHT))
    assert life.action == FetchLog(None)
    life.learns(NOT_TAKEN)
    assert log_of(life).state == "Collecting"


def test_deletion_ends_the_fetches() -> None:
    life = an_ended_life()
    life.stores_log()
    assert life.is_deleted().waits(10).wake_ups().action == RequeueAfter(None)


# Stored logs.


@pytest.mark.parametrize(
    ("extent", "state", "message"),
    [
        pytest.param(WHOLE_LOG, "Complete", "", id="whole"),
        pytest.param(LogExtent(LogReply(3, None), 3, 3), "Complete", "", id="no total"),
        pytest.param(LogExtent(LogReply(3, 2), 3, 3), "Complete", "", id="total too small"),
        pytest.param(
            LogExtent(LogReply(100, 156), 100, 100),
            "Partial",
            "The API returned 100 of the 156 entries that it reports for the log.",
            id="fewer than the API has",
        ),
        pytest.param(
            LogExtent(LogReply(0, 9), 0, 0), "Partial", "returned 0 of the 9", id="none of 9"
        ),
        pytest.param(
            LogExtent(LogReply(100, 156), 100, 156), "Complete", "", id="fetched in two parts"
        ),
        pytest.param(LogExtent(LogReply(0, 0), 0, 0), "Unavailable", "log is empty", id="empty"),
        pytest.param(LogExtent(LogReply(0, None), 0, 7), "Complete", "", id="emptied since"),
        pytest.param(
            LogExtent(LogReply(8, 8), 0, 0),
            "Unavailable",
            "has 8 entries, but none of this run",
            id="of the run before only",
        ),
        pytest.param(
            LogExtent(LogReply(9, 9), 9, 7),
            "Partial",
            "The stored log lacks 2 entries, which",
            id="late",
        ),
        pytest.param(
            LogExtent(LogReply(9, 9), 4, 4, skipped=5),
            "Complete",
            "The stored log leaves out 5 entries",
            id="older than the run",
        ),
    ],
)
def test_last_fetch_decides_whether_the_log_is_whole(
    extent: LogExtent, state: str, message: str
) -> None:
    life = an_ended_life()
    life.learns(stored(extent))
    assert (log_of(life).state, log_of(life).message) == ("Collecting", None)
    life.waits(120).wake_ups()
    assert life.learns(stored(extent)).action == RequeueAfter(None)
    log = log_of(life)
    assert (log.state, log.entries, log.total_entries) == (state, 3, extent.reply.total)
    assert message in (log.message or "")
    assert (log.message is None) == (not message)
    assert life.event_reasons[2:] == (["LogNotStored"] if state == "Unavailable" else [])


@pytest.mark.parametrize(
    ("total", "shown"), [(0, 0), (2**53, 2**53), (2**53 + 1, None), (-1, None), (None, None)]
)
def test_plausible_total_of_the_api_is_shown(total: int | None, shown: int | None) -> None:
    decision = log_stored(a_step(RUNNING), stored(LogExtent(LogReply(0, total), 0, 0)))
    assert decision.status.log is not None
    assert decision.status.log.total_entries == shown


def test_log_stored_during_the_run_is_collected_further() -> None:
    decision = log_stored(
        a_step(RUNNING, has_new_lines=True), replace(stored(curve=CURVE), due_in=60)
    )
    assert decision.status.log == LogStatus(
        entries=3,
        total_entries=3,
        bytes=99,
        state="Collecting",
        last_fetched_at=at(hours=1),
        recent_calls=(at(hours=1),),
    )
    assert decision.status.learning_curve == CURVE
    assert (decision.state.log_fetches.is_wanted, decision.state.log_fetches.failed) == (False, 0)
    assert decision.action == RequeueAfter(60)


def test_learning_curve_outlives_dropped_lines() -> None:
    status = replace(RUNNING, learning_curve=CURVE)
    assert log_stored(a_step(status), stored()).status.learning_curve == CURVE


def test_epoch_in_a_log_is_shown_before_the_next_poll() -> None:
    running = replace(RUNNING, progress=45, stage="MainTraining")
    point = LearningPoint(epoch=9, of=20, word_error_rate="20.2")
    status = log_stored(a_step(running), stored(curve=(point,))).status
    events = (
        "The run is in stage MainTraining, at 45%. The log's last epoch is 9/20, with WER 20.2%."
    )
    assert status.message == events
    assert training_reason(status).message == events


# Logs that are not stored.


@pytest.mark.parametrize(
    "wait",
    [15, 600, None],
)
def test_failed_log_fetch_moves_no_poll(wait: float | None) -> None:
    """During the run, the log is fetched with the next poll; no poll is made for it."""
    failed = LogUnavailable(wait, LogState.NAME_TAKEN, due_in=60)
    assert log_unavailable(a_step(RUNNING), failed).action == RequeueAfter(60)


@pytest.mark.parametrize("wait", [15, None])
def test_after_the_end_only_log_fetches_are_due(wait: float | None) -> None:
    failed = LogUnavailable(wait, LogState.NAME_TAKEN, None)
    assert log_unavailable(a_step(SUCCEEDED), failed).action == RequeueAfter(wait)


def test_log_fetch_is_retried_while_it_may_succeed() -> None:
    decision = log_unavailable(a_step(RUNNING, has_new_lines=True), replace(LOST, due_in=60))
    assert (decision.state.log_fetches.is_wanted, decision.state.log_fetches.failed) == (True, 1)
    assert decision.status.log is None


@pytest.mark.parametrize("was_called", [True, False])
def test_failed_log_call_counts_only_if_it_was_made(*, was_called: bool) -> None:
    before = tuple(at(minutes=n) for n in range(MAX_RECENT_LOG_CALLS))
    status = replace(RUNNING, log=LogStatus(recent_calls=before))
    log = log_unavailable(a_step(status), replace(LOST, was_called=was_called)).status.log
    assert log is not None
    assert log.recent_calls == ((*before[1:], at(hours=1)) if was_called else before)


def test_reason_of_a_failed_fetch_is_shown_until_one_succeeds() -> None:
    life = an_ended_life()
    life.learns(NOT_TAKEN)
    assert (log_of(life).state, log_of(life).message) == ("Collecting", NOT_TAKEN.message)
    life.waits(15).wake_ups()
    life.stores_log()
    assert log_of(life).message is None


NO_LOG = replace(LOST, refusal=call_failed(FailureKind.NOT_FOUND, status=404))
BY_GATEWAY = replace(LOST, refusal=call_failed(FailureKind.AMBIGUOUS, is_from_gateway=True))
UNUSABLE = replace(LOST, refusal=call_failed(FailureKind.AMBIGUOUS, status=200))
STORED = stored()


@pytest.mark.parametrize(
    ("replies", "is_missing"),
    [
        pytest.param([NO_LOG], False, id="one"),
        pytest.param([NO_LOG, NO_LOG], True, id="two"),
        pytest.param([LOST, NO_LOG], False, id="an answer that says nothing, and one"),
        pytest.param([NO_LOG, LOST, NO_LOG], True, id="two, and one between that says nothing"),
        pytest.param([BY_GATEWAY] * 5 + [NO_LOG], False, id="one, and five of a gateway"),
        pytest.param([BY_GATEWAY] * 6, True, id="six of a gateway"),
        pytest.param([UNUSABLE] * 5, False, id="five that cannot be used"),
        pytest.param([UNUSABLE] * 6, True, id="six that cannot be used"),
        pytest.param([NO_LOG, STORED, NO_LOG], False, id="the log between"),
        pytest.param([BY_GATEWAY] * 5 + [STORED, BY_GATEWAY], False, id="the log before the last"),
    ],
)
def test_log_is_unavailable_once_refusals_confirm_it(
    replies: Sequence[LogStored | LogUnavailable], *, is_missing: bool
) -> None:
    ctx = a_step(SUCCEEDED)
    for reply in replies:
        if isinstance(reply, LogStored):
            decision = log_stored(ctx, reply)
        else:
            decision = log_unavailable(ctx, reply)
        ctx = replace(ctx.with_status(decision.status), state=decision.state)
    state = ctx.status.log.state if ctx.status.log else None
    assert (state == "Unavailable", ctx.state.log_fetches.is_wanted) == (is_missing, not is_missing)


FAILS = replace(NOT_TAKEN, write_failure=WriteFailure.FAILED)


@pytest.mark.parametrize(
    ("failures", "is_refused"),
    [
        pytest.param([NOT_TAKEN] * 2, False, id="two refusals"),
        pytest.param([NOT_TAKEN] * 3, True, id="three"),
        pytest.param([FAILS] * 7, False, id="seven other failures"),
        pytest.param([FAILS] * 8, True, id="eight"),
        pytest.param([FAILS] * 7 + [LOST], False, id="seven, and one before the write"),
        pytest.param([NOT_TAKEN] * 2 + [STORED, NOT_TAKEN], False, id="stored between"),
    ],
)
def test_log_is_refused_once_the_cluster_insists(
    failures: Sequence[LogStored | LogUnavailable], *, is_refused: bool
) -> None:
    life = an_ended_life()
    for observation in failures:
        life.learns(observation)
    assert (log_of(life).state == "Refused") == is_refused
    assert life.event_reasons.count("LogNotStored") == is_refused
    # No further call is made for the log, also after a restart.
    assert (life.restarts().waits(86400).wake_ups().action == RequeueAfter(None)) == is_refused


def test_refused_log_is_tried_again_after_an_edit() -> None:
    life = an_ended_life()
    for _ in range(3):
        life.learns(NOT_TAKEN)
    assert (log_of(life).message or "").endswith(
        "403 exceeded quota. The operator tries again after any change of spec."
    )
    assert life.events[-1].message == log_of(life).message
    assert life.events[-1].is_warning
    life.waits(3600).edit(priority=1).wake_ups()
    assert life.action == FetchLog(None)
    assert life.stores_log().action == RequeueAfter(None)
    assert (log_of(life).state, log_of(life).message) == ("Complete", None)


def test_refused_log_is_retried_at_the_end_of_the_run() -> None:
    life = Life(durations=Durations()).runs().waits(60)
    life.polls(a_model(3, progress=5, started_at=EIGHT))
    for _ in range(3):
        life.learns(NOT_TAKEN)
    assert log_of(life).state == "Refused"
    life.waits(60).polls(a_model(3, progress=50, started_at=EIGHT))
    assert life.action == RequeueAfter(60)
    life.waits(60).polls(a_model(4, started_at=EIGHT))
    assert isinstance(life.action, FetchLog)
    life.learns(NOT_TAKEN)
    assert log_of(life).state == "Collecting"  # a few more attempts


def test_new_run_tries_a_refused_log_again() -> None:
    life = an_ended_life(5, run_token="v1", backoff_limit=1)
    for _ in range(3):
        life.learns(NOT_TAKEN)
    assert life.action == RequeueAfter(60)  # the log holds no retry
    assert life.waits(60).wake_ups().action == Poll()
    assert (log_of(life).state, log_of(life).message) == (None, None)


def test_failed_log_fetch_waits_out_its_backoff_despite_polls() -> None:
    failed = log_unavailable(a_step(RUNNING, has_new_lines=True), replace(LOST, wait=90, due_in=60))
    training = a_training(status=RUNNING)

    def after(seconds: float, status: TrainingStatus = RUNNING) -> Action:
        moment: datetime = at(hours=1) + timedelta(seconds=seconds)
        ctx = a_context(training.with_status(status), moment, failed.state)
        return conclude(ctx).action

    assert after(89) == RequeueAfter(60)
    assert after(90) == FetchLog(60)
    assert after(0, SUCCEEDED) == after(89, FAILED) == FetchLog(None)


@pytest.mark.parametrize("state", [LogState.NAME_TAKEN, LogState.UNAVAILABLE])
def test_permanently_failed_log_fetch_shows_its_reason(state: LogState) -> None:
    life = an_ended_life()
    life.learns(LogUnavailable(None, state, None, message="x" * 2000))
    assert log_of(life).state == state
    text = log_of(life).message or ""
    assert len(text) == 1024
    assert text.endswith("x…. The operator tries again after any change of spec.")
    assert life.wake_ups().action == RequeueAfter(None)
