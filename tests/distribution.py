"""How pytest-xdist distributes the tests among processes: `make test` has more of them than cores.

Most tests of a running operator wait, for its polls and for durations of the protocol, while most
others compute. So each process gets some of both at any time, and those that take long come first.
A file stays in one process, because of its fixtures.
"""

from collections.abc import Iterable, Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # it has no hints

__all__ = ["ByGroup", "distributed"]

TOGETHER = ("tests/chart/", "tests/operator/rights/")
"""The tests of each of these folders share a control plane of their own."""

LABS = {"lab", "spawning_lab"}
"""Fixtures of tests that mostly wait."""

LAB_SECONDS, OTHER_SECONDS = 5.0, 0.05
"""Usual durations of tests with and without a lab."""


class ByGroup(LoadScopeScheduling):  # type: ignore[misc] # the same
    """Keeps a group in one process, and the order of the groups."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def distributed(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the items by groups, in the order in which processes take them."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(_group(item.nodeid), []).append(item)
    longest_first = sorted(groups.values(), key=_seconds, reverse=True)
    waiting = [group for group in longest_first if any(map(_waits, group))]
    others = [group for group in longest_first if not any(map(_waits, group))]
    places = [*_places(waiting), *_places(others)]
    return [item for _, group in sorted(places, key=lambda place: place[0]) for item in group]


def _group(nodeid: str) -> str:
    for folder in TOGETHER:
        if nodeid.startswith(folder):
            return folder
    return nodeid.partition("::")[0]


def _places(groups: Sequence[list[pytest.Item]]) -> list[tuple[float, list[pytest.Item]]]:
    """Spread the groups evenly over the run, from 0 to 1."""
    return [(number / len(groups), group) for number, group in enumerate(groups)]


def _seconds(group: Iterable[pytest.Item]) -> float:
    return sum(map(_expected_seconds, group))


def _expected_seconds(item: pytest.Item) -> float:
    longer = item.get_closest_marker("timeout")
    if longer is not None:
        return float(longer.args[0]) / 10
    return LAB_SECONDS if _waits(item) else OTHER_SECONDS


def _waits(item: pytest.Item) -> bool:
    return not LABS.isdisjoint(getattr(item, "fixturenames", ()))
