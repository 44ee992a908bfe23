"""Requests for a run on the real API server: which edits start one, and which do not."""

import pytest

from tests.operator.lab import Lab, Manifest, condition_of, phase_of, reason_of

REQUESTED_AT = "scriptix.io/requested-at"


def request_of(item: Manifest) -> tuple[str, str]:
    """The token and annotation that the run in status answers."""
    run = item.get("status", {}).get("run", {})
    return run.get("token", ""), run.get("requestedAt", "")


async def until_done(lab: Lab, name: str, token: str, requested_at: str = "") -> Manifest:
    """Wait until the run for this request has succeeded."""
    wanted = token, requested_at
    return await lab.until(
        name, lambda item: request_of(item) == wanted and phase_of(item) == "Succeeded"
    )


async def until_observed(lab: Lab, edited: Manifest) -> Manifest:
    """Wait until an edit is observed."""
    name, generation = edited["metadata"]["name"], edited["metadata"]["generation"]
    return await lab.until(name, lambda item: item["status"]["observedGeneration"] == generation)


async def test_each_new_request_starts_one_run_and_a_revert_none(lab: Lab) -> None:
    lab.model(301, duration=2)
    await lab.secret()
    await lab.operator()
    await lab.train("asked", 301, runToken="v1")
    await until_done(lab, "asked", "v1")
    # The token.
    await lab.admin("PATCH", "/models/301", {"status": 2})
    await lab.edit("asked", runToken="v2")
    await until_done(lab, "asked", "v2")
    # The annotation, which does not change the generation.
    await lab.admin("PATCH", "/models/301", {"status": 2})
    before = await lab.get("asked")
    annotation = {"metadata": {"annotations": {REQUESTED_AT: "2026-11-23T08:00:00Z"}}}
    annotated = await lab.patch("asked", annotation)
    assert annotated["metadata"]["generation"] == before["metadata"]["generation"]
    await until_done(lab, "asked", "v2", "2026-11-23T08:00:00Z")
    # Token and annotation together.
    await lab.admin("PATCH", "/models/301", {"status": 2})
    annotation = {"metadata": {"annotations": {REQUESTED_AT: "2026-11-23T09:00:00Z"}}}
    await lab.patch("asked", {**annotation, "spec": {"runToken": "v3"}})
    await until_done(lab, "asked", "v3", "2026-11-23T09:00:00Z")
    assert lab.starts(301) == len(lab.posts(301)) == 4
    # A revert to a handled pair, then no pair; the model is startable.
    await lab.admin("PATCH", "/models/301", {"status": 2})
    annotation = {"metadata": {"annotations": {REQUESTED_AT: "2026-11-23T08:00:00Z"}}}
    edited = await lab.patch("asked", {**annotation, "spec": {"runToken": "v2"}})
    reverted = await until_observed(lab, edited)
    removed = await lab.patch(
        "asked", {"metadata": {"annotations": None}, "spec": {"runToken": None}}
    )
    done = await until_observed(lab, removed)
    for item in (reverted, done):
        assert phase_of(item) == "Succeeded"
        assert request_of(item) == ("v3", "2026-11-23T09:00:00Z")
    assert [(past["token"], past["requestedAt"]) for past in done["status"]["history"]] == [
        ("v2", "2026-11-23T08:00:00Z"),
        ("v2", ""),
        ("v1", ""),
    ]
    assert lab.starts(301) == len(lab.posts(301)) == 4


async def test_a_used_token_starts_nothing_and_names_its_run(lab: Lab) -> None:
    lab.model(305, duration=1)
    await lab.secret()
    first_operator = await lab.operator()
    await lab.train("repeated", 305, runToken="v1")
    first = await until_done(lab, "repeated", "v1")
    await lab.admin("PATCH", "/models/305", {"status": 2})
    await lab.edit("repeated", runToken="v2")
    await until_done(lab, "repeated", "v2")
    await lab.admin("PATCH", "/models/305", {"status": 2})
    await lab.patch("repeated", {"metadata": {"annotations": {REQUESTED_AT: "t1"}}})
    third = await until_done(lab, "repeated", "v2", "t1")
    # The model is startable; v1 with t1 is a pair that was never set.
    await lab.admin("PATCH", "/models/305", {"status": 2})
    said = (
        f'spec.runToken "v1" was used before and starts no run: run {first["status"]["run"]["id"]}'
    )
    repeated = await until_observed(lab, await lab.edit("repeated", runToken="v1"))
    assert repeated["status"]["run"]["id"] == third["status"]["run"]["id"]
    assert phase_of(repeated) == "Succeeded"
    assert said in repeated["status"]["message"]
    assert len(repeated["status"]["usedRequests"]) == 3
    await lab.until_event("repeated", "RequestAlreadyUsed")
    # A restart and another edit change nothing.
    first_operator.kill()
    await first_operator.ended()
    await lab.operator()
    await until_observed(lab, await lab.edit("repeated", priority=1))
    events = [e for e in await lab.events("repeated") if e["reason"] == "RequestAlreadyUsed"]
    assert [(event["type"], event.get("count", 1)) for event in events] == [("Warning", 1)]
    assert events[0]["message"].startswith(said)
    assert lab.starts(305) == len(lab.posts(305)) == 3


async def test_requests_during_a_run_start_one_run_after_it(lab: Lab) -> None:
    lab.model(302, duration=10_000)
    await lab.secret()
    await lab.operator()
    await lab.train("busy", 302, runToken="v1", log={"collect": "Never"})
    await lab.until_phase("busy", "Running")
    for token in ("v2", "v3"):
        await until_observed(lab, await lab.edit("busy", runToken=token))
    assert request_of(await lab.get("busy")) == ("v1", "")
    await lab.admin("PATCH", "/models/302", {"finish": True, "script": {"duration": 1}})
    # Only the end of the first run starts the next one.
    waiting = await lab.until("busy", lambda item: request_of(item) == ("v3", ""))
    assert [past["token"] for past in waiting["status"]["history"]] == ["v1"]
    await lab.admin("PATCH", "/models/302", {"status": 2})
    await until_done(lab, "busy", "v3")
    assert lab.starts(302) == 2


