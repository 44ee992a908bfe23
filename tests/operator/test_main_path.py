"""The main job on a real API server: a resource is started, followed and reported."""

import asyncio

from tests.operator.lab import Lab, condition_of, phase_of


async def test_ready_model_is_trained_to_the_end(spawning_lab: Lab) -> None:
    lab = spawning_lab
    lab.model(11)
    await lab.secret()
    await lab.operator()
    created = await lab.train("cardiology-en", 11)
    running = await lab.until(
        "cardiology-en", lambda item: phase_of(item) == "Running" and "progress" in item["status"]
    )
    done = await lab.until_phase("cardiology-en", "Succeeded")

    assert running["status"]["run"]["ownership"] == "Owned"
    assert condition_of(running, "Reconciling") is not None
    status = done["status"]
    assert status["observedGeneration"] == created["metadata"]["generation"]
    assert status["display"] == {"progress": "100%", "wordErrorRate": "12.5%"}
    assert status["metrics"]["rating"] == "VeryGood"
    assert status["model"]["key"] == "custom_model_11"
    assert "failure" not in status
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Succeeded": "True",
        "Ready": "True",
    }
    assert lab.starts(11) == len(lab.posts()) == 1
    assert lab.posts()[0].body_ok


async def test_complete_log_is_stored_and_the_curve_is_read_from_it(lab: Lab) -> None:
    lab.model(12)
    await lab.secret()
    await lab.operator()
    await lab.train("logged", 12)
    done = await lab.until(
        "logged", lambda item: item.get("status", {}).get("log", {}).get("state") == "Complete"
    )
    stored = await lab.config_map("logged-log")
    assert stored is not None
    lines = stored["data"]["log"].splitlines()
    assert "Training started" in lines[0]
    assert lines[-1].endswith("INFO Training completed - Final WER: 12.5%")
    assert len(lines) == done["status"]["log"]["entries"] == len(set(lines))
    curve = done["status"]["learningCurve"]
    assert [point["epoch"] for point in curve] == list(range(1, 21))
    assert curve[0]["wordErrorRate"] == "45.2"


async def test_result_exists_when_success_is_reported(lab: Lab) -> None:
    lab.model(13)
    await lab.secret()
    await lab.operator()
    await lab.train("published", 13)
    done = await lab.until_phase("published", "Succeeded")
    result = await lab.config_map("published-result")
    assert result is not None
    assert result["data"]["model_key"] == "custom_model_13"
    assert result["data"]["run_id"] == done["status"]["run"]["id"]
    assert result["metadata"]["ownerReferences"][0]["uid"] == done["metadata"]["uid"]


async def test_each_transition_is_one_event(lab: Lab) -> None:
    lab.model(14, duration=16)  # long enough for a poll during the run
    await lab.secret()
    await lab.operator()
    await lab.train("reported", 14)
    await lab.until_event("reported", "TrainingSucceeded")
    events = await lab.events("reported")
    reasons = [event["reason"] for event in events]
    assert reasons[0] == "TrainingStarted"
    assert reasons[-1] == "TrainingSucceeded"
    assert set(reasons[1:-1]) == {"StageChanged"}
    assert all(event["count"] == 1 for event in events)
    assert all(event["type"] == "Normal" for event in events)


async def test_failed_run_shows_reason_and_remedy(lab: Lab) -> None:
    lab.model(15, outcome="mismatch")
    await lab.secret()
    await lab.operator()
    await lab.train("mismatched", 15)
    failed = await lab.until_phase("mismatched", "Failed")
    failure = failed["status"]["failure"]
    assert failure["reason"] == "AudioTranscriptMismatch"
    assert failure["message"] == "Audio and transcript mismatch detected"
    assert "paired with its own transcript" in failure["solution"]
    assert failure["solution"] in failed["status"]["message"]
    assert condition_of(failed, "Stalled") is not None
    event = await lab.until_event("mismatched", "TrainingFailed")
    assert event["type"] == "Warning"
    assert await lab.config_map("mismatched-result") is None


