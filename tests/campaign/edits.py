"""Resources in one state of a run, whose specs are edited on different paths to the same spec."""

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.kube.trainings import dump_status
from scriptix_simulator import Limit, ModelScript, Scenario, SimulatorConfig
from tests.campaign.values import Spec, edited, random_edit
from tests.virtual.loop import run_virtually
from tests.virtual.world import World

__all__ = ["SITUATIONS", "Case", "Ending", "Situation", "endings", "random_case"]

SHORT = 0.05
"""Hours of a run that ends before the edits begin."""
LONG = 1000.0
BEGIN = 900.0
"""Seconds until the edits begin: a short run has ended, and the log is complete."""
SETTLED = 900.0
"""Seconds from the last edit until the judgement: another run has ended by then, too."""
WAIT = 300.0
"""Seconds between two edits, at most."""
TIME = re.compile(r"(\d{4}-)?\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?Z?")
RUN_ID = re.compile(r"\b[0-9a-f]{10}\b")
NOT_JUDGED = frozenset(
    {"history", "usedRequests", "repeatedRequest"}  # history
    | {"timeline", "display", "progress", "stage", "learningCurve"}  # when polls were made
)
RUN_FIELDS = ("token", "ownership", "keySource", "retries")
REQUESTS = frozenset({"runToken"})


@dataclass(frozen=True)
class Situation:
    """A state that a resource is in before its edits.

    Args:
        script: The model.
        spec: Properties with which the resource is created.
        latches: Properties with a value that ends the run or begins one, which a later edit does
            not undo. A request for another run makes the paths equal again.
        final: The same, for paths that end with a request: that run has another end.
    """

    name: str
    script: ModelScript
    spec: Mapping[str, Any] = field(default_factory=dict)
    latches: frozenset[str] = frozenset()
    final: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name


SITUATIONS = (
    Situation("succeeded", ModelScript(duration=SHORT)),
    Situation("failed", ModelScript(duration=SHORT, outcome=("mismatch",))),
    Situation(
        "failed, retryable",
        ModelScript(duration=SHORT, outcome=("system_error",)),
        final=frozenset({"backoffLimit"}),  # the retries take hours
    ),
    Situation(
        "running",
        ModelScript(duration=LONG),
        latches=frozenset({"timeoutSeconds"}),
        final=frozenset({"timeoutSeconds"}),  # the request is accepted at the end of the run
    ),
    Situation("waiting", ModelScript(status=1), latches=frozenset({"whenNotReady"})),
    Situation("adopted", ModelScript(status=4, duration=SHORT)),
    Situation(
        "suspended",
        ModelScript(duration=SHORT),
        {"suspend": True},
        latches=frozenset({"log"}),  # the run may take place before the edit
    ),
)


@dataclass(frozen=True)
class Case:
    """A resource in a situation, and the specs that it gets, each after some seconds."""

    situation: Situation
    steps: tuple[tuple[float, Spec], ...]
    text: str

    def __str__(self) -> str:
        return f"{self.situation}: {self.text}"

    @property
    def direct(self) -> "Case":
        """The case that has only the last spec."""
        return Case(self.situation, ((0.0, self.steps[-1][1]),), "at once")

    @property
    def tokens(self) -> set[str]:
        """All values that spec.runToken has had."""
        return {spec["runToken"] for _, spec in self.steps if spec.get("runToken")}


@dataclass(frozen=True)
class Ending:
    """How a resource has ended: its status without history and times, and the runs it started."""

    status: Mapping[str, Any]
    starts: int


def random_case(
    rng: random.Random, situation: Situation, length: int, *, ends_with_request: bool
) -> Case:
    """A path of random edits; half of them meet a reconcile under way, the others a rest."""
    excluded = situation.final if ends_with_request else situation.latches | REQUESTS
    spec: Spec = {"modelId": 1, **situation.spec}
    steps, texts = [], []
    for _ in range(length):
        wait = rng.choice((rng.uniform(0, 2), rng.uniform(0, WAIT)))
        edit = random_edit(rng, excluded)
        spec = edited(spec, edit)
        steps.append((wait, spec))
        texts.append(f"+{wait:.1f}s {edit}")
    if ends_with_request:
        # With this interval, the end of the run is known before the judgement.
        steps.append((WAIT, {**spec, "runToken": "final", "pollIntervalSeconds": 60}))
        texts.append("a request")
    return Case(situation, tuple(steps), ", ".join(texts))


def endings(cases: Sequence[Case]) -> list[Ending]:
    """The ends of resources that live side by side, each with its own model."""
    return run_virtually(partial(_live, cases))


async def _live(cases: Sequence[Case]) -> list[Ending]:
    roomy = (Limit(100_000, 60),)
    scripts = {number: case.situation.script for number, case in enumerate(cases, 1)}
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        lenient=True,
        limit_starts=roomy,
        limit_status=roomy,
        limit_logs=roomy,
        scenario=Scenario(models=scripts),
    )
    most = "100000/1m"
    world = World({"speech": "key"}, config, limit_starts=most, limit_status=most, limit_logs=most)
    world.keys.missing.add("missing")
    keys = [
        world.add("speech", f"training-{number}", number, **case.situation.spec)
        for number, case in enumerate(cases, 1)
    ]
    async with world.operator():
        await asyncio.sleep(BEGIN)
        async with asyncio.TaskGroup() as tasks:
            for key, case in zip(keys, cases, strict=True):
                tasks.create_task(_edit(world, key, case))
        await asyncio.sleep(SETTLED)
    return [_ending(world, key) for key in keys]


async def _edit(world: World, key: TrainingKey, case: Case) -> None:
    model = world.trainings.by_key[key].spec.model_id
    for wait, spec in case.steps:
        await asyncio.sleep(wait)
        world.replace_spec(key, {**spec, "modelId": model})


def _ending(world: World, key: TrainingKey) -> Ending:
    training = world.trainings.by_key[key]
    calls = world.state.calls.select("run", training.spec.model_id)
    starts = sum(call.started is not None for call in calls)
    return Ending(_judged(training.status), starts)


def _judged(status: TrainingStatus) -> dict[str, Any]:
    """A status without history, identities and times."""
    dumped = dump_status(status)
    shown = {name: value for name, value in dumped.items() if name not in NOT_JUDGED}
    shown["log"] = (dumped.get("log") or {}).get("state")
    run = shown.pop("run", None) or {}
    shown["run"] = {name: run.get(name) for name in RUN_FIELDS}
    shown["model"] = (shown.pop("model", None) or {}).get("trainingStatus")
    judged: dict[str, Any] = _without_times(shown)
    return judged


def _without_times(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        kept = {n: v for n, v in value.items() if not n.endswith(("At", "Time", "Generation"))}
        return {name: _without_times(each) for name, each in kept.items()}
    if isinstance(value, list):
        return [_without_times(each) for each in value]
    if isinstance(value, str):
        text = RUN_ID.sub("RUN", TIME.sub("TIME", value))
        return re.sub(r"(?<=custom_model_)\d+|(?<=Model )\d+", "N", text)
    return value
