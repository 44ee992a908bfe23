"""kube/embedded.py: what one event of the watch costs in Kopf."""

from typing import cast

import kopf
import pytest

from scriptix_operator.kube import embedded


class Unread(dict[str, object]):
    """A resource that fails the test when a field is read or copied."""

    def __getitem__(self, key: str) -> object:
        pytest.fail(f"{key} is read")

    def __deepcopy__(self, memo: object) -> "Unread":
        pytest.fail("the resource is copied")


def test_kopf_keeps_no_version_to_compare_events_with() -> None:
    storage = embedded._settings().persistence.diffbase_storage
    body = kopf.Body(cast("kopf.RawBody", Unread(spec={})))
    assert storage.fetch(body=body) is None
    assert storage.build(body=body) == {}
