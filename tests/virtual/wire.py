"""The operator's calls, each with the limits that the operator knew when it sent the call."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx

from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.scheduling.calls import Call
from scriptix_simulator.state import ApiRequest, endpoint
from scriptix_simulator.units import Limit as ServerLimit
from tests.virtual.loop import boottime
from tests.virtual.world import World

__all__ = ["KINDS", "Sent", "Wire", "is_kept", "key_of"]

KINDS = {"run": Call.START, "model": Call.STATUS, "log": Call.LOG}
"""The simulator's kinds of calls, and the operator's."""
TOO_MANY = 429


@dataclass(slots=True)
class Sent:
    """A call of the operator's."""

    at: float
    """When it was sent, in the loop's time."""
    key: str
    kind: Call
    model: int
    limits: Sequence[Limit]
    """The limits that the operator kept to."""
    status: int | None = None
    """Status code of the reply; None: no reply."""
    over_at: float = math.inf
    """When the reply arrived or the wait for it ended; inf: still waiting."""
    back_at: float = 0.0
    """The retry time of a refusal that names seconds."""

    @property
    def is_refused(self) -> bool:
        """Whether it was refused for its rate."""
        return self.status == TOO_MANY


class Wire(httpx.AsyncBaseTransport):
    """A transport between the operators of a world and the API that records all calls.

    Args:
        world: The world whose transport it wraps.
    """

    def __init__(self, world: World) -> None:
        self._world, self._behind = world, world.wire
        self.sent: list[Sent] = []
        world.wire = self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Forward a request."""
        kind, model = endpoint(ApiRequest(request.method, request.url.path))
        key, call = key_of(request), KINDS[kind]
        scheduler = self._world.engines[-1].schedulers.of(ApiKey(key, "").fingerprint)
        limits = scheduler.limiters[call].limits(boottime())
        sent = Sent(boottime(), key, call, model or 0, limits)
        self.sent.append(sent)
        try:
            response = await self._behind.handle_async_request(request)
        finally:
            sent.over_at = boottime()
        sent.status = response.status_code
        if sent.is_refused and response.headers.get("Retry-After", "").isdigit():
            sent.back_at = sent.over_at + int(response.headers["Retry-After"])
        return response


def key_of(request: httpx.Request) -> str:
    """The API key that a request carries."""
    return request.headers["Authorization"].removeprefix("Bearer ")


def is_kept(limits: Iterable[Limit], true: Iterable[ServerLimit]) -> bool:
    """Whether a client that keeps to `limits` keeps to the true limits, too."""
    known = tuple(limits)
    return all(
        any(ours.count <= one.count and ours.seconds >= one.seconds for ours in known)
        for one in true
    )
