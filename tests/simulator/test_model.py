"""Models and their runs, without a server around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_simulator.model import Model, NoRunError, Status, begin, change, create
from scriptix_simulator.scripts import FAILURES, FailureName, ModelChange, ModelScript

NOW = 1_737_014_400.25
SPEED = 480.0
RUN = 60.0
"""Real seconds of an eight-hour run."""


def made(script: ModelScript | None = None, speed: float = SPEED) -> Model:
    return create(1, script or ModelScript(), NOW, speed)


def begun(script: ModelScript | None = None) -> Model:
    return begin(made(script), NOW, SPEED, "key")


def test_a_run_goes_from_ready_through_running_to_success() -> None:
    assert made().status(NOW) == Status.READY
    assert begun().status(NOW) == Status.RUNNING
    assert begun().status(NOW + RUN - 0.01) == Status.RUNNING
    assert begun().status(NOW + RUN) == Status.SUCCEEDED


def test_a_run_takes_as_long_as_its_script_says() -> None:
    model = begun(ModelScript(duration=4))
    assert model.runs[0].progress(NOW + RUN / 4) == pytest.approx(50)
    assert model.status(NOW + RUN / 2) == Status.SUCCEEDED


SLOW_START = ((0, 0), (6, 10), (10, 100))


def test_timeline_is_scaled_to_the_duration_of_the_run() -> None:
    run = begun(ModelScript(timeline=SLOW_START, duration=8)).runs[0]
    assert run.progress(NOW + 0.6 * RUN) == pytest.approx(10)
    assert run.progress(NOW + 0.8 * RUN) == pytest.approx(55)


def test_timeline_sets_failure_time_and_initial_age() -> None:
    failing = begun(ModelScript(timeline=SLOW_START, outcome=("insufficient_data",))).runs[0]
    assert failing.ends - NOW == pytest.approx(0.3 * RUN)
    running = made(ModelScript(timeline=SLOW_START, status=3, progress=10)).runs[0]
    assert NOW - running.began == pytest.approx(0.6 * RUN)


def test_new_timeline_applies_to_later_runs() -> None:
    model = change(
        begun(), ModelChange(script={"timeline": [[0, 0], ["6h", 10], [10, 100]]}), NOW, SPEED
    )
    model = begin(model, NOW + RUN, SPEED, "key")
    progress = [run.progress(run.began + RUN / 2) for run in model.runs]
    assert progress == [pytest.approx(50), pytest.approx(25 / 3)]


@pytest.mark.parametrize("outcome", sorted(FAILURES))
def test_each_documented_failure_has_its_message(outcome: FailureName) -> None:
    run = begun(ModelScript(outcome=(outcome,))).runs[0]
    assert run.error == FAILURES[outcome].message
    assert run.progress(NOW + RUN) == pytest.approx(FAILURES[outcome].at)
    assert run.status(run.ends) == Status.FAILED


def test_custom_failure_occurs_where_the_script_says() -> None:
    script = ModelScript(outcome=("system_error",), error="GPU on fire", fail_at=50)
    run = begun(script).runs[0]
    assert run.error == "GPU on fire"
    assert run.ends == pytest.approx(NOW + RUN / 2)


def test_runs_of_a_model_have_its_outcomes_in_order() -> None:
    model = begun(ModelScript(outcome=("mismatch", "success")))
    model = begin(model, NOW + RUN, SPEED, "key")
    assert [run.error is None for run in model.runs] == [False, True]


@given(st.lists(st.floats(0, 2), max_size=8))
def test_no_two_runs_share_a_run_start_time(waits: list[float]) -> None:
    model, now = made(), NOW
    for wait in waits:
        now += wait
        model = begin(model, now, SPEED, "key")
    start_times = [run.run_start_time for run in model.runs]
    assert start_times == sorted(set(start_times))


def test_a_start_cuts_off_the_run_under_way() -> None:
    model = begin(begun(), NOW + 1, SPEED, "key")
    assert [run.status(NOW + 1) for run in model.runs] == [Status.FAILED, Status.RUNNING]
    assert model.runs[0].ends == NOW + 1


def test_a_model_becomes_ready_when_its_script_says() -> None:
    model = made(ModelScript(status=1, ready_after=8))
    assert model.status(NOW + RUN - 0.01) == Status.NOT_READY
    assert model.status(NOW + RUN) == Status.READY


def test_a_model_without_a_date_stays_unready() -> None:
    assert made(ModelScript(status=1)).status(NOW + 1e6) == Status.NOT_READY


def test_a_model_may_be_running_from_the_first() -> None:
    model = made(ModelScript(status=3, progress=75))
    assert model.runs[0].progress(NOW) == pytest.approx(75)
    assert model.status(NOW) == Status.RUNNING
    assert model.runs[0].key is None


def test_a_model_may_be_trained_or_failed_from_the_first() -> None:
    trained = made(ModelScript(status=4, outcome=("mismatch",)))
    assert (trained.status(NOW), trained.runs[0].error) == (Status.SUCCEEDED, None)
    failed = made(ModelScript(status=5))
    assert failed.status(NOW) == Status.FAILED
    assert failed.runs[0].error == FAILURES["system_error"].message
    mismatched = made(ModelScript(status=5, outcome=("mismatch",)))
    assert mismatched.runs[0].error == FAILURES["mismatch"].message


def patched(model: Model, wanted: ModelChange, now: float = NOW + 10) -> Model:
    return change(model, wanted, now, SPEED)


def test_new_data_makes_a_trained_model_ready_and_keeps_its_runs() -> None:
    model = patched(begun(), ModelChange(status=2), NOW + 2 * RUN)
    assert model.status(NOW + 2 * RUN) == Status.READY
    assert len(model.runs) == 1
    assert model.runs[0].status(NOW + 2 * RUN) == Status.SUCCEEDED


def test_a_run_can_be_finished_or_failed_by_hand() -> None:
    assert patched(begun(), ModelChange(finish=True)).status(NOW + 10) == Status.SUCCEEDED
    failed = patched(begun(), ModelChange(fail="mismatch"))
    assert failed.status(NOW + 10) == Status.FAILED
    assert failed.runs[0].error == FAILURES["mismatch"].message


@pytest.mark.parametrize("wanted", [ModelChange(finish=True), ModelChange(fail="mismatch")])
def test_without_a_run_there_is_nothing_to_end(wanted: ModelChange) -> None:
    with pytest.raises(NoRunError):
        patched(made(), wanted)
    with pytest.raises(NoRunError):
        patched(begun(), wanted, NOW + 2 * RUN)


def test_run_can_be_started_by_another_user() -> None:
    model = patched(made(), ModelChange(start=True))
    assert model.status(NOW + 10) == Status.RUNNING
    assert model.runs[0].key is None


def test_changed_script_applies_to_later_runs() -> None:
    model = patched(begun(), ModelChange(script={"outcome": "mismatch", "name": "New"}))
    assert model.script == ModelScript(outcome=("mismatch",), name="New")
    assert model.runs[0].error is None
    assert begin(model, NOW + RUN, SPEED, "key").runs[1].error is not None
