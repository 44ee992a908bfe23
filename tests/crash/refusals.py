"""Cases: a write of the protocol is refused by the API server once, or its reply is lost.

A proxy records the writes in a run without a fault.
"""

from functools import partial

from tests.controlplane.cluster import ControlPlane
from tests.crash.matrix import Case, Matrix
from tests.crash.orders import Ended, read
from tests.crash.proxy import MISHAPS, Mishap, Proxy, Write, proxied
from tests.crash.scene import Scene, Situation

__all__ = ["refusals"]


async def refusals(matrix: Matrix, situation: Situation) -> list[Case]:
    """Each write of a start, with each mishap."""
    plane = matrix.stage.control_plane

    async def observed(scene: Scene) -> list[Write]:
        async with proxied(plane, scene.notes.parent) as proxy:
            scene.about_to_ask = partial(proxy.fail_write, None)
            await _run(scene, proxy)
            assert await scene.starts() == 1
            recorded = next(
                n.at for n in read(scene.notes) if isinstance(n, Ended) and n.is_recorded
            )
            return [write for write in proxy.writes if write.at <= recorded]

    return [
        Case(situation, write.name, mishap, partial(_fail_write, plane, write, mishap))
        for write in await matrix.observe(situation, observed)
        for mishap in MISHAPS
    ]


async def _fail_write(plane: ControlPlane, write: Write, mishap: Mishap, scene: Scene) -> float:
    async with proxied(plane, scene.notes.parent) as proxy:
        scene.about_to_ask = partial(proxy.fail_write, write, mishap)
        seconds = await _run(scene, proxy)
        assert proxy.is_failed, f"the write never arrived; writes: {proxy.writes}"
        return seconds


async def _run(scene: Scene, proxy: Proxy) -> float:
    through = {"KUBECONFIG": str(proxy.kubeconfig)}
    operator = await scene.subject(scene.orders(), through, leader_election="true")
    try:
        return await scene.recovered()
    finally:
        operator.kill()  # before the proxy stops
        await operator.ended()
