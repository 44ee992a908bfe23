"""The API without sockets behaves as over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import CallFailure, FailureKind, LogEntry
from scriptix_operator.scriptix import NotSentError, ScriptixClient, ScriptixError
from scriptix_simulator import (
    Clock,
    Fault,
    Limit,
    ManualClock,
    ModelScript,
    Scenario,
    SimulatorConfig,
    SimulatorState,
    serve,
)
from scriptix_simulator.calls import Record
from scriptix_simulator.changes import Changes
from scriptix_simulator.inprocess import InProcess
from tests.virtual.loop import VirtualClock, boottime, run_virtually

from .support import AUTH, KEY

PREFIX = "/api/v3/custom_models"
STARTED = "http11.send_request_headers.started"
SENT = "http11.send_request_body.complete"
RATE_INFO = (
    *("Date", "Retry-After", "Location", "Content-Length"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
)
"""Headers that a client uses."""


@dataclass(frozen=True)
class Way:
    """A transport to a simulator.

    Attributes:
        url: URL of the simulator.
        state: State of the simulator.
        until: Waits for a condition, which is checked after each step of each call.
        transport: The httpx transport; None: the network.
    """

    url: str
    state: SimulatorState
    until: Callable[[Callable[[], bool]], Awaitable[None]]
    transport: InProcess | None = None

    def client(self, **options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - whatever httpx takes
        """Return a client with a good key; paths begin behind `custom_models`."""
        options = {"headers": AUTH} | options
        return httpx.AsyncClient(
            base_url=self.url + PREFIX, transport=self.transport, trust_env=False, **options
        )

    def operators_client(self) -> ScriptixClient:
        """Return the operator's own client."""
        return ScriptixClient(base_url=self.url, transport=self.transport)

    def runs(self) -> list[Record]:
        """Return the received starts."""
        return self.state.calls.select("run")


@asynccontextmanager
async def over_http(config: SimulatorConfig) -> AsyncIterator[Way]:
    async with serve(config, clock=ManualClock()) as simulator:
        yield Way(simulator.url, simulator.state, simulator.until)


@asynccontextmanager
async def in_process(
    config: SimulatorConfig,
    clock: Clock | None = None,
    latency: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[Way]:
    clock = clock or ManualClock()
    state, changes = SimulatorState(config, clock.now()), Changes()
    transport = InProcess(state, clock, latency, changes)
    yield Way("http://simulator.invalid", state, changes.until, transport)
    await transport.stop()


WAYS = pytest.mark.parametrize("way_to", [over_http, in_process])
WayTo = Callable[[SimulatorConfig], AbstractAsyncContextManager[Way]]


def config_with(*faults: Fault) -> SimulatorConfig:
    """Return the command's defaults with some models, and faults for the first calls."""
    models = {
        1: ModelScript(),
        2: ModelScript(status=1),
        3: ModelScript(status=3, progress=45),
        4: ModelScript(status=4),
        5: ModelScript(status=5, outcome=("mismatch",)),
        6: ModelScript(data_hours=2),
    }
    return SimulatorConfig(
        keys={KEY: "write", "reader": "read", "old": "revoked"},
        scenario=Scenario(models=models, faults=faults),
    )


CONFIG = config_with()


@dataclass(frozen=True)
class Ask:
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=lambda: AUTH)
    content: bytes | None = None

    async def through(self, client: httpx.AsyncClient) -> object:
        """Return the relevant parts of the reply, or the error."""
        try:
            reply = await client.request(
                self.method, self.path, headers=self.headers, content=self.content
            )
        except httpx.TransportError as error:
            return type(error), str(error)
        rate_info = {name: reply.headers.get(name) for name in RATE_INFO}
        if reply.content:
            rate_info["Content-Type"] = reply.headers["Content-Type"]
        return reply.status_code, reply.reason_phrase, reply.content, rate_info


def reads(path: str, key: str = KEY) -> Ask:
    return Ask("GET", path, {"Authorization": f"Bearer {key}"})


def run(path: str, body: bytes = b"{}", kind: str = "application/json", key: str = KEY) -> Ask:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    return Ask("POST", path, headers, body)


