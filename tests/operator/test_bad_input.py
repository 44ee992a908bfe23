"""Problems that come from outside the operator.

Each problem has a message in status with the cause and the remedy, clears automatically once it is
fixed, and never stops other resources.
"""

import pytest

from scriptix_operator.api.names import DEFAULT_SECRET
from tests.operator.lab import API_KEY, Lab, Manifest, condition_of, phase_of, reason_of


def _assert_blocked(item: Manifest, reason: str, *announced: str) -> None:
    status = item["status"]
    assert status["failure"]["reason"] == reason
    stalled = condition_of(item, "Stalled")
    assert stalled is not None
    assert stalled["reason"] == reason
    assert condition_of(item, "Reconciling") is None
    for text in announced:
        assert text in status["message"]
    assert status["message"].endswith(status["failure"]["solution"])


async def _assert_another_works(lab: Lab, model_id: int) -> None:
    """Another resource, with its own key, succeeds meanwhile."""
    lab.model(model_id)
    await lab.secret(name="another")
    await lab.train("bystander", model_id, apiKeySecretRef={"name": "another"})
    await lab.until_phase("bystander", "Succeeded")


async def test_missing_secret_is_named_and_noticed_when_created(lab: Lab) -> None:
    lab.model(101)
    await lab.operator()
    await lab.train("keyless", 101)
    blocked = await lab.until_reason("keyless", "SecretNotFound")
    _assert_blocked(blocked, "SecretNotFound", "scriptix-api-key", lab.namespace, "Create")
    assert phase_of(blocked) == "Pending"
    assert (await lab.until_event("keyless", "SecretNotFound"))["type"] == "Warning"
    await _assert_another_works(lab, 102)
    await lab.secret()
    done = await lab.until_phase("keyless", "Succeeded")
    assert "failure" not in done["status"]
    assert lab.starts(101) == 1


@pytest.mark.parametrize(
    ("secret", "entry", "spec"),
    [
        (DEFAULT_SECRET, "api-key", {}),
        ("db", "zzz", {"apiKeySecretRef": {"name": "db", "key": "zzz"}}),
    ],
    ids=["conventional", "named by the training"],
)
async def test_secret_without_the_key_is_reported_without_its_content(
    lab: Lab, secret: str, entry: str, spec: dict[str, object]
) -> None:
    """A user who edits trainings may lack permission to read Secrets."""
    lab.model(103)
    await lab.put_secret({"entry-7f3a": API_KEY}, secret)
    await lab.operator()
    await lab.train("misspelt", 103, **spec)
    blocked = await lab.until_reason("misspelt", "KeyNotFound")
    read = f"`kubectl -n {lab.namespace} describe secret {secret}`"
    _assert_blocked(blocked, "KeyNotFound", f'"{secret}"', f'no key "{entry}"', read)
    await lab.until_event("misspelt", "KeyNotFound")
    assert "entry-7f3a" not in await lab.dump()
    await _assert_another_works(lab, 104)
    await lab.put_secret({entry: API_KEY + "\n"}, secret)
    await lab.until_phase("misspelt", "Succeeded")


async def test_key_unfit_for_a_header_is_refused_and_not_shown(lab: Lab) -> None:
    lab.model(105)
    await lab.put_secret({"api-key": "two words-7f3a"})
    await lab.operator()
    await lab.train("garbled", 105)
    blocked = await lab.until_reason("garbled", "KeyNotFound")
    _assert_blocked(blocked, "KeyNotFound", "not usable")
    assert "words-7f3a" not in await lab.dump()
    assert len(lab.simulator.state.calls) == 0


async def test_named_secret_is_never_replaced_by_another(lab: Lab) -> None:
    lab.model(106)
    await lab.secret()
    await lab.operator()
    await lab.train("particular", 106, apiKeySecretRef={"name": "of-the-team"})
    blocked = await lab.until_reason("particular", "SecretNotFound")
    _assert_blocked(blocked, "SecretNotFound", "of-the-team")
    assert len(lab.simulator.state.calls) == 0


async def test_rejected_key_gets_trial_calls_and_new_key_is_noticed(lab: Lab) -> None:
    lab.model(107)
    await lab.secret("not-a-key-of-theirs")
    await lab.operator()
    await lab.train("rejected", 107)
    blocked = await lab.until_reason("rejected", "Unauthorized")
    _assert_blocked(blocked, "Unauthorized", "custom_models:write")
    await _assert_another_works(lab, 108)
    refused = [call for call in lab.simulator.state.calls if call.status == 401]
    assert len(refused) == 1
    await lab.secret()
    await lab.until_phase("rejected", "Succeeded")


async def test_key_without_write_scope_is_reported_by_the_start(lab: Lab) -> None:
    lab.model(109)
    await lab.admin("PUT", "/keys", {"keys": {"reader-key-1": "read", API_KEY: "write"}})
    await lab.secret("reader-key-1")
    await lab.operator()
    await lab.train("reader", 109)
    blocked = await lab.until_reason("reader", "Unauthorized")
    _assert_blocked(blocked, "Unauthorized", "custom_models:write")
    assert "run" not in blocked["status"] or "intent" not in blocked["status"]["run"]
    await lab.secret()
    await lab.until_phase("reader", "Succeeded")
    assert lab.starts(109) == 1


