"""The aiohttp application: the API under `/api/v3`, the admin view under `/admin`.

A thin rim: it turns requests into `ApiRequest`s, writes them down, and hands them to the service
and its replies to `delivery`.
"""

from functools import partial

from aiohttp import web

from .admin import create_admin
from .calls import Record
from .changes import Changes
from .clock import Clock, SystemClock
from .config import fingerprint
from .delivery import Background, Exchange, deliver
from .replies import Reply
from .state import ApiRequest, SimulatorState, endpoint

__all__ = ["create_app"]

_MAX_BODY = 65_536
"""Bytes of a body that the API reads; a start has two."""


def create_app(
    state: SimulatorState, clock: Clock | None = None, changes: Changes | None = None
) -> web.Application:
    """Return the application that serves a state.

    Args:
        state: What is served.
        clock: What tells the time; the machine's by default.
        changes: Is told of every call received, acted on and answered.
    """
    rim = _Rim(state, clock or SystemClock(), changes or Changes())
    app = web.Application(client_max_size=_MAX_BODY)
    app.add_subapp("/admin", create_admin(state, rim.clock))
    app.router.add_route("*", "/{path:.*}", rim.handle)
    app.on_shutdown.append(rim.close)
    return app


class _Rim:
    def __init__(self, state: SimulatorState, clock: Clock, changes: Changes) -> None:
        self.state = state
        self.clock = clock
        self.changes = changes
        self._background = Background()

    async def close(self, _app: web.Application) -> None:
        await self._background.cancel()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body, is_complete = await _read(request)
        asked = ApiRequest(
            method=request.method,
            path=request.path,
            credential=request.headers.get(self.state.config.auth_header),
            content_type=request.content_type,
            body=body,
        )
        record = self._write_down(asked)
        try:
            if not is_complete:
                return web.Response()  # for aiohttp alone: the client has gone
            fault = self.state.faults.take(record.kind, record.model)
            record.fault = None if fault is None else fault.fault
            act = partial(self._act, asked, record)
            return await deliver(
                Exchange(request, record, act, self.clock, self._background), fault
            )
        finally:
            self.state.calls.close(record)
            self.changes.notify()

    def _write_down(self, asked: ApiRequest) -> Record:
        call, model = endpoint(asked)
        key = self.state.key_of(asked)
        record = self.state.calls.open(
            self.clock.now(),
            call,
            model,
            (asked.method, asked.path),
            None if key is None else fingerprint(key),
        )
        if call == "run":
            record.body_ok = asked.is_empty_object
        self.changes.notify()
        return record

    def _act(self, asked: ApiRequest, record: Record) -> Reply:
        record.acted_at = self.clock.now()
        reply = self.state.answer(asked, record.acted_at, stale=record.fault == "stale")
        record.started = reply.started
        self.changes.notify()
        return reply


async def _read(request: web.Request) -> tuple[bytes | None, bool]:
    """Return the body (None: too large) and whether the client stayed until its end."""
    try:
        return await request.read(), True
    except web.HTTPRequestEntityTooLarge:
        return None, True
    except ConnectionError:
        return None, False
