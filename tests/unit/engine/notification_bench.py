"""What the tests of notifications share: a cluster in memory, a process, and a real receiver."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from standardwebhooks import Webhook

from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.status.events import EventRecord
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.notifier import Notifier
from scriptix_operator.engine.outbox import Outbox
from scriptix_operator.engine.resource_locks import ResourceLocks
from scriptix_operator.engine.status_writer import StatusWriter
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.configmaps import ConfigMaps
from scriptix_operator.kube.errors import ConflictError, GoneError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.trainings import Trainings
from scriptix_operator.telemetry.metrics import Metrics
from scriptix_operator.webhook.client import WebhookClient
from scriptix_operator.webhook.destination import Destination
from tests.unit.core.builders import EIGHT
from tests.unit.engine.clocks import Time

__all__ = ["KEYS", "SIGNING_KEY", "Cluster", "Process", "Receiver", "Reply"]

OURS = "scriptix-system"
KEYS = (b"k" * 32,)
SIGNING_KEY = "whsec_" + base64.b64encode(KEYS[0]).decode()


@dataclass
class Cluster:
    """The resources in a cluster; their status is written by compare-and-set."""

    trainings: dict[TrainingKey, Training] = field(default_factory=dict)
    writes: int = 0

    async def write_status(self, training: Training, status: TrainingStatus) -> Training:
        """Write a status as Trainings.write_status does."""
        if status == training.status:
            return training
        known = self.trainings.get(training.key)
        if known is None or known.uid != training.uid:
            raise GoneError("write: 404")
        if known.resource_version != training.resource_version:
            raise ConflictError("write: 409")
        self.writes += 1
        version = str(int(known.resource_version) + 1)
        written = replace(training, status=status, resource_version=version)
        self.trainings[training.key] = written
        return written

    async def publish(
        self, training: Training, events: tuple[EventRecord, ...], now: datetime
    ) -> None:
        """Drop the events."""

    def status(self, training: Training) -> TrainingStatus:
        """The status of a resource as it is now."""
        return self.trainings[training.key].status


class Process:
    """One process of the operator, with notifications: what it knows is lost with it."""

    def __init__(
        self,
        cluster: Cluster,
        url: str,
        clock: Clock | None = None,
        client: WebhookClient | None = None,
    ) -> None:
        self.cluster, self.url = cluster, url
        self.time = Time()
        clock = clock or self.time
        self.metrics = Metrics()
        self.outbox = Outbox(clock, is_on=True)
        self.store = TrainingStore(clock=clock, seen=self.outbox.seen)
        self.locks = ResourceLocks()
        self.status_writer = StatusWriter(
            trainings=cast("Trainings", cluster),
            config_maps=cast("ConfigMaps", None),
            events=cast("Events", cluster),
            store=self.store,
            clock=clock,
            metrics=self.metrics,
            installation=OURS,
            outbox=self.outbox,
        )
        self.client = client or WebhookClient(total=0.5)
        self.notifier = Notifier(
            outbox=self.outbox,
            store=self.store,
            status_writer=self.status_writer,
            destination=self.destination,
            client=self.client,
            locks=self.locks,
            clock=clock,
            jitter=lambda: 0.5,
            metrics=self.metrics,
            installation=OURS,
        )
        for training in cluster.trainings.values():
            self.store.put(training)

    async def destination(self) -> Destination:
        """The receiver."""
        return Destination(self.url, KEYS)

    async def write(self, training: Training, status: TrainingStatus) -> None:
        """Write a status as a reconcile does; the resource is created if it does not exist."""
        known = self.cluster.trainings.setdefault(training.key, training)
        self.store.put(known)
        await self.status_writer.write(known, status)

    async def delete(self, training: Training) -> None:
        """Take in a deletion, as the watch does."""
        del self.cluster.trainings[training.key]
        self.store.remove(training.key)

    async def advance(self, seconds: float = 0.0) -> int:
        """Let time pass, and handle what is due then; returns how much that was."""
        self.time.seconds += seconds
        handled = 0
        due = True
        while due and handled < 1000:
            found = await self.outbox.due.next(0.0)
            due = found is not None
            if found is not None:
                self.notifier._attempted_at = -1e9  # the pauses have a test of their own
                await self.notifier.handle(found[0])
                handled += 1
        return handled

    def counted(self, result: str) -> float:
        """The number of attempts with a result."""
        name = "scriptix_notifications_total"
        return self.metrics.registry.get_sample_value(name, {"result": result}) or 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """How the receiver replies."""

    status: int = 204
    headers: tuple[str, ...] = ()
    body: bytes = b""
    is_slow: bool = False
    """The reply never comes."""


@dataclass
class Receiver:
    """A real HTTP server that records and verifies requests."""

    url: str
    replies: deque[Reply] = field(default_factory=deque)
    """The replies to the next requests; then 204."""
    default: Reply = field(default_factory=Reply)
    ids: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    bytes_sent: int = 0

    @property
    def types(self) -> list[str]:
        """The short types of the events, in the order of their arrival."""
        return [str(event["type"]).split(".")[-2] for event in self.events]

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator["Receiver"]:
        """A receiver on a port of loopback."""
        receiver = cls("")
        server = await asyncio.start_server(receiver._serve, "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        receiver.url = f"http://127.0.0.1:{port}/hooks/hush?token=hush"
        async with server:
            yield receiver

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            self._record(first.split()[1], headers, body)
            reply = self.replies.popleft() if self.replies else self.default
            if reply.is_slow:
                await reader.read()  # until the client gives up
                return
            await self._send(writer, reply)
        except ConnectionError:
            pass  # the client did not read the whole reply
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        lines = [f"HTTP/1.1 {reply.status} x", *reply.headers]
        lines += [f"Content-Length: {len(reply.body)}", "Connection: close", "", ""]
        writer.write("\r\n".join(lines).encode())
        for begin in range(0, len(reply.body), 65536):
            writer.write(reply.body[begin : begin + 65536])
            await writer.drain()
            self.bytes_sent += 65536
        await writer.drain()

    def _record(self, path: str, headers: dict[str, str], body: bytes) -> None:
        # The library refuses times that are far from now: only the signature counts here.
        stamped = {**headers, "webhook-timestamp": headers["webhook-timestamp"]}
        assert stamped["webhook-timestamp"].isdigit()
        at = datetime.fromtimestamp(int(stamped["webhook-timestamp"]), EIGHT.tzinfo)
        expected = Webhook(SIGNING_KEY).sign(headers["webhook-id"], at, body.decode())
        assert headers["webhook-signature"] == expected
        assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        event = json.loads(body)
        assert event["id"] == headers["webhook-id"]
        self.paths.append(path)
        self.ids.append(event["id"])
        self.events.append(event)