async def test_key_without_payment_is_reported(lab: Lab) -> None:
    lab.model(127)
    await lab.secret()
    body = {"error": "Payment Required", "message": "Plan exhausted", "error_code": "PLAN"}
    await lab.fault("status", call="model", model=127, status=402, body=body, times="forever")
    await lab.operator(secret_ttl="1s")
    await lab.train("unpaid", 127)
    blocked = await lab.until_reason("unpaid", "Unauthorized")
    _assert_blocked(blocked, "Unauthorized", "HTTP 402 PLAN: Plan exhausted", "settle billing")
    assert "valid API key" not in blocked["status"]["message"]


async def test_unknown_model_is_reported_and_found_when_created(lab: Lab) -> None:
    await lab.secret()
    await lab.operator()
    await lab.train("unknown", 110)
    blocked = await lab.until_reason("unknown", "ModelNotFound")
    _assert_blocked(blocked, "ModelNotFound", "spec.modelId")
    await _assert_another_works(lab, 111)
    lab.model(110)
    await lab.until_phase("unknown", "Succeeded")


async def test_start_is_retried_when_the_api_was_unreachable(lab: Lab) -> None:
    lab.model(112)
    await lab.secret()
    await lab.fault("drop_before", call="model", model=112, times="forever")
    await lab.operator()
    await lab.train("early", 112)
    waiting = await lab.until_reason("early", "ApiUnavailable")
    assert phase_of(waiting) == "Pending"
    assert "No answer from the API" in waiting["status"]["message"]
    assert condition_of(waiting, "Stalled") is None
    await _assert_another_works(lab, 113)
    await lab.admin("DELETE", "/faults")
    await lab.until_phase("early", "Succeeded")
    assert lab.starts(112) == 1


async def test_status_keeps_last_facts_while_the_api_is_unreachable(lab: Lab) -> None:
    lab.model(114, duration=100)
    await lab.secret()
    await lab.operator()
    await lab.train("midway", 114)
    await lab.until("midway", lambda item: item.get("status", {}).get("progress", 0) >= 10)
    await lab.fault("status", call="model", model=114, status=503, times="forever")
    away = await lab.until_reason("midway", "ApiUnavailable")
    assert phase_of(away) == "Running"
    assert away["status"]["progress"] >= 10
    assert "status last updated " in away["status"]["message"]
    await lab.admin("PATCH", "/models/114", {"finish": True})
    await lab.admin("DELETE", "/faults")
    await lab.until_phase("midway", "Succeeded")
    assert lab.starts(114) == 1


async def test_unreadable_replies_are_reported_and_the_run_continues(lab: Lab) -> None:
    await lab.secret()
    await lab.operator()
    for model_id, fault in ((115, "html"), (116, "truncated"), (117, "wrong_types")):
        lab.model(model_id)
        # A proxy may send its page with 200.
        status = {"status": 200} if fault == "html" else {}
        await lab.fault(fault, call="model", model=model_id, times="forever", **status)
        await lab.train(f"model-{model_id}", model_id)
    for model_id in (115, 116, 117):
        announced = await lab.until_reason(f"model-{model_id}", "ApiUnavailable")
        assert lab.simulator.url not in announced["status"]["message"]
    await _assert_another_works(lab, 118)
    await lab.admin("DELETE", "/faults")
    for model_id in (115, 116, 117):
        await lab.until_phase(f"model-{model_id}", "Succeeded")
        assert lab.starts(model_id) == 1


async def test_edit_during_a_run_is_observed_and_starts_nothing(lab: Lab) -> None:
    lab.model(119, duration=10_000)
    await lab.secret()
    await lab.operator()
    await lab.train("edited", 119)
    await lab.until_phase("edited", "Running")
    edited = await lab.edit("edited", qualityGate={"maxWordErrorRate": "10"}, priority=7)
    generation = edited["metadata"]["generation"]
    await lab.admin("PATCH", "/models/119", {"finish": True})
    failed = await lab.until_phase("edited", "Failed")
    assert failed["status"]["observedGeneration"] == generation
    assert failed["status"]["failure"]["reason"] == "QualityGateFailed"
    assert "is 12.5% (at most 10% wanted)" in failed["status"]["message"]
    assert await lab.config_map("edited-result") is None
    # A relaxed quality gate is applied to the finished run again, without a call.
    await lab.until("edited", lambda item: item["status"].get("log", {}).get("state") == "Complete")
    calls = len(lab.simulator.state.calls)
    await lab.edit("edited", qualityGate={"maxWordErrorRate": "15"})
    await lab.until_phase("edited", "Succeeded")
    assert await lab.config_map("edited-result") is not None
    assert len(lab.simulator.state.calls) == calls
    assert lab.starts(119) == 1


