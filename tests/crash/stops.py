"""Cases: an operator that receives SIGTERM at an await of a start leaves nothing to resolve."""

import json
from functools import partial

from scriptix_operator.api.names import LEDGER
from tests.crash.kills import Blow, Found, blows
from tests.crash.matrix import Case
from tests.crash.scene import MODEL, NAME, Scene, Situation

__all__ = ["stops"]

PATIENT = "30s"
"""For the reply to a POST: a busy machine must not make a lost reply of a late one."""


def stops(situation: Situation, found: Found) -> list[Case]:
    """SIGTERM at each await of a start."""
    return [
        Case(situation, blow.at.name, f"stopped, {blow.mode}", partial(_stop, blow))
        for blow in blows(found, "one each", faulty=False)
    ]


async def _stop(blow: Blow, scene: Scene) -> float:
    orders = scene.orders(blow.at, mode=blow.mode, suspension=blow.suspension, signal="SIGTERM")
    subject = await scene.subject(orders, post_timeout=PATIENT)
    status = await subject.ended()
    assert status == 0, f"exit status {status}:\n{subject.log[-3000:]}"
    assert scene.is_struck
    left = (await scene.lab.get(NAME)).get("status", {}).get("run") or {}
    assert "intent" not in left, f"an intent is left: {left}"
    ledger = await scene.lab.config_map(LEDGER)
    entries = {} if ledger is None else json.loads(ledger["data"]["ledger"]).get("entries", {})
    assert not entries, f"in-flight starts are left: {entries}"
    await scene.successor(post_timeout=PATIENT)
    seconds = await scene.recovered()
    ownership = (await scene.lab.get(NAME))["status"]["run"]["ownership"]
    assert ownership == "Owned", f"the successor had to find out: {ownership}"
    posts = len(scene.lab.posts(MODEL)) - scene.before
    assert posts == 1, f"{posts} POSTs"
    return seconds
