"""core/reconcile/context.py: timeouts and the decisions that end a reconcile."""

from datetime import datetime

import pytest

from scriptix_operator.api.status import Intent, TrainingStatus
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.reconcile.vocabulary import Poll, RequeueAfter
from tests.unit.core.builders import (
    EIGHT,
    a_context,
    a_run,
    a_status,
    a_training,
    at,
    followed,
)

INTENT = Intent(attempt=1, at=EIGHT, key_fingerprint="k")


@pytest.mark.parametrize(
    ("status", "deadline"),
    [
        pytest.param(a_status(), None, id="no run"),
        pytest.param(a_status(run=a_run()), None, id="a run that waits"),
        pytest.param(
            a_status(run=a_run(claimed_at=EIGHT)),
            None,
            id="a run whose start has an unknown outcome",
        ),
        pytest.param(a_status(run=a_run(intent=INTENT, claimed_at=EIGHT)), at(hours=2), id="start"),
        pytest.param(followed(), at(hours=2), id="followed"),
        pytest.param(followed(run=a_run(ownership="Owned")), None, id="edited by hand"),
        pytest.param(followed(finished_at=at(hours=1)), None, id="finished"),
    ],
)
def test_a_run_times_out_from_its_intent_or_adoption(
    status: TrainingStatus, deadline: datetime | None
) -> None:
    ctx = a_context(a_training(status=status, timeout_seconds=7200))
    assert ctx.deadline == deadline


@pytest.mark.parametrize(
    ("now", "wanted", "seconds"),
    [
        (EIGHT, 60, 60),
        (at(minutes=119.5), 60, 30),
        (at(minutes=119.5), None, 30),
        (at(hours=3), 60, 0),
    ],
    ids=["far off", "near", "near, without another reason to wake", "past"],
)
def test_no_requeue_is_after_the_runs_timeout(
    now: datetime, wanted: float | None, seconds: float
) -> None:
    ctx = a_context(a_training(status=followed(), timeout_seconds=7200), now)
    assert ctx.requeue(wanted).action == RequeueAfter(seconds)


def test_finished_run_may_never_be_requeued() -> None:
    training = a_training(status=followed(finished_at=at(hours=1)), timeout_seconds=7200)
    assert a_context(training).requeue(None).action == RequeueAfter(None)
    assert a_context(a_training()).requeue(None).action == RequeueAfter(None)


def test_missing_run_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="team-a/cardiology has no run in status"):
        _ = a_context(a_training()).run


def test_decision_has_a_derived_phase() -> None:
    decision = a_context(a_training(status=followed())).decision_on(Poll(), publish=True)
    assert (decision.status.phase, decision.action, decision.publish) == ("Running", Poll(), True)


def test_context_copies_keep_earlier_facts_and_state() -> None:
    ctx = a_context(a_training(status=followed())).with_facts(progress=7).with_run(attempt=2)
    ctx = ctx.with_polls(failed=3)
    assert (ctx.status.progress, ctx.run.attempt, ctx.state.polls.failed) == (7, 2, 3)


def test_the_durations_are_those_of_the_design() -> None:
    durations = Durations()
    assert (durations.longest_in_flight, durations.grace_period, durations.agree) == (45, 10, 2)
    assert Durations(send_window=1, post_timeout=2, grace_period=4).longest_in_flight == 7
