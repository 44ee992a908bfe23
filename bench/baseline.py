"""The baseline: one loop for each model, at a fixed interval.

The loop does what the API's document shows and a plain Kopf timer would do: GET the model; POST its
run when the model is ready; then GET it each interval until it has succeeded or failed. On 429 the
loop waits for Retry-After, or else for its interval, and continues. Loops do not coordinate, and
nothing counts calls. The code uses httpx, and of this project only the transport to the simulator.
"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from tests.virtual.loop import boottime, wall

__all__ = ["PATH", "FixedInterval"]

PATH = "/api/v3/custom_models"


@dataclass(slots=True)
class FixedInterval:
    """Loops with one API key.

    Args:
        client: A client with the key in its headers.
        interval: Seconds between the end of one call and the next.
        rng: Draws the phase of each loop in its interval.
    """

    client: httpx.AsyncClient
    interval: float
    rng: random.Random
    started: dict[int, float] = field(default_factory=dict)
    """By model, when the reply to its start was read."""
    ended: dict[int, float] = field(default_factory=dict)
    """By model, when a reply first showed that its run is over."""

    async def follow(self, model: int, phase: float | None = None) -> None:
        """Train a model.

        Args:
            model: The id of the model.
            phase: Seconds before the first call; None: random, less than an interval.
        """
        wait: float | None = self.rng.uniform(0, self.interval) if phase is None else phase
        while wait is not None:
            await asyncio.sleep(wait)
            wait = await self._continue(model)

    async def _continue(self, model: int) -> float | None:
        """Make one or two calls; returns seconds until the next one, None after the end."""
        reply = await self._call("GET", f"{PATH}/{model}")
        if reply is None or reply.status_code != HTTPStatus.OK:
            return self._wait(reply)
        match reply.json()["training_status"]:
            case 4 | 5:
                self.ended[model] = boottime()
                return None
            case 2 if model not in self.started:
                reply = await self._call("POST", f"{PATH}/{model}/run")
                if reply is not None and reply.is_success:
                    self.started[model] = boottime()
                return self._wait(reply)
            case _:
                pass
        return self.interval

    async def _call(self, method: str, path: str) -> httpx.Response | None:
        try:
            return await self.client.request(method, path, json={} if method == "POST" else None)
        except httpx.TransportError:
            return None

    def _wait(self, reply: httpx.Response | None) -> float:
        retry_after = None if reply is None else reply.headers.get("Retry-After")
        if (
            reply is None
            or reply.status_code != HTTPStatus.TOO_MANY_REQUESTS
            or retry_after is None
        ):
            return self.interval
        if retry_after.isdecimal():
            return float(retry_after)
        until: datetime = parsedate_to_datetime(retry_after)
        return max((until.astimezone(UTC) - wall()).total_seconds(), 0.0)
