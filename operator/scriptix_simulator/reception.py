"""Receives every call, over HTTP or in process: records it, applies faults, acts on it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from .calls import Record
from .changes import Changes
from .clock import Clock
from .config import fingerprint
from .delivery import Background, Delivery, Exchange, deliver
from .replies import Reply
from .state import ApiRequest, SimulatorState, endpoint

__all__ = ["Answer", "Reception"]

Answer = Callable[[], Awaitable[Delivery]]
"""Handles a received call, and returns its delivery."""


class Reception:
    """Receives the calls for a state.

    Args:
        state: The state to serve.
        clock: The clock.
        changes: Notified of every call received, acted on and answered.
        background: Where late actions run.
    """

    def __init__(
        self, state: SimulatorState, clock: Clock, changes: Changes, background: Background
    ) -> None:
        self._state = state
        self._clock = clock
        self._changes = changes
        self._background = background

    @contextmanager
    def receive(self, asked: ApiRequest) -> Iterator[Answer]:
        """Record a call; the yielded function answers it, and the call ends with the context.

        A call that is not answered has broken off: no fault applies, and the server does not act.
        """
        record = self._record(asked)
        try:
            yield partial(self._answer, asked, record)
        finally:
            self._state.calls.close(record)
            self._changes.notify()

    def _record(self, asked: ApiRequest) -> Record:
        call, model = endpoint(asked)
        key = self._state.key_of(asked)
        record = self._state.calls.open(
            self._clock.now(),
            call,
            model,
            (asked.method, asked.path),
            None if key is None else fingerprint(key),
        )
        if call == "run":
            record.body_ok = asked.is_empty_object
        self._changes.notify()
        return record

    async def _answer(self, asked: ApiRequest, record: Record) -> Delivery:
        fault = self._state.faults.take(record.kind, record.model)
        record.fault = None if fault is None else fault.fault
        act = partial(self._act, asked, record)
        return await deliver(Exchange(record, act, self._clock, self._background), fault)

    def _act(self, asked: ApiRequest, record: Record) -> Reply:
        record.acted_at = self._clock.now()
        reply = self._state.answer(asked, record.acted_at, stale=record.fault == "stale")
        record.started = reply.started
        self._changes.notify()
        return reply
