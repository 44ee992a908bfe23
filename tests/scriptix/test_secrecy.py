"""The key is in no error, in no cause of an error, and in no log of any level."""

import logging
import traceback

import pytest

from scriptix_operator.core.model.remote import RemoteModel
from scriptix_operator.scriptix import ScriptixClient, ScriptixError
from tests.scriptix.calls import BRIEF, CALLS, KEY, MODEL, Call, fetched_log
from tests.scriptix.rawserver import Ending, raw_server, reply

ECHO = KEY.value.encode()
SOURCES = ("httpx", "httpcore.http11", "httpcore.connection", "asyncio")


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All loggers at DEBUG, each set by itself, as for debugging."""
    caplog.set_level(logging.DEBUG)
    for name in {*logging.root.manager.loggerDict, *SOURCES}:
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def everything_about(error: BaseException) -> str:
    """All that a program could print of an error: causes, and variables in tracebacks."""
    assert error.__traceback__ is not None
    of_ours = error.__traceback__.tb_next  # the test's own frame has the key
    rate_info = traceback.TracebackException.from_exception(
        error.with_traceback(of_ours), capture_locals=True
    )
    chain = [error, error.__cause__, error.__context__]
    return (
        "".join(rate_info.format()) + repr(chain) + repr([vars(e) for e in chain if e is not None])
    )


HEADERS = (
    f"X-Echo: {KEY.value}",
    f"Set-Cookie: key={KEY.value}",
    f"Location: https://elsewhere.example/{KEY.value}",
    f"Retry-After: {KEY.value}",
    f"Content-Type: text/{KEY.value}",
)
JSON = b'{"message": "%b", "error_code": "%b", "details": {"%b": ["%b"]}, "id": "%b"}'
BODIES = [
    JSON.replace(b"%b", ECHO),
    b"<html>" + ECHO,
    b"x" * 190 + ECHO,
    b'{"id": 7, "training_status": "' + ECHO + b'", "log_entries": "' + ECHO + b'"}',
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", BODIES, ids=["json", "html", "across-the-cut", "mistyped"])
@pytest.mark.parametrize("status", [101, 200, 302, 401, 404, 409, 429, 500])
async def test_a_server_that_echoes_the_key(
    call: Call, body: bytes, status: int, everything_logged: pytest.LogCaptureFixture
) -> None:
    answer = reply(f"{status} {KEY.value}", body, HEADERS)
    async with (
        raw_server(lambda _: (answer, Ending.CLOSE)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        try:
            rate_info = repr(await call(client))
        except ScriptixError as error:
            rate_info = everything_about(error)
    assert ECHO in server.requests[0]
    for text in (rate_info, everything_logged.text):
        assert KEY.value not in text
        assert KEY.value[:8] not in text


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.HANG])
async def test_errors_of_the_transport(
    call: Call, ending: Ending, everything_logged: pytest.LogCaptureFixture
) -> None:
    async with (
        raw_server(lambda _: (b"HTTP/1.1 " + ECHO, ending)) as server,
        ScriptixClient(base_url=server.url, timeouts=BRIEF) as client,
    ):
        with pytest.raises(ScriptixError) as caught:
            await call(client)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert KEY.value not in everything_about(caught.value)
    assert KEY.value not in everything_logged.text


async def test_aborted_start_does_not_show_the_key(
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    def before_send() -> None:
        raise RuntimeError("not now")

    async with (
        raw_server(lambda _: (b"", Ending.CLOSE)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        with pytest.raises(ScriptixError) as caught:
            await client.run(MODEL, KEY, before_send=before_send)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert KEY.value not in everything_about(caught.value)
    assert KEY.value not in everything_logged.text


async def test_models_and_logs_that_quote_the_key() -> None:
    quoting = (
        b'{"id": 7, "training_status": 5, "name": "%b", "status_message": "key %b", '
        b'"error": {"message": "%b", "code": "%b"}, '
        b'"log_entries": [{"message": "using %b", "level": "%b"}]}'
    ).replace(b"%b", ECHO)
    async with (
        raw_server(lambda _: (reply(body=quoting), Ending.KEEP)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        model = await client.model(MODEL, KEY)
        assert isinstance(model, RemoteModel)
        assert (model.name, model.status_message) == ("[API key]", "key [API key]")
        assert (model.error, model.error_code) == ("[API key]", "[API key]")
        (entry,) = await fetched_log(client)
        assert (entry.message, entry.level) == ("using [API key]", "[API key]")


def test_warnings_of_httpx_are_still_heard(caplog: pytest.LogCaptureFixture) -> None:
    ScriptixClient(base_url="http://localhost")
    for name in SOURCES:
        logging.getLogger(name).warning("from %s", name)
    assert [record.name for record in caplog.records] == list(SOURCES)
