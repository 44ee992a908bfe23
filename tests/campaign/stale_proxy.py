"""A proxy before the API server that loses and delays watch events, and lists an older state."""

import asyncio
import json
import random
from dataclasses import dataclass, field

from aiohttp import web

from scriptix_operator.api.names import PLURAL
from tests.crash.proxy import Proxy

__all__ = ["StaleProxy"]


@dataclass(slots=True)
class StaleProxy(Proxy):
    """A proxy whose watch streams are unreliable, and whose lists may be old.

    Args:
        lost: Fraction of the watch events that are dropped.
        delay: Seconds by which a watch event is late, at most.
        old: The list that is served in place of the true one, and how often.
    """

    rng: random.Random = field(default_factory=random.Random)
    lost: float = 0.0
    delay: float = 0.0
    old: tuple[bytes, int] = (b"", 0)
    versions: set[str | None] = field(default_factory=set)
    """The resourceVersions that lists have asked for; None: the newest, by a quorum read."""

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET" or not request.path.endswith(f"/{PLURAL}"):
            return await Proxy._forward(self, request)
        if "watch" in request.query:
            return await self._watch(request)
        self.versions.add(request.query.get("resourceVersion"))
        body, times = self.old
        if times:
            self.old = body, times - 1
            return web.Response(body=body, content_type="application/json")
        return await Proxy._forward(self, request)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        async with self._answer(request) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_type = "application/json"
            await response.prepare(request)
            async for line in answer.content:
                is_event = json.loads(line)["type"] in {"ADDED", "MODIFIED"}
                if is_event and self.rng.random() < self.lost:
                    continue
                await asyncio.sleep(self.rng.uniform(0, self.delay))
                await response.write(line)
            await response.write_eof()
            return response
