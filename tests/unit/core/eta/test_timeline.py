"""Progress milestones of a run, and the timelines of past runs from 0 to 100 percent."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.reasons import FailureReason, Stage
from scriptix_operator.api.status import MAX_TIMELINE, HistoryEntry
from scriptix_operator.core.eta.timeline import (
    MAX_PAST,
    MILESTONES,
    NOT_REACHED,
    REFERENCE,
    PastRun,
    PastRuns,
    is_whole,
    with_milestones,
)
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import EIGHT, KEY, OTHER_KEY, a_run, a_status, a_training, at

EVEN = tuple(36 * milestone for milestone in MILESTONES)
"""The timeline of a run of an hour whose progress is even."""


# Progress milestones.


@pytest.mark.parametrize(
    ("timeline", "progress", "milestones"),
    [
        pytest.param((), 0, (), id="nothing yet"),
        pytest.param((), 9, (), id="just before the first"),
        pytest.param((), 10, (100,), id="the first"),
        pytest.param((), 15, (100,), id="a little late"),
        pytest.param((), 16, (NOT_REACHED,), id="too late to tell"),
        pytest.param(
            (), 43, (NOT_REACHED, NOT_REACHED, NOT_REACHED, 100), id="several at once: the last"
        ),
        pytest.param((50, 60), 29, (50, 60), id="between two"),
        pytest.param((50, 60), 30, (50, 60, 100), id="the next"),
        pytest.param((50, 60), 10, (50, 60), id="progress that goes back"),
        pytest.param((50,) * 9, 100, (*(50,) * 9, 100), id="the end is the last milestone, too"),
        pytest.param((50,) * 10, 100, (50,) * 10, id="all are there"),
        pytest.param((), 250, (NOT_REACHED,) * 10, id="nonsense"),
    ],
)
def test_each_milestone_is_recorded_when_first_seen(
    timeline: tuple[int, ...], progress: int, milestones: tuple[int, ...]
) -> None:
    assert with_milestones(timeline, progress, 99.6) == milestones


def test_timeline_is_complete_once_all_milestones_are_passed() -> None:
    assert is_whole(with_milestones((), 100, 1.0))
    assert not is_whole(with_milestones((), 94, 1.0))
    assert len(MILESTONES) <= MAX_TIMELINE


# The course of a run.


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        (-5, 0),
        (0, 0),
        (5, 0.25 / 8),
        (10, 0.5 / 8),
        (30, 2 / 8),
        (40, 3 / 8),
        (50, 0.5),
        (75, 0.75),
        (95, 7.5 / 8),
        (100, 1),
        (120, 1),
    ],
)
def test_time_share_follows_the_documents_timeline(progress: int, share: float) -> None:
    assert REFERENCE.share(progress) == pytest.approx(share)


@pytest.mark.parametrize(
    ("timeline", "shares"),
    [
        pytest.param(EVEN, {5: 0.05, 10: 0.1, 62.5: 0.625, 99: 0.99}, id="even"),
        pytest.param((), {25: 0.25, 80: 0.8}, id="without milestones: even"),
        pytest.param((NOT_REACHED, 1800), {10: 0.25, 20: 0.5, 60: 0.75}, id="between those seen"),
        pytest.param((600, 500, 1800), {10: 1 / 6, 30: 0.5}, id="decreasing ones are ignored"),
        pytest.param((0, 1800), {10: 0.25, 20: 0.5}, id="so are those at no time"),
        pytest.param((600, 3600, 4000), {10: 1 / 6, 55: 7 / 12}, id="or after the end"),
    ],
)
def test_time_share_is_interpolated_between_milestones(
    timeline: tuple[int, ...], shares: dict[float, float]
) -> None:
    run = PastRun.of(7, 3600.0, timeline)
    assert {progress: run.share(progress) for progress in shares} == pytest.approx(shares)


@given(
    st.lists(st.integers(-1, 5000), max_size=len(MILESTONES)),
    st.floats(1, 5000),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_time_share_grows_with_progress(
    timeline: list[int], seconds: float, one: float, other: float
) -> None:
    run = PastRun.of(7, seconds, tuple(timeline))
    low, high = sorted((one, other))
    assert 0 <= run.share(low) <= run.share(high) <= 1
    assert (run.share(0), run.share(100)) == (0, 1)
    assert run.share(10) > 0


@pytest.mark.parametrize(
    ("stage", "hours"),
    [
        (Stage.DATA_PREPROCESSING, 0.5),
        (Stage.INITIAL_EPOCHS, 1.5),
        (Stage.MAIN_TRAINING, 3.6),
        (Stage.FINE_TUNING, 1.525),
        (Stage.FINAL_EVALUATION, 0.875),
    ],
)
def test_how_long_the_documents_run_is_in_each_stage(stage: Stage, hours: float) -> None:
    assert REFERENCE.seconds_in(stage) == pytest.approx(hours * 3600)


@given(st.lists(st.integers(1, 4000), max_size=len(MILESTONES)))
def test_the_stages_take_all_the_time_together(timeline: list[int]) -> None:
    run = PastRun.of(7, 3600.0, tuple(timeline))
    assert sum(run.seconds_in(stage) for stage in Stage) == pytest.approx(3600)


# Past runs.


def ended(
    hours: float = 1,
    *,
    name: str = "cardiology",
    key: str | None = KEY.fingerprint,
    **facts: Any,  # noqa: ANN401 - values of status fields
) -> Training:
    """A resource whose run completed so many hours after it began at eight."""
    run = a_run(ownership="Owned", claimed_at=EIGHT, key_fingerprint=key)
    status = {"started_at": EIGHT, "finished_at": at(hours=hours), "timeline": EVEN, **facts}
    return a_training(name=name, status=a_status(run=run, **status))


def _past(*trainings: Training) -> PastRuns:
    past = PastRuns()
    for training in trainings:
        past.put(training)
    return past


@pytest.mark.parametrize(
    ("facts", "is_reported"),
    [
        pytest.param({}, True, id="a success"),
        pytest.param(
            {"failure": failure(FailureReason.QUALITY_GATE_FAILED, "no")},
            True,
            id="not good enough",
        ),
        pytest.param({"failure": failure(FailureReason.SYSTEM_ERROR, "no")}, False, id="failed"),
        pytest.param({"failure": failure(FailureReason.TIMED_OUT, "no")}, False, id="timed out"),
        pytest.param({"finished_at": None}, False, id="continues"),
        pytest.param({"started_at": None}, False, id="unknown start time"),
        pytest.param({"finished_at": EIGHT}, False, id="no time at all"),
        pytest.param({"finished_at": at(hours=-1)}, False, id="backwards"),
        pytest.param({"finished_at": at(hours=31 * 24 + 1)}, False, id="implausibly long"),
        pytest.param({"timeline": EVEN[:-1]}, False, id="it was not followed to its end"),
        pytest.param({"timeline": ()}, False, id="it was not followed at all"),
        pytest.param(
            {"timeline": (NOT_REACHED,) * len(MILESTONES)},
            True,
            id="followed, but no milestone seen",
        ),
    ],
)
def test_completed_run_becomes_a_past_run(
    facts: dict[str, Any],
    is_reported: bool,  # noqa: FBT001 - the expected value
) -> None:
    events = PastRun.of(7, 3600.0, facts.get("timeline", EVEN))
    assert _past(ended(**facts)).of(KEY.fingerprint) == ((events,) if is_reported else ())


def test_past_runs_are_grouped_by_key_fingerprint() -> None:
    run = ended(2, name="other", key=OTHER_KEY.fingerprint)
    past = _past(ended(), run, ended(key=None, name="keyless"), a_training(name="new"))
    assert past.of(KEY.fingerprint) == (PastRun.of(7, 3600.0, EVEN),)
    assert past.of(OTHER_KEY.fingerprint) == (PastRun.of(7, 7200.0, EVEN),)
    assert past.of("") == ()


def _earlier(began: datetime, hours: float, **facts: Any) -> HistoryEntry:  # noqa: ANN401 - values of its fields
    times = {"started_at": began, "finished_at": began + timedelta(hours=hours), "timeline": EVEN}
    return HistoryEntry.model_validate({"id": "r", "outcome": "Succeeded", **times, **facts})


def test_past_runs_of_a_replaced_key_stay_with_that_key() -> None:
    earlier = _earlier(at(hours=-10), 5, keyFingerprint=OTHER_KEY.fingerprint)
    past = _past(ended(4, history=(earlier,)))
    hours = [[run.seconds / 3600 for run in past.of(k.fingerprint)] for k in (KEY, OTHER_KEY)]
    assert hours == [[4], [5]]


def _hours(trainings: Sequence[Training]) -> list[float]:
    return [run.seconds / 3600 for run in _past(*trainings).of(KEY.fingerprint)]


def test_past_runs_include_history_oldest_first_without_failures() -> None:
    history = (
        _earlier(at(hours=-10), 5),
        _earlier(at(hours=-20), 6, reason="SystemError", outcome="Failed"),
        _earlier(at(hours=-30), 7, reason="QualityGateFailed", outcome="Failed"),
    )
    assert _hours([ended(4, history=history)]) == [7, 5, 4]


def test_only_the_newest_past_runs_are_used() -> None:
    trainings = [ended(hours, name=f"t{hours}") for hours in range(1, MAX_PAST + 4)]
    assert _hours(trainings[::-1]) == list(range(4, MAX_PAST + 4))


def test_past_runs_do_not_depend_on_the_order_of_changes() -> None:
    """The store updates the past runs incrementally: thousands of resources have ten each."""
    jitter, past, known = random.Random(5), PastRuns(), dict[str, Training]()  # noqa: S311 - a seed
    for _ in range(600):
        name = f"t{jitter.randrange(40)}"
        if name in known and jitter.random() < 0.3:
            past.remove(known.pop(name).key)
        else:
            fingerprint = jitter.choice([KEY, OTHER_KEY]).fingerprint
            history = tuple(_earlier(at(hours=-jitter.randrange(1, 90)), 1) for _ in range(2))
            known[name] = ended(
                jitter.randrange(1, 99), name=name, key=fingerprint, history=history
            )
            past.put(known[name])
        for key in (KEY, OTHER_KEY):
            assert past.of(key.fingerprint) == _past(*known.values()).of(key.fingerprint)


def test_only_past_runs_in_use_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    of = PastRun.of

    def counted(model_id: int, seconds: float, timeline: tuple[int, ...]) -> PastRun:
        made.append(seconds)
        return of(model_id, seconds, timeline)

    monkeypatch.setattr(PastRun, "of", counted)
    past = _past(*(ended(hours, name=f"t{hours}") for hours in range(MAX_PAST, 4 * MAX_PAST)))
    past.of(KEY.fingerprint)
    past.put(ended(1, name="old"))
    past.remove(ended(1, name="t21").key)
    past.of(KEY.fingerprint)
    past.of(KEY.fingerprint)
    assert len(made) == MAX_PAST