async def test_deleted_resource_reports_that_its_run_continues(lab: Lab) -> None:
    lab.model(120, duration=100)
    await lab.secret()
    await lab.operator()
    await lab.train("deleted", 120)
    await lab.until_phase("deleted", "Running")
    await lab.delete("deleted")
    event = await lab.until_event("deleted", "ReleasedRunningTraining")
    assert event["type"] == "Warning"
    # No finalizer delayed the deletion, and no call is made for the resource any more.
    await lab.until_all(lambda items: "deleted" not in items)
    await _assert_another_works(lab, 121)
    assert [call.method for call in lab.simulator.state.calls if call.model == 120].count(
        "DELETE"
    ) == 0


async def test_recreated_resource_adopts_the_run_and_starts_none(lab: Lab) -> None:
    lab.model(122, duration=20)
    await lab.secret()
    await lab.operator()
    await lab.train("again", 122)
    await lab.until("again", lambda item: item.get("status", {}).get("log", {}).get("entries", 0))
    await lab.delete("again")
    await lab.train("again", 122)
    done = await lab.until_phase("again", "Succeeded")
    assert done["status"]["run"]["ownership"] == "Adopted"
    assert lab.starts(122) == 1
    stored = await lab.config_map("again-log")
    assert stored is not None
    assert stored["metadata"]["ownerReferences"][0]["uid"] == done["metadata"]["uid"]


async def test_competing_trainings_run_one_after_the_other(lab: Lab) -> None:
    lab.model(123)
    await lab.secret()
    await lab.train("older", 123)
    await lab.train_younger("younger", "older", 123)
    await lab.operator()
    waiting = await lab.until_reason("younger", "ModelInUse")
    assert "older" in waiting["status"]["message"]
    await lab.until_phase("older", "Succeeded")
    assert lab.starts(123) == 1
    assert (await lab.until_event("younger", "ModelInUse"))["type"] == "Warning"
    await lab.until_reason("younger", "ModelInUse")
    await lab.admin("PATCH", "/models/123", {"status": 2})
    await lab.until_phase("younger", "Succeeded")
    assert lab.starts(123) == 2


async def test_config_map_of_another_owner_is_reported_and_untouched(lab: Lab) -> None:
    lab.model(124)
    await lab.secret()
    path = f"/api/v1/namespaces/{lab.namespace}/configmaps"
    for name in ("crowded-log", "crowded-result"):
        theirs = {"metadata": {"name": name}, "data": {"theirs": "yes"}}
        reply = lab.control_plane.api.post(path, json=theirs)
        assert reply.is_success, reply.text
    await lab.operator()
    await lab.train("crowded", 124)
    done = await lab.until(
        "crowded", lambda item: item.get("status", {}).get("log", {}).get("state") == "NameTaken"
    )
    assert done["metadata"]["name"] == "crowded"
    # A client that waits for success reads the result; this ConfigMap has another owner.
    held_up = await lab.until_reason("crowded", "ResultNotPublished")
    _assert_blocked(held_up, "ResultNotPublished", "ConfigMap crowded-result is not controlled")
    assert (await lab.until_event("crowded", "ResultNotPublished"))["type"] == "Warning"
    for name in ("crowded-log", "crowded-result"):
        kept = await lab.config_map(name)
        assert kept is not None
        assert kept["data"] == {"theirs": "yes"}
    assert lab.control_plane.api.delete(f"{path}/crowded-result").is_success
    await lab.until_phase("crowded", "Succeeded")
    assert lab.starts(124) == 1


async def test_start_waits_until_the_rate_limit_allows_it(lab: Lab) -> None:
    lab.model(125)
    await lab.secret()
    await lab.fault("too_many", call="run", model=125, headers={"Retry-After": "2"})
    # After a refusal, a hundredth of the window is waited at least: 36 s of the usual hour.
    await lab.operator(limit_starts="1000/1m")
    await lab.train("limited", 125)
    limited = await lab.until_reason("limited", "RateLimited")
    assert "rate limit" in limited["status"]["message"]
    await lab.until_phase("limited", "Succeeded")
    assert lab.starts(125) == 1
    assert [call.status for call in lab.posts(125)] == [429, 200]


async def test_start_with_insufficient_data_fails_with_the_remedy(lab: Lab) -> None:
    lab.model(126, data_hours=2.5)
    await lab.secret()
    await lab.operator()
    await lab.train("meagre", 126)
    failed = await lab.until_phase("meagre", "Failed")
    assert failed["status"]["failure"]["reason"] == "InsufficientData"
    assert failed["status"]["failure"]["code"] == "INSUFFICIENT_DATA"
    assert "at least 5 hours" in failed["status"]["message"]
    assert "(current_hours: 2.5, required_hours: 5.0)" in failed["status"]["message"]
    assert (await lab.until_event("meagre", "StartRejected"))["type"] == "Warning"
    assert reason_of(failed) == "InsufficientData"
