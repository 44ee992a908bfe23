"""engine/coverage.py: gaps of the store, and their effect on starts."""

from typing import Any

import pytest

from scriptix_operator.core.ledger.ledger import InFlightStart
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.engine.coverage import SHOWN, Coverage
from scriptix_operator.kube.trainings import ALL
from tests.unit.core.ledgers import READY

KEY = TrainingKey("team-b", "starter")
INTENT = {"run": {"id": "run-1", "intent": {"attempt": "one"}}}


def an_entry(namespace: str = "team-b", uid: str = "uid-of-starter") -> InFlightStart:
    """An in-flight start."""
    return InFlightStart(
        serial=1,
        model_id=7,
        uid=uid,
        namespace=namespace,
        name="starter",
        run="run-1",
        attempt=1,
        baseline=READY,
    )


def unreadable(
    *namespaces: str,
    spec: object = None,
    status: object = None,
    uid: str = "uid-of-starter",
) -> Coverage:
    """Coverage of namespaces that are listed, one with a resource that cannot be parsed."""
    coverage = Coverage(namespaces)
    for scope in coverage.scopes:
        coverage.listed(scope)
    raw: dict[str, Any] = {
        "metadata": {"uid": uid, "resourceVersion": "1"},
        "spec": {"modelId": 7} if spec is None else spec,
        "status": status,
    }
    assert coverage.put_unreadable(KEY, raw)
    assert not coverage.put_unreadable(KEY, raw)
    return coverage


@pytest.mark.parametrize(
    ("namespaces", "listed", "namespace", "is_hidden"),
    [
        (("team-a", "team-b"), ("team-a",), "team-b", True),
        (("team-a", "team-b"), ("team-a",), "team-a", False),
        (("team-a", "team-b"), ("team-a", "team-b"), "team-b", False),
        pytest.param(("team-a",), ("team-a",), "team-b", False, id="not watched any more"),
        ((), (), "team-b", True),
        ((), (ALL,), "team-b", False),
    ],
)
def test_starter_in_an_unlisted_namespace_may_exist(
    namespaces: tuple[str, ...],
    listed: tuple[str, ...],
    namespace: str,
    is_hidden: bool,  # noqa: FBT001 - both sides
) -> None:
    coverage = Coverage(namespaces)
    for scope in listed:
        assert coverage.listed(scope)
        assert not coverage.listed(scope)
    assert coverage.may_hide_starter(an_entry(namespace)) == is_hidden


def test_starter_that_cannot_be_parsed_exists() -> None:
    coverage = unreadable("team-b")
    assert coverage.may_hide_starter(an_entry())
    assert not coverage.may_hide_starter(an_entry(uid="of-another"))
    coverage.forget_unreadable(KEY)
    assert not coverage.may_hide_starter(an_entry())


@pytest.mark.parametrize(
    ("spec", "models"),
    [({"modelId": 7}, {7}), ({"modelId": "7"}, {7, 8}), ({}, {7, 8}), ("text", {7, 8})],
)
def test_unparseable_competitor_counts_for_its_model(spec: object, models: set[int]) -> None:
    coverage = unreadable("team-b", spec=spec)
    assert {model for model in (7, 8) if coverage.may_hide_competitor(model)} == models


@pytest.mark.parametrize(
    ("status", "is_competitor"),
    [
        (None, False),
        ({"progress": "45%"}, False),
        ({"run": {"id": 5}}, True),
        ({"run": {"id": 5}, "finishedAt": "soon"}, False),
        (["run"], True),
    ],
)
def test_run_of_a_resource_that_cannot_be_parsed_counts(
    status: object,
    is_competitor: bool,  # noqa: FBT001 - both sides
) -> None:
    coverage = unreadable("team-b", status=status)
    assert coverage.unreadable_competitor(7) == (KEY if is_competitor else None)
    assert coverage.unreadable_competitor(8) is None


def test_competitor_may_exist_in_an_unlisted_namespace() -> None:
    coverage = Coverage(("team-a", "team-b"))
    coverage.listed("team-a")
    assert coverage.may_hide_competitor(7)
    coverage.listed("team-b")
    assert not coverage.may_hide_competitor(7)


@pytest.mark.parametrize(
    ("status", "is_gap"),
    [
        (None, False),
        ({}, False),
        ({"run": {"id": "run-1"}}, False),
        (INTENT, True),
        ({"run": ["intent"]}, True),
        (["run"], True),
    ],
)
def test_ledger_waits_for_an_unreadable_intent(
    status: object,
    is_gap: bool,  # noqa: FBT001 - both sides
) -> None:
    gap = unreadable("team-b", status=status).gap()
    assert gap == ("a resource in namespace team-b cannot be parsed" if is_gap else None)


def test_gap_names_what_is_missing_in_bounded_length() -> None:
    assert Coverage(("team-a",)).gap() == "namespace team-a not listed"
    assert Coverage().gap() == "all namespaces not listed"
    names = [f"team-{number}" for number in range(SHOWN + 2)]
    shown = ", ".join(names[:SHOWN])
    assert Coverage(names).gap() == f"namespaces {shown} and 2 more not listed"
    coverage = unreadable("team-a", "team-b", status=INTENT)
    assert coverage.gap() == "a resource in namespace team-b cannot be parsed"
