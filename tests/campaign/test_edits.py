"""Edits of each property of the CRD's schema: any path to a spec ends as the spec alone would.

`make test` tries a path for each situation, `make campaign` many, of a new seed that it prints.
"""

import os
import random

import pytest

from tests.campaign.edits import SITUATIONS, Case, Ending, Situation, endings, random_case

SEED = int(os.environ.get("SEED", "1"))
LENGTH = 5
"""Edits on a path."""
SOME, MANY = 1, 25
PATHS = [
    pytest.param(SOME, id="some"),
    pytest.param(MANY, id="many", marks=[pytest.mark.whole, pytest.mark.timeout(3600)]),
]


def _cases(situations: tuple[Situation, ...], count: int, *, ends_with_request: bool) -> list[Case]:
    rng = random.Random(f"edits {SEED}")  # noqa: S311 - repeatable on purpose
    return [
        random_case(rng, situation, LENGTH, ends_with_request=ends_with_request)
        for situation in situations
        for _ in range(count)
    ]


def _ends(cases: list[Case]) -> list[tuple[Case, Ending, Ending]]:
    """Each case with its end, and with the end of its last spec alone."""
    found = endings([*cases, *(case.direct for case in cases)])
    return list(zip(cases, found, found[len(cases) :], strict=False))


@pytest.mark.parametrize("count", PATHS)
def test_any_path_of_edits_ends_in_the_same_status(count: int) -> None:
    for case, ended, expected in _ends(_cases(SITUATIONS, count, ends_with_request=False)):
        assert ended.status == expected.status, str(case)
        assert ended.starts == expected.starts <= 1, str(case)


@pytest.mark.parametrize("count", PATHS)
def test_a_request_after_any_path_ends_in_the_same_status(count: int) -> None:
    for case, ended, expected in _ends(_cases(SITUATIONS, count, ends_with_request=True)):
        assert ended.status == expected.status, str(case)
        # The first run, and one for each value of runToken; each retry repeats a failed run.
        retries = 0 if "backoffLimit" not in case.text else 10
        assert ended.starts <= 1 + len(case.tokens) + retries, str(case)
