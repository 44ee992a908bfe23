"""Faults on the wire."""

import asyncio
import json

import httpx
import pytest

from scriptix_simulator import Fault, Status

from .support import HOUR, Served


async def test_a_delayed_answer_comes_when_its_time_has_come(served: Served) -> None:
    served.strike(Fault(fault="delay", delay=5))
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(served.run(1))
        await served.clock.wait_for_sleepers()
        assert served.runs(1) == 0
        served.clock.advance(5)
    assert asked.result().json()["started_training_at"] == "2025-01-16T08:00:05Z"


async def test_a_start_is_acted_on_after_its_client_has_given_up(served: Served) -> None:
    served.strike(Fault(fault="delay", call="run", delay=40))
    await served.give_up(served.run(1))
    assert served.runs(1) == 0
    served.clock.advance(40)
    await served.sim.until(lambda: served.runs(1) == 1)
    assert (await served.get(1)).json()["started_training_at"] == "2025-01-16T08:00:40Z"


async def test_late_start_takes_effect_after_the_connection_is_gone(served: Served) -> None:
    served.strike(Fault(fault="late", call="run", after=40))
    with pytest.raises(httpx.RemoteProtocolError):
        await served.run(1)
    assert (await served.get(1)).json()["training_status"] == Status.READY
    await served.clock.wait_for_sleepers()
    served.clock.advance(40)
    await served.sim.until(lambda: served.runs(1) == 1)
    call = served.sim.state.calls.select("run")[0]
    assert (call.status, call.fault) == (None, "late")
    assert call.acted_at is not None
    assert call.acted_at - call.at == 40
    assert call.started == 1_737_014_440


async def test_a_late_start_may_hold_its_client(served: Served) -> None:
    served.strike(Fault(fault="late", call="run", after=1, hold=30))
    await served.give_up(served.run(1), sleepers=2)
    served.clock.advance(1)
    await served.sim.until(lambda: served.runs(1) == 1)


@pytest.mark.parametrize(
    ("reset", "error"), [(False, httpx.RemoteProtocolError), (True, httpx.ReadError)]
)
@pytest.mark.parametrize(("fault", "runs"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_start_was_acted_on_or_not(
    served: Served, fault: str, runs: int, *, reset: bool, error: type[Exception]
) -> None:
    served.strike(Fault.model_validate({"fault": fault, "reset": reset}))
    with pytest.raises(error):
        await served.run(1)
    await served.sim.until(lambda: len(served.sim.state.calls) == 1)
    assert served.runs(1) == runs
    assert served.sim.state.calls.select("run")[0].status is None


@pytest.mark.parametrize("act", [False, True])
async def test_an_error_may_hide_that_the_server_acted(served: Served, *, act: bool) -> None:
    served.strike(Fault(fault="status", status=500, act=act))
    reply = await served.run(1)
    assert (reply.status_code, reply.json()["error_code"]) == (500, "SIMULATED_FAULT")
    assert served.runs(1) == int(act)


async def test_an_error_may_have_any_body_and_headers(served: Served) -> None:
    served.strike(Fault(fault="status", status=402, body=["pay"], headers={"Retry-After": "soon"}))
    reply = await served.get(1)
    assert (reply.status_code, reply.json(), reply.headers["Retry-After"]) == (402, ["pay"], "soon")


async def test_a_redirect_leads_elsewhere(served: Served) -> None:
    served.strike(Fault(fault="redirect", location="https://example.com/"))
    reply = await served.run(1)
    assert (reply.status_code, reply.headers["Location"]) == (302, "https://example.com/")
    assert served.runs(1) == 0


@pytest.mark.parametrize(("status", "shown"), [(None, 502), (200, 200)])
async def test_a_proxy_answers_in_html(served: Served, status: int | None, shown: int) -> None:
    served.strike(Fault(fault="html", status=status))
    reply = await served.get(1)
    assert reply.status_code == shown
    assert reply.headers["Content-Type"] == "text/html"
    assert reply.text.startswith("<html>")


async def test_a_refusal_may_say_nothing_about_when_to_come_back(served: Served) -> None:
    served.strike(Fault(fault="too_many"))
    reply = await served.run(1)
    assert (reply.status_code, reply.json()["error_code"]) == (429, "RATE_LIMIT_EXCEEDED")
    rate_info = {"retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
    assert not rate_info & reply.headers.keys()
    assert "retry_after" not in reply.json()


async def test_truncated_json_is_a_complete_http_reply(served: Served) -> None:
    served.strike(Fault(fault="truncated"))
    reply = await served.run(1)
    assert reply.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        reply.json()
    assert served.runs(1) == 1


async def test_a_cut_reply_ends_the_connection_in_its_middle(served: Served) -> None:
    served.strike(Fault(fault="cut"))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message"):
        await served.run(1)
    assert served.runs(1) == 1


async def test_a_dripping_reply_arrives_whole(served: Served) -> None:
    size = len((await served.api.get("/2")).content)
    served.strike(Fault(fault="drip", interval=1))
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(served.api.get("/2"))
        for _ in range(size):
            await served.clock.wait_for_sleepers()
            assert not asked.done()
            served.clock.advance(1)
    assert asked.result().json()["error_code"] == "MODEL_NOT_FOUND"


async def test_an_oversize_reply_is_still_json(served: Served) -> None:
    served.strike(Fault(fault="oversize", size=3_000_000))
    reply = await served.get(1)
    assert len(reply.content) == 3_000_000
    assert reply.json()["id"] == 1


async def test_wrong_types_keep_the_names(served: Served) -> None:
    right = (await served.get(1)).json()
    served.strike(Fault(fault="wrong_types", times=2))
    wrong = (await served.get(1)).json()
    assert wrong.keys() == right.keys()
    assert all(type(wrong[name]) is not type(right[name]) for name in right)
    await served.run(1)
    served.strike(Fault(fault="wrong_types"))
    log = (await served.log(1)).json()["log_entries"]
    assert log == {"0": {"timestamp": 20, "level": 4, "message": 16}}


async def test_stale_reply_shows_the_model_before_the_start(served: Served) -> None:
    await served.run(1)
    served.strike(Fault(fault="stale"))
    assert (await served.get(1)).json()["training_status"] == Status.READY
    assert (await served.get(1)).json()["training_status"] == Status.RUNNING


async def test_start_without_effect_is_not_charged(served: Served) -> None:
    served.strike(Fault(fault="status", times=3))
    for _ in range(3):
        await served.run(1)
    assert (await served.run(1)).headers["X-RateLimit-Remaining"] == "4"


async def test_start_cut_off_halfway_is_recorded_without_effect(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    url = httpx.URL(served.sim.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = "POST /api/v3/custom_models/1/run HTTP/1.1\r\nHost: localhost\r\n"
    head += "Authorization: Bearer demo-key\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 2\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await served.sim.until(lambda: len(served.sim.state.calls) == 1)
    call = served.sim.state.calls.select("run", 1)[0]
    assert (call.body_ok, call.acted_at, call.status) == (False, None, None)
    assert served.runs(1) == 0
    assert not caplog.records


async def test_simulator_ends_during_calls_in_progress(served: Served) -> None:
    served.strike(Fault(fault="late", after=1000 * HOUR))
    with pytest.raises(httpx.RemoteProtocolError):
        await served.run(1)
    served.strike(Fault(fault="delay", delay=1000 * HOUR))
    await served.give_up(served.get(1), sleepers=2)
    # The end of the `start` fixture must not wait for the reply; the test's time limit checks that.
