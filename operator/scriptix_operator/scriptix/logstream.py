"""Streams a reply with a log from the connection to its reader, in a worker thread.

The API can send 64 MiB. So the reply is parsed while it arrives, and the process reads large
replies one at a time: the others wait with their remaining bytes unread, and TCP slows the server
down.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from scriptix_operator.core.model.remote import CallFailure, LogEntry, LogReply
from scriptix_operator.scriptix.exchange import unusable
from scriptix_operator.scriptix.jsontext import BadReplyError
from scriptix_operator.scriptix.logreader import LogReader
from scriptix_operator.scriptix.refusals import error_in_success
from scriptix_operator.scriptix.wire import read_pieces

__all__ = ["LOG_LIMIT", "LogStreams"]

LOG_LIMIT = 64 * 1024 * 1024
"""Bytes of a reply with a log at most."""

SMALL = 1024 * 1024
"""Bytes of a log that are read without waiting for other logs."""

BATCH = 256 * 1024
"""Bytes parsed at once: tens of milliseconds in a thread, far more than the handover takes."""


class LogStreams:
    """Reads replies with logs; large ones one at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def read(
        self,
        response: httpx.Response,
        deadline: asyncio.Timeout,
        *,
        model_id: int,
        redact: Callable[[str], str],
        add: Callable[[LogEntry], None],
    ) -> LogReply | CallFailure:
        """Read a 2xx that must hold the log of a model.

        Args:
            response: The reply, its body unread.
            deadline: Deadline of the call, extended by the time that the reply waits for others.
            model_id: The model.
            redact: Removes the key from a text.
            add: Called once for each entry, in the order of the reply, from a worker thread.

        Raises:
            BodyError: The body is too large, or compressed in a way that cannot be read.
            httpx.RequestError: The connection failed.
        """
        reader = LogReader(model_id, response.headers.get("Content-Type", ""), redact, add)
        batch: list[bytes] = []
        received = in_batch = 0
        async with AsyncExitStack() as turn:

            async def take(piece: bytes) -> None:
                nonlocal received, in_batch
                batch.append(piece)
                was_small = received <= SMALL
                received += len(piece)
                in_batch += len(piece)
                if was_small and received > SMALL:
                    await turn.enter_async_context(self._one_at_a_time(deadline))
                if in_batch >= BATCH:
                    # Not on the event loop, which has to renew the Lease meanwhile.
                    await asyncio.to_thread(reader.feed, tuple(batch))
                    batch.clear()
                    in_batch = 0

            try:
                await read_pieces(response, LOG_LIMIT, take)
                return await asyncio.to_thread(reader.finish, batch)
            except BadReplyError as error:
                status = response.status_code
                return error_in_success(status, reader.body) or unusable(status, error)

    @asynccontextmanager
    async def _one_at_a_time(self, deadline: asyncio.Timeout) -> AsyncIterator[None]:
        """Wait until no other large reply is read; each ends by its own deadline."""
        now = asyncio.get_running_loop().time
        until = deadline.when()
        left = None if until is None else until - now()
        deadline.reschedule(None)
        async with self._turn:
            deadline.reschedule(None if left is None else now() + left)
            yield