HOURLY_AND_DAILY = (Limit(1, 3600), Limit(2, 86_400))
LIMITED = replace(CONFIG, limit_starts=HOURLY_AND_DAILY, limit_status=(Limit(1, 3600),))
SITUATIONS = [
    pytest.param(config, asks, id=name)
    for name, config, asks in [
        ("polls", CONFIG, [reads(f"/{model}") for model in range(7)]),
        ("logs", CONFIG, [reads(f"/{model}/log") for model in range(7)]),
        ("runs", CONFIG, [run(f"/{model}/run") for model in range(4)]),
        ("too-little-data", CONFIG, [run("/6/run")]),
        ("a-run-and-a-poll", CONFIG, [run("/1/run"), reads("/1"), reads("/1/log"), run("/1/run")]),
        ("keys", CONFIG, [run("/1/run", key=key) for key in ("nobodys", "old", "reader")]),
        ("no-key", CONFIG, [Ask("GET", "/1", {}), Ask("GET", "/1", {"Authorization": KEY})]),
        (
            "paths",
            CONFIG,
            [reads("/1/"), reads("/1?a=b"), reads("/%31"), reads("/a"), reads("/1/a")],
        ),
        ("methods", CONFIG, [Ask("DELETE", "/1"), Ask("GET", "/1/run"), Ask("PUT", "/1")]),
        ("bodies", CONFIG, [run("/1/run", body) for body in (b"", b"[]", b'{"a": 1}', b" { } ")]),
        ("no-content-type", CONFIG, [Ask("POST", "/1/run", content=b"{}")]),
        ("content-type", CONFIG, [run("/1/run", kind="text/json")]),
        ("charset", CONFIG, [run("/1/run", kind="Application/JSON ; charset=utf-8")]),
        ("large-bodies", CONFIG, [run("/1/run", b" " * size) for size in (65_536, 65_537)]),
        ("limits", LIMITED, [*[run("/1/run")] * 3, *[reads("/1")] * 2]),
        ("rate-headers-refused", replace(LIMITED, rate_headers="refused"), [reads("/1")] * 2),
        ("rate-headers-never", replace(LIMITED, rate_headers="never"), [reads("/1")] * 2),
        ("retry-hint-date", replace(LIMITED, retry_hint="date"), [reads("/1")] * 2),
        ("wrapped", replace(CONFIG, wrapped=True), [reads("/1"), run("/1/run")]),
        ("empty", replace(CONFIG, run_body=False), [run("/1/run"), reads("/1")]),
        (
            "legacy-header",
            replace(CONFIG, auth_header="x-zoom-s2t-key", auth_scheme=""),
            [Ask("GET", "/1", {"X-Zoom-S2T-Key": KEY}), reads("/1")],
        ),
    ]
]

FAULTS = [
    Fault(fault="delay", delay=0),
    Fault(fault="status"),
    Fault(fault="status", status=500, act=True),
    Fault(fault="status", status=520, body=["odd"], headers={"Retry-After": "soon"}),
    Fault(fault="html"),
    Fault(fault="html", status=200),
    Fault(fault="redirect", location="https://example.com/"),
    Fault(fault="too_many"),
    Fault(fault="truncated"),
    Fault(fault="oversize", size=100_000),
    Fault(fault="wrong_types"),
    Fault(fault="stale"),
    Fault(fault="drip", interval=0),
    Fault(fault="cut"),
    Fault(fault="cut", reset=True),
    Fault(fault="drop_before"),
    Fault(fault="drop_before", reset=True),
    Fault(fault="drop_after"),
    Fault(fault="drop_after", reset=True),
    Fault(fault="late", after=1),
    Fault(fault="late", after=1, reset=True),
]


def named(fault: Fault) -> str:
    rate_info = fault.model_dump(mode="json", exclude_unset=True)
    return "-".join(str(value) for value in rate_info.values())


async def met(way: Way, asks: list[Ask]) -> tuple[list[object], list[object]]:
    """Return the client's replies, and the simulator's records of them."""
    async with way.client(headers={}) as client:
        replies = [await ask.through(client) for ask in asks]
    await way.until(lambda: len(way.state.calls) == len(asks))
    return replies, [record.as_json() for record in way.state.calls]


@pytest.mark.parametrize(("config", "asks"), SITUATIONS)
async def test_replies_in_process_equal_those_over_http(
    config: SimulatorConfig, asks: list[Ask]
) -> None:
    async with over_http(config) as http, in_process(config) as process:
        assert await met(process, asks) == await met(http, asks)


