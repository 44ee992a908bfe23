"""Notifications of a whole operator: each transition of a run arrives once, and delays nothing."""

import asyncio

from scriptix_operator.check import Severity
from tests.operator.lab import TIMEOUT, Lab
from tests.operator.rights.findings import findings
from tests.unit.engine.notification_bench import SIGNING_KEY, Receiver, Reply

SECRET = "hooks"


async def test_start_and_success_of_a_run_arrive_once(lab: Lab) -> None:
    await lab.secret()
    async with Receiver.serving() as receiver:
        receiver.replies.append(Reply(500))
        data = {"signing-key": SIGNING_KEY, "url": receiver.url}
        await lab.put_secret(data, SECRET)
        operator = await lab.operator(notification_secret=SECRET, allow_insecure_http="true")
        lab.model(831, duration=1)
        await lab.train("announced", 831)
        done = await lab.until_phase("announced", "Succeeded")
        # The first attempt is repeated after 5 s: the run was not held up by it.
        async with asyncio.timeout(TIMEOUT):
            while len(receiver.ids) < 3:  # noqa: ASYNC110 - the receiver is no condition
                await asyncio.sleep(0.05)
    assert receiver.types == ["started", "started", "succeeded"]
    assert len(set(receiver.ids)) == 2
    data = receiver.events[-1]["data"]
    assert data["runId"] == done["status"]["run"]["id"]
    assert data["wordErrorRate"] == "12.5"
    assert "hush" not in operator.log
    assert receiver.url not in operator.log
    environment = {
        "KUBECONFIG": str(lab.control_plane.kubeconfig),
        "POD_NAMESPACE": lab.namespace,
        "SCRIPTIX_NOTIFICATION_SECRET": SECRET,
    }
    [finding] = await findings(environment, "notify")
    assert finding.severity is Severity.OK
    assert f"a sink is configured: url of Secret {lab.namespace}/{SECRET}" in finding.text
