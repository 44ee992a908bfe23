"""Without a permission the operator reports the problem, and starts nothing unrecorded."""

from collections.abc import Iterator

import pytest

from tests.operator.lab import Lab, Operator, condition_of
from tests.operator.rights.grants import Grant, withdrawn
from tests.operator.rights.installed import Installed
from tests.operator.rights.job import give_keys


def the(installed: Installed, verb: str, resource: str, namespace: str) -> Grant:
    """Return the grant of a verb in a namespace."""
    [found] = [
        grant
        for grant in installed.grants()
        if (grant.verb, grant.resource, grant.namespace) == (verb, resource, namespace)
    ]
    return found


@pytest.fixture
def lacking(lab: Lab, namespaced: Installed, request: pytest.FixtureRequest) -> Iterator[Installed]:
    """Remove the permission `verb resource`; `own` for the operator's own namespace."""
    verb, resource, *own = request.param.split()
    namespace = namespaced.namespace if own else lab.namespace
    grant = the(namespaced, verb, resource, namespace)
    with withdrawn(lab.control_plane, namespaced.user, grant):
        yield namespaced


async def begin(lab: Lab, installed: Installed) -> Operator:
    """Ask for a training."""
    await give_keys(lab, installed)
    lab.model(401)
    await lab.train("one", 401)
    return await lab.operator(installed.environment())


@pytest.mark.parametrize("lacking", ["get secrets"], indirect=True)
async def test_forbidden_secret_is_named_in_status(lab: Lab, lacking: Installed) -> None:
    await begin(lab, lacking)
    item = await lab.until_reason("one", "SecretNotFound")
    assert 'may not read Secret "scriptix-api-key"' in item["status"]["message"]
    stalled = condition_of(item, "Stalled")
    assert stalled is not None
    assert stalled["status"] == "True"


@pytest.mark.parametrize("lacking", ["create configmaps own"], indirect=True)
async def test_nothing_is_started_without_permission_for_the_ledger(
    lab: Lab, lacking: Installed
) -> None:
    await begin(lab, lacking)
    item = await lab.until_reason("one", "StartLedgerNotWritable")
    assert "ledger" in item["status"]["message"]
    assert lab.posts() == []


@pytest.mark.parametrize(
    ("lacking", "announced"),
    [
        (
            "patch custommodeltrainings/status",
            r"cannot patch resource ..?custommodelt",
        ),
        ("create leases own", r"cannot contend for the Lease: .*cannot create resource"),
    ],
    indirect=["lacking"],
)
async def test_forbidden_status_write_is_logged_and_nothing_is_started(
    lab: Lab, lacking: Installed, announced: str
) -> None:
    operator = await begin(lab, lacking)
    await operator.printed(announced)
    assert lab.posts() == []
