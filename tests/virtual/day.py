"""A day of many resources, several API keys, and all that goes wrong.

Each key has a server of its own, with limits, windows and hints of its own; some allow less than
the operator was told. Replies are lost, the API is away for a while, a model answers garbage, the
operator is replaced by another one, and people come with new resources and new data.
"""

import asyncio
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from scriptix_operator.api.reasons import Phase
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.status.conditions import is_finished
from scriptix_simulator import Fault, ModelChange, ModelScript, SimulatorConfig
from scriptix_simulator.calls import Record
from scriptix_simulator.inprocess import InProcess
from scriptix_simulator.state import SimulatorState
from tests.virtual.loop import VirtualClock, boottime, end_all
from tests.virtual.plan import HOUR, Plan, Span
from tests.virtual.wire import Wire, key_of
from tests.virtual.world import LATENCY, World

__all__ = ["Day"]

LOST_STARTS = (
    {"fault": "drop_after"},
    {"fault": "drop_before"},
    {"fault": "drop_before", "reset": True},
    {"fault": "late", "after": 3, "hold": 1},
    {"fault": "status", "status": 500, "act": True},
    {"fault": "status", "status": 502},
)
"""The reply to a start is lost, whether or not it acted."""
LOST_POLLS = (
    {"fault": "delay", "delay": 45},  # longer than the operator waits
    {"fault": "truncated"},
    {"fault": "html"},
)
LOST = 0.1
"""Part of the models whose next start is lost, and of those whose next look is."""
LEARNING = HOUR
"""Seconds before anything is lost: a limit that is learned just when a reply is lost is taken for
smaller by one, and that is only found out a day later."""
WAITING, RUNNING, OVER, FAILING = 0.10, 0.18, 0.22, 0.32
"""Of all models, each up to: without data at first, running, over, and going to fail."""
LATER = 0.2
"""Part of the resources that are not there from the beginning."""
POISONED = 3
"""Number of the first key's model that answers garbage."""
PRIORITIES = (0, 0, 0, 10, -10)
MODELS = 10_000
"""Models of the first key are numbered from here on, those of the second from twice that, …"""


