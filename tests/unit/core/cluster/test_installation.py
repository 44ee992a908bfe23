"""The Lease of an operator, and whether two operators serve the same namespaces."""

from datetime import UTC, datetime, timedelta

import pytest

from scriptix_operator.core.cluster.installation import (
    Installation,
    show_namespaces,
    show_overlap,
    watched_namespaces_annotation,
    watches_of,
)

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def installation(holder: str = "pod_1", ago: timedelta | None = timedelta()) -> Installation:
    renewed_at = None if ago is None else NOW - ago
    return Installation("system", (), holder=holder, renewed_at=renewed_at)


@pytest.mark.parametrize(
    ("made", "runs"),
    [
        pytest.param(installation(), True, id="just renewed"),
        pytest.param(installation(ago=timedelta(seconds=299)), True, id="a while ago"),
        pytest.param(installation(ago=timedelta(seconds=300)), False, id="long ago"),
        pytest.param(installation(ago=timedelta(minutes=-1)), True, id="by a clock that is ahead"),
        pytest.param(installation(holder=""), False, id="released"),
        pytest.param(installation(ago=None), False, id="never held"),
    ],
)
def test_installation_with_a_recently_renewed_lease_runs(made: Installation, *, runs: bool) -> None:
    assert made.runs(NOW) is runs


@pytest.mark.parametrize(
    ("ours", "theirs", "both"),
    [
        ((), (), "all namespaces"),
        ((), ("a",), "namespace a"),
        (("b", "a"), (), "namespaces b, a"),
        (("a", "b", "c"), ("c", "b", "d"), "namespaces b, c"),
        (("a",), ("a-b",), None),
    ],
)
def test_namespaces_served_twice_are_named(
    ours: tuple[str, ...], theirs: tuple[str, ...], both: str | None
) -> None:
    assert show_overlap(ours, theirs) == both
    names = (show_overlap(theirs, ours) or "").split()
    assert sorted(names) == sorted((both or "").split())


@pytest.mark.parametrize("watches", [(), ("speech",), ("speech", "texts")])
def test_lease_annotations_are_read_back(watches: tuple[str, ...]) -> None:
    [(name, value)] = watched_namespaces_annotation(watches).items()
    assert name == "scriptix.io/watch-namespaces"
    assert watches_of(value) == watches


@pytest.mark.parametrize("note", [None, ""])
def test_lease_without_annotations_names_no_namespaces(note: str | None) -> None:
    assert watches_of(note) is None


def test_one_namespace_is_not_several() -> None:
    assert show_namespaces(["a"]) == "namespace a"
