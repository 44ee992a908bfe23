"""The API key's quotas in whole operators: observed limits, the queue, and the circuit breaker."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

from scriptix_operator.core.scheduling.failure_window import MOST_CALLS
from scriptix_simulator import Limit
from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import QUIET, Lab, Manifest, laboratory, phase_of, reason_of

SPEED = QUIET.speed
WINDOW = 12.0
"""Length of the API's window, in real seconds."""
TRAININGS = 5
SUCCESSFUL = {"Succeeded"}


def all_succeeded(items: dict[str, Manifest]) -> bool:
    """Whether every training has succeeded."""
    return len(items) == TRAININGS and {phase_of(item) for item in items.values()} == SUCCESSFUL


async def test_limit_learned_from_a_refusal_survives_a_restart(
    cluster: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """Four starts in a window are configured; the API allows two."""
    limit = (Limit(2, WINDOW * SPEED),)
    config = replace(QUIET, limit_starts=limit, rate_headers="refused")
    async with laboratory(cluster, namespace, tmp_path, config) as lab:
        await lab.secret()
        # Without a Lease the next process need not wait until the killed one's has expired.
        launch = partial(lab.operator, limit_starts=f"4/{WINDOW:.0f}s", leader_election="false")
        operator = await launch()
        for number in range(1, TRAININGS + 1):
            lab.model(900 + number)
            await lab.train(f"training-{number}", 900 + number)
        await operator.printed("limit of start calls is now 2/")
        operator.kill()
        await operator.ended()
        await launch()
        await lab.until_all(all_succeeded)
        refused = [call for call in lab.posts() if call.code == "RATE_LIMIT_EXCEEDED"]
        assert len(refused) == 1
        assert lab.starts() == TRAININGS


async def test_queued_training_shows_its_position_and_start_time(
    cluster: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    async with laboratory(cluster, namespace, tmp_path, QUIET) as lab:
        await lab.secret()
        await lab.operator(limit_starts="1/1h")
        for model in (911, 912, 913):
            lab.model(model)
        await lab.train("first", 911)
        await lab.until("first", lambda item: phase_of(item) in {"Running", "Succeeded"})
        await lab.train("second", 912)
        await lab.train("urgent", 913, priority=5)
        await lab.until("urgent", lambda item: _place(item) == (1, 2))
        queued = await lab.until("second", lambda item: _place(item) == (2, 2))
        queue = queued["status"]["queue"]
        assert set(queue) == {"position", "of", "estimatedStartAt"}
        table = await asyncio.to_thread(
            lab.control_plane.kubectl, "-n", namespace, "get", "cmt", "-o", "wide"
        )
        row = next(line for line in table.splitlines() if line.startswith("second"))
        at = f"{queue['estimatedStartAt'][:10]} {queue['estimatedStartAt'][11:16]}Z"
        assert " 2/2 " in row
        assert f"2 of 2 in the queue, expected {at}" in row


def _place(item: Manifest) -> tuple[int, int] | None:
    queue = item.get("status", {}).get("queue")
    return None if queue is None else (queue["position"], queue["of"])


async def test_status_shows_data_age_while_the_circuit_breaker_is_open(
    lab: Lab,
) -> None:
    await lab.secret()
    await lab.operator()
    names = [f"training-{number}" for number in range(4)]
    for number, name in enumerate(names):
        lab.model(920 + number, duration="24h")
        await lab.train(name, 920 + number)
    for name in names:
        await lab.until(name, lambda item: (item.get("status", {}).get("progress") or 0) >= 5)
    await lab.fault("status", call="model", status=503, times="forever")
    for name in names:
        away = await lab.until(name, lambda item: "since" in item["status"]["message"])
        assert (phase_of(away), reason_of(away)) == ("Running", "ApiUnavailable")
        assert away["status"]["progress"] >= 5
        assert "; status was last updated at " in away["status"]["message"]
    failed = sum(call.status == 503 for call in lab.simulator.state.calls)
    # Each is polled every second, and the circuit breaker opens within the window of calls.
    assert failed < 2 * MOST_CALLS
    await lab.admin("DELETE", "/faults")
    for name in names:
        await lab.until_phase(name, "Succeeded")
