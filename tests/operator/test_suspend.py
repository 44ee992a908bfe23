"""Suspending, deleting and blocking in every phase, on the real API server."""

from tests.operator.lab import API_KEY, Lab, Manifest, condition_of, phase_of, reason_of

ENDLESS = 10_000
"""Hours of a run that the test ends."""


def truths(item: Manifest) -> dict[str, str]:
    """The conditions, by type."""
    return {c["type"]: c["status"] for c in item["status"]["conditions"]}


async def set_the_stage(lab: Lab) -> dict[str, int]:
    """Bring a resource into each phase except Queued.

    Returns:
        The models by resource, which is named for its phase.
    """
    models = {
        "pending": 401,
        "starting": 402,
        "running": 403,
        "succeeded": 404,
        "failed": 405,
        "blocked": 406,
    }
    lab.model(401, status=1)
    lab.model(402)
    lab.model(403, duration=ENDLESS)
    lab.model(404, duration=1)
    lab.model(405, outcome="mismatch", fail_at=1)
    await lab.secret()
    await lab.fault("drop_before", call="run", model=402)
    await lab.operator()
    for name, model_id in models.items():
        if name != "starting":
            await lab.train(name, model_id)
    await lab.until_all(
        lambda items: (
            {name: phase_of(item) for name, item in items.items()}
            == {
                "pending": "Pending",
                "running": "Running",
                "succeeded": "Succeeded",
                "failed": "Failed",
                "blocked": "Pending",
            }
            and reason_of(items["pending"]) == "WaitingForModel"
            and reason_of(items["blocked"]) == "ModelNotFound"
            and items["failed"]["status"].get("log", {}).get("state") == "Complete"
            and items["succeeded"]["status"].get("log", {}).get("state") == "Complete"
        )
    )
    # The outcome is unknown for at least seven seconds: send window, time-out and grace period.
    await lab.train("starting", 402)
    await lab.until_reason("starting", "StartOutcomeUnknown")
    return models


async def test_resource_is_suspended_and_resumed_in_each_phase(lab: Lab) -> None:
    models = await set_the_stage(lab)
    edited = {name: await lab.edit(name, suspend=True) for name in models}
    generations = {name: item["metadata"]["generation"] for name, item in edited.items()}
    held = await lab.until_all(
        lambda items: all(
            items[name]["status"]["observedGeneration"] == generation
            for name, generation in generations.items()
        )
    )
    calls = len(lab.simulator.state.calls)
    suspended = {"Succeeded": "Unknown", "Ready": "Unknown", "Suspended": "True"}
    for name in ("pending", "starting", "running", "blocked"):
        assert (phase_of(held[name]), truths(held[name])) == ("Suspended", suspended), name
        assert "failure" not in held[name]["status"]
        assert "eta" not in held[name]["status"].get("display", {})
    # Terminal phases outrank Suspended.
    assert truths(held["succeeded"]) == {"Succeeded": "True", "Ready": "True"}
    assert phase_of(held["failed"]) == "Failed"
    assert "intent" in held["starting"]["status"]["run"]
    # While another resource is trained to its end, none of these is polled.
    lab.model(407, duration=1)
    await lab.train("bystander", 407)
    await lab.until_phase("bystander", "Succeeded")
    others = [call for call in [*lab.simulator.state.calls][calls:] if call.model != 407]
    assert others == []

    await lab.admin("PATCH", "/models/401", {"status": 2})
    lab.model(406)
    for name in models:
        await lab.edit(name, suspend=False)
    await lab.until_phase("running", "Running")
    await lab.admin("PATCH", "/models/403", {"finish": True})
    done = await lab.until_all(
        lambda items: all(
            phase_of(items[name]) == ("Failed" if name == "failed" else "Succeeded")
            for name in models
        )
    )
    assert done["running"]["status"]["run"]["ownership"] == "Owned"
    starts = {name: lab.starts(model_id) for name, model_id in models.items()}
    assert set(starts.values()) == {1}, starts


async def test_suspended_resource_leaves_the_start_queue(lab: Lab) -> None:
    for model_id in (411, 412, 413):
        lab.model(model_id, duration=1)
    await lab.secret()
    await lab.operator(limit_starts="1/20s")
    await lab.train("first", 411)
    await lab.until_phase("first", "Running")
    await lab.train("second", 412, priority=1)
    await lab.train("third", 413)
    await lab.until_phase("second", "Queued")
    third = await lab.until_phase("third", "Queued")
    assert third["status"]["display"]["queue"] == "2/2"
    await lab.edit("second", suspend=True)
    second = await lab.until_phase("second", "Suspended")
    assert "queue" not in second["status"]
    # This resource is first in the queue, not the suspended one.
    await lab.until_phase("third", "Running")
    await lab.edit("second", suspend=False)
    await lab.until_phase("second", "Pending")
    assert (lab.starts(412), len(lab.posts())) == (0, 2)


