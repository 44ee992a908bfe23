"""The API over HTTP: endpoints, refusals, limits and response variants."""

from typing import Literal

import httpx
import pytest

from scriptix_simulator import Fault, Limit, ModelScript, Scenario, SimulatorConfig, fingerprint
from scriptix_simulator.config import RateHeaders
from scriptix_simulator.replies import RetryHint
from scriptix_simulator.scripts import DOCUMENT_METRICS

from .support import AUTH, HOUR, START, Served, Start


def refused(reply: httpx.Response) -> tuple[int, str]:
    """Return status and error_code of a refusal, whose body must be complete."""
    body = reply.json()
    assert body.keys() >= {"error", "message", "error_code", "details"}
    assert body["error"] == reply.reason_phrase
    return reply.status_code, body["error_code"]


async def test_a_run_from_start_to_metrics(served: Served) -> None:
    reply = await served.run(1)
    assert reply.status_code == 200
    assert reply.json()["started_training_at"] == START
    served.clock.advance(4 * HOUR)
    assert (await served.get(1)).json()["training_progress"] == 50
    assert "Training epoch 10/20" in (await served.log(1)).text
    served.clock.advance(4 * HOUR)
    assert (await served.get(1)).json()["training_metrics"] == DOCUMENT_METRICS


@pytest.mark.parametrize("path", ["/1", "/1/"])
async def test_a_slash_at_the_end_changes_nothing(served: Served, path: str) -> None:
    assert (await served.api.get(path)).json()["id"] == 1


async def test_a_slash_behind_run_or_log_changes_nothing(served: Served) -> None:
    assert (await served.api.post("/1/run/", json={})).status_code == 200
    assert (await served.api.get("/1/log/")).json()["model_id"] == 1


@pytest.mark.parametrize("status", [1, 4, 5])
async def test_a_strict_server_starts_ready_models_only(
    served: Served, status: Literal[1, 4, 5]
) -> None:
    served.sim.put(1, ModelScript(status=status))
    reply = await served.run(1)
    assert refused(reply) == (409, "MODEL_NOT_READY")
    assert reply.json()["message"] == "Cannot start training: model not ready"
    assert reply.json()["details"] == {
        "current_status": status,
        "required_status": 2,
        "message": "Upload training data before starting training",
    }


async def test_a_running_model_is_not_started_again(served: Served) -> None:
    served.sim.put(1, ModelScript(status=3, progress=45))
    reply = await served.run(1)
    assert refused(reply) == (409, "TRAINING_IN_PROGRESS")
    assert reply.json()["details"] == {"training_progress": 45}
    assert served.runs(1) == 1


@pytest.mark.parametrize("status", [2, 3, 4, 5])
async def test_a_lenient_server_starts_from_any_status_but_1(
    start: Start, status: Literal[2, 3, 4, 5]
) -> None:
    served = await start(SimulatorConfig(lenient=True))
    served.sim.put(1, ModelScript(status=status))
    served.sim.put(2, ModelScript(status=1))
    runs = served.runs(1)
    assert (await served.run(1)).status_code == 200
    assert served.runs(1) == runs + 1
    assert refused(await served.run(2)) == (409, "MODEL_NOT_READY")


async def test_two_starts_in_one_second_have_two_run_start_times(start: Start) -> None:
    served = await start(SimulatorConfig(lenient=True))
    served.sim.put(1)
    start_times = [(await served.run(1)).json()["started_training_at"] for _ in range(3)]
    assert start_times == [START, "2025-01-16T08:00:01Z", "2025-01-16T08:00:02Z"]


async def test_too_little_data_is_refused(served: Served) -> None:
    served.sim.put(1, ModelScript(data_hours=2.5))
    reply = await served.run(1)
    assert refused(reply) == (400, "INSUFFICIENT_DATA")
    assert reply.json()["details"] == {"current_hours": 2.5, "required_hours": 5.0}
    assert served.runs(1) == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"a": 1}', b"{", b"\xff", b"[" * 60_000])