@pytest.mark.parametrize(
    "ask", [run("/1/run"), reads("/1"), reads("/3/log")], ids=["run", "poll", "log"]
)
@pytest.mark.parametrize("fault", FAULTS, ids=named)
async def test_faults_in_process_equal_those_over_http(fault: Fault, ask: Ask) -> None:
    config = config_with(fault)
    async with over_http(config) as http, in_process(config) as process:
        assert await met(process, [ask, reads("/1")]) == await met(http, [ask, reads("/1")])


async def test_an_empty_reply_cannot_be_cut() -> None:
    config = replace(config_with(Fault(fault="cut")), run_body=False)
    async with over_http(config) as http, in_process(config) as process:
        assert await met(process, [run("/1/run")]) == await met(http, [run("/1/run")])


@pytest.mark.parametrize("call", ["model", "run", "log"])
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.fault != "cut"], ids=named)
async def test_client_reads_faults_in_process_as_over_http(fault: Fault, call: str) -> None:
    async def made(way: Way) -> object:
        async with way.operators_client() as client:
            try:
                return await called(client, call)
            except ScriptixError as error:
                return error.failure

    config = config_with(fault)
    async with over_http(config) as http, in_process(config) as process:
        assert await made(process) == await made(http)


async def called(client: ScriptixClient, call: str) -> object:
    key = ApiKey(KEY, source="test")
    if call != "log":
        return await getattr(client, call)(1, key)
    entries: list[LogEntry] = []
    return await client.log(1, key, entries.append), entries


async def test_status_of_a_cut_reply_is_read() -> None:
    async with (
        in_process(config_with(Fault(fault="cut"))) as way,
        way.operators_client() as client,
    ):
        failure = await failure_of(client)
    assert (failure.kind, failure.status, failure.reset_seen) == (FailureKind.AMBIGUOUS, 200, True)


async def failure_of(client: ScriptixClient) -> CallFailure:
    with pytest.raises(ScriptixError) as caught:
        await client.run(1, ApiKey(KEY, source="test"))
    return caught.value.failure


def refuse() -> None:
    raise LookupError("not now")


@WAYS
async def test_error_in_before_send_aborts_a_start(
    way_to: WayTo,
) -> None:
    async with way_to(CONFIG) as way, way.operators_client() as client:
        with pytest.raises(NotSentError, match="held back before sending: not now"):
            await client.run(1, ApiKey(KEY, source="test"), before_send=refuse)
        await client.model(1, ApiKey(KEY, source="test"))
        assert [record.kind for record in way.state.calls] == ["model"]


@WAYS
async def test_error_in_after_send_does_not_abort_a_start(way_to: WayTo) -> None:
    async with way_to(CONFIG) as way, way.operators_client() as client:
        with pytest.raises(LookupError, match="not now"):
            await client.run(1, ApiKey(KEY, source="test"), after_send=refuse)
        await way.until(lambda: any(record.started for record in way.runs()))


@WAYS
async def test_hooks_are_called_before_and_after_sending(
    way_to: WayTo,
) -> None:
    seen: list[tuple[str, object]] = []
    async with way_to(CONFIG) as way, way.client() as client:

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == STARTED:
                seen.append((event, info["request"].method))
                assert len(way.state.calls) == 0
            if event == SENT:
                seen.append((event, info["return_value"]))

        reply = await client.post("/1/run", json={}, extensions={"trace": trace})
        assert reply.status_code == 200
    assert seen == [(STARTED, b"POST"), (SENT, None)]


async def test_refused_connections_record_no_call() -> None:
    sent = []
    async with in_process(CONFIG) as way, way.operators_client() as client:
        assert way.transport is not None
        way.transport.refusing = True
        with pytest.raises(NotSentError) as caught:
            await client.run(
                1, ApiKey(KEY, source="test"), before_send=lambda: sent.append("a byte")
            )
        assert caught.value.failure.kind is FailureKind.NOT_SENT
        assert str(caught.value) == "no connection: All connection attempts failed"
        assert (len(way.state.calls), sent) == (0, [])
        way.transport.refusing = False
        assert await client.run(1, ApiKey(KEY, source="test")) is not None


