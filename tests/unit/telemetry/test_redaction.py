"""telemetry/redaction.py: known values are masked in any spelling."""

import base64
import json
from urllib.parse import quote

import pytest

from scriptix_operator.telemetry.redaction import Redactor

PLAIN = "k3y-0f-team-a"
AWKWARD = "pass\"w'ord\\ë/+"


def redactor_for(*values: str) -> Redactor:
    redactor = Redactor()
    for value in values:
        redactor.hide(value)
    return redactor


@pytest.mark.parametrize("key", [PLAIN, AWKWARD])
@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(str, id="plain"),
        pytest.param(lambda key: repr(key)[1:-1], id="repr"),
        pytest.param(lambda key: json.dumps(key)[1:-1], id="json"),
        pytest.param(lambda key: json.dumps(key, ensure_ascii=False)[1:-1], id="json-utf8"),
        pytest.param(lambda key: quote(key, safe=""), id="url"),
        pytest.param(lambda key: base64.b64encode(key.encode()).decode(), id="secret"),
    ],
)
def test_value_is_masked_in_any_spelling(key: str, spell: "type[str]") -> None:
    assert redactor_for(key).redact(f"<{spell(key)}>") == "<***>"


def test_secret_before_a_newline_shows_two_characters_at_most() -> None:
    encoded = base64.b64encode(f"{PLAIN}\n".encode()).decode()
    assert redactor_for(f"{PLAIN}\n").redact(encoded) == f"***{encoded[16:]}"


def test_of_overlapping_values_the_longer_goes_first() -> None:
    assert redactor_for("abcd", "abcdefgh").redact("abcdefgh abcd") == "*** ***"


@pytest.mark.parametrize("value", ["", "  ", "abc"])
def test_too_short_a_value_leaves_the_output_readable(value: str) -> None:
    assert redactor_for(value).redact("abc def") == "abc def"


def test_nothing_is_masked_before_anything_is_known() -> None:
    assert Redactor().redact("text") == "text"


def test_only_strings_are_masked_at_any_depth() -> None:
    tree = {"a": [f"x{PLAIN}", 1, None, (PLAIN,)], PLAIN: True}
    assert redactor_for(PLAIN).redact_tree(tree) == {"a": ["x***", 1, None, ["***"]], "***": True}
