"""A day of many resources, several API keys, and all that goes wrong.

Each key has a server of its own, with limits, windows and hints of its own; some allow less than
the operator was told. Replies to starts are lost, the API is away for a while, a model answers
garbage, the operator is replaced by another one, and people come with new resources and new data.
"""

import asyncio
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from scriptix_operator.core.derive import is_finished
from scriptix_operator.core.training import Training, TrainingKey
from scriptix_simulator import Fault, Limit, ModelChange, ModelScript, SimulatorConfig
from scriptix_simulator.calls import Record
from scriptix_simulator.config import RateHeaders
from scriptix_simulator.inprocess import InProcess
from scriptix_simulator.replies import RetryHint
from scriptix_simulator.state import SimulatorState
from scriptix_simulator.windows import Style
from tests.virtual.loop import VirtualClock, boottime
from tests.virtual.wire import Wire
from tests.virtual.world import LATENCY, World

__all__ = ["HOUR", "MINUTE", "SERVERS", "Day", "Plan", "Server", "Span"]

MINUTE, HOUR = 60.0, 3600.0
KEEP = 10_000_000
"""Calls that each server remembers: all of them."""
FIVE, THREE = (Limit(5, HOUR),), (Limit(3, HOUR),)


@dataclass(frozen=True, slots=True)
class Server:
    """What the API is like for one key. The operator is told of the document's limits."""

    starts: tuple[Limit, ...] = FIVE
    looks: tuple[Limit, ...] = (Limit(100, MINUTE),)
    logs: tuple[Limit, ...] = (Limit(20, HOUR),)
    window: Style = "sliding"
    told: RateHeaders = "always"
    hint: RetryHint = "all"
    lenient: bool = False

    @property
    def is_hinted(self) -> bool:
        """Whether a refusal tells when to come back."""
        return self.told != "never" or self.hint != "none"

    def config(self, key: str) -> SimulatorConfig:
        """The simulator's."""
        return SimulatorConfig(
            speed=1,
            keys={key: "write"},
            window=self.window,
            limit_starts=self.starts,
            limit_status=self.looks,
            limit_logs=self.logs,
            rate_headers=self.told,
            retry_hint=self.hint,
            lenient=self.lenient,
            keep_calls=KEEP,
        )


SERVERS = (
    Server(),
    Server(THREE, (Limit(6, MINUTE),), window="fixed", told="never", hint="seconds", lenient=True),
    Server(window="fixed", told="refused", hint="none"),
    Server(THREE, told="never", hint="date", lenient=True),
    Server(THREE, (Limit(6, MINUTE),), (Limit(10, HOUR),), told="never", hint="body"),
    Server(THREE, (Limit(6, MINUTE),), told="never", hint="none"),
    Server(looks=(Limit(8, MINUTE),), window="fixed", told="always", hint="none", lenient=True),
    Server((Limit(5, HOUR), Limit(60, 24 * HOUR)), told="always", hint="seconds"),
    Server(THREE, window="fixed", told="never", hint="none"),
    Server((Limit(4, HOUR),), logs=(Limit(10, HOUR),), told="refused", hint="date", lenient=True),
)
"""With limits as told and stricter, windows that slide and fixed ones, and hints of all kinds."""


@dataclass(frozen=True, slots=True)
class Span:
    """From one time to another, in the loop's seconds."""

    begin: float
    end: float

    def __contains__(self, at: float) -> bool:
        return self.begin <= at < self.end


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a day is, and when what happens.

    Args:
        servers: One for each key.
        resources: For each key.
        hours: How long it takes.
        poll: Seconds between looks that each resource asks for.
        outage: When the API is away.
        change: From the end of one operator to the beginning of the next.
        reruns: Trainings that are asked for once more, with new data, for each key.
    """

    servers: Sequence[Server]
    resources: int
    hours: float
    poll: int
    outage: Span
    change: Span
    reruns: int

    @property
    def end(self) -> float:
        """When it is over."""
        return self.hours * HOUR


class Servers(httpx.AsyncBaseTransport):
    """Leads each call to the server of its key."""

    def __init__(self, by_key: Mapping[str, InProcess]) -> None:
        self._by_key = dict(by_key)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on."""
        key = request.headers["Authorization"].removeprefix("Bearer ")
        return await self._by_key[key].handle_async_request(request)


