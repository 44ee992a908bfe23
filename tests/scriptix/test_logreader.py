"""Well-formed and malformed replies with a log, in pieces of any size."""

import json
import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from scriptix_operator.core.model.remote import LogEntry, LogReply
from scriptix_operator.scriptix import jsonstream, jsontext
from scriptix_operator.scriptix.jsontext import BadReplyError
from scriptix_operator.scriptix.logreader import LogReader
from scriptix_operator.scriptix.replies import MAX_MESSAGE

MODEL = 7
SECRET = "secret-Key;1"
EIGHT = datetime(2025, 1, 16, 8, tzinfo=UTC)
SIZES = [1, 2, 7, 64, 1_000_000]
"""Sizes of the pieces, in bytes."""


def read(body: bytes, size: int = 64) -> tuple[LogReply, list[LogEntry]]:
    """Read a body in pieces of `size` bytes."""
    entries: list[LogEntry] = []
    reader = LogReader(
        MODEL, "application/json", lambda text: text.replace(SECRET, "***"), entries.append
    )
    for at in range(0, len(body), size):
        reader.feed([body[at : at + size]])
    return reader.finish([]), entries


def log_of(body: object, size: int = 64) -> list[LogEntry]:
    return read(json.dumps(body).encode(), size)[1]


def problem(body: bytes, size: int = 64) -> str:
    with pytest.raises(BadReplyError) as caught:
        read(body, size)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("indent", [None, 4])
def test_a_log_is_read_in_pieces_of_any_size(
    size: int, indent: int | None, *, wrapped: bool
) -> None:
    body: dict[str, object] = {
        "model_id": MODEL,
        "log_entries": [
            {
                "timestamp": "2025-01-16T08:00:00Z",
                "level": "info",
                "message": "d\u00e9but",
            },
            {"timestamp": "2025-01-16T07:00:00Z", "level": "ERROR", "message": "late", "x": 1},
            'a "text"\\',
            -12.50,
        ],
        "total_entries": 156,
    }
    text = json.dumps({"result": body} if wrapped else body, indent=indent, ensure_ascii=False)
    assert read(text.encode(), size) == (
        LogReply(4, 156),
        [
            LogEntry(EIGHT, "info", "d\u00e9but"),
            LogEntry(EIGHT.replace(hour=7), "ERROR", "late"),
            LogEntry(None, "info", 'a "text"\\'),
            LogEntry(None, "info", '"-12.5"'),
        ],
    )


def test_entries_are_added_before_the_reply_ends() -> None:
    entries: list[LogEntry] = []
    reader = LogReader(MODEL, "", str, entries.append)
    reader.feed([b'{"log_entries": [{"message": "a"}, {"mess', b'age": "b"}, 1'])
    assert [entry.message for entry in entries] == ["a", "b"]
    reader.feed([b"2]"])
    assert entries[2:] == [LogEntry(None, "info", "12")]
    assert reader.finish([b"}"]).entries == 3


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"message": "m"}, [LogEntry(None, "info", "m")]),
        ({"timestamp": "noon", "level": 4, "message": "m"}, [LogEntry(None, "info", "m")]),
        ({"timestamp": 17, "level": " ", "message": ""}, [LogEntry(None, "info", "")]),
        ({"timestamp": 1737014400123, "message": "m"}, [LogEntry(EIGHT, "info", "m")]),
        ({"level": "warn", "message": ["a"]}, [LogEntry(None, "warn", '["a"]')]),
        (
            {"level": "warn", "text": "t"},
            [LogEntry(None, "warn", '{"level": "warn", "text": "t"}')],
        ),
        ("just text", [LogEntry(None, "info", "just text")]),
        (["a", 1], [LogEntry(None, "info", '["a", 1]')]),
        (17, [LogEntry(None, "info", "17")]),
        (None, []),
        ({}, []),
        ("", []),
    ],
)
def test_the_text_of_an_odd_entry_is_kept(entry: object, expected: list[LogEntry]) -> None:
    good = {"timestamp": "2025-01-16T08:00:00Z", "level": "info", "message": "good"}
    body = {"log_entries": [entry, good]}
    assert log_of(body) == [*expected, LogEntry(EIGHT, "info", "good")]


@pytest.mark.parametrize("body", [b'{"log_entries": []}', b'{"log_entries": null, "x": [ ]}'])
def test_an_empty_log(body: bytes) -> None:
    assert read(body) == (LogReply(0, None), [])


