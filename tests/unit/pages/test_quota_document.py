"""docs/quotas.md: the document of the example is one that `check` can read and `dump` writes."""

import re
from pathlib import Path

from scriptix_operator.core.scheduling.quota_document import MAX_KEYS, MAX_STARTS, dump, parse

PAGE = (Path(__file__).parents[3] / "docs" / "quotas.md").read_text(encoding="utf-8")


def test_example_of_the_quota_config_map_is_a_document() -> None:
    [text] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert dump(parse(text)) == text


def test_page_names_the_bounds_of_the_document() -> None:
    assert (
        f"lists up to {MAX_STARTS:,} resources, which the keys share, and {MAX_KEYS} keys" in PAGE
    )
