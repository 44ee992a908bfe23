"""Untrusted JSON."""

from decimal import Decimal

import pytest

from scriptix_operator.scriptix import jsontext
from scriptix_operator.scriptix.jsontext import BadReplyError, read_object

SECRET = "secret-Key;1"


def redact(text: str) -> str:
    return text.replace(SECRET, "***")


def read(body: str | bytes, content_type: str = "application/json") -> dict[str, object]:
    return read_object(body.encode() if isinstance(body, str) else body, content_type, redact)


def problem(body: str | bytes, content_type: str = "application/json") -> str:
    with pytest.raises(BadReplyError) as caught:
        read(body, content_type)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_decimal_numbers_keep_their_text() -> None:
    assert read('{"a": 12.30, "b": 3, "c": 1e2}') == {"a": Decimal("12.30"), "b": 3, "c": 100}
    assert str(read('{"a": 12.30}')["a"]) == "12.30"


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "9" * 5000, "1e" + "9" * 30],
)
def test_invalid_number_invalidates_only_its_own_field(number: str) -> None:
    body = read(f'{{"id": 7, "odd": {number}}}')
    odd = body.pop("odd")
    assert isinstance(odd, Decimal)
    assert odd.is_nan()
    assert body == {"id": 7}


def test_of_a_repeated_key_the_last_counts() -> None:
    assert read('{"a": 1, "a": 2}') == {"a": 2}


def test_wrong_utf_8_is_replaced() -> None:
    assert read(b'{"name": "caf\xe9"}') == {"name": "caf\ufffd"}


def test_byte_order_mark_and_control_characters_are_accepted() -> None:
    assert read(b'\xef\xbb\xbf{"a": "x\ny"}') == {"a": "x\ny"}


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_nesting_has_an_end(bracket: str) -> None:
    assert problem('{"a":' + bracket * 100_000) == "reply is nested too deep"


def test_parsed_reply_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsontext, "MAX_ITEMS", 5)
    assert read('{"a": [{}, {}, []]}') == {"a": [{}, {}, []]}
    assert problem('{"a": [{}, {}, [], {}]}') == "reply has more than 5 items"


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", "", "reply is empty"),
        (b" \r\n", "application/json", "reply is empty"),
        (b"[1]", "", "reply is not a JSON object but a list"),
        (b"null", "", "reply is not a JSON object but null"),
        (b"true", "", "reply is not a JSON object but true"),
        (b"12", "", "reply is not a JSON object but number 12"),
        (b'"x"', "", 'reply is not a JSON object but text "x"'),
        (b'{"a": 1', "application/json; charset=utf-8", 'reply is not JSON: {"a": 1'),
        (b"<p>\n hi", "text/HTML; x", "reply is not JSON but text/html: <p> hi"),
        (b"hi", "", "reply is not JSON but of no declared type: hi"),
        (b"\x1b[2Jhi", "text/plain", "reply is not JSON but text/plain: [2Jhi"),
    ],
)
def test_reply_without_an_object_names_its_type(
    body: bytes, content_type: str, message: str
) -> None:
    assert problem(body, content_type) == message


def test_a_quoted_reply_is_bounded() -> None:
    assert len(problem("<html>" + "x" * 100_000, "text/html")) == 200
    assert len(problem("x", "t" * 100_000)) == 200


def test_key_is_redacted_in_every_text() -> None:
    body = read(f'{{"{SECRET}": ["{SECRET}!", {{"a": "secret\\u002dKey;1"}}], "n": 1}}')
    assert body == {"***": ["***!", {"a": "***"}], "n": 1}
    assert "secret" not in problem(f"<html>{SECRET}", f"text/{SECRET}").lower()
    # The quotation ends within the key: no part of the key may remain.
    assert "secret" not in problem("x" * 150 + SECRET * 20, "text/plain")


def test_a_number_in_a_message_is_bounded() -> None:
    assert len(jsontext.found(Decimal("1" * 100_000))) < 60
