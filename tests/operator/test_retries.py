"""Retries, their persisted delay, and time-outs, on the real API server.

Delays of a minute and more are recorded in status, so a test does not wait for them: it moves the
recorded time into the past while no operator runs, as a restart would find it.
"""

from datetime import datetime, timedelta

from tests.operator.lab import Lab, Manifest, Operator, condition_of, phase_of, reason_of


async def make_earlier(lab: Lab, name: str, fact: str, **by: float) -> None:
    """Move a time of the run in status; no operator may be running."""
    item = await lab.get(name)
    moved = datetime.fromisoformat(item["status"]["run"][fact]) - timedelta(**by)
    patch = {"status": {"run": {fact: f"{moved:%Y-%m-%dT%H:%M:%SZ}"}}}
    await lab.patch(name, patch, "/status")


async def ends(operator: Operator) -> None:
    """Kill an operator, and wait for its end."""
    operator.kill()
    await operator.ended()


def awaits_retry(item: Manifest) -> bool:
    """Whether a failed run waits for its retry, with its log stored."""
    log = item.get("status", {}).get("log", {})
    return reason_of(item) == "WaitingForRetry" and log.get("state") == "Complete"


async def test_run_that_fails_at_the_api_is_retried_after_a_restart(lab: Lab) -> None:
    lab.model(501, outcome=("system_error", "success"), fail_at=20, duration=2)
    await lab.secret()
    operator = await lab.operator(leader_election="false")
    await lab.train("unlucky", 501, backoffLimit=2, log={"collect": "OnFailure"})
    waiting = await lab.until("unlucky", awaits_retry)
    status = waiting["status"]
    assert status["phase"] == "Pending"
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Succeeded": "Unknown",
        "Ready": "Unknown",
        "Reconciling": "True",
    }
    ended = datetime.fromisoformat(status["finishedAt"])
    retry_at = datetime.fromisoformat(status["run"]["retryAt"])
    assert (
        55 <= (retry_at - ended).total_seconds() <= 115
    )  # counted from the observation of the failure
    assert status["message"] == (
        f"Run {status['run']['id']} failed: Training failed due to system error. Retry 1 of 2 "
        f"follows at {retry_at:%Y-%m-%d %H:%MZ}."
    )
    event = await lab.until_event("unlucky", "RetryScheduled")
    assert (event["type"], event["message"]) == ("Warning", status["message"])
    stored = await lab.config_map("unlucky-log")
    assert stored is not None
    assert "system error" in stored["data"]["log"]

    await ends(operator)
    await make_earlier(lab, "unlucky", "retryAt", minutes=1)
    await lab.operator(leader_election="false")
    # The API does not restart an unchanged failed model: one attempt, a message, then waiting.
    await lab.until_reason("unlucky", "WaitingForModel")
    assert [call.status for call in lab.posts(501)] == [200, 409]
    await lab.admin("PATCH", "/models/501", {"status": 2})
    done = await lab.until_phase("unlucky", "Succeeded")
    assert (lab.starts(501), len(lab.posts(501))) == (2, 3)
    assert done["status"]["run"]["retries"] == 1
    (failed,) = done["status"]["history"]
    assert (failed["id"], failed["outcome"], failed["reason"]) == (
        status["run"]["id"],
        "Failed",
        "SystemError",
    )
    announced = [event["reason"] for event in await lab.events("unlucky")]
    assert "TrainingFailed" not in announced


async def test_delayed_retry_follows_the_spec(lab: Lab) -> None:
    for model_id in (511, 512, 513):
        lab.model(model_id, outcome=("system_error", "success"), fail_at=1, duration=2)
    lab.model(514, status=5, outcome="system_error")
    await lab.secret()
    await lab.operator()
    for name, model_id in {"ended": 511, "renewed": 512, "held": 513, "adopted": 514}.items():
        await lab.train(name, model_id, backoffLimit=10, runToken="v1")
    adopted = await lab.until_phase("adopted", "Failed")
    assert adopted["status"]["failure"]["retryable"]
    assert "retryAt" not in adopted["status"]["run"]
    await lab.until_all(
        lambda items: all(awaits_retry(items[name]) for name in ("ended", "renewed", "held"))
    )
    # A lower limit ends the delay, with the failure of the run.
    await lab.edit("ended", backoffLimit=0)
    ended = await lab.until_phase("ended", "Failed")
    assert ended["status"]["failure"]["reason"] == "SystemError"
    assert condition_of(ended, "Stalled") is not None
    await lab.until_event("ended", "TrainingFailed")
    # Suspension holds the retry.
    await lab.edit("held", suspend=True)
    held = await lab.until_phase("held", "Suspended")
    assert held["status"]["run"]["retryAt"]
    await lab.edit("held", suspend=False)
    await lab.until_reason("held", "WaitingForRetry")
    # A new request replaces the retry at once.
    await lab.admin("PATCH", "/models/512", {"status": 2})
    await lab.edit("renewed", runToken="v2")
    renewed = await lab.until_phase("renewed", "Succeeded")
    assert renewed["status"]["run"]["token"] == "v2"
    assert renewed["status"]["run"]["retries"] == 0
    # A higher limit after the outcome starts nothing.
    raised = await lab.edit("ended", backoffLimit=10)
    await lab.until(
        "ended",
        lambda item: item["status"]["observedGeneration"] == raised["metadata"]["generation"],
    )
    assert phase_of(await lab.get("ended")) == "Failed"
    assert [lab.starts(model_id) for model_id in (511, 512, 513, 514)] == [1, 2, 1, 0]


async def test_run_times_out_while_suspended_and_is_not_polled_again(lab: Lab) -> None:
    for model_id in (521, 522, 523):
        lab.model(model_id, duration=10_000)
    await lab.secret()
    operator = await lab.operator(leader_election="false")
    for name, model_id in {"late": 521, "held": 522, "young": 523}.items():
        await lab.train(name, model_id, timeoutSeconds=3600, backoffLimit=10)
    await lab.until_all(
        lambda items: (
            len(items) == 3 and all(phase_of(item) == "Running" for item in items.values())
        )
    )
    await lab.edit("held", suspend=True)
    await lab.until_phase("held", "Suspended")
    await ends(operator)
    await make_earlier(lab, "late", "claimedAt", hours=1)
    await make_earlier(lab, "held", "claimedAt", hours=1)
    await make_earlier(lab, "young", "claimedAt", minutes=55)
    calls = len(lab.simulator.state.calls)
    await lab.operator(leader_election="false")
    ended = await lab.until_all(
        lambda items: all(phase_of(items[name]) == "Failed" for name in ("late", "held"))
    )
    for name in ("late", "held"):
        failure = ended[name]["status"]["failure"]
        assert (failure["reason"], failure["retryable"]) == ("TimedOut", False)
        assert "within 1h (spec.timeoutSeconds)" in failure["message"]
        assert "did not cancel" in failure["solution"]
        await lab.until_event(name, "TrainingTimedOut")
    assert phase_of(await lab.get("young")) == "Running"
    # A rerun waits for the run that timed out.
    await lab.edit("late", runToken="again")
    await lab.until_reason("late", "WaitingForModel")
    assert {call.model for call in [*lab.simulator.state.calls][calls:]} == {521, 523}
    assert lab.starts() == 3
