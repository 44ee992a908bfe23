"""tests/soak/verdict.py: growth is found, and noise is not growth."""

import pytest

from tests.soak.verdict import Sample, growths

FLAT = {"memory MiB": 90.0, "descriptors": 20.0, "config maps": 30.0}


def samples(name: str, last: float) -> list[Sample]:
    """Nine samples; the figure has another value in the last third."""
    return [
        *(Sample(second, FLAT) for second in range(6)),
        *(Sample(second, {**FLAT, name: last}) for second in range(6, 9)),
    ]


@pytest.mark.parametrize(
    ("name", "last", "grows"),
    [
        ("memory MiB", 107.0, False),
        ("memory MiB", 107.1, True),
        ("descriptors", 28.0, False),
        ("descriptors", 28.1, True),
        ("config maps", 47.5, False),
        ("config maps", 47.6, True),
    ],
)
def test_growth_of_the_last_third_is_found(name: str, last: float, *, grows: bool) -> None:
    assert bool(growths(samples(name, last))) == grows