async def test_revert_cancels_a_waiting_request(lab: Lab) -> None:
    lab.model(303, duration=1)
    await lab.secret()
    first_operator = await lab.operator()
    await lab.train("undecided", 303)
    first = await lab.until(
        "undecided", lambda item: item.get("status", {}).get("log", {}).get("state") == "Complete"
    )
    await lab.admin("PATCH", "/models/303", {"status": 1})
    await lab.edit("undecided", runToken="v2")
    waiting = await lab.until(
        "undecided", lambda item: request_of(item) == ("v2", "") and phase_of(item) == "Pending"
    )
    assert condition_of(waiting, "Reconciling") is not None
    await lab.until_reason("undecided", "WaitingForModel")
    edited = await lab.edit("undecided", runToken=None)
    stands = await until_observed(lab, edited)
    assert phase_of(stands) == "Succeeded"
    assert stands["status"]["run"]["id"] == first["status"]["run"]["id"]
    for field in ("display", "metrics", "learningCurve", "progress", "stage", "timeline"):
        assert stands["status"][field] == first["status"][field], field
    assert "history" not in stands["status"]
    # History does not record whether the log was complete, so the log is fetched once more.
    await lab.until(
        "undecided", lambda item: item.get("status", {}).get("log", {}).get("state") == "Complete"
    )
    await lab.until_event("undecided", "RequestCancelled")
    # Neither new data nor a restart starts a run; outcome and cancellation are reported once.
    first_operator.kill()
    await first_operator.ended()
    await lab.operator()
    await lab.admin("PATCH", "/models/303", {"status": 2})
    await until_observed(lab, await lab.edit("undecided", priority=1))
    assert lab.starts(303) == len(lab.posts(303)) == 1
    events = await lab.events("undecided")
    assert [event["reason"] for event in events].count("TrainingSucceeded") == 1
    [cancelled] = [event for event in events if event["reason"] == "RequestCancelled"]
    assert (cancelled["type"], cancelled["count"]) == ("Normal", 1)
    assert 'spec.runToken "v2"' in cancelled["message"]


EXISTING = ("Adopt", "Wait", "Fail")
FIRST_SIGHT = {
    # training_status: the phase with Adopt, Wait and Fail
    1: ("Pending", "Pending", "Pending"),
    2: ("Succeeded", "Succeeded", "Succeeded"),
    3: ("Succeeded", "Pending", "Failed"),
    4: ("Succeeded", "Pending", "Failed"),
    5: ("Failed", "Pending", "Failed"),
    6: ("Pending", "Pending", "Pending"),
}
DOCUMENTED = frozenset(range(1, 6))


async def test_rebuilt_cluster_starts_only_models_with_new_data(
    lab: Lab,
) -> None:
    """Every training_status against every existingTraining, made twice with an empty status."""
    rows = {
        f"status-{state}-{existing.lower()}": (10 * state + column, state, existing, phases[column])
        for state, phases in FIRST_SIGHT.items()
        for column, existing in enumerate(EXISTING)
    }
    await lab.secret()
    for model_id, state, _, _ in rows.values():
        is_documented = state in DOCUMENTED
        shown = {"status": state} if is_documented else {"extra": {"training_status": state}}
        lab.model(model_id, progress=45, duration=4, **shown)
    await lab.operator()

    async def make_all(expected: dict[str, str]) -> None:
        for name, (model_id, _, existing, _) in rows.items():
            await lab.train(name, model_id, existingTraining=existing, runToken="v1")

        def is_settled(item: Manifest) -> bool:
            waits = reason_of(item) in {"WaitingForModel", "UnexpectedStatus"}
            return phase_of(item) != "Pending" or waits

        await lab.until_all(
            lambda items: all(
                name in items and phase_of(items[name]) == phase and is_settled(items[name])
                for name, phase in expected.items()
            )
        )

    started = {model_id for model_id, state, _, _ in rows.values() if state == 2}
    await make_all({name: phase for name, (_, _, _, phase) in rows.items()})
    assert {call.model for call in lab.posts()} == started
    assert lab.starts() == len(lab.posts()) == len(started)

    for name in rows:
        await lab.delete(name)
    await lab.until_all(lambda items: not items)
    # A started model is trained by now, and is adopted like the others, or is not changed.
    phases = {name: phase for name, (_, _, _, phase) in rows.items()}
    phases |= {f"status-2-{e.lower()}": p for e, p in zip(EXISTING, FIRST_SIGHT[4], strict=True)}
    await make_all(phases)
    assert lab.starts() == len(lab.posts()) == len(started)


@pytest.mark.parametrize("when", ["Wait", "Fail"])
async def test_rerun_of_a_model_that_is_not_ready_waits_or_fails(lab: Lab, when: str) -> None:
    lab.model(304, status=1, duration=1)
    await lab.secret()
    await lab.operator()
    await lab.train("early", 304, whenNotReady=when)
    if when == "Fail":
        failed = await lab.until_phase("early", "Failed")
        assert failed["status"]["failure"]["reason"] == "StartRejected"
        assert "spec.whenNotReady" in failed["status"]["message"]
    else:
        await lab.until_reason("early", "WaitingForModel")
        await lab.admin("PATCH", "/models/304", {"status": 2})
        await lab.until_phase("early", "Succeeded")
    assert lab.starts(304) == (when == "Wait")
