"""The calls of the client as values, for tests that apply to each call."""

from collections.abc import Awaitable, Callable

import pytest

from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import CallFailure, LogEntry
from scriptix_operator.scriptix import ScriptixClient, ScriptixError, Timeouts

__all__ = ["BRIEF", "CALLS", "KEY", "MODEL", "Call", "failure_of", "fetched_log"]

MODEL = 7
KEY = ApiKey("sk-Zq8/verysecret+key==", source="Secret/test/scriptix-api-key")

BRIEF = Timeouts(connect=5, read=5, total=0.5, log_total=0.5)
"""Time-outs for servers that never finish a reply: only the time-out ends such a call."""

Call = Callable[[ScriptixClient], Awaitable[object]]


def _model(client: ScriptixClient) -> Awaitable[object]:
    return client.model(MODEL, KEY)


def _run(client: ScriptixClient) -> Awaitable[object]:
    return client.run(MODEL, KEY)


async def fetched_log(client: ScriptixClient, key: ApiKey = KEY) -> tuple[LogEntry, ...]:
    """The entries of the model's log."""
    entries: list[LogEntry] = []
    reply = await client.log(MODEL, key, entries.append)
    assert reply.entries == len(entries)
    return tuple(entries)


CALLS = [
    pytest.param(_model, id="model"),
    pytest.param(_run, id="run"),
    pytest.param(fetched_log, id="log"),
]


async def failure_of(call: Awaitable[object], error: type[ScriptixError]) -> CallFailure:
    """Make a call that must raise just this class, and return its failure."""
    with pytest.raises(ScriptixError) as caught:
        await call
    assert type(caught.value) is error, caught.value.failure
    assert str(caught.value) == caught.value.failure.message
    return caught.value.failure
