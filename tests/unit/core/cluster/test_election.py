"""core/cluster/election.py: which process may lead, with times that the test sets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scriptix_operator.core.cluster.election import (
    LeaseObservation,
    LeaseTimes,
    Move,
    decide,
    observe,
)

NOON = datetime(2025, 1, 16, 12, tzinfo=UTC)
OTHERS = LeaseObservation(holder="other", renewed=NOON, duration=15.0, since=100.0)
OURS = replace(OTHERS, holder="me")
NOBODYS = replace(OTHERS, holder=None)


@pytest.mark.parametrize(
    ("seen", "now", "leading", "move"),
    [
        pytest.param(None, 0.0, False, Move.ACQUIRE, id="no lease yet"),
        pytest.param(NOBODYS, 100.0, False, Move.ACQUIRE, id="released"),
        pytest.param(OTHERS, 100.0, False, Move.WAIT, id="held"),
        pytest.param(OTHERS, 115.0, False, Move.WAIT, id="held for its whole duration"),
        pytest.param(OTHERS, 115.1, False, Move.ACQUIRE, id="not renewed for longer"),
        pytest.param(OURS, 100.0, False, Move.RENEW, id="a write of ours acted after all"),
        pytest.param(OURS, 999.0, True, Move.RENEW, id="ours, not taken over"),
        pytest.param(OTHERS, 100.0, True, Move.LOST, id="taken from us"),
        pytest.param(OTHERS, 999.0, True, Move.LOST, id="taken from us long ago"),
        pytest.param(NOBODYS, 100.0, True, Move.LOST, id="emptied under our feet"),
        pytest.param(None, 100.0, True, Move.LOST, id="deleted under our feet"),
    ],
)
def test_move_follows_the_state_of_the_lease(
    seen: LeaseObservation | None,
    now: float,
    leading: bool,  # noqa: FBT001 - a column of the table
    move: Move,
) -> None:
    assert decide(seen, "me", now, leading=leading) is move


def test_first_read_of_a_lease_counts_from_now() -> None:
    ages_ago = NOON - timedelta(days=400)
    assert observe(None, "other", ages_ago, 15.0, now=100.0).since == 100.0


def test_lease_age_grows_without_a_renewal() -> None:
    assert observe(OTHERS, "other", NOON, 15.0, now=110.0) == OTHERS


@pytest.mark.parametrize("step", [timedelta(microseconds=1), timedelta(days=-1)])
def test_renewal_resets_the_lease_age_after_a_clock_step_back(step: timedelta) -> None:
    assert observe(OTHERS, "other", NOON + step, 15.0, now=110.0).since == 110.0


def test_another_holder_resets_the_lease_age() -> None:
    assert observe(OTHERS, "third", NOON, 15.0, now=110.0).since == 110.0


def test_a_holder_may_ask_for_another_duration() -> None:
    assert observe(OTHERS, "other", NOON, 60.0, now=110.0) == replace(OTHERS, duration=60.0)


@pytest.mark.parametrize("holder", [None, ""])
def test_empty_holder_name_means_no_holder(holder: str | None) -> None:
    assert observe(None, holder, NOON, 15.0, now=1.0).holder is None


@pytest.mark.parametrize(
    "times",
    [
        {"duration": 10, "renew_deadline": 10.0},
        {"renew_deadline": 5.0, "retry": 2.0, "request": 3.0},
        {"retry": 0.0},
        {"request": 0.0},
    ],
)
def test_unsafe_election_durations_are_refused(
    times: dict[str, float],
) -> None:
    with pytest.raises(ValueError, match="duration > renew_deadline"):
        replace(LeaseTimes(), **times)  # type: ignore[arg-type]
