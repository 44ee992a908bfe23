"""Causes every kind of request that the operator makes to the API server."""

import asyncio

from scriptix_operator.api.names import QUOTA
from scriptix_operator.kube.connection import configure, connect
from scriptix_operator.kube.quota_config_map import QuotaConfigMap
from tests.operator.lab import TIMEOUT, Lab, Manifest, Operator
from tests.operator.logsupport import Namespace
from tests.operator.rights.audit import Audit
from tests.operator.rights.installed import DEFAULT_SECRET, NOTIFICATION_SECRET, Installed


async def main_job(lab: Lab, installed: Installed, audit: Audit) -> Operator:
    """Train, fail, wait, re-create and stop; return the operator, which has ended."""
    await give_keys(lab, installed)
    operator = await lab.operator(installed.environment())
    await train_and_fail(lab)
    await repeat_an_event(lab)
    await begin_again_beside_a_dead_log(lab, audit)
    await read_the_quota(installed)
    operator.terminate()
    assert await operator.ended() == 0
    return operator


async def give_keys(lab: Lab, installed: Installed) -> None:
    """Put the operator's own Secrets into its namespace, and a key of the team into the team's."""
    await lab.secret(name=DEFAULT_SECRET, namespace=installed.namespace)
    # The sink is down, which delays nothing; the Secret is read for each attempt.
    sink = {"signing-key": "whsec_" + "A" * 32, "url": "http://127.0.0.1:1/"}
    await lab.put_secret(sink, NOTIFICATION_SECRET, installed.namespace)
    await lab.secret(name="team")


async def train_and_fail(lab: Lab) -> None:
    """Train a model with the operator's key, and one that fails with the team's."""
    lab.model(401)
    lab.model(402, outcome="poor_transcripts")
    await lab.train("allowed", 401)
    await lab.train("failing", 402, apiKeySecretRef={"name": "team"})
    await lab.until("allowed", has_its_log)
    await lab.until_phase("failing", "Failed")
    await lab.until_event("allowed", "TrainingSucceeded")
    await lab.until_event("failing", "TrainingFailed")
    assert await lab.config_map("allowed-result") is not None


async def repeat_an_event(lab: Lab) -> None:
    """Let a resource wait twice: a repeated event is read, and its count is patched."""
    lab.model(403, status=1)
    await lab.train("waiting", 403)
    await lab.until_reason("waiting", "WaitingForModel")
    await lab.edit("waiting", suspend=True)
    await lab.until_phase("waiting", "Suspended")
    await lab.edit("waiting", suspend=False)
    async with asyncio.timeout(TIMEOUT):
        while (await lab.until_event("waiting", "WaitingForModel"))["count"] < 2:  # noqa: ASYNC110 - events have no other way
            await asyncio.sleep(0.05)


async def begin_again_beside_a_dead_log(lab: Lab, audit: Audit) -> None:
    """Re-create a resource: the operator deletes the log of the deleted one.

    The garbage collector would delete the log too, and may be first; a finalizer delays it.
    """
    space = Namespace(lab.control_plane, lab.namespace)
    space.patch("allowed-log", {"metadata": {"finalizers": ["scriptix.io/held-by-a-test"]}})
    await lab.delete("allowed")
    again = await lab.train("allowed", 401)
    async with asyncio.timeout(TIMEOUT):
        while not any(request.verb == "delete" for request in audit.requests()):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)
    space.patch("allowed-log", {"metadata": {"finalizers": None}})
    await lab.until("allowed", has_its_log)
    log = await lab.config_map("allowed-log")
    assert log is not None
    [owner] = log["metadata"]["ownerReferences"]
    assert owner["uid"] == again["metadata"]["uid"]


async def read_the_quota(installed: Installed) -> None:
    """Wait until the quota left is published, and read it as `scriptix-operator check` does."""
    configuration = await configure(installed.environment())
    async with connect(configuration) as api, asyncio.timeout(TIMEOUT):
        config_map = QuotaConfigMap(api, installed.namespace, QUOTA)
        while await config_map.read() is None:  # noqa: ASYNC110 - a ConfigMap is not watched
            await asyncio.sleep(0.1)


def has_its_log(item: Manifest) -> bool:
    """Whether the run has ended and all of its log is stored."""
    state: str | None = item.get("status", {}).get("log", {}).get("state")
    return state == "Complete"