async def test_training_waits_for_a_model_without_data(lab: Lab) -> None:
    lab.model(16, status=1)
    await lab.secret()
    await lab.operator()
    await lab.train("waiting", 16)
    waiting = await lab.until_reason("waiting", "WaitingForModel")
    assert phase_of(waiting) == "Pending"
    assert lab.posts() == []
    await lab.admin("PATCH", "/models/16", {"status": 2})
    await lab.until_phase("waiting", "Succeeded")
    assert lab.starts(16) == 1


async def test_existing_training_is_adopted_without_a_start(lab: Lab) -> None:
    lab.model(17, status=3, progress=45)
    lab.model(18, status=4)
    await lab.secret()
    await lab.operator()
    await lab.train("running", 17)
    await lab.train("trained", 18)
    running = await lab.until_phase("running", "Succeeded")
    trained = await lab.until_phase("trained", "Succeeded")
    assert running["status"]["run"]["ownership"] == "Adopted"
    assert trained["status"]["run"]["ownership"] == "Adopted"
    assert lab.posts() == []


async def test_kubectl_wait_returns_when_the_run_ends(lab: Lab) -> None:
    lab.model(19)
    await lab.secret()
    await lab.operator()
    await lab.train("awaited", 19)
    printed = await asyncio.to_thread(
        lab.control_plane.kubectl,
        "-n",
        lab.namespace,
        "wait",
        "--for=condition=Succeeded",
        "--timeout=60s",
        "cmt/awaited",
    )
    assert printed.strip() == "custommodeltraining.scriptix.io/awaited condition met"
    assert phase_of(await lab.get("awaited")) == "Succeeded"


async def test_a_new_run_token_trains_again_once(lab: Lab) -> None:
    lab.model(20)
    await lab.secret()
    await lab.operator()
    await lab.train("again", 20)
    first = await lab.until_phase("again", "Succeeded")
    await lab.admin("PATCH", "/models/20", {"status": 2})
    await lab.edit("again", runToken="data-2026-11")
    second = await lab.until(
        "again",
        lambda item: (
            item["status"]["run"]["token"] == "data-2026-11" and phase_of(item) == "Succeeded"
        ),
    )
    assert lab.starts(20) == 2
    (earlier,) = second["status"]["history"]
    assert earlier["id"] == first["status"]["run"]["id"]
    assert earlier["outcome"] == "Succeeded"
    assert earlier["wordErrorRate"] == "12.5"


async def test_suspended_resource_calls_nothing_until_resumed(lab: Lab) -> None:
    lab.model(21)
    await lab.secret()
    await lab.operator()
    await lab.train("paused", 21, suspend=True)
    paused = await lab.until_phase("paused", "Suspended")
    assert condition_of(paused, "Suspended") is not None
    assert condition_of(paused, "Reconciling") is None
    assert len(lab.simulator.state.calls) == 0
    await lab.edit("paused", suspend=False)
    await lab.until_phase("paused", "Succeeded")


async def test_start_quota_is_kept_by_waiting_in_the_queue(lab: Lab) -> None:
    for model_id in (22, 23):
        lab.model(model_id)
    await lab.secret()
    await lab.operator(limit_starts="1/20s")
    await lab.train("first", 22)
    await lab.until_phase("first", "Running")
    await lab.train("second", 23)
    queued = await lab.until_phase("second", "Queued")
    assert queued["status"]["queue"]["position"] == 1
    assert queued["status"]["display"]["queue"] == "1/1"
    assert (await lab.until_event("second", "TrainingQueued"))["type"] == "Normal"
    await lab.until_event("second", "TrainingSucceeded")
    events = [event["reason"] for event in await lab.events("second")]
    assert events.index("TrainingQueued") < events.index("TrainingStarted")
    assert [call.status for call in lab.posts()] == [200, 200]
