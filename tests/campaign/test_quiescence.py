"""A resource at rest causes no call and no write; a blocked one only what shows that it is served.

The real engine runs in virtual time; each state is a resource of one world.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from scriptix_operator.core.cluster.served_by import RENEWAL
from scriptix_operator.core.follow.outcome import OBSERVATION_REFRESH
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import reason_of
from scriptix_simulator import ModelScript, Scenario, SimulatorConfig
from tests.virtual.loop import run_virtually
from tests.virtual.world import World

SHORT, LONG = 0.05, 1000.0
SETTLED = 1500.0
"""Seconds until each resource has reached its state."""
HOUR = timedelta(hours=1)
POLLS = 66
"""Polls in an hour of a resource that is polled each minute, with jitter, at most."""
RENEWALS = int(HOUR / RENEWAL) + 1
"""Writes of status.servedBy in an hour, at most."""
REFRESHES = int(HOUR / OBSERVATION_REFRESH) + 1
"""Writes of status.lastObservedAt in an hour, at most; each renews servedBy, too."""


@dataclass(frozen=True)
class State:
    """A state, and the calls and writes that it may cause in an hour.

    Args:
        reason: The reason that the conditions give.
        script: The model.
        spec: The spec.
        edit: An edit after two minutes.
        namespace: A namespace has a key.
        calls: Calls to the Scriptix API in an hour, at most.
        writes: Writes of status in an hour, at most.
    """

    reason: str
    script: ModelScript
    spec: Mapping[str, Any] = field(default_factory=dict)
    edit: Mapping[str, Any] = field(default_factory=dict)
    namespace: str = "speech"
    calls: int = 0
    writes: int = 0


READY, UNREADY = ModelScript(duration=SHORT), ModelScript(status=1)
RUNNING, TRAINED = ModelScript(duration=LONG), ModelScript(status=4)
STATES: Mapping[str, State] = {
    "succeeded": State("TrainingSucceeded", READY),
    "adopted": State("TrainingSucceeded", TRAINED),
    "gate-missed": State("QualityGateFailed", READY, {"qualityGate": {"maxWordErrorRate": "1"}}),
    "failed": State("AudioTranscriptMismatch", ModelScript(duration=SHORT, outcome=("mismatch",))),
    "timed-out": State("TimedOut", RUNNING, {"timeoutSeconds": 600}),
    "not-ready": State("StartRejected", UNREADY, {"whenNotReady": "Fail"}),
    "existing": State("StartRejected", TRAINED, {"existingTraining": "Fail"}),
    "suspended-at-first": State("Suspended", READY, {"suspend": True}),
    "suspended-waiting": State("Suspended", UNREADY, edit={"suspend": True}),
    "suspended-running": State("Suspended", RUNNING, edit={"suspend": True}),
    "suspended-blocked": State(
        "Suspended", READY, {"apiKeySecretRef": {"name": "missing"}}, {"suspend": True}
    ),
    "suspended-after-success": State("TrainingSucceeded", TRAINED, edit={"suspend": True}),
    "secret-missing": State(
        "SecretNotFound", READY, {"apiKeySecretRef": {"name": "missing"}}, writes=RENEWALS
    ),
    "key-revoked": State(
        "Unauthorized",
        READY,
        namespace="revoked",
        calls=POLLS,
        writes=REFRESHES,
    ),
    "waits-for-model": State(
        "WaitingForModel",
        UNREADY,
        calls=POLLS,
        writes=REFRESHES,
    ),
}


@dataclass(frozen=True)
class Quiet:
    """What an hour of rest has caused, by name of the resource."""

    reasons: Mapping[str, str | None]
    calls: Counter[str]
    writes: Counter[str]
    others: Mapping[str, int]


@pytest.fixture(scope="module")
def quiet() -> Quiet:
    return run_virtually(partial(_rest, STATES))


async def _rest(states: Mapping[str, State]) -> Quiet:
    names = dict(enumerate(states, 1))
    config = SimulatorConfig(
        speed=1,
        lenient=True,
        keys={"key": "write", "revoked-key": "revoked"},
        limit_starts=(),
        scenario=Scenario(models={n: states[name].script for n, name in names.items()}),
    )
    world = World({"speech": "key", "revoked": "revoked-key"}, config, limit_starts="1000/1h")
    world.keys.missing.add("missing")
    keys = {
        name: world.add(states[name].namespace, name, n, **states[name].spec)
        for n, name in names.items()
    }
    writes: Counter[str] = Counter()

    def count(written: Training) -> None:
        writes[written.key.name] += 1

    async with world.operator():
        await asyncio.sleep(120)
        for name, key in keys.items():
            if states[name].edit:
                world.edit(key, **states[name].edit)
        await asyncio.sleep(SETTLED - 120)
        last, before = len(world.state.calls), _others(world)
        world.trainings.on_status = count
        await asyncio.sleep(HOUR.total_seconds())
        after = _others(world)
    calls = Counter(names[call.model or 0] for call in world.state.calls.select(after=last))
    reasons = {name: reason_of(world.status(key)) for name, key in keys.items()}
    return Quiet(reasons, calls, writes, {name: after[name] - before[name] for name in after})


def _others(world: World) -> dict[str, int]:
    """What is written beside statuses, so far."""
    return {
        "ledger": len(world.ledger.writes),
        "logs": world.logs.saves,
        "events": len(world.events.all),
    }


@pytest.mark.parametrize("name", STATES)
def test_resource_at_rest_causes_no_call_and_no_write(name: str, quiet: Quiet) -> None:
    state = STATES[name]
    assert quiet.reasons[name] == state.reason
    assert quiet.calls[name] <= state.calls
    assert quiet.writes[name] <= state.writes


def test_rest_writes_no_ledger_no_log_and_no_event(quiet: Quiet) -> None:
    assert quiet.others == {"ledger": 0, "logs": 0, "events": 0}
