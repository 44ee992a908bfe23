"""The aiohttp application: the API under `/api/v3`, the admin API under `/admin`.

This thin layer turns requests into `ApiRequest`s and applies their deliveries to the socket.
"""

import socket
import struct

from aiohttp import web

from .admin import create_admin
from .changes import Changes
from .clock import Clock, SystemClock
from .delivery import Background, Delivery, HangUp, Send, Stream
from .reception import Reception
from .state import MAX_BODY, ApiRequest, SimulatorState

__all__ = ["create_app"]


def create_app(
    state: SimulatorState, clock: Clock | None = None, changes: Changes | None = None
) -> web.Application:
    """Return the application that serves a state.

    Args:
        state: The state to serve.
        clock: The clock; that of the machine by default.
        changes: Notified of every call received, acted on and answered.
    """
    rim = _App(state, clock or SystemClock(), changes or Changes())
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_get("/admin", _to_admin)
    app.add_subapp("/admin", create_admin(state, rim.clock))
    app.router.add_route("*", "/{path:.*}", rim.handle)
    app.on_shutdown.append(rim.close)
    return app


async def _to_admin(_request: web.Request) -> web.Response:
    """Redirect to the page; `/admin` alone would be a path that the API does not know."""
    raise web.HTTPPermanentRedirect("/admin/")


class _App:
    def __init__(self, state: SimulatorState, clock: Clock, changes: Changes) -> None:
        self.clock = clock
        self._auth_header = state.config.auth_header
        self._background = Background()
        self._reception = Reception(state, clock, changes, self._background)

    async def close(self, _app: web.Application) -> None:
        await self._background.cancel()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body, is_complete = await _read(request)
        asked = ApiRequest(
            method=request.method,
            path=request.path,
            credential=request.headers.get(self._auth_header),
            content_type=request.content_type,
            body=body,
        )
        with self._reception.receive(asked) as answer:
            if not is_complete:
                return web.Response()  # only aiohttp needs it: the client has disconnected
            return await self._carry_out(request, await answer())

    async def _carry_out(self, request: web.Request, delivery: Delivery) -> web.StreamResponse:
        match delivery:
            case Send(reply):
                return web.Response(
                    status=reply.status, body=reply.payload or None, headers=reply.headers
                )
            case HangUp(reset):
                return _hang_up(request, reset=reset)
            case Stream(reply):
                response = web.StreamResponse(status=reply.status, headers=reply.headers)
                response.content_length = len(reply.payload)
                await response.prepare(request)
                async for piece in delivery.pieces(self.clock):
                    await response.write(piece)
                if delivery.end is None:
                    return response
                return _hang_up(request, reset=delivery.end.reset)


def _hang_up(request: web.Request, *, reset: bool) -> web.StreamResponse:
    """Close the connection in place of a reply."""
    transport = request.transport
    if transport is not None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        else:
            transport.close()
    return web.Response()  # aiohttp needs one, and cannot send it


async def _read(request: web.Request) -> tuple[bytes | None, bool]:
    """Return the body (None: too large) and whether the client stayed until its end."""
    try:
        return await request.read(), True
    except web.HTTPRequestEntityTooLarge:
        return None, True
    except ConnectionError:
        return None, False
