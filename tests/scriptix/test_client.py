"""The client against the simulator, over real HTTP: each response variant, refusal and fault."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from inspect import iscoroutinefunction, signature
from typing import Literal

import pytest
from pydantic import JsonValue

from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import FailureKind, RemoteMetrics
from scriptix_operator.scriptix import (
    AmbiguousError,
    ConflictError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    RejectedError,
    ScriptixClient,
    ScriptixError,
    Timeouts,
    UnauthorizedError,
)
from scriptix_simulator import (
    Fault,
    Limit,
    ManualClock,
    ModelScript,
    Simulator,
    SimulatorConfig,
    serve,
)
from scriptix_simulator.config import RateHeaders
from scriptix_simulator.replies import RetryHint
from tests.scriptix.calls import BRIEF, CALLS, KEY, MODEL, Call, failure_of, fetched_log

READER = ApiKey("sk-may-only-read", source="test")
REVOKED = ApiKey("sk-revoked-long-ago", source="test")
UNKNOWN = ApiKey("sk-nobody-has-this", source="test")

CONFIG = SimulatorConfig(
    speed=1, keys={KEY.value: "write", READER.value: "read", REVOKED.value: "revoked"}
)
EIGHT = datetime(2025, 1, 16, 8, tzinfo=UTC)
HOUR = 3600.0
PATIENT = Timeouts()


@dataclass(frozen=True)
class Rig:
    """A simulator whose clock shows 08:00 until it is advanced, and a client."""

    client: ScriptixClient
    simulator: Simulator
    clock: ManualClock

    def calls(self, kind: str) -> int:
        """Number of received calls of a kind."""
        return sum(record.kind == kind for record in self.simulator.state.calls)

    def runs(self) -> int:
        """Number of starts of the model."""
        return len(self.simulator.state.models[MODEL].runs)


@asynccontextmanager
async def rig_with(
    config: SimulatorConfig = CONFIG, *, timeouts: Timeouts = PATIENT
) -> AsyncIterator[Rig]:
    clock = ManualClock()
    async with serve(config, clock=clock) as simulator:
        simulator.put(MODEL)
        async with ScriptixClient(
            base_url=simulator.url,
            auth_header=config.auth_header,
            auth_scheme=config.auth_scheme,
            timeouts=timeouts,
        ) as client:
            yield Rig(client, simulator, clock)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rig_with() as rig:
        yield rig


VARIANTS = [
    pytest.param(wrapped, run_body, header, scheme, id=f"{header}-{wrapped=}-{run_body=}")
    for wrapped, run_body, (header, scheme) in itertools.product(
        (False, True), (False, True), (("Authorization", "Bearer"), ("x-zoom-s2t-key", ""))
    )
]


@pytest.mark.parametrize(("wrapped", "run_body", "header", "scheme"), VARIANTS)
async def test_run_is_followed_in_each_response_variant(
    *, wrapped: bool, run_body: bool, header: str, scheme: str
) -> None:
    config = replace(
        CONFIG, wrapped=wrapped, run_body=run_body, auth_header=header, auth_scheme=scheme
    )
    async with rig_with(config) as rig:
        assert (await rig.client.model(MODEL, KEY)).training_status == 2
        assert await fetched_log(rig.client) == ()

        started = await rig.client.run(MODEL, KEY)
        assert (started is not None) == run_body
        if started is not None:
            assert (started.training_status, started.started_at) == (3, EIGHT)
            assert started.status_message == "Training started successfully"

        rig.clock.advance(4 * HOUR)
        running = await rig.client.model(MODEL, KEY)
        assert (running.id, running.key, running.name) == (MODEL, "custom_model_7", "Model 7")
        assert (running.training_status, running.started_at) == (3, EIGHT)
        assert running.progress is not None
        assert 0 < running.progress < 100
        assert (running.finished_at, running.metrics, running.error) == (None, None, None)
        log = await fetched_log(rig.client)
        assert (log[0].at, log[0].level, log[0].message) == (EIGHT, "info", "Training started")

        rig.clock.advance(5 * HOUR)
        done = await rig.client.model(MODEL, KEY)
        assert (done.training_status, done.finished_at) == (4, EIGHT.replace(hour=16))
        assert done.metrics == RemoteMetrics(
            *map(Decimal, ("12.5", "8.3", "18.7", "7.5", "11.2", "10.8"))
        )
        assert len(await fetched_log(rig.client)) > len(log)
        assert (rig.runs(), rig.calls("run"), rig.calls("other")) == (1, 1, 0)


@pytest.mark.parametrize(
    ("form", "error", "code"),
    [
        ("string", "Audio and transcript mismatch detected", None),
        ("object", "Audio and transcript mismatch detected", "TRAINING_FAILED"),
        ("null", None, None),
    ],
)
async def test_a_failed_run(
    rig: Rig, form: Literal["string", "object", "null"], error: str | None, code: str | None
) -> None:
    rig.simulator.put(MODEL, ModelScript(outcome=("mismatch",), error_form=form))
    await rig.client.run(MODEL, KEY)
    rig.clock.advance(9 * HOUR)
    failed = await rig.client.model(MODEL, KEY)
    assert (failed.training_status, failed.error, failed.error_code) == (5, error, code)
    assert failed.finished_at is not None


@pytest.mark.parametrize("path", ["", "/", "/prefix", "/prefix/"])
async def test_the_base_url_may_have_a_path_and_a_slash(rig: Rig, path: str) -> None:
    async with ScriptixClient(base_url=rig.simulator.url + path) as client:
        if "prefix" in path:
            assert (await failure_of(client.model(MODEL, KEY), NotFoundError)).code == "NOT_FOUND"
        else:
            await client.model(MODEL, KEY)
    (record,) = rig.simulator.state.calls
    assert record.path == path.rstrip("/") + "/api/v3/custom_models/7"


async def test_model_not_ready(rig: Rig) -> None:
    rig.simulator.put(MODEL, ModelScript(status=1))
    failure = await failure_of(rig.client.run(MODEL, KEY), ConflictError)
    assert (failure.status, failure.code) == (409, "MODEL_NOT_READY")
    assert failure.message == ("HTTP 409 MODEL_NOT_READY: Cannot start training: model not ready")
    assert failure.details["current_status"] == 1


async def test_training_in_progress(rig: Rig) -> None:
    await rig.client.run(MODEL, KEY)
    failure = await failure_of(rig.client.run(MODEL, KEY), ConflictError)
    assert (failure.code, failure.details) == ("TRAINING_IN_PROGRESS", {"training_progress": 0})
    assert rig.runs() == 1


async def test_insufficient_data(rig: Rig) -> None:
    rig.simulator.put(MODEL, ModelScript(data_hours=2.5))
    failure = await failure_of(rig.client.run(MODEL, KEY), RejectedError)
    assert (failure.status, failure.code) == (400, "INSUFFICIENT_DATA")
    assert failure.details == {"current_hours": 2.5, "required_hours": 5.0}


@pytest.mark.parametrize(("key", "code"), [(UNKNOWN, "INVALID_API_KEY"), (REVOKED, "KEY_REVOKED")])
async def test_keys_that_are_refused(rig: Rig, key: ApiKey, code: str) -> None:
    calls = rig.client.model(MODEL, key), rig.client.run(MODEL, key), fetched_log(rig.client, key)
    for call in calls:
        failure = await failure_of(call, UnauthorizedError)
        assert (failure.status, failure.code) == (401, code)


async def test_read_only_key(rig: Rig) -> None:
    await rig.client.model(MODEL, READER)
    failure = await failure_of(rig.client.run(MODEL, READER), UnauthorizedError)
    assert (failure.status, failure.code) == (403, "INSUFFICIENT_SCOPE")


def test_calls_with_a_key_are_tested_as_one() -> None:
    """A new call is added to CALLS, so that each rule below holds for it."""
    methods = {name for name, each in vars(ScriptixClient).items() if iscoroutinefunction(each)}
    assert {call.id for call in CALLS} == {
        name for name in methods if "key" in signature(getattr(ScriptixClient, name)).parameters
    }


@pytest.mark.parametrize("call", CALLS)
async def test_no_such_model(rig: Rig, call: Call) -> None:
    rig.simulator.state.remove(MODEL)
    failure = await failure_of(call(rig.client), NotFoundError)
    assert (failure.status, failure.code) == (404, "MODEL_NOT_FOUND")


LIMITED = replace(
    CONFIG,
    limit_starts=(Limit(1, HOUR),),
    limit_status=(Limit(1, HOUR),),
    limit_logs=(Limit(1, HOUR),),
)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("rate_headers", "retry_hint", "pause"),
    [
        ("refused", "all", HOUR),
        ("refused", "none", HOUR),
        ("never", "all", HOUR),
        ("never", "seconds", HOUR),
        ("never", "date", HOUR),
        ("never", "body", HOUR),
        ("never", "none", None),
    ],
)
async def test_a_limit(
    call: Call, rate_headers: RateHeaders, retry_hint: RetryHint, pause: float | None
) -> None:
    config = replace(LIMITED, rate_headers=rate_headers, retry_hint=retry_hint)
    async with rig_with(config) as rig:
        await call(rig.client)
        failure = await failure_of(call(rig.client), RateLimitedError)
        assert (failure.status, failure.code) == (429, "RATE_LIMIT_EXCEEDED")
        assert failure.retry_after == pause


DOCUMENTED = [
    (400, RejectedError),
    (401, UnauthorizedError),
    (402, UnauthorizedError),
    (403, UnauthorizedError),
    (404, NotFoundError),
    (408, AmbiguousError),
    (409, ConflictError),
    (413, RejectedError),
    (422, RejectedError),
    (429, RateLimitedError),
    (500, AmbiguousError),
    (502, AmbiguousError),
    (503, AmbiguousError),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("status", "error"), DOCUMENTED)
async def test_each_status(rig: Rig, call: Call, status: int, error: type[ScriptixError]) -> None:
    rig.simulator.state.faults.add(Fault(fault="status", status=status))
    failure = await failure_of(call(rig.client), error)
    assert (failure.status, failure.code) == (status, "SIMULATED_FAULT")
    assert not failure.reset_seen
    assert len(rig.simulator.state.calls) == 1  # the client repeats no call


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "fault", [Fault(fault="drop_before"), Fault(fault="drop_before", reset=True)]
)
async def test_a_dropped_connection(rig: Rig, call: Call, fault: Fault) -> None:
    rig.simulator.state.faults.add(fault)
    failure = await failure_of(call(rig.client), AmbiguousError)
    assert (failure.status, failure.reset_seen) == (None, True)
    assert len(rig.simulator.state.calls) == 1


@pytest.mark.parametrize("reset", [False, True])
async def test_start_with_a_lost_reply_is_ambiguous(rig: Rig, *, reset: bool) -> None:
    rig.simulator.state.faults.add(Fault(fault="drop_after", call="run", reset=reset))
    failure = await failure_of(rig.client.run(MODEL, KEY), AmbiguousError)
    assert failure.reset_seen
    assert (rig.runs(), rig.calls("run")) == (1, 1)


UNREADABLE: list[tuple[Fault, str]] = [
    (Fault(fault="truncated"), "reply is not JSON: {"),
    (Fault(fault="html", status=200), "reply is not JSON but text/html: <html><head>"),
    (Fault(fault="status", status=200, body=["x"]), "reply is not a JSON object but a list"),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("fault", "message"), UNREADABLE)
async def test_an_unreadable_reply(rig: Rig, call: Call, fault: Fault, message: str) -> None:
    rig.simulator.state.faults.add(fault)
    failure = await failure_of(call(rig.client), AmbiguousError)
    assert failure.message.startswith(message)
    assert (failure.status, failure.reset_seen) == (200, False)


@pytest.mark.parametrize("call", CALLS)
async def test_a_reply_that_breaks_off(rig: Rig, call: Call) -> None:
    rig.simulator.state.faults.add(Fault(fault="cut"))
    failure = await failure_of(call(rig.client), AmbiguousError)
    assert (failure.status, failure.reset_seen) == (200, True)


@pytest.mark.parametrize(
    ("call", "size"),
    [
        pytest.param(CALLS[0].values[0], 2**20, id="model"),
        pytest.param(CALLS[1].values[0], 2**20, id="run"),
        pytest.param(CALLS[2].values[0], 2**26, id="log"),
    ],
)
async def test_replies_are_bounded(rig: Rig, call: Call, size: int) -> None:
    rig.simulator.state.faults.add(Fault(fault="oversize", size=size))
    await call(rig.client)
    rig.simulator.put(MODEL)
    rig.simulator.state.faults.add(Fault(fault="oversize", size=size + 1))
    failure = await failure_of(call(rig.client), AmbiguousError)
    assert failure.message == f"reply is larger than {size} bytes"


async def test_mistyped_replies_are_named(rig: Rig) -> None:
    for _ in range(2):
        rig.simulator.state.faults.add(Fault(fault="wrong_types"))
    failure = await failure_of(rig.client.model(MODEL, KEY), AmbiguousError)
    assert 'id: expected a whole number, found text "7?"' in failure.message
    failure = await failure_of(fetched_log(rig.client), AmbiguousError)
    assert "log_entries: expected a list, found an object" in failure.message


@pytest.mark.parametrize("body", [{}, {"ok": True}, {"id": 8, "training_status": 3}, {"id": []}])
async def test_any_object_in_a_2xx_confirms_a_start(rig: Rig, body: JsonValue) -> None:
    rig.simulator.state.faults.add(Fault(fault="status", status=201, body=body))
    flaws: list[str] = []
    assert await rig.client.run(MODEL, KEY, on_flaw=flaws.append) is None
    (flaw,) = flaws
    assert flaw.startswith("reply ")


@pytest.mark.parametrize("call", CALLS)
async def test_an_error_in_success_is_ambiguous(rig: Rig, call: Call) -> None:
    fault = Fault(fault="error_in_success", code="INSUFFICIENT_DATA")
    rig.simulator.state.faults.add(fault)
    failure = await failure_of(call(rig.client), AmbiguousError)
    assert (failure.status, failure.code) == (200, "INSUFFICIENT_DATA")
    assert failure.message == "HTTP 200 INSUFFICIENT_DATA: A fault was asked for"
    assert failure.is_error_in_success


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw-deflate"])
async def test_a_compressed_reply_is_read(rig: Rig, call: Call, coding: str) -> None:
    rig.simulator.state.faults.add(Fault.model_validate({"fault": "compressed", "coding": coding}))
    await call(rig.client)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/elsewhere", "https://[broken", "ftp://x/", "//other/x"])
async def test_no_redirect_is_followed(rig: Rig, call: Call, status: int, location: str) -> None:
    rig.simulator.state.faults.add(Fault(fault="redirect", status=status, location=location))
    failure = await failure_of(call(rig.client), AmbiguousError)
    assert failure.status == status
    assert f"redirected to {location}, which is not followed" in failure.message
    assert not failure.reset_seen
    assert len(rig.simulator.state.calls) == 1


@pytest.mark.parametrize("call", CALLS)
async def test_silent_server_exceeds_the_total_timeout(call: Call) -> None:
    async with rig_with(timeouts=BRIEF) as rig:
        rig.simulator.state.faults.add(Fault(fault="delay", delay=HOUR))
        failure = await failure_of(call(rig.client), AmbiguousError)
        assert failure.message == "no whole reply within 0.5 s"
        assert (failure.status, failure.reset_seen) == (None, False)


@pytest.mark.parametrize("call", [call for call in CALLS if call.id != "run"])
async def test_silent_server_exceeds_the_read_timeout(call: Call) -> None:
    async with rig_with(timeouts=Timeouts(read=0.1)) as rig:
        rig.simulator.state.faults.add(Fault(fault="delay", delay=HOUR))
        failure = await failure_of(call(rig.client), AmbiguousError)
        assert failure.message == "no reply in time"
        assert (failure.status, failure.reset_seen) == (None, False)


async def test_start_has_only_the_total_timeout() -> None:
    """A start is given more time than a poll: after a time-out its outcome is unknown."""
    async with rig_with(timeouts=Timeouts(read=0.1, total=0.6)) as rig:
        rig.simulator.state.faults.add(Fault(fault="delay", delay=HOUR))
        failure = await failure_of(rig.client.run(MODEL, KEY), AmbiguousError)
        assert failure.message == "no whole reply within 0.6 s"


@pytest.mark.parametrize("call", CALLS)
async def test_dripping_reply_exceeds_the_total_timeout(call: Call) -> None:
    async with (
        serve(CONFIG) as simulator,
        ScriptixClient(base_url=simulator.url, timeouts=BRIEF) as client,
    ):
        simulator.put(MODEL)
        # Each byte comes within the read time-out; all bytes take half a minute.
        simulator.state.faults.add(Fault(fault="drip", interval=0.05))
        failure = await failure_of(call(client), AmbiguousError)
        assert failure.message == "no whole reply within 0.5 s"
        assert (failure.status, failure.reset_seen) == (200, False)


@pytest.mark.parametrize("bad", ["", "sk 123", "sk-123\n"])
async def test_key_unfit_for_a_header_is_not_sent(rig: Rig, bad: str) -> None:
    key = ApiKey(bad, source="test")
    calls = rig.client.model(MODEL, key), rig.client.run(MODEL, key), fetched_log(rig.client, key)
    for call in calls:
        failure = await failure_of(call, NotSentError)
        assert failure.kind is FailureKind.NOT_SENT
        assert failure.message.startswith("the API key ")
    assert len(rig.simulator.state.calls) == 0


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.scriptix.io",
        "ftp://api.scriptix.io",
        "https://",
        "https://user:secret@api.scriptix.io",
        "https://api.scriptix.io/?key=secret",
        "https://api.scriptix.io/#x",
        "https://a\nb",
    ],
)
def test_base_urls_that_cannot_be_used(base_url: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        ScriptixClient(base_url=base_url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("header", "scheme"), [("not a header", ""), ("x", "not a scheme")])
def test_headers_and_schemes_that_cannot_be_used(header: str, scheme: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        ScriptixClient(base_url="http://localhost", auth_header=header, auth_scheme=scheme)