async def test_a_start_needs_an_empty_object(served: Served, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    reply = await served.api.post("/1/run", content=body, headers=headers)
    assert refused(reply) == (400, "INVALID_REQUEST")
    assert served.sim.state.calls.select("run")[0].body_ok is False


async def test_a_start_needs_its_content_type(served: Served) -> None:
    assert refused(await served.api.post("/1/run", content=b"{}")) == (400, "INVALID_REQUEST")


async def test_a_huge_body_is_refused(served: Served) -> None:
    reply = await served.api.post("/1/run", json={"a": "b" * 70_000})
    assert refused(reply) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("model", ["2", "abc", "-1", "1" * 30])
async def test_an_unknown_model_is_not_found(served: Served, model: str) -> None:
    assert refused(await served.api.get(f"/{model}")) == (404, "MODEL_NOT_FOUND")
    assert refused(await served.api.get(f"/{model}/log")) == (404, "MODEL_NOT_FOUND")
    assert refused(await served.api.post(f"/{model}/run", json={})) == (404, "MODEL_NOT_FOUND")


async def test_any_model_can_exist_from_its_first_call(start: Start) -> None:
    scenario = Scenario(default=ModelScript(duration=1))
    served = await start(SimulatorConfig(any_model=True, scenario=scenario))
    assert (await served.get(77)).json()["training_status"] == 2
    assert (await served.run(78)).status_code == 200
    served.clock.advance(1 * HOUR)
    assert (await served.get(78)).json()["training_status"] == 4


async def test_scenario_is_loaded_at_startup(start: Start) -> None:
    scenario = Scenario(
        models={5: ModelScript(status=4)}, faults=(Fault(fault="status", status=500),)
    )
    served = await start(SimulatorConfig(scenario=scenario))
    assert (await served.get(5)).status_code == 500
    assert (await served.get(5)).json()["training_status"] == 4


def test_time_cannot_stand_still() -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        SimulatorConfig(speed=0)


async def test_other_methods_and_paths_are_refused_and_recorded(served: Served) -> None:
    assert refused(await served.api.delete("/1")) == (405, "METHOD_NOT_ALLOWED")
    assert refused(await served.api.get("/1/run")) == (405, "METHOD_NOT_ALLOWED")
    assert refused(await served.api.get("/1/stop")) == (404, "NOT_FOUND")
    assert refused(await served.api.get("")) == (404, "NOT_FOUND")
    assert [call.kind for call in served.sim.state.calls] == ["other"] * 4
    assert 1 in served.sim.state.models


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "MISSING_API_KEY"),
        ({"Authorization": ""}, "MISSING_API_KEY"),
        ({"Authorization": "Bearer nobodys"}, "INVALID_API_KEY"),
        ({"Authorization": "demo-key"}, "INVALID_API_KEY"),
        ({"Authorization": "Basic demo-key"}, "INVALID_API_KEY"),
        ({"Authorization": "Bearer old-key"}, "KEY_REVOKED"),
    ],
)
async def test_without_a_good_key_nothing_is_answered(
    served: Served, headers: dict[str, str], code: str
) -> None:
    served.sim.state.keys["old-key"] = "revoked"
    async with httpx.AsyncClient(base_url=served.api.base_url, headers=headers) as client:
        assert refused(await client.get("/1")) == (401, code)
        assert refused(await client.post("/1/run", json={})) == (401, code)
        assert refused(await client.get("/nowhere/at/all")) == (401, code)
    assert served.runs(1) == 0


async def test_a_key_without_the_scope_reads_only(start: Start) -> None:
    served = await start(SimulatorConfig(keys={"demo-key": "read"}))
    served.sim.put(1)
    assert (await served.get(1)).status_code == 200
    reply = await served.run(1)
    assert refused(reply) == (403, "INSUFFICIENT_SCOPE")
    assert reply.json()["details"] == {"required_scope": "custom_models:write"}