@pytest.mark.parametrize(
    ("given", "total"),
    [
        (156, 156),
        ("156", 156),
        (0, 0),
        (-1, None),
        ("many", None),
        (None, None),
        (1.5, None),
        ([], None),
    ],
)
@pytest.mark.parametrize("is_first", [False, True])
def test_total_entries_is_a_whole_number_or_unknown(
    given: object, total: int | None, *, is_first: bool
) -> None:
    members = [("log_entries", ["x", None, "y"]), ("total_entries", given)]
    body = dict(reversed(members) if is_first else members)
    assert read(json.dumps(body).encode())[0] == LogReply(3, total)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"model_id": 7}, "reply has no usable log: log_entries: missing"),
        ({"result": []}, "reply has no usable log: log_entries: missing"),
        (
            {"log_entries": {"0": {}}},
            "reply has no usable log: log_entries: expected a list, found an object",
        ),
        ({"log_entries": [], "model_id": 8}, "reply is the log of model number 8, not 7"),
        ({"log_entries": [], "model_id": "x"}, 'reply is the log of model text "x", not 7'),
        ({"model_id": 8, "log_entries": ["x"]}, "reply is the log of model number 8, not 7"),
        (
            {"result": {"log_entries": ["x"], "model_id": 8}},
            "reply is the log of model number 8, not 7",
        ),
        (
            {"log_entries": ["x"], "result": {"log_entries": ["y"]}},
            "reply has log_entries twice",
        ),
        (
            {"result": {"result": {"log_entries": ["x"]}}},
            "reply has no usable log: log_entries: missing",
        ),
    ],
)
def test_reply_without_a_log_of_this_model_is_named(body: object, message: str) -> None:
    assert problem(json.dumps(body).encode()) == message


def test_log_without_a_model_id_is_accepted() -> None:
    assert log_of({"log_entries": ["x"]}) == [LogEntry(None, "info", "x")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "body",
    [
        b'{"log_entries": ["x"',
        b'{"log_entries": ["x"]',
        b'{"log_entries": ["x"]} y',
        b'{"log_entries": ["x"]}{"log_entries": ["x"]}',
        b'{"log_entries": ["x",]}',
        b'{"log_entries": ["x"}',
        b'{"log_entries": ["x" "y"]}',
        b'{"log_entries": [12x]}',
        b'{"log_entries": [1.]}',
        b'{"log_entries": [NaNo]}',
        b'{"log_entries": ["\\x"]}',
        b'{"log_entries": [{"a": 1, "b"}]}',
        b'{"log_entries" ["x"]}',
        b'{"log_entries": ["x"],}',
        b"{log_entries: []}",
        b"{1: []}",
        b"{",
    ],
)
def test_malformed_json_is_an_error(body: bytes, size: int) -> None:
    begin, quoted = problem(body, size)[:19], problem(body, size)[19:]
    assert begin == "reply is not JSON: "
    assert quoted  # the part of the body that had arrived at the error
    assert body.decode().startswith(quoted)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "reply is empty"),
        (b" \r\n", "reply is empty"),
        (b"[1]", "reply is not a JSON object but a list"),
        (b"null", "reply is not a JSON object but null"),
        (b"<p>\n hi", "reply is not JSON: <p> hi"),
    ],
)
def test_a_reply_that_is_no_object_is_named(body: bytes, message: str, size: int) -> None:
    assert problem(body, size) == message


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (b'"a\tb\nc"', "a\tb\nc"),
        (b'"caf\xe9"', "caf\ufffd"),
        (b'"\\ud800"', "\ud800"),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ('"\N{GRINNING FACE}"'.encode(), "\N{GRINNING FACE}"),
        (b"NaN", '"NaN"'),
        (b"9" * 5000, '"NaN"'),
        (b"1e" + b"9" * 30, '"NaN"'),
        (b'{"message": 1, "message": "last"}', "last"),
    ],
)
def test_odd_value_invalidates_only_its_own_entry(entry: bytes, message: str, size: int) -> None:
    body = b'\xef\xbb\xbf{"log_entries": [' + entry + b', "good"]}'
    assert [entry.message for entry in read(body, size)[1]] == [message, "good"]


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
@pytest.mark.parametrize("at", ['{"log_entries": [', '{"x": ', ""])
def test_nesting_has_an_end(at: str, bracket: str) -> None:
    body = (at + bracket * 100_000).encode()
    assert problem(body, 100_000) == "reply is nested too deep"


@pytest.mark.parametrize("size", SIZES)
def test_items_of_a_log_are_bounded(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(jsontext, "MAX_ITEMS", 5)
    assert len(read(b'{"log_entries": [1, {"a": []}, 3, 4]}', size)[1]) == 4
    assert len(read(b'{"log_entries": [1, 2, 3, 4, 5]}', size)[1]) == 5
    assert problem(b'{"log_entries": [1, 2, 3, 4, 5, 6]}', size) == "reply has more than 5 items"


def test_brackets_in_a_message_are_no_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsontext, "MAX_ITEMS", 5)
    entries = read(b'{"log_entries": [{"message": "{[{[{["}, {"message": "b"}]}')[1]
    assert [entry.message for entry in entries] == ["{[{[{[", "b"]


