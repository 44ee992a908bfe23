"""The rows of docs/odd-replies.md, as the core decides them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Ownership
from scriptix_operator.api.status import Baseline, TrainingStatus
from scriptix_operator.core.follow.outcome import ended_at, follow
from scriptix_operator.core.ledger.ledger import LatestRun
from scriptix_operator.core.model.remote import RemoteModel
from scriptix_operator.core.reconcile.vocabulary import AcquireStart, Poll, RequeueAfter
from tests.unit.core.builders import (
    EIGHT,
    Life,
    a_model,
    a_run,
    a_training,
    at,
    followed,
    metrics,
)

ROOT = Path(__file__).parents[3]
BEFORE = EIGHT - timedelta(days=30)
"""The run start time of the previous run."""

NO_LOG = {"collect": "Never"}


def a_life(**spec: Any) -> Life:  # noqa: ANN401 - values of spec fields
    """A resource whose log is not collected, so that each poll is one decision."""
    return Life(a_training(log=NO_LOG, **spec))


def test_readme_links_the_odd_replies() -> None:
    assert "(docs/odd-replies.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


# Success without metrics.


@pytest.mark.parametrize(
    "given", [None, metrics(None, None, None)], ids=["no metrics", "none of them"]
)
def test_success_without_metrics_is_published_and_reported(given: object) -> None:
    life = a_life().runs().waits(60).succeeds(metrics=given)
    assert (life.status.phase, life.published) == ("Running", 0)
    assert (life.status.message or "").endswith(
        "the operator waits for the results until 2025-01-16 08:03Z."
    )
    life.waits(120).wake_ups()
    assert (life.status.phase, life.published) == ("Succeeded", 1)
    assert (life.status.message or "").startswith(
        "The model is trained; the API reports no word error rate."
    )
    assert life.status.display is not None
    assert life.status.display.word_error_rate is None


# Progress.


def test_decreased_progress_is_reported_with_the_earlier_value() -> None:
    life = a_life().runs()
    for progress in (75, 40, 39):
        life.waits(600).polls(a_model(3, progress=progress, started_at=EIGHT))
    assert (life.status.phase, life.status.progress, life.status.stage) == (
        "Running",
        39,
        "MainTraining",
    )
    assert [item.message for item in life.events if item.reason == "StageChanged"] == [
        "The run has reached stage FineTuning, at 75%.",
        "The run has reached stage MainTraining, at 40% (back from FineTuning, 75%).",
    ]


@pytest.mark.parametrize("progress", [100, 101, 250])
def test_run_at_100_percent_runs_until_the_api_shows_its_end(progress: int) -> None:
    life = a_life().runs().waits(8 * 3600)
    poll = a_model(3, progress=progress, started_at=EIGHT)
    life.polls(poll)
    assert (life.status.phase, life.status.stage) == ("Running", "FinalEvaluation")
    assert (life.status.message or "").endswith(
        "%. The operator waits for the API to report the final status."
    )
    assert life.action == RequeueAfter(6)  # polled more often, as the end may be near
    # A poll alone is written only once in ten minutes.
    written = life.writes
    for _ in range(9):
        life.waits(60).polls(poll)
    assert life.writes == written
    life.waits(60).succeeds(finished_at=at(hours=9))
    assert (life.status.phase, life.status.progress) == ("Succeeded", 100)


def test_run_at_99_percent_is_not_complete() -> None:
    decision = a_life().runs().waits(600).polls(a_model(3, progress=99, started_at=EIGHT))
    assert "yet to say" not in (decision.status.message or "")


# Values left over from an earlier run.


def a_rerun(state: int, run_start_time: datetime | None = BEFORE) -> TrainingStatus:
    """A run that was accepted without a body, at a model that showed `state` before."""
    baseline = Baseline(training_status=state, started_training_at=run_start_time)
    run = a_run(ownership="Owned", claimed_at=EIGHT, baseline=baseline)
    return followed(run=run, started_at=None)


@pytest.mark.parametrize("state", [4, 5])
@pytest.mark.parametrize(
    "run_start_time", [BEFORE, None], ids=["its own run start time", "no run start time"]
)
def test_an_end_left_over_from_the_run_before_is_not_this_runs(
    state: int, run_start_time: object
) -> None:
    left = a_model(
        state, started_at=run_start_time, metrics=metrics("1"), error="old", progress=100
    )
    status, note = follow(a_training().spec, a_rerun(state), left, at(minutes=1), ())
    assert status == a_rerun(state)
    assert note is not None
    assert note.message == "The run has started; the API still reports the previous run."


@pytest.mark.parametrize(
    ("status", "poll"),
    [
        pytest.param(a_rerun(4), a_model(4, started_at=at(minutes=1)), id="a newer run start time"),
        pytest.param(a_rerun(5), a_model(4), id="another end than before"),
        pytest.param(a_rerun(2), a_model(4), id="none before"),
        pytest.param(replace(a_rerun(4), progress=1), a_model(4), id="it has got on"),
        pytest.param(followed(started_at=None), a_model(4), id="nothing known before"),
    ],
)
def test_an_end_that_can_only_be_this_runs_counts(
    status: TrainingStatus, poll: RemoteModel
) -> None:
    ended, _ = follow(a_training().spec, status, poll, at(hours=8), ())
    assert ended.finished_at is not None


# Two servers that round a run start time differently.


REPLY = at(seconds=30)
"""The start time in a start reply."""


def replied(*, baseline: datetime | None = BEFORE) -> Life:
    """A run whose reply names a start time."""
    life = a_life().intends(a_model(2, started_at=baseline))
    return life.is_accepted(a_model(3, progress=0, started_at=REPLY))


@pytest.mark.parametrize("off", [-600, -1, 0, 1, 600], ids="polls are {} s off".format)
def test_reply_start_time_is_shown_but_not_compared(off: int) -> None:
    polled = REPLY + timedelta(seconds=off)
    life = replied()
    assert (life.status.started_at, life.run.started_training_at) == (REPLY, None)
    assert life.ledger.latest_runs[7] == LatestRun(at=BEFORE, superseded=True)
    life.waits(60).polls(a_model(3, progress=5, started_at=polled))
    assert (life.status.started_at, life.run.started_training_at) == (polled, polled)
    assert (life.status.message or "").startswith("The run is in stage ")
    assert "somebody else" not in (life.status.message or "")
    life.waits(60).succeeds(polled)
    assert life.status.phase == "Succeeded"
    # History keeps the run start time of polls, so that it does not delay the next request.
    life.edit(run_token="v2").waits(60).polls(a_model(2, started_at=polled))
    assert isinstance(life.action, AcquireStart)
    assert life.status.history[0].started_training_at == polled


@pytest.mark.parametrize("state", [4, 5])
def test_first_poll_may_show_the_end_a_second_before_the_reply(state: int) -> None:
    life = replied()
    life.waits(60).polls(a_model(state, started_at=at(seconds=29), metrics=metrics()))
    assert life.status.phase == {4: "Succeeded", 5: "Failed"}[state]
    assert life.status.started_at == at(seconds=29)


def test_another_resource_waits_for_the_run_that_polls_show() -> None:
    """The resource's polls show the run a second before the reply to the other's start."""
    polled = at(seconds=29)
    life = replied().waits(60)
    life.polls(a_model(3, started_at=polled))
    other = Life(a_training(name="radiology", log=NO_LOG), now=life.now)
    other.polls(a_model(3, started_at=polled), competitors=(life.training,))
    assert other.reason == "ModelInUse"
    life.waits(60).succeeds(polled)
    other.waits(60).polls(a_model(4, started_at=polled), competitors=(life.training,))
    assert other.reason == "ModelInUse"
    other.waits(60).polls(a_model(2, started_at=polled), competitors=(life.training,))
    assert isinstance(other.action, AcquireStart)


def test_ledger_run_start_time_is_not_outdated_by_rounding() -> None:
    """The resource is gone, so that only the ledger has its run."""
    gone = replied()
    other = Life(a_training(name="radiology", log=NO_LOG), now=at(hours=9))
    other.ledger = gone.ledger
    other.polls(a_model(2, started_at=BEFORE))
    assert other.reason == "UnexpectedStatus"
    other.waits(60).polls(a_model(2, started_at=at(seconds=29)))
    assert isinstance(other.action, AcquireStart)


# Partly readable replies.


UNREADABLE_START = {"is_start_time_unreadable": True, "unreadable": ("started_training_at",)}


@pytest.mark.parametrize("state", [1, 2, 3, 4, 5])
def test_unreadable_start_time_starts_and_adopts_nothing(state: int) -> None:
    life = a_life(when_not_ready="Fail", existing_training="Adopt")
    life.polls(a_model(state, **UNREADABLE_START))
    assert isinstance(life.action, RequeueAfter)
    assert (life.status.phase, life.reason, life.status.run) == (
        "Pending",
        "UnexpectedStatus",
        None,
    )
    assert "start time" in (life.status.message or "")
    life.waits(60).polls(a_model(2))
    assert isinstance(life.action, AcquireStart)


def test_unreadable_start_time_is_no_baseline_of_a_rerun() -> None:
    life = a_life().runs().waits(60).succeeds().edit(run_token="v2").waits(60)
    life.polls(a_model(4, **UNREADABLE_START))
    assert (life.reason, life.run.baseline) == ("UnexpectedStatus", None)


@pytest.mark.parametrize(
    ("baseline", "progress", "counts"),
    [(4, None, False), (4, 0, False), (4, 1, True), (5, None, True), (2, None, True)],
)
def test_end_with_unreadable_start_time_counts_unless_left_over(
    baseline: int, progress: int | None, *, counts: bool
) -> None:
    status = replace(a_rerun(baseline), progress=progress)
    end = a_model(4, metrics=metrics(), **UNREADABLE_START)
    ended, _ = follow(a_training().spec, status, end, at(hours=8), ())
    assert (ended.finished_at is not None) == counts


def test_unreadable_field_is_named_in_the_message() -> None:
    named = " The operator cannot read fields of the API's reply: training_progress."
    life = a_life().runs().waits(60)
    life.polls(a_model(3, started_at=EIGHT, unreadable=("training_progress",)))
    assert (life.status.message or "").endswith(named)
    life.waits(60).polls(a_model(3, started_at=EIGHT))
    assert "readable" not in (life.status.message or "")


@pytest.mark.parametrize("state", [4, 5])
def test_unreadable_end_is_named_once_in_the_message_of_the_end(state: int) -> None:
    life = Life(a_training()).runs().waits(60)
    end = a_model(state, started_at=EIGHT, metrics=metrics(), unreadable=("failed_at",))
    life.polls(end)
    life.stores_log()
    assert life.status.finished_at == life.now
    assert (life.status.message or "").count(
        "The operator cannot read fields of the API's reply: failed_at."
    ) == 1


def test_progress_of_zero_does_not_count_as_progress() -> None:
    """The start reply names it, before any poll."""
    status = replace(a_rerun(4), progress=0)
    same, _ = follow(a_training().spec, status, a_model(4), at(minutes=1), ())
    assert same == status


def test_rerun_outlives_stale_reads_and_reads_its_own_end() -> None:
    life = a_life().runs().waits(60).succeeds()
    life.edit(run_token="v2").waits(60).intends(a_model(4, started_at=EIGHT))
    life.is_accepted(None)
    for _ in range(3):
        life.waits(60).polls(a_model(4, started_at=EIGHT, metrics=metrics()))
        assert (life.status.phase, life.published) == ("Running", 1)
    life.waits(60).polls(a_model(3, progress=5, started_at=at(hours=1)))
    assert life.status.started_at == at(hours=1)
    life.waits(60).polls(a_model(5, started_at=EIGHT, error="old"))
    assert life.status.phase == "Running"
    life.waits(60).succeeds(at(hours=1), metrics=metrics("9"))
    assert (life.status.phase, life.published) == ("Succeeded", 2)
    assert life.status.metrics is not None
    assert life.status.metrics.word_error_rate == "9"


# Different clocks: `SKEW` is the difference of the API's clock from the operator's.

SKEWS = pytest.mark.parametrize("skew", [-7200, -600, 0, 600, 7200])


@SKEWS
def test_eta_of_an_owned_run_uses_the_operators_clock(skew: int) -> None:
    theirs = EIGHT + timedelta(seconds=skew)
    life = a_life().intends().is_accepted(a_model(3, progress=0, started_at=theirs))
    life.now = at(hours=4)
    life.polls(a_model(3, progress=50, started_at=theirs))
    assert life.status.estimated_completion_at == at(hours=8)
    assert life.status.started_at == theirs


@pytest.mark.parametrize("ownership", [Ownership.OWNED, Ownership.UNCONFIRMED])
def test_owned_run_without_a_run_start_time_has_an_eta(ownership: Ownership) -> None:
    status = followed(run=a_run(ownership=ownership, claimed_at=EIGHT), started_at=None)
    status, _ = follow(a_training().spec, status, a_model(3, progress=50), at(hours=4), ())
    assert status.estimated_completion_at == at(hours=8)


def test_adopted_run_uses_the_apis_start_time() -> None:
    life = a_life()
    life.now = at(hours=4)
    life.polls(a_model(3, progress=50, started_at=EIGHT))
    assert life.status.estimated_completion_at == at(hours=8)
    assert life.run.claimed_at == at(hours=4)


def test_run_start_time_in_the_future_is_shown_without_an_eta() -> None:
    status = a_life().polls(a_model(3, progress=50, started_at=at(minutes=10))).status
    assert (status.phase, status.started_at) == ("Running", at(minutes=10))
    assert status.estimated_completion_at is None
    assert status.display is not None
    assert status.display.eta is None


@SKEWS
@pytest.mark.parametrize("adopted", [True, False], ids=["adopted", "started"])
def test_a_run_times_out_by_our_own_clock(
    skew: int,
    adopted: bool,  # noqa: FBT001 - a row of the table
) -> None:
    theirs = EIGHT + timedelta(seconds=skew)
    poll = a_model(3, progress=1, started_at=theirs)
    life = a_life(timeout_seconds=3600)
    if adopted:
        life.polls(poll)
    else:
        life.intends().is_accepted(poll)
    life.waits(3599).polls(poll)
    assert (life.status.phase, life.action) == ("Running", RequeueAfter(1))
    assert not isinstance(life.waits(1).wake_ups().action, Poll)
    assert life.reason == "TimedOut"
    assert life.status.finished_at is not None
    assert life.status.finished_at >= theirs


@SKEWS
@pytest.mark.parametrize("state", [4, 5])
def test_no_run_ends_before_it_began(skew: int, state: int) -> None:
    """Without an end from the API the operator's time counts, which may precede the API's start."""
    theirs = EIGHT + timedelta(seconds=skew)
    life = a_life().intends().is_accepted(a_model(3, progress=0, started_at=theirs))
    life.waits(60).polls(a_model(state, started_at=theirs))
    assert life.status.finished_at == max(at(minutes=1), theirs)


NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The spelling of some servers for an absent time."""


@pytest.mark.parametrize(
    ("events", "ended"),
    [
        pytest.param(at(hours=8), at(hours=8), id="as reported"),
        pytest.param(EIGHT, EIGHT, id="at once"),
        pytest.param(EIGHT - timedelta(seconds=1), at(hours=9), id="before it began"),
        pytest.param(None, at(hours=9), id="not reported"),
        pytest.param(at(hours=33), at(hours=33), id="in our future"),
        pytest.param(at(hours=34), at(hours=9), id="too far in the future: no ETA"),
        pytest.param(NEVER, at(hours=9), id="never"),
    ],
)
def test_finish_time_is_the_apis_unless_left_over(events: datetime | None, ended: datetime) -> None:
    assert ended_at(EIGHT, at(hours=9, seconds=0.5), events) == ended
    assert ended_at(None, at(hours=9, seconds=0.5), None) == at(hours=9)
    assert ended_at(None, at(hours=9), BEFORE) == BEFORE
