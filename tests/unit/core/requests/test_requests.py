"""core/requests/requests.py: which values request a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Ownership
from scriptix_operator.api.status import (
    Baseline,
    HistoryEntry,
    Intent,
    LogStatus,
    Metrics,
    ModelStatus,
    Run,
    TrainingStatus,
)
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.requests.requests import (
    begin_retry,
    begin_run,
    is_run_asked_for,
    newest_request,
    next_run,
)
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import (
    EIGHT,
    KEY,
    a_run,
    a_status,
    a_training,
    at,
    followed,
    whole_status,
)


def a_request(
    token: str,
    requested_at: str,
    *,
    handled: tuple[str, str] = ("", ""),
    history: tuple[tuple[str, str], ...] = (),
) -> Training:
    """A resource that requests (token, requested_at), with its last run for `handled`."""
    past = tuple(
        HistoryEntry(id=str(i), token=t, requested_at=r, outcome="Succeeded")
        for i, (t, r) in enumerate(history)
    )
    run = a_run(token=handled[0], requested_at=handled[1])
    status = a_status(run=run, finished_at=EIGHT, history=past)
    return a_training(run_token=token, requested_at=requested_at, status=status)


@pytest.mark.parametrize(
    ("training", "asked"),
    [
        pytest.param(a_request("", ""), False, id="nothing asked"),
        pytest.param(a_request("v1", "", handled=("v1", "")), False, id="token handled"),
        pytest.param(a_request("", "t1", handled=("", "t1")), False, id="annotation handled"),
        pytest.param(a_request("v2", "", handled=("v1", "")), True, id="new token"),
        pytest.param(a_request("v1", ""), True, id="first token"),
        pytest.param(a_request("", "t2", handled=("", "t1")), True, id="new annotation"),
        pytest.param(a_request("v1", "t1", handled=("v1", "")), True, id="annotation beside token"),
        pytest.param(a_request("v2", "t2", handled=("v1", "t1")), True, id="both at once"),
        pytest.param(a_request("", "", handled=("v1", "t1")), False, id="both removed"),
        pytest.param(a_request("", "t1", handled=("v1", "t1")), False, id="token removed"),
        pytest.param(a_request("v1", "", handled=("v1", "t1")), False, id="annotation removed"),
        pytest.param(a_request("", "t2", handled=("v1", "t1")), True, id="one removed, one new"),
        pytest.param(
            a_request("v1", "", handled=("v2", ""), history=(("v1", ""),)), False, id="reverted"
        ),
        pytest.param(
            a_request("v1", "t2", handled=("v2", "t2"), history=(("v1", "t1"),)),
            False,
            id="a new pair of used values",
        ),
        pytest.param(
            a_request("v1", "t1", handled=("v2", "t1"), history=(("v2", ""), ("v1", ""))),
            False,
            id="an old token beside the annotation",
        ),
        pytest.param(
            a_request("v1", "t2", handled=("v2", "t1"), history=(("v1", ""),)),
            True,
            id="an old token and a new annotation",
        ),
        pytest.param(
            a_request("t1", "", handled=("", "t1")),
            True,
            id="a token that was an annotation",
        ),
        pytest.param(
            a_request("v1", "", handled=("v3", ""), history=(("v2", ""), ("v1", ""))),
            False,
            id="reverted by two",
        ),
        pytest.param(
            a_request("2026-11-29T00:00:00Z", "", handled=("2026-11-29", "")),
            False,
            id="token respelt",
        ),
        pytest.param(
            a_request("", "2026-11-29T08:00:00+00:00", handled=("", "2026-11-29 08:00:00")),
            False,
            id="annotation respelt",
        ),
        pytest.param(
            a_request(
                "2026-11-29T00:00:00Z", "", handled=("v2", ""), history=(("2026-11-29", ""),)
            ),
            False,
            id="a date of history respelt",
        ),
        pytest.param(a_request("V1", "", handled=("v1", "")), True, id="another case"),
        pytest.param(a_request("1.0", "", handled=("1", "")), True, id="numbers are texts"),
    ],
)
def test_a_run_is_asked_for_by_a_value_not_used(training: Training, asked: bool) -> None:  # noqa: FBT001 - the expected value
    assert is_run_asked_for(training) is asked


def test_before_the_first_run_no_other_is_asked_for() -> None:
    assert not is_run_asked_for(a_training(run_token="v1"))


VALUES = st.sampled_from(["", "a", "b", "c"])


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=10))
def test_no_request_starts_two_runs(edits: list[tuple[str, str]]) -> None:
    """For any edits, a run is made for a new value, and only once."""
    status = a_status(run=a_run(), finished_at=EIGHT)
    used: set[tuple[str, str]] = set()
    for token, requested_at in edits:
        training = a_training(run_token=token, requested_at=requested_at, status=status)
        new = {("token", token), ("at", requested_at)} - used - {("token", ""), ("at", "")}
        assert is_run_asked_for(training) == bool(new)
        if new:
            used |= {("token", token), ("at", requested_at)}
            status = replace(begin_run(training), finished_at=EIGHT)
            asks_again = training.with_status(status)
            assert not is_run_asked_for(asks_again)


def test_a_runs_id_is_the_same_however_often_it_is_decided() -> None:
    training = a_request("v2", "")
    assert next_run(training) == next_run(training)
    assert next_run(training).token == "v2"
    assert len(next_run(training).id) == 10


@pytest.mark.parametrize(
    "other",
    [
        a_request("v3", ""),
        a_request("v2", "t"),
        a_training(run_token="v2", uid="another", status=a_request("", "").status),
        a_training(run_token="v2"),
    ],
    ids=["another token", "another annotation", "another resource", "another run before"],
)
def test_another_run_has_another_id(other: Training) -> None:
    assert next_run(other).id != next_run(a_request("v2", "")).id


ENDED = followed(
    run=a_run(token="v1", requested_at="t1", attempt=3, ownership="Owned"),
    finished_at=at(hours=8),
    metrics=Metrics(word_error_rate="12.5"),
    progress=100,
    stage="FinalEvaluation",
    observed_generation=4,
    model=ModelStatus(key="custom_model_7", training_status=4),
    log=LogStatus(
        config_maps=("x-log",),
        state="Partial",
        message="x",
        total_entries=9,
        end_seen_at=EIGHT,
        next_fetch_at=EIGHT,
        next_segment=3,
    ),
    message="The model is trained.",
)


def test_a_new_run_moves_the_old_one_into_history() -> None:
    status = begin_run(a_training(run_token="v2", status=ENDED))
    assert status.history == (
        HistoryEntry(
            id="run-1",
            token="v1",
            requested_at="t1",
            attempt=3,
            ownership="Owned",
            started_at=EIGHT,
            finished_at=at(hours=8),
            outcome="Succeeded",
            reason=None,
            message=None,
            word_error_rate="12.5",
            metrics=ENDED.metrics,
            progress=100,
        ),
    )


def test_a_rerun_replaces_the_run_and_keeps_the_log() -> None:
    training = a_training(run_token="v2", status=whole_status())
    status = begin_run(training)
    assert status.run == Run(id=next_run(training).id, token="v2", asked_by=("RunToken",))
    assert status.log == LogStatus(config_maps=("x-log",), next_segment=3)
    assert len(status.used_requests) == 3


def test_history_keeps_all_metrics_and_the_newest_curve() -> None:
    before = whole_status()
    newest, older = begin_run(a_training(run_token="v2", status=before)).history
    assert (newest.metrics, newest.learning_curve) == (before.metrics, before.learning_curve)
    assert newest.word_error_rate == "12.5"  # read by an earlier version after a rollback
    assert newest.progress == 100
    assert (newest.key_fingerprint, newest.key_source) == (KEY.fingerprint, KEY.source)
    assert (older.id, older.learning_curve) == ("run-0", ())


def test_history_keeps_the_newest_ten_runs() -> None:
    status = ENDED
    for i in range(12):
        training = a_training(run_token=f"v{i + 2}", status=status)
        status = replace(begin_run(training), finished_at=at(hours=9))
    assert [entry.token for entry in status.history] == [f"v{i}" for i in range(12, 2, -1)]


def test_history_keeps_the_reason_of_a_failed_run() -> None:
    ended = replace(ENDED, failure=failure(FailureReason.SYSTEM_ERROR, "x\n" * 999))
    (entry,) = begin_run(a_training(run_token="v2", status=ended)).history
    assert (entry.outcome, entry.reason) == ("Failed", "SystemError")
    assert entry.message is not None
    assert entry.message.startswith("x x x")
    assert len(entry.message) == 1024


def test_a_retry_answers_the_request_of_the_run_that_failed() -> None:
    run = a_run(token="v1", requested_at="t1", retries=2, attempt=3)
    training = a_training(run_token="", status=replace(ENDED, run=run))
    status = begin_retry(training)
    assert status.run is not None
    assert status.run.model_dump(exclude_defaults=True, exclude={"id"}) == {
        "token": "v1",
        "requested_at": "t1",
        "retries": 3,
    }
    assert (status.history[0].id, status.finished_at) == ("run-1", None)
    assert status.run.id not in {"run-1", next_run(training).id}
    with pytest.raises(ValueError, match="has no run to retry"):
        begin_retry(a_training())


def test_used_values_outlive_their_runs_in_history() -> None:
    """Otherwise an old token, set again, would start a run: retries have displaced its run."""
    status = ENDED  # answers v1 with t1
    for token in ("v2", "v3"):
        fresh = begin_run(a_training(run_token=token, status=status))
        status = replace(fresh, finished_at=at(hours=9))
    for _ in range(12):
        fresh = begin_retry(a_training(run_token="v3", status=status))
        status = replace(fresh, finished_at=at(hours=9))
    assert {entry.token for entry in status.history} == {"v3"}
    back = a_training(run_token="v1", requested_at="t1", status=status)
    assert not is_run_asked_for(back)


@pytest.mark.parametrize(
    ("reason", "seen", "outcome"),
    [
        pytest.param(None, 4, "Succeeded", id="succeeded"),
        pytest.param(FailureReason.SYSTEM_ERROR, 5, "Failed", id="failed"),
        pytest.param(FailureReason.UNKNOWN, 5, "Failed", id="failed in unknown words"),
        pytest.param(FailureReason.UNKNOWN, 2, "Unknown", id="replaced before it was read"),
        pytest.param(FailureReason.UNKNOWN, 1, "Unknown", id="replaced by data that do not do"),
        pytest.param(FailureReason.UNKNOWN, None, "Failed", id="never seen"),
        pytest.param(FailureReason.START_REJECTED, 2, "Failed", id="rejected"),
        pytest.param(FailureReason.QUALITY_GATE_FAILED, 4, "Failed", id="missed its gate"),
    ],
)
def test_history_keeps_the_outcome(
    reason: FailureReason | None, seen: int | None, outcome: str
) -> None:
    facts = {
        "failure": None if reason is None else failure(reason, "x"),
        "model": None if seen is None else ModelStatus(training_status=seen),
        "metrics": None,
    }
    ended = ENDED.model_copy(update=facts)
    entry = begin_run(a_training(run_token="v2", status=ended)).history[0]
    assert (entry.outcome, entry.word_error_rate) == (outcome, None)


BASELINE = Baseline(training_status=2)


@pytest.mark.parametrize(
    ("run", "taken"),
    [
        pytest.param(a_run(), True, id="nothing sent"),
        pytest.param(
            a_run(intent=Intent(attempt=1, at=EIGHT, key_fingerprint="k")), False, id="being sent"
        ),
        pytest.param(a_run(ownership=Ownership.OWNED), False, id="running"),
        pytest.param(a_run(attempt=2, baseline=BASELINE), False, id="an attempt was lost"),
    ],
)
def test_requests_collapse_to_the_newest_until_the_start(run: Run, taken: bool) -> None:  # noqa: FBT001 - the expected value
    training = a_training(run_token="v9", requested_at="t9", status=TrainingStatus(run=run))
    newest = newest_request(training)
    assert newest is not None
    assert newest.id == run.id
    assert (newest.token, newest.requested_at) == (("v9", "t9") if taken else ("", ""))


def test_without_a_run_there_is_no_request_to_collapse() -> None:
    assert newest_request(a_training(run_token="v9")) is None