async def test_suspension_waits_for_a_start_in_flight(lab: Lab) -> None:
    lab.model(416, duration=ENDLESS)
    await lab.secret()
    await lab.fault("delay", call="run", delay=5)
    await lab.operator(post_timeout="20s")
    await lab.train("sent", 416)
    await lab.simulator.until(lambda: len(lab.posts()) == 1)
    edited = await lab.edit("sent", suspend=True)
    assert "intent" in edited["status"]["run"]  # its reply is on its way
    held = await lab.until_phase("sent", "Suspended")
    held = await lab.until("sent", lambda item: "ownership" in item["status"]["run"])
    assert (phase_of(held), held["status"]["run"]["ownership"]) == ("Suspended", "Owned")
    assert "intent" not in held["status"]["run"]
    assert (lab.starts(416), len(lab.posts())) == (1, 1)


async def test_deletion_reports_a_run_that_may_continue(lab: Lab) -> None:
    models = await set_the_stage(lab)
    lab.model(414, duration=ENDLESS)
    await lab.train("suspended", 414)
    await lab.until_phase("suspended", "Running")
    await lab.edit("suspended", suspend=True)
    await lab.until_phase("suspended", "Suspended")
    for name in (*models, "suspended"):
        await lab.delete(name)
    await lab.until_all(lambda items: not items)  # no finalizer holds them
    going_on = {"starting", "running", "suspended"}
    for name in going_on:
        event = await lab.until_event(name, "ReleasedRunningTraining")
        assert event["type"] == "Warning"
    # Deletions are observed in their order, so all have been observed by now.
    lab.model(415, duration=1)
    await lab.train("afterwards", 415)
    await lab.until_phase("afterwards", "Succeeded")
    for name in {*models} - going_on:
        announced = {event["reason"] for event in await lab.events(name)}
        assert "ReleasedRunningTraining" not in announced, name
    assert {call.method for call in lab.simulator.state.calls} <= {"GET", "POST"}


async def test_blocked_run_continues_once_the_cause_is_fixed(lab: Lab) -> None:
    """Four reasons, each fixed after it was reported; no run is lost or started twice."""
    reasons = {
        "secret": "SecretNotFound",
        "key": "KeyNotFound",
        "rejected": "Unauthorized",
        "unknown": "ModelNotFound",
    }
    await lab.admin("PUT", "/keys", {"keys": {API_KEY: "write", "second-key-1": "write"}})
    await lab.operator()
    for i, name in enumerate(reasons):
        lab.model(420 + i, duration=ENDLESS)
        await lab.secret("second-key-1" if name == "rejected" else API_KEY, f"of-{name}")
        await lab.train(name, 420 + i, apiKeySecretRef={"name": f"of-{name}"})
    await lab.until_all(lambda items: all(phase_of(items.get(n, {})) == "Running" for n in reasons))

    await lab.delete_secret("of-secret")
    await lab.put_secret({"other": "x"}, "of-key")
    await lab.admin("PUT", "/keys", {"keys": {API_KEY: "write"}})
    await lab.fault("status", call="model", model=423, status=404, times="forever")
    blocked = await lab.until_all(
        lambda items: {n: reason_of(items[n]) for n in reasons} == reasons
    )
    for name, reason in reasons.items():
        status = blocked[name]["status"]
        assert status["phase"] == "Running"
        assert truths(blocked[name]) == {
            "Succeeded": "Unknown",
            "Ready": "Unknown",
            "Stalled": "True",
        }
        assert (status["failure"]["reason"], "eta" in status["display"]) == (reason, False)

    await lab.secret(API_KEY, "of-secret")
    await lab.secret(API_KEY, "of-key")
    await lab.secret(API_KEY, "of-rejected")
    await lab.admin("DELETE", "/faults")
    for i in range(len(reasons)):
        await lab.admin("PATCH", f"/models/{420 + i}", {"finish": True})
    done = await lab.until_all(
        lambda items: all(phase_of(items[n]) == "Succeeded" for n in reasons)
    )
    assert all("failure" not in item["status"] for item in done.values())
    assert all(condition_of(item, "Stalled") is None for item in done.values())
    assert [lab.starts(420 + i) for i in range(4)] == [1, 1, 1, 1]
