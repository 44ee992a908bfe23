"""kube/merge_patch.py: patches as RFC 7386 applies them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.kube.merge_patch import merge_patch

LEAVES = st.integers(0, 2) | st.text("ab", max_size=2) | st.lists(st.integers(0, 1), max_size=2)
DOCUMENTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        LEAVES,
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
"""JSON without null, which `dump_status` omits."""


def applied(target: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON
    """The algorithm of RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = applied(target.get(name), value)
    return target


@given(DOCUMENTS, DOCUMENTS)
def test_the_patch_turns_the_old_into_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert applied(old, merge_patch(old, new)) == new


@given(DOCUMENTS)
def test_equal_documents_need_no_patch(document: dict[str, Any]) -> None:
    assert merge_patch(document, document) == {}


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        pytest.param({"a": 1}, {}, {"a": None}, id="gone"),
        pytest.param({}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="new"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}, id="inside"),
        pytest.param({"a": [1, 2]}, {"a": [1]}, {"a": [1]}, id="lists are replaced"),
        pytest.param({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="a value becomes an object"),
        pytest.param({"a": {"b": 1}}, {"a": 1}, {"a": 1}, id="an object becomes a value"),
    ],
)
def test_the_patch_is_the_smallest(
    old: dict[str, Any], new: dict[str, Any], patch: dict[str, Any]
) -> None:
    assert merge_patch(old, new) == patch


def test_fields_that_this_operator_does_not_know_are_left_alone() -> None:
    stored = {"phase": "Running", "ofANewerOperator": {"x": 1}}
    patch = merge_patch({"phase": "Running"}, {"phase": "Succeeded"})
    assert applied(stored, patch) == {"phase": "Succeeded", "ofANewerOperator": {"x": 1}}
