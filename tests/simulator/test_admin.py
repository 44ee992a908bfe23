"""The admin view."""

import re
import shlex
from html import unescape
from typing import get_args

import pytest

from scriptix_simulator import Fault, ModelChange, ModelScript, ProgressStep, fingerprint
from scriptix_simulator.faults import FaultName

from .support import HOUR, KEY, START, Served


async def test_admin_page_lists_all_endpoints(served: Served) -> None:
    page = await served.admin.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert all(name in page.text for name in ("summary", "calls", "models", "faults", "keys"))
    without_slash = await served.api.get(f"{served.sim.url}/admin", follow_redirects=True)
    assert without_slash.text == page.text


async def test_admin_page_explains_each_field(served: Served) -> None:
    text = (await served.admin.get("/")).text
    rows = re.findall("<tr><td><code>(.+)</code><td>(.+)<td>(.*)<td>(.+)", text)
    fields = [name for name, *_ in rows]
    models = (ModelScript, ProgressStep, ModelChange, Fault)
    assert fields == [name for model in models for name in model.model_fields]
    types = {name: kind for name, kind, *_ in rows}
    assert types["duration"] == "duration"
    assert types["fail_at"] == "number ≥ 0, ≤ 100 or null"
    assert types["timeline"] == "list of [duration, number ≥ 0, ≤ 100] or null"
    assert types["value"] == "any JSON"
    assert ("data_hours", "number ≥ 0", "20", "below 5, a start is refused with 400") in rows
    assert all(f"<tr><td><code>{name}</code><td>" in text for name in get_args(FaultName))


async def test_examples_of_the_admin_page_work(served: Served) -> None:
    text = (await served.admin.get("/")).text
    commands = [shlex.split(unescape(one)) for one in re.findall("<pre>(.+)</pre>", text)]
    assert len(commands) > 5
    for curl, option, method, url, *data in commands:
        assert (curl, option) == ("curl", "-X")
        reply = await served.admin.request(method, url, content="".join(data[1:]))
        assert reply.is_success, (url, data, reply.text)


async def test_calls_are_shown_and_forgotten(served: Served) -> None:
    await served.run(1)
    await served.get(2)
    calls = (await served.admin.get("/calls")).json()
    assert calls[0] == {
        "seq": 1,
        "at": START,
        "unix": 1_737_014_400.0,
        "kind": "run",
        "model": 1,
        "method": "POST",
        "path": "/api/v3/custom_models/1/run",
        "key": fingerprint(KEY),
        "body_ok": True,
        "fault": None,
        "acted_unix": 1_737_014_400.0,
        "status": 200,
        "code": None,
        "started_run": START,
    }
    assert [call["code"] for call in calls] == [None, "MODEL_NOT_FOUND"]
    assert (await served.admin.delete("/calls")).status_code == 204
    assert (await served.admin.get("/calls")).json() == []
    await served.get(1)
    assert (await served.admin.get("/calls")).json()[0]["seq"] == 3


async def test_calls_can_be_picked(served: Served) -> None:
    await served.get(1)
    await served.get(2)
    await served.log(1)

    async def seqs(query: str) -> list[int]:
        return [call["seq"] for call in (await served.admin.get(f"/calls?{query}")).json()]

    assert await seqs("kind=model") == [1, 2]
    assert await seqs("model=1") == [1, 3]
    assert await seqs("model=1&after=1") == [3]
    assert (await served.admin.get("/calls?after=x")).status_code == 422


async def test_admin_view_shows_neither_its_own_calls_nor_keys(served: Served) -> None:
    await served.get(1)
    pages = [await served.admin.get(path) for path in ("/calls", "/keys", "/models", "/summary")]
    assert len(served.sim.state.calls) == 1
    assert not any(KEY in page.text for page in pages)


async def test_a_model_is_put_shown_and_deleted(served: Served) -> None:
    put = await served.admin.put("/models/9", json={"status": 3, "progress": 30, "duration": "8h"})
    shown = (await served.admin.get("/models/9")).json()
    assert put.json() == shown
    assert (shown["id"], shown["status"]) == (9, 3)
    assert shown["script"] == {"status": 3, "progress": 30, "duration": 8}
    assert shown["view"]["training_progress"] == 30
    assert shown["runs"] == [
        {
            "run_start_time": "2025-01-16T07:59:45Z",
            "key": None,
            "began_unix": 1_737_014_400 - 2 * HOUR,
            "ends_unix": 1_737_014_400 + 6 * HOUR,
            "status": 3,
            "progress": 30,
            "error": None,
        }
    ]
    assert [model["id"] for model in (await served.admin.get("/models")).json()] == [1, 9]
    assert (await served.admin.delete("/models/9")).status_code == 204
    assert (await served.get(9)).status_code == 404