async def test_legacy_response_variant(start: Start) -> None:
    config = SimulatorConfig(
        auth_header="x-zoom-s2t-key", auth_scheme="", wrapped=True, run_body=False
    )
    served = await start(config)
    served.sim.put(1)
    key = {"x-zoom-s2t-key": "demo-key"}
    reply = await served.api.post("/1/run/", json={}, headers=key)
    assert (reply.status_code, reply.content) == (204, b"")
    assert served.runs(1) == 1
    model = (await served.api.get("/1/", headers=key)).json()
    assert model["result"]["training_status"] == 3
    log = (await served.api.get("/1/log/", headers=key)).json()
    assert log["result"]["total_entries"] == 1
    assert refused(await served.api.post("/1/run/", json={}, headers=key))[0] == 409


@pytest.mark.parametrize("legacy", [False, True])
async def test_custom_timeline_shows_in_both_response_variants(start: Start, legacy: bool) -> None:  # noqa: FBT001 - a case
    served = await start(SimulatorConfig(wrapped=legacy, run_body=not legacy))
    script = {"timeline": [[0, 0], ["6h", 10], [10, 100]]}
    assert (await served.admin.put("/models/1", json=script)).status_code == 200
    assert (await served.run(1)).status_code == (204 if legacy else 200)
    for wait, progress in [(0.3, 5), (0.4, 32), (0.2, 77)]:
        served.clock.advance(wait * 8 * HOUR)
        body = (await served.get(1)).json()
        assert (body["result"] if legacy else body)["training_progress"] == progress


async def test_the_sixth_start_of_an_hour_is_refused(start: Start) -> None:
    served = await start(SimulatorConfig(any_model=True))
    for model in range(5):
        reply = await served.run(model)
        assert reply.status_code == 200
        assert reply.headers["X-RateLimit-Limit"] == "5"
        assert reply.headers["X-RateLimit-Remaining"] == str(4 - model)
    reply = await served.run(5)
    assert refused(reply) == (429, "RATE_LIMIT_EXCEEDED")
    assert reply.headers["Retry-After"] == "8"
    assert reply.headers["X-RateLimit-Reset"] == str(1_737_014_400 + 8)
    assert reply.json()["retry_after"] == 8
    assert (await served.get(5)).json()["training_status"] == 2
    served.clock.advance(1 * HOUR)
    assert (await served.run(5)).status_code == 200


@pytest.mark.parametrize(("path", "allowed", "length"), [("/1", 100, 1 / 60), ("/1/log", 20, 1)])
async def test_reads_have_limits_of_their_own(
    served: Served, path: str, allowed: int, length: float
) -> None:
    for _ in range(allowed):
        assert (await served.api.get(path)).status_code == 200
    assert (await served.api.get(path)).status_code == 429
    served.clock.advance(length * HOUR)
    assert (await served.api.get(path)).status_code == 200


async def test_full_window_refuses_although_another_has_room(start: Start) -> None:
    limits = (Limit(2, 3600), Limit(3, 24 * 3600))
    served = await start(SimulatorConfig(limit_starts=limits, any_model=True))
    for model, left in enumerate(["1", "0"]):
        reply = await served.run(model)
        assert (reply.status_code, reply.headers["X-RateLimit-Remaining"]) == (200, left)
        assert reply.headers["X-RateLimit-Limit"] == "2"
    assert (await served.run(2)).status_code == 429
    served.clock.advance(1 * HOUR)
    reply = await served.run(3)
    assert (reply.status_code, reply.headers["X-RateLimit-Limit"]) == (200, "3")
    refusal = await served.run(4)
    assert refused(refusal) == (429, "RATE_LIMIT_EXCEEDED")
    assert refusal.json()["details"]["limit"] == 3
    assert refusal.headers["X-RateLimit-Reset"] == str(1_737_014_400 + 180)
    assert refusal.headers["Retry-After"] == "173"
    served.clock.advance(23 * HOUR)
    assert (await served.run(4)).status_code == 200


async def test_each_key_has_windows_of_its_own(start: Start) -> None:
    served = await start(
        SimulatorConfig(keys={"demo-key": "write", "other": "write"}, limit_status=(Limit(1, 60),))
    )
    served.sim.put(1)
    other = {"Authorization": "Bearer other"}
    assert (await served.get(1)).status_code == 200
    assert (await served.get(1)).status_code == 429
    assert (await served.api.get("/1", headers=other)).status_code == 200


