"""Hostile replies: whatever the API replies, a call ends as documented, and shows no key."""

import asyncio
import traceback
from functools import partial

import httpx
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.logs.collector import LogCollector
from scriptix_operator.core.logs.segments import EMPTY
from scriptix_operator.core.logs.window import Window
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import LogEntry, LogReply, RateLimitInfo
from scriptix_operator.scriptix import ScriptixClient, ScriptixError
from scriptix_operator.scriptix.jsontext import BadReplyError, read_object
from scriptix_operator.scriptix.logreader import LogReader
from scriptix_operator.scriptix.replies import read_entry, read_log_frame
from tests.fuzz.effort import CALLS
from tests.fuzz.hostile import KEY, Reply, replies

MODEL = 7
MAX_LINE = 20_000
"""Bytes of a stored log line: 4,096 characters of four bytes, time and level."""


async def _calls(reply: Reply) -> list[object]:
    """Return the result of each of the three calls: a value, or a ScriptixError."""
    announced: list[object] = []
    key = ApiKey(KEY, "Secret/team/scriptix-api-key")
    transport = httpx.MockTransport(reply.answer)
    async with ScriptixClient(base_url="http://127.0.0.1", transport=transport) as client:
        entries: list[LogEntry] = []
        for call in (client.model, client.run, partial(client.log, add=entries.append)):
            try:
                announced.append(await call(MODEL, key, on_rate=announced.append))
            except ScriptixError as error:
                announced.append(error)
        announced.append(entries)
    return announced


@CALLS
@given(replies())
def test_each_call_ends_in_a_value_or_known_error_without_key(reply: Reply) -> None:
    for announced in asyncio.run(_calls(reply)):
        if isinstance(announced, ScriptixError):
            assert "\n" not in announced.failure.message
            assert len(announced.failure.message) < 1024
            shown = repr(announced.failure) + "".join(traceback.format_exception(announced))
        else:
            shown = repr(announced)
        assert KEY not in shown
        if isinstance(announced, RateLimitInfo):
            assert announced.reset is None or 0 <= announced.reset < float("inf")


def _at_once(body: bytes) -> tuple[LogReply, list[LogEntry]] | str:
    """The log in a whole body, or the error."""
    try:
        reply = read_object(body, "", str)
        total = read_log_frame(reply, MODEL)
    except BadReplyError as error:
        return str(error)
    inner = reply.get("result")
    fields = inner if isinstance(inner, dict) and "log_entries" not in reply else reply
    values = fields["log_entries"]
    read = [read_entry(value, str) for value in values] if isinstance(values, list) else []
    entries = [entry for entry in read if entry is not None]
    return LogReply(len(read), total), entries


def _in_pieces(body: bytes, size: int) -> tuple[LogReply, list[LogEntry]] | str:
    """The log read in pieces of `size` bytes, or the error."""
    entries: list[LogEntry] = []
    reader = LogReader(MODEL, "", str, entries.append)
    try:
        for at in range(0, len(body), size):
            reader.feed([body[at : at + size]])
        return reader.finish([]), entries
    except BadReplyError as error:
        return str(error)


@CALLS
@given(replies(), st.integers(1, 100))
def test_log_in_pieces_equals_the_whole_log(reply: Reply, size: int) -> None:
    whole, pieces = _at_once(reply.body), _in_pieces(reply.body, max(size, len(reply.body) // 500))
    if isinstance(whole, str) and isinstance(pieces, str) and "is not JSON" in whole:
        # The error is found earlier, so less of the body is quoted.
        assert whole.startswith(pieces.removesuffix("…").rstrip())
    else:
        assert pieces == whole


@CALLS
@given(replies())
def test_any_log_is_stored_as_bounded_printable_lines(reply: Reply) -> None:
    for announced in asyncio.run(_calls(reply)):
        if not isinstance(announced, list):
            continue
        entries = [entry for entry in announced if isinstance(entry, LogEntry)]
        collector = LogCollector(EMPTY, Window(), run_id="r1", max_bytes=1024 * 1024)
        for entry in entries:
            collector.add(entry)
        found = collector.result()
        assert (found.entries, found.cut) == (len(entries), None)
        for line in found.lines:
            assert line.text.isprintable()
            assert line.size <= MAX_LINE
            assert KEY not in line.text