class Servers(httpx.AsyncBaseTransport):
    """Leads each call to the server of its key, while there is one.

    Args:
        by_key: The servers.
        away: When none of them is there: half of them cannot be reached, a proxy says so for the
            others.
    """

    def __init__(self, by_key: Mapping[str, InProcess], away: Span) -> None:
        self._by_key, self._away = dict(by_key), away
        self._refusing = set(list(by_key)[1::2])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on."""
        key = key_of(request)
        if boottime() not in self._away:
            return await self._by_key[key].handle_async_request(request)
        if key in self._refusing:
            raise httpx.ConnectError("All connection attempts failed", request=request)
        return httpx.Response(503)


@dataclass(slots=True)
class Spans:
    """When anything was so, by what statuses said."""

    now: set[TrainingKey] = field(default_factory=set)
    """Of what it is so."""
    _since: float = 0.0
    _over: list[Span] = field(default_factory=list)

    def seen(self, key: TrainingKey, *, holds: bool) -> None:
        """Take in a status as it is written."""
        before = bool(self.now)
        if holds:
            self.now.add(key)
        else:
            self.now.discard(key)
        if self.now and not before:
            self._since = boottime()
        elif before and not self.now:
            self._over.append(Span(self._since, boottime()))

    def until(self, end: float) -> list[Span]:
        """All of it, up to a time."""
        return [*self._over, *([Span(self._since, end)] if self.now else [])]


class Day:
    """A day. Make it inside the virtual loop.

    Args:
        plan: How it goes.
        seed: Of all luck.

    Attributes:
        queued: When anything waited for a start, by key.
        followed: When a run was followed, by model.
        asked: How many runs were asked for, by model.
        models: The resources' models.
        poisoned: The model that answers garbage.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self._rng = random.Random(f"day {seed}")  # noqa: S311 - repeatable on purpose
        self.keys = [f"key-{number}" for number in range(len(plan.servers))]
        self.servers = dict(zip(self.keys, plan.servers, strict=True))
        namespaces = {_namespace(key): key for key in self.keys}
        self.world = World(namespaces, SimulatorConfig(speed=1), seed, resync_interval="1h")
        clock = VirtualClock()
        self.states = {
            key: SimulatorState(server.config(key), clock.now())
            for key, server in self.servers.items()
        }
        apis = {
            key: InProcess(state, clock, lambda: self._rng.uniform(*LATENCY))
            for key, state in self.states.items()
        }
        self.world.wire = Servers(apis, plan.outage)
        self.wire = Wire(self.world)
        self.world.trainings.on_status = self._written
        self.queued: defaultdict[str, Spans] = defaultdict(Spans)
        self.followed: defaultdict[int, Spans] = defaultdict(Spans)
        self.asked: Counter[int] = Counter()
        self.models: dict[TrainingKey, int] = {}
        self.poisoned = MODELS + POISONED

    def records(self) -> Iterator[Record]:
        """All calls that servers have received."""
        for state in self.states.values():
            yield from state.calls

    def digest(self) -> str:
        """A short text that is another one as soon as one call, or its reply, is."""
        found = hashlib.sha256()
        for one in self.wire.sent:
            line = (one.at, one.key, one.kind.value, one.model, one.status, one.over_at)
            found.update(repr(line).encode())
        return found.hexdigest()

    def _written(self, training: Training) -> None:
        key, status = training.key, training.status
        self.queued[key_in(key.namespace)].seen(key, holds=status.queue is not None)
        self.followed[training.spec.model_id].seen(key, holds=status.phase == Phase.RUNNING)

    async def live(self) -> None:
        """Let it pass."""
        people = [
            asyncio.create_task(work)
            for key in self.keys
            for work in (self._bring(key), self._spoil(key), self._ask_again(key))
        ]
        async with self.world.operator():
            await asyncio.sleep(self.plan.change.begin)
        await asyncio.sleep(self.plan.change.seconds)
        async with self.world.operator():
            await asyncio.sleep(self.plan.end - boottime())
        await end_all(people)

    async def _bring(self, key: str) -> None:
        """Create the models and resources of a key: most at once, the others over half a day."""
        later = round(self.plan.resources * LATER)
        times = [0.0] * (self.plan.resources - later)
        times += sorted(self._rng.uniform(0, self.plan.end / 2) for _ in range(later))
        first = MODELS * (self.keys.index(key) + 1)
        for model, at in enumerate(times, first):
            await asyncio.sleep(at - boottime())
            script = self._script()
            self.states[key].put(model, script, self.world.clock.now())
            self.asked[model] = int(script.status in {1, 2})
            if boottime() >= LEARNING:
                self._fault(key, model)
            spec = {
                "pollIntervalSeconds": self.plan.poll,
                "priority": self._rng.choice(PRIORITIES),
            }
            resource = self.world.add(_namespace(key), f"model-{model}", model, **spec)
            self.models[resource] = model

    def _script(self) -> ModelScript:
        """A model: most are ready, some wait for data, run, or have run."""
        duration, chance = self._rng.uniform(*self.plan.run_hours), self._rng.random()
        if chance < WAITING:
            ready = self._rng.uniform(0, self.plan.hours / 2)
            return ModelScript(status=1, ready_after=ready, duration=duration)
        if chance < RUNNING:
            return ModelScript(status=3, progress=self._rng.uniform(0, 99), duration=duration)
        if chance < OVER:
            return ModelScript(status=self._rng.choice((4, 5)), duration=duration)
        if chance < FAILING:
            at = self._rng.uniform(1, 90)
            return ModelScript(outcome=("mismatch",), fail_at=at, duration=duration)
        return ModelScript(duration=duration)

    async def _spoil(self, key: str) -> None:
        """Let things go wrong with models that are there from the beginning."""
        if key == self.keys[0]:
            poison = Fault(fault="wrong_types", call="model", model=self.poisoned, times="forever")
            self.states[key].faults.add(poison)
        await asyncio.sleep(LEARNING)
        for model in self.states[key].models:
            self._fault(key, model)

    def _fault(self, key: str, model: int) -> None:
        """What goes wrong with a model."""
        faults = self.states[key].faults
        for call, lost in (("run", LOST_STARTS), ("model", LOST_POLLS)):
            if self._rng.random() < LOST:
                rule = {"call": call, "model": model, **self._rng.choice(lost)}
                faults.add(Fault.model_validate(rule))

    async def _ask_again(self, key: str) -> None:
        """Bring new data for some that have succeeded, and ask for another run."""
        for _ in range(self.plan.reruns):
            done: list[TrainingKey] = []
            while not done:
                await asyncio.sleep(self._rng.uniform(0.5, 1) * self.plan.run_hours[0] * HOUR)
                done = [
                    resource
                    for resource, model in self.models.items()
                    if resource.namespace == _namespace(key)
                    and self.asked[model] == 1
                    and is_finished(self.world.status(resource))
                ]
            resource = self._rng.choice(done)
            model = self.models[resource]
            self.states[key].patch(model, ModelChange(status=2), self.world.clock.now())
            self.world.edit(resource, runToken="again")
            self.asked[model] += 1


def _namespace(key: str) -> str:
    return f"ns-{key}"


def key_in(namespace: str) -> str:
    """The API key of a namespace."""
    return namespace.removeprefix("ns-")
