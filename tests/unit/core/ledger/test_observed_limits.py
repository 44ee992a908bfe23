"""core/ledger/observed_limits.py: observed limits as the start ledger keeps them."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.ledger.ledger import Ledger, with_observed_limits
from scriptix_operator.core.ledger.observed_limits import (
    KEPT,
    MAX_KEYS,
    StoredLimit,
    StoredLimits,
    kept,
    restored_limits,
    stored_limits,
)
from scriptix_operator.core.ratelimit.additive_increase import (
    CLEAN_WINDOWS,
    MAX_CLEAN_WINDOWS,
    ObservedLimit,
)
from scriptix_operator.kube.ledger_config_map import dump
from tests.unit.core.builders import EIGHT, at

HOUR = timedelta(hours=1)


def observed_limits(count: int = 3, when: datetime = EIGHT, seconds: float = 3600.0) -> StoredLimit:
    """A limit, observed at this time."""
    return StoredLimit(seconds=seconds, count=count, at=when, clean_windows=CLEAN_WINDOWS)


LESSONS = st.builds(
    ObservedLimit,
    seconds=st.sampled_from([0.25, 60.0, 3600.0, 86400.0]),
    count=st.integers(1, 100_000),
    at=st.floats(0, 1e6),
    clean_windows=st.sampled_from([1.0, CLEAN_WINDOWS, MAX_CLEAN_WINDOWS]),
)


@given(st.lists(LESSONS, max_size=3), st.floats(0, 1e6), st.floats(0, 1e9))
def test_observed_limits_survive_a_restart_to_the_second(
    observed_limits: list[ObservedLimit], age: float, booted: float
) -> None:
    """The monotonic clocks of the two processes are unrelated; both share the wall clock.

    The ledger keeps times to the second, rounded down: no process tries more calls earlier.
    """
    now, later = 1e6 + age, 3600.0
    written = stored_limits(observed_limits, EIGHT, now)
    ledger = with_observed_limits(Ledger(), "key", "start", written)
    read = Ledger.model_validate_json(dump(ledger)).limits.get("key", {}).get("start", ())
    assert read == written
    again = restored_limits(read, EIGHT + timedelta(seconds=later), booted + later)
    for observed_limit, known in zip(observed_limits, again, strict=True):
        assert (known.seconds, known.count) == (observed_limit.seconds, observed_limit.count)
        assert known.clean_windows == observed_limit.clean_windows
        aged = (booted - known.at) - (now - observed_limit.at)
        assert -1e-3 <= aged <= 1.001


@pytest.mark.parametrize(
    "nonsense", [{"seconds": 0.0}, {"seconds": -1.0}, {"count": 0}, {"clean_windows": 0.0}]
)
def test_invalid_limits_in_a_ledger_are_ignored(nonsense: dict[str, float]) -> None:
    good = observed_limits()
    assert restored_limits([good.model_copy(update=nonsense)], EIGHT, 0.0) == ()
    assert len(restored_limits([good], EIGHT, 0.0)) == 1


def test_observed_limit_from_a_clock_ahead_keeps_its_time() -> None:
    (observed_limit,) = restored_limits([observed_limits(when=at(hours=1))], EIGHT, 0.0)
    assert observed_limit.at == 3600.0
    assert observed_limit.allows(0.0) == 3


@pytest.mark.parametrize(
    ("age", "is_kept"),
    [(KEPT - timedelta(seconds=1), True), (KEPT, False)],
    ids=["kept", "too old"],
)
def test_observed_limit_of_a_month_ago_is_tested_again(
    age: timedelta,
    is_kept: bool,  # noqa: FBT001 - the expected value
) -> None:
    limits: StoredLimits = {
        "young": {
            "start": (observed_limits(), observed_limits(1, EIGHT - age)),
            "log": (observed_limits(2, EIGHT - age),),
        },
        "old": {"start": (observed_limits(9, EIGHT - age),)},
        "nothing": {"start": ()},
    }
    found = kept(limits, EIGHT)
    if is_kept:
        assert found == {key: limits[key] for key in ("young", "old")}
    else:
        assert found == {"young": {"start": (observed_limits(),)}}


def test_keys_with_the_newest_observed_limits_are_kept() -> None:
    limits: StoredLimits = {
        f"key-{n}": {
            "status": (
                observed_limits(when=EIGHT - n * HOUR / 60),
                observed_limits(when=EIGHT - 9 * HOUR),
            ),
        }
        for n in range(MAX_KEYS + 3)
    }
    assert kept(limits, EIGHT).keys() == {f"key-{n}" for n in range(MAX_KEYS)}


@pytest.mark.parametrize(
    ("calls", "windows", "at_most"),
    [
        pytest.param(["start"], 1, 0.1, id="common: one limit is stricter"),
        pytest.param(["start", "status", "log"], 2, 0.3, id="all are, of two windows each"),
    ],
)
def test_observed_limits_of_500_keys_fit_into_a_config_map(
    calls: list[str], windows: int, at_most: float
) -> None:
    """A ConfigMap holds 1 MiB. Measured: 52 kB and 262 kB; the charges take at most 0.55 of it."""
    per_key = {call: (observed_limits(100_000),) * windows for call in calls}
    limits: StoredLimits = {f"{n:012x}": {**per_key} for n in range(MAX_KEYS)}
    assert len(dump(Ledger(limits=limits))) <= at_most * 2**20
