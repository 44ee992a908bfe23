"""The watch: keeps one embedded Kopf watching the served namespaces, and restarts it.

Kopf has no part in polling, status and decisions (docs/decisions/0002, 0028).
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, NoReturn, Self

from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.embedded import EmbeddedKopf, Sink, describe_scopes
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.kube.problems import ProblemReports
from scriptix_operator.kube.streams import Scope
from scriptix_operator.kube.trainings import Trainings
from scriptix_operator.log_fields import field_logger

__all__ = ["Sink", "Watch"]

SOURCE: Final = "Watch"
FIRST_DELAY, DELAY = 1.0, 3.0
"""Seconds before a Kopf that has ended is restarted; the second if its predecessor did not watch
either."""
CHECK_INTERVAL = 0.5
"""Seconds between checks of the running Kopf."""
GRACE = 5.0
"""Seconds without an open stream before a problem is reported: a stream that the API server closes
regularly is reopened at once."""
RECONNECT_AFTER = 60.0
REFUSED_RETRY = 30.0
"""Seconds between checks of the permission to watch namespaces whose watch was refused."""
STOP_TIMEOUT = 5.0
"""Seconds that a stopped Kopf may take to close its connections."""

logger = field_logger(__name__)


class Watch:
    """Feeds watch events of all trainings into a sink, on the caller's loop.

    Args:
        api: The cluster; its configuration is read at each start of Kopf.
        namespaces: What to watch until `set_namespaces` is called; empty: all.
        problems: Takes reports of a watch that fails.
        reconnect: Reads the cluster's CA and credentials again, for `api`.
        reconnect_after: Seconds without a reply of the API server before `reconnect` is called.
    """

    def __init__(
        self,
        api: KubeApi,
        namespaces: Collection[str],
        problems: ProblemReports,
        reconnect: Callable[[], Awaitable[None]],
        reconnect_after: float = RECONNECT_AFTER,
    ) -> None:
        self._api = api
        self._reconnect = reconnect
        self._reconnect_after = reconnect_after
        self._answered_at = time.monotonic()
        self._namespaces = frozenset(namespaces) or None
        self._refused: frozenset[str] = frozenset()
        """Namespaces that are excluded, since the operator may not watch them: one failing stream
        ends Kopf, and with it the watch of all others."""
        self._trainings = Trainings(api)
        self._problems = problems
        self._changed = asyncio.Event()
        self._kopf: EmbeddedKopf | None = None
        self._reachability = api.reachability
        self._said = ""
        self._logged = ""
        """Why the watch fails, as logged last; empty: no line says that the watch fails."""
        self._is_cut = False
        """Whether the watch fails because the API server does not reply."""
        self._failed: Callable[[], None] = lambda: None
        self._is_failing = False

    async def __aenter__(self) -> Self:
        """Enter without an effect: nothing is watched before `run`."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for Kopf to close its connections, for a bounded time."""
        await self._stopped()

    def set_namespaces(self, namespaces: frozenset[str] | None) -> None:
        """Set the namespaces to watch; to be called from the event loop that runs `run`.

        A change restarts Kopf, which lists before it watches: changes in between are seen, except
        for deletions, which only a full list shows.

        Args:
            namespaces: None: all; an empty set: nothing is watched.
        """
        if namespaces != self._namespaces:
            before, self._namespaces = self._wanted, namespaces
            self._leave_out({})
            if before != self._wanted:
                self._changed.set()

    @property
    def _wanted(self) -> frozenset[str] | None:
        return None if self._namespaces is None else self._namespaces - self._refused

    async def run(
        self,
        sink: Sink,
        beat: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Watch until cancelled; then Kopf is stopped, but not waited for.

        Args:
            sink: Called on this loop with each event.
            beat: Called each second or more often, while this tries to watch.
            failed: Called when the watch of a namespace fails, once for each new reason.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._admit_forever())
            await self._run(sink, beat, failed)

    async def _run(
        self, sink: Sink, beat: Callable[[], None], failed: Callable[[], None]
    ) -> NoReturn:
        self._failed = failed
        self._answered_at = time.monotonic()
        try:
            while True:
                self._changed.clear()
                if self._wanted is not None and not self._wanted:
                    self._problems.clear(SOURCE)
                    await self._pause(beat, math.inf)
                    continue
                await self._watch(sink, beat)
                await self._stopped(beat)
                if time.monotonic() - self._answered_at > self._reconnect_after:
                    self._answered_at = time.monotonic()
                    await self._reconnect()
                await self._pause(beat, DELAY if self._is_failing else FIRST_DELAY)
        finally:
            if self._kopf is not None:
                self._kopf.stop()

    async def _watch(self, sink: Sink, beat: Callable[[], None]) -> None:
        """Run one Kopf until it ends, hangs, or another set of namespaces is wanted."""
        kopf = self._kopf = EmbeddedKopf(self._api.config, self._wanted, sink)
        kopf.start()
        open_at, self._is_failing = time.monotonic(), True
        while not (kopf.ended.done() or self._changed.is_set()):
            beat()
            if kopf.streams.is_answered:
                self._answered_at = time.monotonic()
            if kopf.is_stuck:
                self._fails("its thread shows no sign of life", is_outage=True)
                return
            failing = kopf.streams.failing()
            if kopf.streams.all_open:
                self._works()
                open_at, self._is_failing = time.monotonic(), False
            elif failing and time.monotonic() - open_at > GRACE:
                self._fails(describe_scopes(failing), is_outage=kopf.streams.all_fail)
            await asyncio.wait({kopf.ended}, timeout=CHECK_INTERVAL)
        if kopf.ended.done():
            self._fails(kopf.ended.result(), is_outage=kopf.streams.all_fail)
            self._leave_out_also(kopf.streams.refused())

    def _leave_out_also(self, refused: Mapping[Scope, str]) -> None:
        """Exclude refused namespaces, too, unless all are refused: then none is at fault."""
        named = {scope: text for scope, text in refused.items() if scope is not None}
        if self._wanted is not None and named and named.keys() < self._wanted:
            self._leave_out({**dict.fromkeys(self._refused, ""), **named})

    def _leave_out(self, refused: Mapping[str, str]) -> None:
        """Set the excluded namespaces; an empty text keeps the report unchanged."""
        for scope in self._refused - refused.keys():
            log = logger.about(namespace=scope)
            log.info("namespace %s is not excluded from the watch any more", scope)
            self._problems.clear(SOURCE, scope)
        self._refused = frozenset(refused)
        for scope, text in refused.items():
            if text:
                said = f"The watch fails: {describe_scopes({scope: text})}."
                self._problems.report(SOURCE, said, subject=scope)

    async def _admit_forever(self) -> NoReturn:
        """Test periodically whether excluded namespaces may be watched now."""
        while True:
            await asyncio.sleep(REFUSED_RETRY)
            for scope in self._refused:
                if await self._may_watch(scope) and scope in self._refused:
                    self._leave_out(dict.fromkeys(self._refused - {scope}, ""))
                    self._changed.set()

    async def _may_watch(self, namespace: str) -> bool:
        try:
            await self._trainings.check_watch(namespace)
        except KubeError as error:
            logger.about(namespace=namespace).debug("namespace %s: %s", namespace, error)
            return False
        return True

    async def _stopped(self, beat: Callable[[], None] = lambda: None) -> None:
        """Stop the last Kopf and wait for its end, for a bounded time."""
        kopf, self._kopf = self._kopf, None
        if kopf is None:
            return
        kopf.stop()
        deadline = time.monotonic() + STOP_TIMEOUT
        while not kopf.ended.done() and time.monotonic() < deadline:
            beat()
            await asyncio.wait({kopf.ended}, timeout=CHECK_INTERVAL)
        if not kopf.ended.done():
            logger.warning("Kopf did not end within %s s; its thread is abandoned", STOP_TIMEOUT)

    async def _pause(self, beat: Callable[[], None], seconds: float) -> None:
        """Wait, at most until the set of namespaces changes."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._changed.is_set():
            beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, CHECK_INTERVAL)):
                    await self._changed.wait()

    def _fails(self, text: str, *, is_outage: bool) -> None:
        """Report that the watch fails, and log each new reason once.

        An unreachable API server is logged by kube/reachability.py.
        """
        self._problems.report(SOURCE, f"The watch fails: {text}.", is_outage=is_outage)
        if self._kopf is not None and self._kopf.streams.is_unreachable:
            self._is_cut = True
            self._reachability.failed(self._answered_at, text)
        is_quiet = text == self._logged or not self._reachability.is_reachable
        level = logging.DEBUG if is_quiet else logging.WARNING
        logger.log(level, "the watch fails and is restarted: %s", text)
        if not is_quiet:
            self._logged = text
        if text != self._said:
            self._said = text
            self._failed()

    def _works(self) -> None:
        if self._is_cut:
            self._reachability.answered()
        if self._logged:
            logger.info("watching again")
        self._said, self._logged, self._is_cut = "", "", False
        self._problems.clear(SOURCE)
