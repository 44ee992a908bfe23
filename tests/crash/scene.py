"""One case's own namespace, simulator, model and resource, and the steps that cases are made of."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from scriptix_simulator.calls import Record
from tests.controlplane.cluster import ControlPlane
from tests.crash.awaits import Await
from tests.crash.orders import Ended, Orders, Stopped, Struck, read
from tests.operator.lab import QUIET, Lab, Manifest, laboratory, phase_of
from tests.operator.process import TIMEOUT, Launch, Operator

__all__ = ["MODEL", "NAME", "Scene", "Situation", "Stage"]

NAME, MODEL = "training", 700
AGAIN = "again"
SPEC: Manifest = {"log": {"collect": "Never"}}
"""Log collection is not part of the protocol."""
SETTINGS = {"leader_election": "false", "start_grace_period": "1500ms", "secret_ttl": "1m"}
"""Waiting for the Lease of a killed leader would take 15 s each time. With a short Secret TTL, the
awaits of a start would depend on the speed of the machine."""
SUBJECT = "tests.crash.subject"


@dataclass(frozen=True, slots=True)
class Situation:
    """The conditions of a start besides the crash.

    Args:
        name: The name in the table.
        faults: Rules for the simulator, in force when the run is requested.
        lenient: The simulator starts models from 3, 4 and 5 too: only the operator prevents a
            second start.
        rerun: The run is the second one of its resource; a strict simulator gets new data before.
        clock_shift: Seconds by which the subject's wall clock is ahead of its successor's.
    """

    name: str
    faults: tuple[Manifest, ...] = ()
    lenient: bool = False
    rerun: bool = False
    clock_shift: float = 0.0

    @property
    def token(self) -> str:
        """The run token of the request."""
        return AGAIN if self.rerun else ""


@dataclass(frozen=True, slots=True)
class Stage:
    """Makes scenes."""

    control_plane: ControlPlane
    directory: Path
    launch: Launch

    @asynccontextmanager
    async def scene(self, situation: Situation) -> AsyncIterator["Scene"]:
        """Make a namespace with a lab for one case."""
        namespace = f"crash-{secrets.token_hex(4)}"
        directory = self.directory / namespace
        directory.mkdir()
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        reply = await asyncio.to_thread(
            self.control_plane.api.post, "/api/v1/namespaces", json=body
        )
        assert reply.is_success, reply.text
        config = replace(QUIET, lenient=situation.lenient)
        async with laboratory(self.control_plane, namespace, directory, config, self.launch) as lab:
            yield Scene(lab, situation, directory / "notes.jsonl")


@dataclass(slots=True)
class Scene:
    """A lab with one model and one resource.

    Args:
        lab: The lab.
        situation: The conditions of the case.
        notes: The notes that the subject writes.
    """

    lab: Lab
    situation: Situation
    notes: Path
    before: int = 0
    """Runs that were started before the one that the case is about."""
    may_adopt: bool = False
    """Whether the run may be adopted by another resource than the one that requested it."""
    about_to_ask: Callable[[], None] = lambda: None
    """Called right before the run is requested."""
    began: float = 0.0
    """When the last operator was started."""

    def orders(self, at: Await | None = None, **more: object) -> Orders:
        """Orders for a subject in this scene."""
        orders = {
            "notes": self.notes,
            "run_token": self.situation.token,
            "clock_shift": self.situation.clock_shift,
            "at": None if at is None else at.name,
        }
        return Orders.model_validate(orders | more)

    async def subject(
        self, orders: Orders, environment: Mapping[str, str] | None = None, **settings: str
    ) -> Operator:
        """Start an operator with orders, and request the run."""
        lab = self.lab
        lab.model(MODEL)
        await lab.secret()
        variables = {**orders.environment(), **(environment or {})}
        self.began = time.monotonic()
        if not self.situation.rerun:
            await self._prepare()
            await self.ask()
            return await lab.operator(variables, module=SUBJECT, **SETTINGS | settings)
        subject = await lab.operator(variables, module=SUBJECT, **SETTINGS | settings)
        await self.ask()
        await lab.until_phase(NAME, "Succeeded")
        if not self.situation.lenient:
            await lab.admin("PATCH", f"/models/{MODEL}", {"status": 2})
        self.before = lab.starts(MODEL)
        await self._prepare()
        await lab.edit(NAME, runToken=AGAIN)
        return subject

    async def ask(self, name: str = NAME) -> None:
        """Create a resource for the model."""
        await self.lab.train(name, MODEL, **SPEC)

    async def _prepare(self) -> None:
        for fault in self.situation.faults:
            await self.lab.fault(**{"call": "run", **fault})
        self.about_to_ask()

    async def successor(self, **settings: str) -> Operator:
        """Start a plain operator, as the cluster does after a crash."""
        self.began = time.monotonic()
        return await self.lab.operator({}, **SETTINGS | settings)

    async def struck(self, subject: Operator) -> None:
        """Wait until the subject has sent itself the signal."""
        async with asyncio.timeout(TIMEOUT):
            while not self.is_struck:
                assert subject.runs, f"the subject ended before the signal:\n{subject.log[-3000:]}"
                await asyncio.sleep(0.02)

    @property
    def is_struck(self) -> bool:
        """Whether the subject has sent itself the signal."""
        return any(isinstance(note, Struck) for note in read(self.notes))

    def is_recovered(self, item: Manifest) -> bool:
        """Whether the requested run is recorded as running or finished."""
        run = item.get("status", {}).get("run") or {}
        token = run.get("token", "")
        return token == self.situation.token and phase_of(item) in {"Running", "Succeeded"}

    def is_done(self, item: Manifest) -> bool:
        """Whether the requested run has succeeded."""
        return self.is_recovered(item) and phase_of(item) == "Succeeded"

    async def recovered(self, name: str = NAME) -> float:
        """Wait until the run is recorded, then until it has succeeded.

        Returns:
            The seconds from the last operator's start until it was recorded.
        """
        await self.lab.until(name, self.is_recovered)
        seconds = time.monotonic() - self.began
        done = await self.lab.until(name, self.is_done)
        ownership = done["status"]["run"]["ownership"]
        assert self.may_adopt or ownership != "Adopted", (
            "the run was adopted, although this resource had started it"
        )
        return seconds

    async def starts(self) -> int:
        """How many runs were started, once no POST can act any more."""
        posts = self.lab.posts(MODEL)
        async with asyncio.timeout(TIMEOUT):
            await self.lab.simulator.until(lambda: all(map(_is_final, posts)))
        return self.starts_so_far

    @property
    def starts_so_far(self) -> int:
        """How many runs were started for the request that the case is about."""
        return self.lab.starts(MODEL) - self.before

    def itinerary(self) -> list[Await]:
        """The awaits of the subject, in order, until its run was recorded."""
        longest: dict[str, int] = {}
        for note in read(self.notes):
            if isinstance(note, Stopped):
                longest[note.place] = note.suspension
            elif isinstance(note, Ended) and note.is_recorded:
                return [Await(name, count) for name, count in longest.items()]
        raise AssertionError(f"the run was never recorded; notes: {self.notes.read_text()[-3000:]}")

    def sent_from(self) -> Await:
        """The await from which the first POST went out: the last one begun before it came in."""
        post = self.lab.posts(MODEL)[self.before]
        ago = self.lab.simulator.clock.now() - post.at
        then = time.monotonic() - ago
        begun = [n for n in read(self.notes) if isinstance(n, Stopped) and n.at <= then]
        return Await(begun[-1].place, begun[-1].suspension)


def _is_final(post: Record) -> bool:
    """Whether a POST has acted, or never will: dropped, or cut off in its body."""
    return post.acted_at is not None or post.fault == "drop_before" or post.body_ok is False
