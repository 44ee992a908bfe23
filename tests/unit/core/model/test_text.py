"""core/model/text.py: text of the API fits into status and cannot control a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.model.text import clean, one_line

ANY_TEXT = st.text(st.characters(), max_size=60)
"""Any text, with lone surrogates and control characters."""


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        pytest.param("Training", "Training", id="plain"),
        pytest.param("  Training \n", "Training", id="stripped"),
        pytest.param("a\nb", "a\nb", id="newlines stay"),
        pytest.param("a\x1b[31mb\x00c", "a [31mb c", id="controls become spaces"),
        pytest.param("a\u202eb", "a b", id="so does what turns the direction of writing"),
        pytest.param("a\ud800b", "a\ufffdb", id="lone surrogates are replaced"),
        pytest.param("a\udfffb", "a\ufffdb", id="to the last of them"),
        pytest.param("0123456789", "0123456789", id="as long as the limit"),
        pytest.param("0123456789a", "012345678…", id="one longer"),
        pytest.param("01234567 9a", "01234567…", id="no space before the ellipsis"),
        pytest.param(" 0123456789a", "012345678…", id="a space in front hides no cut"),
        pytest.param("0123456789 a", "012345678…", id="nor does one behind"),
        pytest.param("0123456789  ", "0123456789", id="what is only space is not cut off"),
        pytest.param(" " * 5000 + "ok", "ok", id="text behind much space is found"),
        pytest.param("\x00ok\x00", "ok", id="controls around it go"),
        pytest.param("", "", id="empty"),
        pytest.param("ÄÖÜ𝄞日本語", "ÄÖÜ𝄞日本語", id="letters of all kinds stay"),
    ],
)
def test_text_is_made_safe_and_cut_to_ten_characters(text: str, cleaned: str) -> None:
    assert clean(text, 10) == cleaned


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("a\n\t b", "a b", id="white space folded"),
        pytest.param("a" + " " * 500 + "b", "a b", id="however much"),
        pytest.param("a " * 500, "a a a a a…", id="cut says so"),
        pytest.param("ab" + " c" * 4, "ab c c c c", id="as long as the limit"),
        pytest.param("a\x1b\nb", "a  b", id="controls become spaces after folding"),
    ],
)
def test_one_line_is_one_line(text: str, line: str) -> None:
    assert one_line(text, 10) == line


@given(ANY_TEXT, st.integers(1, 20))
def test_nothing_unsafe_comes_out(text: str, limit: int) -> None:
    for safe in (clean(text, limit), one_line(text, limit)):
        assert len(safe) <= limit
        assert all(c.isprintable() or c == "\n" for c in safe)
        safe.encode("utf-8")
    assert "\n" not in one_line(text, limit)


@given(ANY_TEXT, st.integers(1, 20))
def test_cleaning_again_changes_nothing(text: str, limit: int) -> None:
    assert clean(clean(text, limit), limit) == clean(text, limit)