async def test_half_of_the_latency_precedes_the_effect() -> None:
    clock = ManualClock()
    begun = clock.now()
    latencies = iter([10.0, 0.0])
    async with in_process(CONFIG, clock, lambda: next(latencies)) as way, way.client() as client:
        asked = asyncio.create_task(client.post("/1/run", json={}))
        await clock.wait_for_sleepers()
        clock.advance(4.9)
        assert len(way.state.calls) == 0
        clock.advance(0.1)
        await way.until(lambda: bool(way.state.calls))
        await clock.wait_for_sleepers()
        (record,) = way.runs()
        assert (record.at, record.acted_at) == (begun + 5, begun + 5)
        clock.advance(4.9)
        await asyncio.sleep(0)
        assert not asked.done()
        clock.advance(0.1)
        assert (await asked).status_code == 200
        assert (await client.get("/1")).status_code == 200


def test_a_start_is_acted_on_after_its_client_has_given_up() -> None:
    async def main() -> None:
        config = config_with(Fault(fault="delay", delay=40))
        async with in_process(config, VirtualClock()) as way, way.client(timeout=None) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await client.post("/1/run", json={})
            assert boottime() == 5
            await asyncio.sleep(34.9)
            assert [record.acted_at for record in way.runs()] == [None]
            await asyncio.sleep(0.1)
            assert [record.started for record in way.runs()] == [1_737_014_440]

    run_virtually(main)


def test_late_start_takes_effect_after_its_client_is_closed() -> None:
    async def main() -> None:
        config = config_with(Fault(fault="late", after=40, hold=3))
        async with in_process(config, VirtualClock()) as way:
            async with way.client() as client:
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.post("/1/run", json={})
            assert boottime() == 3
            await asyncio.sleep(36.9)
            assert [record.acted_at for record in way.runs()] == [None]
            await asyncio.sleep(0.1)
            assert [record.started for record in way.runs()] == [1_737_014_440]

    run_virtually(main)


def test_stopped_server_starts_nothing() -> None:
    async def main() -> None:
        config = config_with(Fault(fault="late", after=40))
        async with in_process(config, VirtualClock()) as way, way.client() as client:
            assert way.transport is not None
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post("/1/run", json={})
            await way.transport.stop()
            await asyncio.sleep(100)
            assert [record.acted_at for record in way.runs()] == [None]

    run_virtually(main)


def test_stopped_server_closes_waiting_connections() -> None:
    async def main() -> None:
        config = config_with(Fault(fault="delay", delay=40))
        async with in_process(config, VirtualClock()) as way, way.client(timeout=None) as client:
            assert way.transport is not None
            asked = asyncio.create_task(client.post("/1/run", json={}))
            await asyncio.sleep(1)
            await way.transport.stop()
            with pytest.raises(httpx.RemoteProtocolError, match="Server disconnected"):
                await asked
            assert boottime() == 1

    run_virtually(main)


@pytest.mark.parametrize(
    ("fault", "came"),
    [
        (Fault(fault="delay", delay=19.9), 19.9),
        (Fault(fault="delay", delay=20.1), None),
        (Fault(fault="drip", interval=19.9), 19.9),
        (Fault(fault="drip", interval=20.1), None),
        (Fault(fault="late", hold=20.1), None),
    ],
)
def test_read_timeout_applies_to_each_piece(fault: Fault, came: float | None) -> None:
    async def main() -> None:
        timeout = httpx.Timeout(None, read=20)
        async with (
            in_process(config_with(fault), VirtualClock()) as way,
            way.client(timeout=timeout) as client,
        ):
            if came is None:
                with pytest.raises(httpx.ReadTimeout):
                    await client.get("/1")
                assert boottime() == 20
            else:
                reply = await client.get("/1")
                assert reply.json()["id"] == 1
                pieces = len(reply.content) if fault.fault == "drip" else 1
                assert boottime() == pytest.approx(came * pieces)

    run_virtually(main)


def test_week_of_polls_is_deterministic() -> None:
    async def main() -> list[object]:
        latencies = iter([0.1, 0.25, 0.5] * 1000)
        config = config_with(Fault(fault="drop_before", times=3), Fault(fault="delay", delay=900))
        way_to = in_process(config, VirtualClock(), lambda: next(latencies))
        async with way_to as way, way.client(timeout=600) as client:

            async def watch(model: int) -> None:
                for _ in range(7 * 24):
                    await reads(f"/{model}").through(client)
                    await asyncio.sleep(3600)

            async with asyncio.TaskGroup() as group:
                for model in range(1, 4):
                    group.create_task(watch(model))
            return [boottime(), *(record.as_json() for record in way.state.calls)]

    first = run_virtually(main)
    assert len(first) == 1 + 3 * 7 * 24
    assert run_virtually(main) == first