async def test_new_data_makes_a_model_ready_again(served: Served) -> None:
    await served.run(1)
    served.clock.advance(8 * HOUR)
    assert (await served.run(1)).status_code == 409
    patched = await served.admin.patch("/models/1", json={"status": 2})
    assert patched.json()["status"] == 2
    assert (await served.run(1)).json()["started_training_at"] == "2025-01-16T08:01:00Z"


async def test_a_run_is_ended_by_hand(served: Served) -> None:
    await served.run(1)
    await served.admin.patch("/models/1", json={"fail": "poor_transcripts"})
    assert "accuracy below threshold" in (await served.get(1)).json()["error"]
    again = await served.admin.patch("/models/1", json={"finish": True})
    assert (again.status_code, again.json()) == (409, {"error": "model 1 has no run under way"})


async def test_a_script_is_changed_in_part(served: Served) -> None:
    await served.admin.put("/models/1", json={"name": "Old", "language": "nl"})
    await served.admin.patch("/models/1", json={"script": {"name": "New"}})
    shown = (await served.get(1)).json()
    assert (shown["name"], shown["language"]) == ("New", "nl")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_unknown_model_is_not_found(served: Served, method: str) -> None:
    reply = await served.admin.request(method, "/models/5", json={"status": 2})
    assert (reply.status_code, reply.json()) == (404, {"error": "no such model"})


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("PUT", "/models/1", {"colour": "red"}, "colour: Extra inputs are not permitted"),
        ("PUT", "/models/1", {"status": "ready"}, "status: Input should be 1, 2, 3, 4 or 5"),
        ("PATCH", "/models/1", {"script": {"duration": 0}}, "duration: Input should be greater"),
        ("PATCH", "/models/1", {"status": 3}, "status: Input should be 1 or 2"),
        ("PATCH", "/models/1", {"script": {"outcome": "boom"}}, "outcome.0: Input should be"),
        ("GET", "/calls?kind=start", None, "kind: Input should be 'run'"),
        ("GET", "/calls?model=x", None, "model: Input should be a valid integer"),
        ("GET", "/calls?since=1", None, "since: Extra inputs are not permitted"),
        ("POST", "/faults", {"fault": "explode"}, "0.fault: Input should be 'delay'"),
        ("PUT", "/keys", {"keys": {"k": "admin"}}, "keys.k: Input should be 'write'"),
    ],
)
async def test_admin_error_names_the_problem(
    served: Served, method: str, path: str, body: object, said: str
) -> None:
    reply = await served.admin.request(method, path, json=body)
    assert (reply.status_code, reply.json()["error"]) == (422, "invalid")
    assert said in reply.json()["details"][0]


async def test_body_that_is_not_json_is_refused(served: Served) -> None:
    assert (await served.admin.put("/models/1", content=b"{")).status_code == 422


async def test_faults_are_added_shown_and_dropped(served: Served) -> None:
    await served.admin.post("/faults", json={"fault": "html", "times": 2})
    added = await served.admin.post("/faults", json=[{"fault": "cut"}, {"fault": "stale"}])
    assert [fault["fault"] for fault in added.json()] == ["html", "cut", "stale"]
    assert (await served.get(1)).status_code == 502
    assert (await served.admin.get("/faults")).json()[0] == {"fault": "html", "times": 1}
    assert (await served.admin.delete("/faults")).status_code == 204
    assert (await served.get(1)).status_code == 200


async def test_keys_are_revoked_and_added_while_it_runs(served: Served) -> None:
    wanted = {"keys": {KEY: "revoked", "new": "read"}}
    shown = (await served.admin.put("/keys", json=wanted)).json()
    assert shown == {fingerprint(KEY): "revoked", fingerprint("new"): "read"}
    assert (await served.admin.get("/keys")).json() == shown
    assert (await served.get(1)).json()["error_code"] == "KEY_REVOKED"
    reply = await served.api.get("/1", headers={"Authorization": "Bearer new"})
    assert reply.status_code == 200


async def test_the_summary_counts(served: Served) -> None:
    served.sim.put(2)
    await served.admin.post("/faults", json={"fault": "html", "call": "log"})
    await served.run(1)
    await served.run(1)
    await served.log(1)
    assert (await served.admin.get("/summary")).json() == {
        "calls": {"log": {"502": 1}, "run": {"200": 1, "409": 1}},
        "refusals": {"TRAINING_IN_PROGRESS": 1},
        "faults": {"html": 1},
        "runs_started": {"1": 1},
        "models": {"2": 1, "3": 1},
    }
