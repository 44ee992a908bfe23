"""The watch of the harness: when status first shows the end of each run."""

import asyncio
import json

import aiohttp

from bench.real.clock import now
from bench.real.cluster import Cluster
from scriptix_operator.api.names import GROUP, PLURAL, VERSION

__all__ = ["Observer"]

PATH = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
RETRY_SECONDS = 0.1


class Observer:
    """Follows the resources of some namespaces.

    Args:
        cluster: The cluster.
        namespaces: The namespaces of the row; others are ignored.
    """

    def __init__(self, cluster: Cluster, namespaces: frozenset[str]) -> None:
        self._cluster = cluster
        self._namespaces = namespaces
        self.ended: dict[int, float] = {}
        """By model, the time at which status showed the end of its run."""

    async def run(self) -> None:
        """Watch until cancelled; a broken watch begins again."""
        while True:
            try:
                await self._watch()
            except aiohttp.ClientError:
                await asyncio.sleep(RETRY_SECONDS)  # the API server is away

    async def _watch(self) -> None:
        # Without a version, the watch begins with all resources as they are.
        async with self._cluster.session.get(PATH, params={"watch": "true"}) as reply:
            if not reply.ok:
                await asyncio.sleep(RETRY_SECONDS)
                return
            async for line in reply.content:
                if (
                    b'"finishedAt"' in line
                ):  # parsing all would cost more CPU time than the operator
                    self._note(json.loads(line)["object"])

    def _note(self, item: dict[str, dict[str, object]]) -> None:
        is_ours = item["metadata"]["namespace"] in self._namespaces
        if is_ours and item.get("status", {}).get("finishedAt"):
            self.ended.setdefault(int(str(item["spec"]["modelId"])), now())
