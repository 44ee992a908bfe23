"""core/follow/poll_failed.py: a poll that was refused, lost, or not sent."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.follow.poll_failed import poll_failed
from scriptix_operator.core.model.remote import FailureKind
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.context import ReconcileContext
from scriptix_operator.core.reconcile.in_process_state import InProcessState, PollState
from scriptix_operator.core.reconcile.vocabulary import Decision, PollFailed, RequeueAfter
from scriptix_operator.core.scheduling.circuit_breaker import CONFIRM
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import (
    KEY,
    a_context,
    a_status,
    a_training,
    at,
    call_failed,
    check_status,
    followed,
)

NOW = at(hours=5)
SEEN = at(hours=4, seconds=0.25)


def fails(
    kind: FailureKind = FailureKind.AMBIGUOUS,
    *,
    training: Training | None = None,
    state: InProcessState | None = None,
    poll: dict[str, Any] | None = None,
    **facts: Any,  # noqa: ANN401 - values of CallFailure's fields
) -> Decision:
    """The decision on a failed poll."""
    ctx: ReconcileContext = a_context(training or a_training(), NOW, state)
    decision = poll_failed(ctx, PollFailed(call_failed(kind, **facts), **(poll or {})))
    check_status(ctx.training, decision.status)
    return decision


def waits(decision: Decision) -> float | None:
    """Seconds until the resource is requeued."""
    assert isinstance(decision.action, RequeueAfter)
    return decision.action.seconds


RUNNING = a_training(status=followed(progress=50, stage="MainTraining", last_observed_at=SEEN))
QUEUED = a_training(status=a_status(queue={"position": 1, "of": 2}))


# Failures that a human must fix.


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(FailureKind.UNAUTHORIZED, "Unauthorized"), (FailureKind.NOT_FOUND, "ModelNotFound")],
)
@pytest.mark.parametrize(("poll", "wait"), [(20, 20), (60, 60), (600, 60)])
def test_failure_for_a_human_is_reported_and_polled_each_minute(
    kind: FailureKind, reason: str, poll: int, wait: float
) -> None:
    training = a_training(poll_interval_seconds=poll)
    decision = fails(kind, training=training, poll={"key_source": KEY.source})
    assert decision.status.failure is not None
    assert decision.status.failure.reason == reason
    assert waits(decision) == wait
    assert (KEY.source in decision.status.failure.message) == (kind is FailureKind.UNAUTHORIZED)


def test_blocked_resource_leaves_the_queue_and_keeps_its_run() -> None:
    assert fails(FailureKind.UNAUTHORIZED, training=QUEUED).status.queue is None
    sure = InProcessState(polls=PollState(refused_since=SEEN))
    blocked = fails(FailureKind.NOT_FOUND, training=RUNNING, state=sure).status
    assert (blocked.phase, blocked.finished_at, blocked.progress) == ("Running", None, 50)


@pytest.mark.parametrize("kind", [FailureKind.AMBIGUOUS, FailureKind.RATE_LIMITED])
def test_fixed_failure_is_no_longer_reported(kind: FailureKind) -> None:
    blocked = a_training(status=fails(FailureKind.NOT_FOUND).status)
    assert fails(kind, training=blocked).status.failure is None


# A refusal that contradicts an earlier poll.

SEEN_ONCE = a_training(status=a_status(model={"training_status": 2}))
NOT_FOUND, UNAUTHORIZED = FailureKind.NOT_FOUND, FailureKind.UNAUTHORIZED


REFUSALS = [
    pytest.param(NOT_FOUND, 404, False, id="404"),
    pytest.param(UNAUTHORIZED, 403, False, id="403"),
    pytest.param(UNAUTHORIZED, 401, True, id="401, the key has worked"),
]


@pytest.mark.parametrize(("kind", "status", "has_key_worked"), REFUSALS)
@pytest.mark.parametrize("training", [RUNNING, SEEN_ONCE], ids=["followed", "seen before"])
def test_a_second_poll_confirms_a_contradicting_refusal(
    kind: FailureKind, status: int, training: Training, *, has_key_worked: bool
) -> None:
    refused = partial(fails, kind, status=status, poll={"has_key_worked": has_key_worked})
    first = refused(training=training)
    assert (waits(first), first.status.failure) == (CONFIRM, None)
    assert first.status.conditions[0].reason == "ApiUnavailable"
    assert first.state.polls.refused_since == NOW
    for age, wait in ((1, CONFIRM - 1), (CONFIRM - 0.5, 0.5)):
        early = InProcessState(polls=PollState(refused_since=NOW - timedelta(seconds=age)))
        soon = refused(training=training, state=early)
        assert (waits(soon), soon.status.failure, soon.state) == (wait, None, early)
    doubt = InProcessState(polls=PollState(refused_since=NOW - timedelta(seconds=CONFIRM)))
    assert refused(training=training, state=doubt).status.failure is not None


@pytest.mark.parametrize(
    ("poll", "training"),
    [
        pytest.param({}, a_training(), id="never seen"),
        pytest.param({}, RUNNING, id="a run is followed, and its key is another now"),
        pytest.param(
            {"since": at(hours=3), "has_key_worked": True},
            RUNNING,
            id="the circuit breaker is open",
        ),
        pytest.param(
            {"has_key_worked": True},
            a_training(status=followed(failure=failure(FailureReason.UNAUTHORIZED, "x"))),
            id="shown before a restart",
        ),
    ],
)
def test_a_refusal_that_contradicts_nothing_counts_at_once(
    poll: dict[str, Any], training: Training
) -> None:
    assert fails(UNAUTHORIZED, training=training, poll=poll).status.failure is not None


def test_a_key_that_has_worked_is_doubted_before_it_is_rejected() -> None:
    worked = {"has_key_worked": True}
    assert fails(UNAUTHORIZED, poll=worked, status=401).state.polls.refused_since == NOW
    # A refusal for a model that no poll has shown contradicts nothing.
    assert fails(UNAUTHORIZED, poll=worked, status=403).status.failure is not None
    assert fails(NOT_FOUND, poll=worked).status.failure is not None


@pytest.mark.parametrize("kind", [FailureKind.AMBIGUOUS, FailureKind.RATE_LIMITED])
def test_other_failure_confirms_no_refusal(kind: FailureKind) -> None:
    doubt = InProcessState(polls=PollState(refused_since=NOW - timedelta(hours=1)))
    after = fails(kind, training=RUNNING, state=doubt)
    assert (after.status.failure, after.state.polls.refused_since) == (None, None)


def test_refusals_with_different_reasons_confirm_each_other() -> None:
    first = fails(NOT_FOUND, training=RUNNING, status=404).state
    early = replace(first, polls=replace(first.polls, refused_since=NOW - timedelta(seconds=1)))
    again = fails(UNAUTHORIZED, training=RUNNING, state=early, status=403)
    assert (waits(again), again.state) == (CONFIRM - 1, early)
    late = replace(
        first, polls=replace(first.polls, refused_since=NOW - timedelta(seconds=CONFIRM))
    )
    why = fails(UNAUTHORIZED, training=RUNNING, state=late, status=403).status.failure
    assert why is not None
    assert why.reason == "Unauthorized"


# A refusal by a gateway.

BY_GATEWAY: dict[str, Any] = {"is_from_gateway": True, "message": "HTTP 404: default backend"}


@pytest.mark.parametrize("training", [RUNNING, a_training()], ids=["followed", "never seen"])
def test_refusal_of_a_gateway_counts_as_api_unavailable(training: Training) -> None:
    decision = fails(training=training, **BY_GATEWAY)
    assert (waits(decision), decision.status.failure) == (30, None)
    assert decision.status.conditions[0].reason == "ApiUnavailable"
    assert "default backend" in (decision.status.message or "")
    assert decision.state.polls.gateway_refused_since == NOW


@pytest.mark.parametrize("poll", [{}, {"since": at(hours=4)}], ids=["polled", "not polled"])
@pytest.mark.parametrize(("age", "is_stalled"), [(299, False), (300, True)])
def test_gateway_refusing_for_5_minutes_blocks_the_resource(
    poll: dict[str, Any], age: int, *, is_stalled: bool
) -> None:
    state = InProcessState(
        polls=PollState(gateway_refused_since=NOW - timedelta(seconds=age), failed=9)
    )
    decision = fails(training=RUNNING, state=state, poll=poll, **BY_GATEWAY)
    assert waits(decision) == (60 if is_stalled else 1)
    assert decision.state.polls.gateway_refused_since == state.polls.gateway_refused_since
    why = decision.status.failure
    assert (why is not None) == is_stalled
    if why is not None:
        assert why.reason == "GatewayRefused"
        assert "SCRIPTIX_BASE_URL" in why.solution


def test_a_gateways_refusal_stays_shown_after_a_restart() -> None:
    state = InProcessState(polls=PollState(gateway_refused_since=NOW - timedelta(hours=1)))
    shown = fails(training=RUNNING, state=state, **BY_GATEWAY).status
    again = fails(training=a_training(status=shown), **BY_GATEWAY)
    assert again.status.failure == shown.failure
    away = fails(training=a_training(status=shown), state=state)
    assert (away.status.failure, away.state.polls.gateway_refused_since) == (None, None)


# Rate limits.


@pytest.mark.parametrize(
    ("again_in", "retry_after", "wait"),
    [
        pytest.param(33.0, 5.0, 33, id="as the quota allows"),
        pytest.param(0.0, 5.0, 1, id="but not at once"),
        pytest.param(None, 5.0, 5, id="as the API says"),
        pytest.param(None, None, 60, id="as its document says"),
    ],
)
def test_rate_limited_poll_is_repeated_when_the_key_may_call(
    again_in: float | None, retry_after: float | None, wait: float
) -> None:
    decision = fails(
        FailureKind.RATE_LIMITED,
        retry_after=retry_after,
        poll={"again_in": again_in},
        training=QUEUED,
    )
    assert waits(decision) == wait
    assert decision.status.conditions[0].reason == "RateLimited"
    assert decision.status.queue is not None
    assert decision.state.polls.failed == 0


# No reply.


@pytest.mark.parametrize(
    ("poll", "before", "wait"),
    [
        pytest.param(60, 0, 30, id="the first: sooner than asked for"),
        pytest.param(60, 1, 30, id="the second as soon"),
        pytest.param(60, 2, 60, id="doubled"),
        pytest.param(60, 4, 120, id="doubled again"),
        pytest.param(60, 20, 240, id="four intervals at most"),
        pytest.param(2, 0, 1, id="a short poll interval"),
        pytest.param(2, 20, 8, id="four short intervals"),
        pytest.param(1, 0, 1, id="not below a second"),
        pytest.param(100, 20, 300, id="five minutes at most"),
        pytest.param(600, 0, 30, id="soon at first, for any poll interval"),
        pytest.param(600, 20, 600, id="more than five minutes if that is asked for"),
    ],
)
def test_unanswered_polls_back_off(poll: int, before: int, wait: float) -> None:
    training = a_training(poll_interval_seconds=poll)
    decision = fails(training=training, state=InProcessState(polls=PollState(failed=before)))
    assert waits(decision) == wait
    assert decision.state.polls.failed == before + 1
    assert decision.status.conditions[0].reason == "ApiUnavailable"
    assert decision.status.message == "The API did not answer the poll (HTTP 500: oops)."


@pytest.mark.parametrize(("poll", "before", "wait"), [(60, 0, 2), (60, 2, 4), (1, 0, 1)])
def test_baseline_poll_is_repeated_while_its_turn_lasts(
    poll: int, before: int, wait: float
) -> None:
    state = InProcessState(polls=PollState(failed=before))
    training = a_training(poll_interval_seconds=poll)
    assert waits(fails(training=training, state=state, poll={"is_baseline": True})) == wait


@pytest.mark.parametrize(
    ("named", "before", "wait"),
    [
        pytest.param(120, 0, 121, id="as named"),
        pytest.param(120, 9, 121, id="however often it has failed"),
        pytest.param(30, 0, 31, id="sooner than a poll that fails"),
        pytest.param(5, 0, 6, id="the shortest"),
        pytest.param(5, 2, 21, id="too early twice"),
        pytest.param(5, 9, 61, id="too early again and again"),
        pytest.param(86_400, 0, 301, id="absurd"),
        pytest.param(4.9, 0, 30, id="too short"),
        pytest.param(0, 2, 60, id="none"),
    ],
)
def test_next_poll_is_at_the_time_that_the_reply_names(
    named: float, before: int, wait: float
) -> None:
    decision = fails(retry_after=named, state=InProcessState(polls=PollState(failed=before)))
    assert waits(decision) == wait


def test_named_time_is_shown() -> None:
    asks = "The reply asks the operator to wait; the next call is due at "
    for training in (a_training(), RUNNING):
        decision = fails(retry_after=120, training=training)
        assert (decision.status.message or "").endswith(f"{asks}2025-01-16 13:02Z.")
    since = {"since": at(hours=3), "named_until": at(hours=5, minutes=1)}
    decision = fails(retry_after=120, poll=since)
    assert waits(decision) == 60  # until the circuit breaker lets a poll through
    assert (decision.status.message or "").endswith(f"(HTTP 500: oops). {asks}2025-01-16 13:01Z.")


def test_open_circuit_counts_no_failure_and_shows_since_when() -> None:
    state = InProcessState(polls=PollState(failed=3))
    decision = fails(state=state, poll={"since": at(hours=3)})
    assert (waits(decision), decision.state) == (60, state)
    assert (
        decision.status.message
        == "The API has been unreachable since 2025-01-16 11:00Z (HTTP 500: oops)."
    )


@pytest.mark.parametrize(
    ("last_polled_at", "since", "message"),
    [
        pytest.param(
            None,
            None,
            "The API did not answer the poll (HTTP 500: oops); status was last updated at "
            "2025-01-16 12:00Z.",
            id="as recorded",
        ),
        pytest.param(
            at(hours=4.5),
            at(hours=4.75),
            "The API has been unreachable since 2025-01-16 12:45Z (HTTP 500: oops); status was "
            "last updated at 2025-01-16 12:30Z.",
            id="as remembered, and no calls are made",
        ),
    ],
)
def test_age_of_a_runs_status_is_shown(
    last_polled_at: datetime | None, since: datetime | None, message: str
) -> None:
    decision = fails(
        training=RUNNING,
        state=InProcessState(polls=PollState(answered_at=last_polled_at)),
        poll={"since": since},
    )
    assert decision.status.message == message
    assert decision.status.last_observed_at == (last_polled_at or SEEN).replace(microsecond=0)


@pytest.mark.parametrize(
    ("status", "events"),
    [
        pytest.param(followed(), "; status shows the last known facts", id="no time is known"),
        pytest.param(a_status(last_observed_at=SEEN), "", id="there is no run"),
    ],
)
def test_age_is_not_shown_without_a_time_or_a_run(status: TrainingStatus, events: str) -> None:
    decision = fails(training=a_training(status=status))
    assert decision.status.message == f"The API did not answer the poll (HTTP 500: oops){events}."
    assert decision.status.last_observed_at == status.last_observed_at


def test_no_requeue_is_after_the_timeout() -> None:
    training = a_training(status=followed(), timeout_seconds=5 * 3600 + 7)
    assert waits(fails(training=training)) == 7
    sure = InProcessState(polls=PollState(refused_since=SEEN))
    assert waits(fails(FailureKind.NOT_FOUND, training=training, state=sure)) == 7
