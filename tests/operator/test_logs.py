"""Incomplete logs, from the simulator to the resource; docs/logs.md has the states."""

from datetime import datetime, timedelta

from scriptix_operator.api.times import format_time, parse_time
from tests.operator.lab import Lab, Manifest

FOREVER = 8000
"""Hours: the test ends the run."""


def _log(item: Manifest) -> Manifest:
    log: Manifest = item.get("status", {}).get("log", {})
    return log


def _entry(at: datetime, message: str) -> Manifest:
    return {"timestamp": format_time(at), "level": "info", "message": message}


async def _give_log(lab: Lab, model: int, entries: list[Manifest], total: int) -> None:
    reply = {"log_entries": entries, "total_entries": total}
    await lab.admin("PATCH", f"/models/{model}", {"script": {"log_extra": reply}})


async def test_lines_of_a_late_log_on_a_slow_clock_are_stored(lab: Lab) -> None:
    lab.model(801, status=3, duration=FOREVER)
    await lab.secret()
    await lab.operator(log_wait="4s")
    await lab.train("late", 801)
    running = await lab.until("late", lambda item: "startedAt" in item.get("status", {}))
    began = parse_time(running["status"]["startedAt"]) - timedelta(seconds=5)
    entries = [_entry(began - timedelta(hours=1), "of another run"), _entry(began, "started")]
    await _give_log(lab, 801, entries, 2)
    await lab.admin("PATCH", "/models/801", {"finish": True})
    fetched = await lab.until(
        "late", lambda item: _log(item).get("nextFetchAt", "") > _log(item).get("endSeenAt", "9")
    )
    assert _log(fetched)["state"] == "Collecting"
    entries.append(_entry(began + timedelta(seconds=9), "finished"))
    await _give_log(lab, 801, entries, 3)
    done = await lab.until("late", lambda item: _log(item).get("state") == "Complete")
    stored = await lab.config_map("late-log")
    assert stored is not None
    messages = [line.split(" ", 2)[2] for line in stored["data"]["log"].splitlines()]
    assert messages[-2:] == ["started", "finished"]
    assert "of another run" not in messages
    assert _log(done)["message"].endswith("leaves out 1 entry from before this run.")
    assert "nextFetchAt" not in _log(done)


async def test_log_that_the_api_gives_in_part_is_partial(lab: Lab) -> None:
    entries = [{"level": "info", "message": f"line {i}"} for i in range(100)]
    lab.model(802, log_extra={"log_entries": entries, "total_entries": 156})
    await lab.secret()
    await lab.operator()
    await lab.train("paged", 802)
    done = await lab.until("paged", lambda item: _log(item).get("state") == "Partial")
    log = _log(done)
    assert (log["entries"], log["totalEntries"], log["truncated"]) == (100, 156, False)
    assert log["message"] == "The API returned 100 of the 156 entries that it reports for the log."


async def test_refused_log_costs_no_calls_until_the_resource_is_edited(lab: Lab) -> None:
    lab.model(803, duration=FOREVER, log_extra={"log_entries": [], "total_entries": 0})
    lab.model(804, outcome="mismatch")
    await lab.secret()
    operator = await lab.operator()
    await lab.train("refused", 803)
    await lab.until("refused", lambda item: "lastFetchedAt" in _log(item))
    quota = lab.forbid_config_maps()
    await lab.admin("PATCH", "/models/803", {"script": {"log_extra": {}}})
    await lab.admin("PATCH", "/models/803", {"fail": "system_error"})
    # Three attempts within 45 s.
    refused = await lab.until("refused", lambda item: _log(item).get("state") == "Refused")
    assert "exceeded quota: few" in _log(refused)["message"]
    assert _log(refused)["configMaps"] == []
    assert "stored log" not in refused["status"]["failure"]["solution"]
    event = await lab.until_event("refused", "LogNotStored")
    assert (event["type"], event["message"]) == ("Warning", _log(refused)["message"])
    calls = lab.log_calls(803)
    operator.kill()
    await operator.ended()
    await lab.operator(leader_election="false")
    await lab.train("bystander", 804, log={"collect": "Never"})
    await lab.until_phase("bystander", "Failed")
    assert lab.log_calls(803) == calls
    assert lab.control_plane.api.delete(quota).is_success
    await lab.edit("refused", priority=1)
    done = await lab.until("refused", lambda item: _log(item).get("state") == "Complete")
    assert "message" not in _log(done)
    stored = await lab.config_map("refused-log")
    assert stored is not None
    assert len(stored["data"]["log"].splitlines()) == _log(done)["entries"] > 0
