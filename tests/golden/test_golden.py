"""Each story in this folder ends as its file says (README.md)."""

from difflib import unified_diff
from pathlib import Path

import pytest

from tests.golden.documents import read_story, stories, write_story
from tests.golden.player import played


@pytest.mark.parametrize("path", stories(), ids=lambda path: path.stem)
def test_a_story_ends_as_its_file_says(path: Path) -> None:
    expected = path.read_text()
    found = write_story(played(read_story(expected)))
    lines = unified_diff(expected.splitlines(), found.splitlines(), "expected", "found", n=4)
    difference = "\n".join(lines)
    if difference:
        pytest.fail(
            f"{difference}\nIf this is intended, run: python -m tests.golden", pytrace=False
        )
