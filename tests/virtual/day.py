"""A day with many resources, several API keys, and faults.

Each key has its own server with its own limits, windows and hints; some limits are lower than the
configured ones. Replies are lost, the API is unreachable for a while, a model answers garbage, the
operator is replaced by another process, and users add resources and data.
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
"""Faults that lose the reply to a start, whether or not it acted."""
LOST_POLLS = (
    {"fault": "delay", "delay": 45},  # longer than the client's time-out
    {"fault": "truncated"},
    {"fault": "html"},
)
LOST = 0.1
"""Fraction of the models whose next start loses its reply; the same for the next poll."""
LEARNING = HOUR
"""Seconds before the first fault: a limit that is observed while a reply is lost is inferred one
too small, which is corrected only a day later."""
WAITING, RUNNING, OVER, FAILING = 0.10, 0.18, 0.22, 0.32
"""Cumulative fractions of models that are without data, running, finished, and bound to fail."""
LATER = 0.2
"""Fraction of the resources that are created later."""
POISONED = 3
"""Number of the model of the first key that answers garbage."""
PRIORITIES = (0, 0, 0, 10, -10)
MODELS = 10_000
"""First model number of the first key; the second key begins at twice this number, …"""


class Servers(httpx.AsyncBaseTransport):
    """Routes each call to the server of its key.

    Args:
        by_key: The servers.
        away: When no server is reachable: half of them refuse connections, for the others a proxy
            replies with 503.
    """

    def __init__(self, by_key: Mapping[str, InProcess], away: Span) -> None:
        self._by_key, self._away = dict(by_key), away
        self._refusing = set(list(by_key)[1::2])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Forward a request."""
        key = key_of(request)
        if boottime() not in self._away:
            return await self._by_key[key].handle_async_request(request)
        if key in self._refusing:
            raise httpx.ConnectError("All connection attempts failed", request=request)
        return httpx.Response(503)


@dataclass(slots=True)
class Spans:
    """The times in which a condition held for any resource, by written statuses."""

    now: set[TrainingKey] = field(default_factory=set)
    """Resources for which the condition holds."""
    _since: float = 0.0
    _over: list[Span] = field(default_factory=list)

    def seen(self, key: TrainingKey, *, holds: bool) -> None:
        """Record whether the condition holds in a written status."""
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
        """All spans up to a time."""
        return [*self._over, *([Span(self._since, end)] if self.now else [])]


class Day:
    """A simulated day. Create it inside the virtual loop.

    Args:
        plan: The sizes and times.
        seed: The seed of all random numbers.

    Attributes:
        queued: By key, when any resource waited for a start.
        followed: By model, when a run was followed.
        asked: By model, the number of requested runs.
        models: The model of each resource.
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
        """All calls that the servers have received."""
        for state in self.states.values():
            yield from state.calls

    def digest(self) -> str:
        """A hash over all calls and replies."""
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
        """Run the day."""
        people = [
            asyncio.create_task(work)
            for key in self.keys
            for work in (self._bring(key), self._inject_faults(key), self._ask_again(key))
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
        """A model: most are ready; some wait for data, are running, or have finished."""
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

    async def _inject_faults(self, key: str) -> None:
        """Inject faults into the models that exist from the beginning."""
        if key == self.keys[0]:
            poison = Fault(fault="wrong_types", call="model", model=self.poisoned, times="forever")
            self.states[key].faults.add(poison)
        await asyncio.sleep(LEARNING)
        for model in self.states[key].models:
            self._fault(key, model)

    def _fault(self, key: str, model: int) -> None:
        """Inject the faults of a model."""
        faults = self.states[key].faults
        for call, lost in (("run", LOST_STARTS), ("model", LOST_POLLS)):
            if self._rng.random() < LOST:
                rule = {"call": call, "model": model, **self._rng.choice(lost)}
                faults.add(Fault.model_validate(rule))

    async def _ask_again(self, key: str) -> None:
        """Add new data for some finished models, and request another run."""
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
