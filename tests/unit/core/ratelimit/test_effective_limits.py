"""core/ratelimit/effective_limits.py: which of its parts decides."""

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit
from scriptix_operator.core.ratelimit.effective_limits import EffectiveLimits
from scriptix_operator.core.ratelimit.hold import SHORTEST_HOLD
from scriptix_operator.core.ratelimit.limits import Limit

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
FIVE_AN_HOUR = Limit(5, HOUR)


class Story:
    """The calls under some limits; a call takes no time unless the test sets one."""

    def __init__(self, *limits: Limit) -> None:
        self.limits = EffectiveLimits(limits or [FIVE_AN_HOUR])

    def passes(self, *times: float, limit: int | None = None) -> bool:
        """Accepted calls; returns whether the observed limits are to be stored."""
        rate_info = None if limit is None else RateLimitInfo(limit=limit, reset=30.0)
        return [self.limits.accepted(at, at, rate_info) for at in times][-1]

    def is_refused(
        self,
        at: float,
        wait: float | None = None,
        limit: int | None = None,
        *,
        sent_at: float | None = None,
    ) -> bool:
        """A refused call; returns whether the observed limits are to be stored."""
        failure = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=wait)
        rate_info = RateLimitInfo(limit=limit, remaining=0, reset=wait)
        return self.limits.refused(at if sent_at is None else sent_at, failure, rate_info, at)

    def counts(self, at: float) -> list[int]:
        """The effective limits, by window."""
        return [limit.count for limit in self.limits.limits(at)]

    def observed(self) -> dict[float, int]:
        """The counts of the observed limits, by window."""
        return {seconds: one.count for seconds, one in self.limits.observed.items()}


# The strictest of all limits.


def test_configured_limits_apply_without_observed_limits() -> None:
    limits = Limit(10, MINUTE), Limit(100, HOUR)
    assert EffectiveLimits(limits).limits(0.0) == limits


@pytest.mark.parametrize(
    ("observed", "kept"),
    [
        pytest.param([ObservedLimit(HOUR, 3, 0.0)], [Limit(3, HOUR)], id="stricter"),
        pytest.param([ObservedLimit(HOUR, 9, 0.0)], [FIVE_AN_HOUR], id="not above configured"),
        pytest.param(
            [ObservedLimit(DAY, 20, 0.0), ObservedLimit(MINUTE, 1, 0.0)],
            [Limit(1, MINUTE), FIVE_AN_HOUR, Limit(20, DAY)],
            id="of windows that are not configured",
        ),
    ],
)
def test_observed_limits_of_another_process_apply(
    observed: list[ObservedLimit], kept: list[Limit]
) -> None:
    story = Story()
    story.limits.restore(observed)
    assert list(story.limits.limits(0.0)) == kept
    assert not story.passes(0.0)  # they are not stored again


def test_refusal_that_no_limit_explains_lowers_the_limit_for_a_while() -> None:
    story = Story(Limit(100, MINUTE))
    story.passes(*(n / 10 for n in range(100)))
    assert not story.is_refused(100.0)
    assert story.observed() == {}
    assert story.counts(100.0) == [1]
    assert story.counts(100.0 + 40 * MINUTE) == [100]


# Named limits come before inferred ones.


def test_named_limit_of_a_refusal_replaces_an_inferred_one() -> None:
    story = Story(Limit(20, HOUR))
    story.passes(0, 1, 2, 3)
    assert story.is_refused(4.0)
    assert story.observed() == {HOUR: 2}
    assert story.is_refused(9000.0, limit=1)
    assert story.observed() == {HOUR: 1}
    assert story.passes(9100.0, limit=8)
    assert story.observed() == {HOUR: 8}


@pytest.mark.parametrize(("limit", "count"), [(4, 4), (5, 5)])
def test_named_limit_of_an_accepted_call_replaces_an_observed_one(limit: int, count: int) -> None:
    story = Story()
    story.limits.restore([ObservedLimit(HOUR, 2, 0.0)])
    story.passes(1.0, limit=limit)
    assert story.counts(1.0) == [count]


