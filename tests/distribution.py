"""How pytest-xdist distributes the tests among processes: `make test` has more of them than cores.

Most tests of a running operator wait, for its polls and for durations of the protocol, while most
others compute. So each process gets some of both at any time, and those that take long come first.
A file stays in one process, because of its fixtures.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # it has no hints

__all__ = ["ByGroup", "distributed"]

TOGETHER = ("tests/chart/", "tests/operator/rights/")
"""The tests of each of these folders share a control plane of their own."""

LABS = {"lab", "spawning_lab"}
"""Fixtures of tests that mostly wait."""

LAB_SECONDS, OTHER_SECONDS = 5.0, 0.05
"""Usual durations of tests with and without a lab."""


Group = list[pytest.Item]


class ByGroup(LoadScopeScheduling):  # type: ignore[misc] # the same
    """Keeps a group in one process, and the order of the groups."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def distributed(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the items by groups, in the order in which processes take them."""
    groups: dict[str, Group] = {}
    for item in items:
        groups.setdefault(_group(item.nodeid), []).append(item)
    long: list[Group] = []
    waiting: list[Group] = []
    others: list[Group] = []
    for group in sorted(groups.values(), key=_seconds, reverse=True):
        if any(map(_longer, group)):
            long.append(group)
        else:
            (waiting if any(map(_waits, group)) else others).append(group)
    # Those that take minutes do not all run at once, and none begins near the end.
    places = [*_places(long, until=0.5), *_places(waiting), *_places(others)]
    return [item for _, group in sorted(places, key=lambda place: place[0]) for item in group]


def _group(nodeid: str) -> str:
    for folder in TOGETHER:
        if nodeid.startswith(folder):
            return folder
    return nodeid.partition("::")[0]


def _places(groups: Sequence[Group], until: float = 1.0) -> Iterator[tuple[float, Group]]:
    """Spread the groups over the run by what they take, from 0 to `until`; 1 is the end."""
    begins = list(accumulate(map(_seconds, groups), initial=0.0))
    for begin, group in zip(begins, groups, strict=False):
        yield until * begin / begins[-1], group


def _seconds(group: Iterable[pytest.Item]) -> float:
    return sum(map(_expected_seconds, group))


def _expected_seconds(item: pytest.Item) -> float:
    if longer := _longer(item):
        return longer / 10
    return LAB_SECONDS if _waits(item) else OTHER_SECONDS


def _longer(item: pytest.Item) -> float:
    """The time-out in seconds that a test has if it takes longer than usual, otherwise 0."""
    mark = item.get_closest_marker("timeout")
    return 0.0 if mark is None else float(mark.args[0])


def _waits(item: pytest.Item) -> bool:
    return not LABS.isdisjoint(getattr(item, "fixturenames", ()))
