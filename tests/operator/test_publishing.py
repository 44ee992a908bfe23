"""The result ConfigMap: it exists when success is reported, and only a success changes it."""

from tests.operator.lab import Lab, condition_of, phase_of, reason_of


async def _end_without_room(lab: Lab, name: str, model: int) -> str:
    """Train a model to its end, with an exhausted ConfigMap quota by then.

    The quota comes after the start: the operator's ledger is a ConfigMap in this namespace too.

    Returns:
        The path of the ResourceQuota.
    """
    lab.model(model, duration=8000)
    await lab.train(name, model, log={"collect": "Never"})
    await lab.until_phase(name, "Running")
    quota = lab.forbid_config_maps()
    await lab.admin("PATCH", f"/models/{model}", {"finish": True})
    return quota


async def test_result_over_quota_is_reported_and_published_later(
    lab: Lab,
) -> None:
    await lab.secret()
    operator = await lab.operator()
    quota = await _end_without_room(lab, "cramped", 601)
    held_up = await lab.until_reason("cramped", "ResultNotPublished")
    status = held_up["status"]
    assert (status["phase"], status["metrics"]["wordErrorRate"]) == ("Running", "12.5")
    assert (
        "The training has succeeded, but the operator could not publish the result"
        in status["message"]
    )
    assert "exceeded quota: few" in status["message"]
    assert status["message"].endswith(status["failure"]["solution"])
    assert "finishedAt" in status
    assert "eta" not in status["display"]
    stalled, succeeded = condition_of(held_up, "Stalled"), condition_of(held_up, "Succeeded")
    assert stalled is not None
    assert stalled["status"] == "True"
    assert succeeded is not None
    assert succeeded["status"] == "Unknown"
    assert (await lab.until_event("cramped", "ResultNotPublished"))["type"] == "Warning"
    # The outcome survives a change of the model and a crash, without a call to the API.
    await lab.admin("PATCH", "/models/601", {"status": 2})
    calls = len(lab.simulator.state.calls)
    operator.kill()
    await operator.ended()
    assert lab.control_plane.api.delete(quota).is_success
    await lab.operator(leader_election="false")
    done = await lab.until_phase("cramped", "Succeeded")
    assert "failure" not in done["status"]
    assert done["status"]["finishedAt"] == status["finishedAt"]
    result = await lab.config_map("cramped-result")
    assert result is not None
    assert result["data"]["word_error_rate"] == "12.5"
    assert len(lab.simulator.state.calls) == calls
    assert lab.starts(601) == 1
    assert (await lab.until_event("cramped", "TrainingSucceeded"))["type"] == "Normal"


async def test_refused_result_is_retried_automatically(lab: Lab) -> None:
    lab.model(603, outcome="mismatch")
    await lab.secret()
    operator = await lab.operator()
    quota = await _end_without_room(lab, "patient", 602)
    await lab.until_reason("patient", "ResultNotPublished")
    await lab.train("bystander", 603, log={"collect": "Never"})
    await lab.until_phase("bystander", "Failed")
    assert lab.control_plane.api.delete(quota).is_success
    await lab.until_phase("patient", "Succeeded")
    assert "reconcile postponed" not in operator.log
    assert "reconcile failed" not in operator.log


async def test_result_stays_when_the_next_run_misses_its_gate(
    lab: Lab,
) -> None:
    lab.model(604, duration=2)
    await lab.secret()
    await lab.operator()
    await lab.train("gated", 604, qualityGate={"maxWordErrorRate": "12.5"})
    await lab.until_phase("gated", "Succeeded")
    first = await lab.config_map("gated-result")
    assert first is not None
    script = {"metrics": {"word_error_rate": 12.5001}}
    await lab.admin("PATCH", "/models/604", {"status": 2, "script": script})
    await lab.edit("gated", runToken="v2")
    missed = await lab.until_reason("gated", "QualityGateFailed")
    assert phase_of(missed) == "Failed"
    assert "word error rate is 12.5001% (at most 12.5% wanted)" in missed["status"]["message"]
    assert await lab.config_map("gated-result") == first
    await lab.until("gated", lambda item: item["status"].get("log", {}).get("state") == "Complete")
    calls = len(lab.simulator.state.calls)
    await lab.edit("gated", qualityGate={"maxWordErrorRate": "12.5001"})
    passed = await lab.until_phase("gated", "Succeeded")
    assert reason_of(passed) == "TrainingSucceeded"
    second = await lab.config_map("gated-result")
    assert second is not None
    assert second["data"]["word_error_rate"] == "12.5001"
    assert second["data"]["run_id"] == passed["status"]["run"]["id"] != first["data"]["run_id"]
    # A published result stays, even if the quality gate is tightened again.
    narrowed = await lab.edit("gated", qualityGate={"maxWordErrorRate": "1"})
    seen = narrowed["metadata"]["generation"]
    await lab.until("gated", lambda item: item["status"]["observedGeneration"] == seen)
    assert phase_of(await lab.get("gated")) == "Succeeded"
    assert await lab.config_map("gated-result") == second
    assert len(lab.simulator.state.calls) == calls
