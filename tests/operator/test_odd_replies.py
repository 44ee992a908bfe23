"""Rows of docs/odd-replies.md, from the simulator to the resource."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scriptix_operator.api.times import parse_time
from scriptix_simulator import SimulatorConfig
from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import QUIET, Lab, Manifest, laboratory

SKEW = 600
"""Seconds; ten times the time-out of the runs that the clock skew must not end."""

MakeLab = Callable[[SimulatorConfig], AbstractAsyncContextManager[Lab]]


@pytest.fixture
def lab_with(cluster: ControlPlane, namespace: str, tmp_path: Path) -> MakeLab:
    """Return a function that makes a lab with the given simulator."""
    return partial(laboratory, cluster, namespace, tmp_path)


async def test_success_without_metrics_passes_no_quality_gate(lab: Lab) -> None:
    lab.model(501, metrics=None)
    lab.model(502, metrics={"character_error_rate": 8.3})
    await lab.secret()
    await lab.operator(results_wait="1s")
    await lab.train("unmeasured", 501)
    await lab.train("gated", 502, qualityGate={"maxWordErrorRate": "100"})
    done = await lab.until_phase("unmeasured", "Succeeded")
    assert "reports no word error rate" in done["status"]["message"]
    assert "metrics" not in done["status"]
    result = await lab.config_map("unmeasured-result")
    assert result is not None
    assert {"word_error_rate", "rating", "metrics_json"} & set(result["data"]) == set()
    assert result["data"]["model_key"] == "custom_model_501"
    failed = await lab.until_phase("gated", "Failed")
    assert failed["status"]["failure"]["reason"] == "QualityGateFailed"
    assert "word error rate is not given (at most 100% wanted)" in failed["status"]["message"]
    assert await lab.config_map("gated-result") is None
    # After an edit the quality gate is applied to the metrics that the API shows by then.
    await lab.admin("PATCH", "/models/502", {"script": {"metrics": {"word_error_rate": 12.5}}})
    await lab.edit("gated", qualityGate={"maxWordErrorRate": "99"})
    passed = await lab.until_phase("gated", "Succeeded")
    assert passed["status"]["metrics"]["wordErrorRate"] == "12.5"
    assert passed["status"]["finishedAt"] == failed["status"]["finishedAt"]
    assert (lab.starts(501), len(lab.posts())) == (1, 2)


def _awaits_results(item: Manifest) -> bool:
    return "pendingEnd" in item.get("status", {}).get("run", {})


async def test_results_that_arrive_after_the_end_count(lab: Lab) -> None:
    lab.model(531, results_after="8h", duration=2)  # four seconds
    lab.model(532, results_after="8h", duration=2, outcome="system_error")
    await lab.secret()
    operator = await lab.operator(leader_election="false")
    gate = {"maxWordErrorRate": "20", "maxCharacterErrorRate": "9"}
    await lab.train("measured", 531, qualityGate=gate)
    await lab.train("broken", 532, backoffLimit=1)
    await lab.until("broken", _awaits_results)
    seen = (await lab.until("measured", _awaits_results))["status"]
    assert (seen["phase"], seen["model"]["trainingStatus"]) == ("Running", 4)
    assert "the operator waits for the results until" in seen["message"]
    operator.kill()  # the observed end is recorded in status
    await operator.ended()
    await lab.operator(leader_election="false")
    done = (await lab.until_phase("measured", "Succeeded"))["status"]
    assert (done["metrics"]["wordErrorRate"], "pendingEnd" in done["run"]) == ("12.5", False)
    result = await lab.config_map("measured-result")
    assert result is not None
    assert result["data"]["word_error_rate"] == "12.5"
    failed = (await lab.until_reason("broken", "WaitingForRetry"))["status"]
    assert (failed["failure"]["reason"], "retryAt" in failed["run"]) == ("SystemError", True)
    await lab.until_event("measured", "TrainingSucceeded")
    announced = [event["reason"] for event in await lab.events("measured")]
    assert announced.count("TrainingSucceeded") == 1
    assert len(lab.posts()) == 2


async def _assert_shown(lab: Lab, progress: int, stage: str) -> Manifest:
    """Have the API show a progress, and see it in the resource that trains model 503."""
    script = {"progress_steps": [{"at": 0, "value": progress}]}
    await lab.admin("PATCH", "/models/503", {"script": script})
    shown = await lab.until(
        "erratic", lambda item: item.get("status", {}).get("progress") == progress
    )
    assert (shown["status"]["phase"], shown["status"]["stage"]) == ("Running", stage)
    return shown


async def test_progress_is_shown_as_given_even_if_it_decreases(lab: Lab) -> None:
    lab.model(503, duration=8000)
    await lab.secret()
    await lab.operator()
    await lab.train("erratic", 503)
    await _assert_shown(lab, 75, "FineTuning")
    await _assert_shown(lab, 40, "MainTraining")
    last = await _assert_shown(lab, 100, "FinalEvaluation")
    assert last["status"]["message"].startswith(
        "The run is in stage FinalEvaluation, at 100%. The operator waits for the API to report "
        "the final status."
    )
    await lab.admin("PATCH", "/models/503", {"finish": True})
    await lab.until_event("erratic", "TrainingSucceeded")  # events are published in order
    announced = [e["message"] for e in await lab.events("erratic") if e["reason"] == "StageChanged"]
    assert (
        "The run has reached stage MainTraining, at 40% (back from FineTuning, 75%)." in announced
    )
    assert lab.starts(503) == 1


@pytest.mark.parametrize("before", ["success", "mismatch"], ids=["4", "5"])
async def test_end_of_the_previous_run_does_not_end_this_run(
    lab_with: MakeLab, before: str
) -> None:
    # A lenient server starts a model at 4 or 5, so no poll shows 2 between the runs.
    async with lab_with(replace(QUIET, lenient=True)) as lab:
        lab.model(504, outcome=[before, "success"], duration=2)
        await lab.secret()
        await lab.operator()
        await lab.train("again", 504)
        first = await lab.until("again", lambda item: "finishedAt" in item.get("status", {}))
        script = {"duration": 8000, "metrics": {"word_error_rate": 9.5}}
        await lab.admin("PATCH", "/models/504", {"script": script})
        await lab.edit("again", runToken="v2")
        await lab.simulator.until(lambda: lab.starts(504) == 2)
        await lab.fault("stale", call="model", model=504, times="forever")
        left = "The run has started; the API still reports the previous run."
        stale = await lab.until("again", lambda item: item["status"].get("message") == left)
        assert stale["status"]["phase"] == "Running"
        assert stale["status"]["run"]["id"] != first["status"]["run"]["id"]
        assert "finishedAt" not in stale["status"]
        await lab.admin("DELETE", "/faults")
        await lab.admin("PATCH", "/models/504", {"finish": True})
        done = await lab.until_phase("again", "Succeeded")
        assert done["status"]["metrics"]["wordErrorRate"] == "9.5"
        assert lab.starts(504) == 2


@pytest.mark.parametrize("offset", [1, -1], ids=["later", "earlier"])
async def test_reply_start_time_a_second_off_ends_no_run(lab: Lab, offset: int) -> None:
    lab.model(505, reply_start_offset=offset, duration=8000)
    await lab.secret()
    await lab.operator()
    await lab.train("rounded", 505)
    seen = await lab.until(
        "rounded", lambda item: "startedTrainingAt" in item.get("status", {}).get("run", {})
    )
    status = seen["status"]
    assert (status["phase"], status["startedAt"]) == (
        "Running",
        status["run"]["startedTrainingAt"],
    )
    assert "The run is in stage DataPreprocessing" in status["message"]
    assert "another client" not in status["message"]
    await lab.admin("PATCH", "/models/505", {"finish": True})
    await lab.until_phase("rounded", "Succeeded")
    # The offset does not delay the next run either.
    await lab.admin("PATCH", "/models/505", {"status": 2, "script": {"duration": 8}})
    await lab.edit("rounded", runToken="v2")
    await lab.until("rounded", lambda item: len(item["status"].get("history", ())) == 1)
    await lab.until_phase("rounded", "Succeeded")
    assert lab.starts(505) == 2


async def test_odd_spellings_are_read_and_unreadable_fields_named(lab: Lab) -> None:
    lab.model(506, time_form="minutes", progress_steps=[{"at": 0, "value": "45%"}], duration=8000)
    lab.model(507, extra={"finished_training_at": "soon", "training_progress": "half"})
    lab.model(508, time_form="local", status=4)
    await lab.secret()
    operator = await lab.operator()
    await lab.train("spelled", 506)
    await lab.train("unreadable", 507)
    await lab.train("undated", 508, existingTraining="Adopt")
    await lab.until("spelled", lambda item: item.get("status", {}).get("progress") == 45)
    await lab.admin("PATCH", "/models/506", {"finish": True})
    await lab.until_phase("spelled", "Succeeded")
    # The end of the run is observed, although its time cannot be read.
    done = (await lab.until_phase("unreadable", "Succeeded"))["status"]
    assert "finishedAt" in done
    named = (
        "The operator cannot read fields of the API's reply: finished_training_at, "
        "training_progress."
    )
    assert done["message"].endswith(named)
    said = 'finished_training_at: expected a time such as 2025-01-16T08:00:00Z, found text "soon"'
    assert operator.log.count(f"{lab.namespace}/unreadable: not readable in the API's rep") == 1
    assert said in operator.log
    # No run is adopted or started where runs cannot be distinguished.
    waits = await lab.until_reason("undated", "UnexpectedStatus")
    assert waits["status"]["phase"] == "Pending"
    assert "start time" in waits["status"]["message"]
    await lab.admin("PATCH", "/models/508", {"script": {"time_form": "rfc1123"}})
    await lab.until_phase("undated", "Succeeded")
    assert len(lab.posts()) == 2


async def test_error_is_reported_in_each_of_its_forms(lab: Lab) -> None:
    words = "GPU 3 caught fire \u2620\x1b[31m"
    announced = "GPU 3 caught fire \u2620 [31m"
    forms: dict[str, tuple[int, dict[str, Any], str, str, str | None]] = {
        "text": (511, {"error_form": "string"}, "Unknown", announced, None),
        "object": (512, {"error_form": "object"}, "Unknown", announced, "TRAINING_FAILED"),
        "null": (
            513,
            {"error_form": "null"},
            "Unknown",
            "message is: Training failed",
            None,
        ),
        "absent": (
            514,
            {"omit": ["error"]},
            "Unknown",
            "message is: Training failed",
            None,
        ),
        "list": (515, {"extra": {"error": ["a", 1]}}, "Unknown", '["a", 1]', None),
        "known": (
            516,
            {"error": "Training failed due to system error", "error_form": "object"},
            "SystemError",
            "Training failed due to system error",
            "TRAINING_FAILED",
        ),
    }
    await lab.secret()
    await lab.operator()
    for name, (model, script, *_) in forms.items():
        lab.model(model, **{"outcome": "system_error", "error": words, "duration": 2, **script})
        await lab.train(name, model, log={"collect": "Never"})
    for name, (_, _, reason, message, code) in forms.items():
        failed = (await lab.until_phase(name, "Failed"))["status"]["failure"]
        assert (failed["reason"], failed.get("code")) == (reason, code), name
        assert failed["message"].endswith(message), name


@pytest.mark.parametrize("skew", [SKEW, -SKEW], ids=["the API's is ahead", "the API's is behind"])
async def test_clock_skew_of_minutes_changes_no_decision(lab_with: MakeLab, skew: int) -> None:
    async with lab_with(replace(QUIET, clock_offset=skew)) as lab:
        lab.model(521)
        lab.model(522, omit=["finished_training_at"])
        lab.model(523, status=3, progress=30, duration=16)
        await lab.secret()
        await lab.operator()
        for name, model in (("ours", 521), ("endless", 522), ("theirs", 523)):
            await lab.train(name, model, timeoutSeconds=60)
        shown = await lab.until(
            "ours", lambda item: "estimatedCompletionAt" in item.get("status", {})
        )
        now = datetime.now(UTC)  # noqa: TID251 - the cluster's clock is this machine's
        expected = parse_time(shown["status"]["estimatedCompletionAt"])
        assert abs(expected - now) < timedelta(seconds=SKEW / 2)
        for name, ownership in (("ours", "Owned"), ("endless", "Owned"), ("theirs", "Adopted")):
            status = (await lab.until_phase(name, "Succeeded"))["status"]
            assert status["run"]["ownership"] == ownership
            started = parse_time(status["startedAt"])
            ended = parse_time(status["finishedAt"])
            off = (started - now).total_seconds()
            assert abs(off - skew) < SKEW / 2  # as in the API's reply
            assert started <= ended
        assert len(lab.posts()) == 2