@dataclass(slots=True)
class Queued:
    """When anything of a key waited for a start, by the statuses."""

    now: set[TrainingKey] = field(default_factory=set)
    since: float = 0.0
    spans: list[Span] = field(default_factory=list)

    def seen(self, training: Training) -> None:
        """Take in a status as it is written."""
        before = bool(self.now)
        if training.status.queue is None:
            self.now.discard(training.key)
        else:
            self.now.add(training.key)
        if self.now and not before:
            self.since = boottime()
        elif before and not self.now:
            self.spans.append(Span(self.since, boottime()))

    def all(self) -> list[Span]:
        """All of it, up to now."""
        return [*self.spans, *([Span(self.since, boottime())] if self.now else [])]


class Day:
    """A day. Make it inside the virtual loop.

    Args:
        plan: How it goes.
        seed: Of all luck.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.luck = random.Random(f"day {seed}")  # noqa: S311 - repeatable on purpose
        self.keys = [f"key-{number}" for number in range(len(plan.servers))]
        self.servers = dict(zip(self.keys, plan.servers, strict=True))
        keys = {_namespace(key): key for key in self.keys}
        self.world = World(keys, SimulatorConfig(speed=1), seed, sweep_interval="1h")
        clock = VirtualClock()
        self.states = {
            key: SimulatorState(server.config(key), clock.now())
            for key, server in self.servers.items()
        }
        self.apis = {
            key: InProcess(state, clock, lambda: self.luck.uniform(*LATENCY))
            for key, state in self.states.items()
        }
        self.world.wire = Servers(self.apis)
        self.wire = Wire(self.world)
        self.world.trainings.on_status = self._written
        self.queued: defaultdict[str, Queued] = defaultdict(Queued)
        self.poisoned: int | None = None
        """The model that answers garbage."""
        self.asked: Counter[int] = Counter()
        """Runs asked for, by model."""
        self.resources: dict[TrainingKey, int] = {}
        """Their models."""

    def state_of(self, key: TrainingKey) -> SimulatorState:
        """The server of a resource."""
        return self.states[key.namespace.removeprefix("ns-")]

    def records(self) -> Iterator[Record]:
        """All calls that servers have received."""
        for state in self.states.values():
            yield from state.calls

    def digest(self) -> str:
        """A short text that is another one as soon as one call is."""
        found = hashlib.sha256()
        for call in self.records():
            line = (call.at, call.kind, call.model, call.status, call.acted_at, call.started)
            found.update(repr(line).encode())
        return found.hexdigest()

    def _written(self, training: Training) -> None:
        self.queued[training.key.namespace.removeprefix("ns-")].seen(training)

    async def live(self) -> None:
        """Let it pass."""
        people = [
            asyncio.create_task(work)
            for key in self.keys
            for work in (self._bring(key), self._ask_again(key))
        ]
        people.append(asyncio.create_task(self._be_away()))
        async with self.world.operator():
            await asyncio.sleep(self.plan.change.begin)
        await asyncio.sleep(self.plan.change.end - boottime())
        async with self.world.operator():
            await asyncio.sleep(self.plan.end - boottime())
        for person in people:
            person.cancel()
        for ended in await asyncio.gather(*people, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def _bring(self, key: str) -> None:
        """Create the models and resources of a key: most at once, the others over half a day."""
        state, first = self.states[key], (self.keys.index(key) + 1) * 10_000
        later = sorted(
            self.luck.uniform(0, self.plan.end / 2) for _ in range(self.plan.resources // 5)
        )
        times = [0.0] * (self.plan.resources - len(later)) + later
        for number, at in enumerate(times):
            await asyncio.sleep(at - boottime())
            model = first + number
            script = self._script()
            state.put(model, script, self.world.clock.now())
            if script.status in {1, 2}:
                self.asked[model] += 1
                if self.luck.random() < LOST:
                    state.faults.add(self._lost(model))
            if number == POISONED and key == self.keys[0]:
                self._poison(model)
            spec = {"pollIntervalSeconds": self.plan.poll, "priority": self.luck.choice(PRIORITIES)}
            resource = self.world.add(_namespace(key), f"model-{model}", model, **spec)
            self.resources[resource] = model

    def _script(self) -> ModelScript:
        """A model: most are ready, some wait for data, run, or have run."""
        duration, chance = self.luck.uniform(6, 12), self.luck.random()
        if chance < WAITING:
            return ModelScript(
                status=1, ready_after=self.luck.uniform(0, self.plan.hours / 2), duration=duration
            )
        if chance < RUNNING:
            return ModelScript(status=3, progress=self.luck.uniform(0, 99), duration=duration)
        if chance < OVER:
            return ModelScript(status=self.luck.choice((4, 5)), duration=duration)
        if chance < FAILING:
            at = self.luck.uniform(1, 90)
            return ModelScript(outcome="mismatch", fail_at=at, duration=duration)
        return ModelScript(duration=duration)

    def _lost(self, model: int) -> Fault:
        """The reply to a start is lost, whether or not it acted."""
        faults: tuple[dict[str, object], ...] = (
            {"fault": "drop_after"},
            {"fault": "drop_before"},
            {"fault": "drop_before", "reset": True},
            {"fault": "late", "after": 3, "hold": 1},
            {"fault": "status", "status": 500, "act": True},
            {"fault": "status", "status": 502},
        )
        rule = {"call": "run", "model": model, **self.luck.choice(faults)}
        return Fault.model_validate(rule)

    def _poison(self, model: int) -> None:
        self.poisoned = model
        self.states[self.keys[0]].faults.add(
            Fault(fault="wrong_types", call="model", model=model, times="forever")
        )

    async def _ask_again(self, key: str) -> None:
        """Bring new data for some that have succeeded, and ask for another run."""
        while self.asked_again(key) < self.plan.reruns:
            await asyncio.sleep(self.luck.uniform(0.5, 1.5) * HOUR)
            done = [
                resource
                for resource, model in self.resources.items()
                if resource.namespace == _namespace(key)
                and self.asked[model] == 1
                and is_finished(self.world.status(resource))
            ]
            if not done or boottime() in self.plan.outage:
                continue
            resource = self.luck.choice(done)
            model = self.resources[resource]
            self.states[key].patch(model, ModelChange(status=2), self.world.clock.now())
            self.world.edit(resource, runToken="again")
            self.asked[model] += 1

    def asked_again(self, key: str) -> int:
        """How many of a key's trainings were asked for once more."""
        space = self.keys.index(key) + 1
        return sum(n > 1 for model, n in self.asked.items() if model // 10_000 == space)

    async def _be_away(self) -> None:
        """Be away: half of the servers cannot be reached, the others answer 503."""
        outage = self.plan.outage
        await asyncio.sleep(outage.begin)
        down = Fault(fault="status", status=503, times="forever")
        for number, key in enumerate(self.keys):
            if number % 2:
                self.apis[key].refusing = True
            else:
                self._first_fault(key, down)
        await asyncio.sleep(outage.end - outage.begin)
        for number, key in enumerate(self.keys):
            self.apis[key].refusing = False
            if not number % 2:
                faults = self.states[key].faults
                there = [fault for fault in faults.pending() if fault != down]
                faults.clear()
                for fault in there:
                    faults.add(fault)

    def _first_fault(self, key: str, fault: Fault) -> None:
        faults = self.states[key].faults
        there = faults.pending()
        faults.clear()
        for one in (fault, *there):
            faults.add(one)


LOST = 0.08
"""Part of the starts whose first reply is lost."""
WAITING, RUNNING, OVER, FAILING = 0.10, 0.18, 0.22, 0.32
"""Of all models, each up to: without data at first, running, over, and going to fail."""
POISONED = 3
PRIORITIES = (0, 0, 0, 10, -10)


def _namespace(key: str) -> str:
    return f"ns-{key}"
