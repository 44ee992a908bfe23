"""Cases: an operator that receives SIGTERM at an await of a start leaves nothing to resolve."""

from functools import partial

from scriptix_operator.api.names import LEDGER
from scriptix_operator.core.ledger.ledger import Ledger
from tests.crash.kills import Blow, Found, blows
from tests.crash.matrix import Case
from tests.crash.scene import MODEL, NAME, Scene, Situation

__all__ = ["stops"]

PATIENT = "30s"
"""Time-out for the reply to a POST: on a busy machine, a late reply must not count as lost."""


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
    in_flight = (
        {}
        if ledger is None
        else Ledger.model_validate_json(ledger["data"]["ledger"]).in_flight_starts
    )
    assert not in_flight, f"in-flight starts are left: {in_flight}"
    await scene.successor(post_timeout=PATIENT)
    seconds = await scene.recovered()
    ownership = (await scene.lab.get(NAME))["status"]["run"]["ownership"]
    assert ownership == "Owned", f"the successor had to determine the outcome: {ownership}"
    posts = len(scene.lab.posts(MODEL)) - scene.before
    assert posts == 1, f"{posts} POSTs"
    return seconds