LARGE = [
    pytest.param(b'"' + b"x" * 38 + b'"', id="text"),
    pytest.param(b'"' + b'\\"\\\\' * 9 + b'xx"', id="escapes"),
    pytest.param(b'[["]"], {"}": "\\"]"}, "........"          ]', id="list"),
    pytest.param(b'{"message": "......................."   }', id="object"),
]


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("value", LARGE)
@pytest.mark.parametrize("head", [b'{"log_entries": ["a", ', b'{"x": '])
def test_oversize_value_is_omitted(
    monkeypatch: pytest.MonkeyPatch, value: bytes, head: bytes, size: int
) -> None:
    monkeypatch.setattr(jsonstream, "MAX_VALUE", len(value) - size - 1)
    tail = b', "b"]}' if b"log" in head else b', "log_entries": ["a", "b"]}'
    messages = [entry.message for entry in read(head + value + tail, size)[1]]
    left_out = [f"[{len(value)} characters left out]"] if b"log" in head else []
    assert messages == ["a", *left_out, "b"]
    assert problem(head + value[:-1], size).startswith("reply is not JSON: ")


@pytest.mark.parametrize(
    "value", [b"1" * 40, b'{"a": 1, "b"}            ', b'["a" "b"]                ', b"<html>" * 9]
)
def test_malformed_value_does_not_count_as_too_large(
    monkeypatch: pytest.MonkeyPatch, value: bytes
) -> None:
    monkeypatch.setattr(jsonstream, "MAX_VALUE", 20)
    body = b'{"log_entries": [' + value + b', "good"]}'
    assert problem(body, 1).startswith("reply is not JSON: ")


def test_a_reply_that_is_no_object_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jsonstream, "MAX_VALUE", 20)
    reader = LogReader(MODEL, "text/html", str, lambda _: None)
    with pytest.raises(BadReplyError, match="reply is not JSON but text/html: <html>"):
        reader.feed([b"<html>" * 9])


def test_white_space_between_values_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonstream, "MAX_VALUE", 15)
    space = b" " * 40
    body = space.join([b"{", b'"log_entries"', b":", b"[", b"1", b",", b"{}", b"]", b"}", b""])
    assert [entry.message for entry in read(body, 1)[1]] == ["1"]


def test_oversize_text_takes_little_memory() -> None:
    def pieces() -> Iterable[bytes]:
        yield '{"log_entries": ["\N{GRINNING FACE}'.encode()
        for _ in range(60):
            yield b"x" * 2**20
        yield b'", "good"]}'

    entries: list[LogEntry] = []
    reader = LogReader(MODEL, "", str, entries.append)
    tracemalloc.start()
    try:
        for piece in pieces():
            reader.feed([piece])
        reader.finish([])
        assert tracemalloc.get_traced_memory()[1] < 24 * 2**20
    finally:
        tracemalloc.stop()
    assert [e.message for e in entries] == ["[62914563 characters left out]", "good"]


def test_the_message_of_an_entry_is_cut() -> None:
    nested = {"message": {"a": "x" * 2 * MAX_MESSAGE}}
    cut = log_of({"log_entries": ["x" * 2 * MAX_MESSAGE, nested, {"message": "x" * 100_000}]})
    assert [len(entry.message) for entry in cut] == [MAX_MESSAGE] * 3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "quoted", [SECRET, SECRET.replace("-", "\\u002d"), SECRET.replace("s", "\\u0073", 1)]
)
def test_key_is_redacted_in_every_entry(quoted: str, size: int) -> None:
    entries = [
        f'"{quoted}"',
        f'{{"message": "<{quoted}>", "level": "{quoted}"}}',
        f'{{"message": ["{quoted}", {{"{quoted}": 1}}]}}',
        f'{{"{quoted}": "{quoted}"}}',
        f'["{"x" * (MAX_MESSAGE - 10)}{quoted}"]',
    ]
    body = f'{{"log_entries": [{", ".join(entries)}]}}'.encode()
    found = read(body, size)[1]
    assert found[:4] == [
        LogEntry(None, "info", "***"),
        LogEntry(None, "***", "<***>"),
        LogEntry(None, "info", '["***", {"***": 1}]'),
        LogEntry(None, "info", '{"***": "***"}'),
    ]
    assert "secret" not in repr(found)
    mistyped = f'{{"log_entries": "{quoted}", "x": 1}}'.encode()
    assert problem(mistyped, size).endswith('found text "***"')


def test_unused_fields_are_not_kept_in_memory() -> None:
    reader = LogReader(MODEL, "", str, lambda _: None)
    reader.finish([b'{"a": [1], "result": {"b": {}, "log_entries": ["x"]}, "message": "m"}'])
    assert reader.body == {"result": {"log_entries": []}, "message": "m"}