async def test_start_refused_after_the_limit_check_is_charged(served: Served) -> None:
    served.sim.put(2, ModelScript(status=1))
    served.sim.put(3, ModelScript(data_hours=1))
    left = [(await served.run(model)).headers["X-RateLimit-Remaining"] for model in (2, 3, 404)]
    assert left == ["4", "3", "2"]


async def test_start_refused_for_its_key_is_not_charged(start: Start) -> None:
    served = await start(SimulatorConfig(keys={"demo-key": "read"}))
    replies = [await served.run(1) for _ in range(7)]
    assert {reply.status_code for reply in replies} == {403}
    assert {reply.headers["X-RateLimit-Remaining"] for reply in replies} == {"5"}


async def test_fixed_windows_end_for_all_calls_at_once(start: Start) -> None:
    served = await start(SimulatorConfig(window="fixed", any_model=True, speed=3600))
    served.clock.advance(0.9)
    assert [(await served.run(model)).status_code for model in range(6)] == [200] * 5 + [429]
    served.clock.advance(0.1)
    assert [(await served.run(model)).status_code for model in range(5, 11)] == [200] * 5 + [429]


async def test_limits_can_be_off(start: Start) -> None:
    served = await start(SimulatorConfig(limit_starts=(), any_model=True))
    replies = [await served.run(model) for model in range(7)]
    assert {reply.status_code for reply in replies} == {200}
    assert "X-RateLimit-Limit" not in replies[0].headers


@pytest.mark.parametrize("when", ["always", "refused", "never"])
async def test_rate_headers_setting_decides_which_replies_have_them(
    start: Start, when: RateHeaders
) -> None:
    served = await start(SimulatorConfig(rate_headers=when, limit_status=(Limit(1, 60),)))
    served.sim.put(1)
    accepted, refusal = await served.get(1), await served.get(1)
    assert ("X-RateLimit-Limit" in accepted.headers) == (when == "always")
    assert ("X-RateLimit-Reset" in refusal.headers) == (when != "never")
    assert ("reset_at" in refusal.json()["details"]) == (when != "never")
    assert (refusal.headers["Retry-After"], refusal.json()["retry_after"]) == ("1", 1)


@pytest.mark.parametrize("when", ["always", "refused", "never"])
@pytest.mark.parametrize(
    ("hint", "header", "body"),
    [
        ("all", "11", 11),
        ("seconds", "11", None),
        ("date", "Thu, 16 Jan 2025 08:00:11 GMT", None),
        ("body", None, 11),
        ("none", None, None),
    ],
)
async def test_retry_hint_is_independent_of_the_windows(
    start: Start, hint: RetryHint, header: str | None, body: int | None, when: RateHeaders
) -> None:
    limit = Limit(1, 10.4 * 480)
    served = await start(SimulatorConfig(retry_hint=hint, rate_headers=when, limit_status=(limit,)))
    served.sim.put(1)
    await served.get(1)
    refusal = await served.get(1)
    assert refusal.status_code == 429
    assert refusal.headers.get("Retry-After") == header
    assert refusal.json().get("retry_after") == body
    assert ("X-RateLimit-Reset" in refusal.headers) == (when != "never")
    assert bool(refusal.json()["details"]) == (when != "never")


async def test_rate_headers_follow_the_clock_of_the_server(served: Served) -> None:
    replies = [await served.get(1), await served.get(2)]
    replies += [await served.api.get("/1", headers={"Authorization": "Bearer nobodys"})]
    for reply in replies:
        assert reply.headers["X-RateLimit-Limit"] == "100"
        assert reply.headers["Date"] == "Thu, 16 Jan 2025 08:00:00 GMT"


async def test_calls_are_recorded_without_their_key(served: Served) -> None:
    await served.run(1)
    await served.run(1)
    accepted, refusal = served.sim.state.calls.select("run")
    assert (accepted.seq, accepted.model, accepted.status) == (1, 1, 200)
    assert accepted.key == fingerprint(AUTH["Authorization"].removeprefix("Bearer "))
    assert (accepted.body_ok, accepted.started) == (True, 1_737_014_400)
    assert (refusal.status, refusal.code) == (409, "TRAINING_IN_PROGRESS")
    assert refusal.started is None