def test_unnamed_refusal_infers_nothing_where_the_limit_is_named() -> None:
    story = Story(Limit(20, HOUR))
    story.passes(0, 1, 2, 3, limit=10)
    assert not story.is_refused(4.0)
    assert story.observed() == {HOUR: 10}
    assert story.counts(4.0) == [3]  # the calls of others explain the refusal


def test_refusal_that_names_a_known_limit_infers_nothing() -> None:
    story = Story()
    story.passes(0, 1, 2)
    assert not story.is_refused(3.0, wait=3597.0, limit=5)
    assert story.observed() == {}


# Calls in flight at a refusal.


def test_refusals_of_in_flight_calls_add_nothing() -> None:
    story = Story(Limit(20, MINUTE))
    story.passes(0, 1, 2, 3)
    assert story.is_refused(4.0, wait=56.0)
    before = story.limits.observed
    for number in range(1, 4):
        assert not story.is_refused(4.0 + number, wait=56.0 - number, sent_at=3.5)
    assert story.limits.observed == before
    assert story.limits.hold.until == 60.0
    story.is_refused(7.0, sent_at=3.5)
    assert story.limits.hold.until == 60.0


def test_accepted_in_flight_call_raises_the_inferred_limit() -> None:
    story = Story(Limit(20, MINUTE))
    story.passes(0.1, 0.2)
    assert story.is_refused(0.3, wait=60.0, sent_at=0.0)
    story.limits.accepted(0.0, 0.4, None)
    assert story.observed() == {MINUTE: 3}


# Holds.


def test_named_or_inferred_limit_is_waited_for_and_no_longer() -> None:
    story = Story(Limit(10, MINUTE))
    story.passes(0, 1, 2)
    assert story.is_refused(3.0)
    assert story.limits.hold.until == 3.0 + SHORTEST_HOLD * MINUTE


def test_wait_within_an_observed_window_is_believed_at_once() -> None:
    # Otherwise a call whose reply was lost, which may not count, would be missing.
    story = Story()
    story.passes(*(720.0 * number for number in range(58)))
    story.is_refused(43_000.0, wait=43_400.0, limit=60)
    assert story.counts(43_000.0) == [5, 60]
    assert story.limits.hold.until == 86_400


def test_accepted_call_ends_the_series_of_refusals() -> None:
    story = Story(Limit(10, MINUTE))
    for now in (100.0, 200.0, 300.0):
        story.is_refused(now, wait=0.0)
    assert story.limits.hold.until == 300.0 + 4 * SHORTEST_HOLD * MINUTE
    story.limits.accepted(299.0, 300.1, None)  # in flight at the refusal
    assert story.limits.hold.in_a_row == 3
    story.passes(story.limits.hold.until)
    story.is_refused(500.0, wait=0.0)
    assert story.limits.hold.until == 500.0 + SHORTEST_HOLD * MINUTE


# Proved limits.


@pytest.mark.parametrize(
    ("times", "is_proved"),
    [
        pytest.param([0, 1, 2, 3], False, id="one is missing"),
        pytest.param([0, 1, 2, 3, 3599.9], True, id="a whole window's"),
        pytest.param([0, 1, 2, 3, 3600], False, id="the first has aged"),
        pytest.param([0, 1, 2, 3, 4, 9999], True, id="once is enough"),
    ],
)
def test_accepted_full_window_proves_the_limit(
    times: list[float],
    is_proved: bool,  # noqa: FBT001 - the expected value
) -> None:
    story = Story()
    story.passes(*times)
    assert story.limits.is_proved == is_proved


def test_stricter_limit_must_be_proved_again() -> None:
    story = Story()
    story.passes(0, 1, 2, 3, 4)
    assert story.is_refused(4000.0, wait=3590.0, limit=2)
    assert not story.limits.is_proved
    story.passes(8000.0, 8001.0)
    assert story.limits.is_proved


def test_refusal_for_others_calls_keeps_the_proved_limit() -> None:
    story = Story()
    story.passes(0, 1, 2, 3, 4)
    assert not story.is_refused(4000.0, wait=3590.0)
    assert story.limits.is_proved
