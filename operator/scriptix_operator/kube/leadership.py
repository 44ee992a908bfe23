"""Leader election: a coordination.k8s.io Lease, held by one process at a time.

The election works as in client-go; core/cluster/election.py decides. The election of the kubernetes
package is not used: it has no release, a refused connection ends it, and it writes local time as
UTC.

- Writes carry the resourceVersion that was read, so one of two contenders gets 409.
- Each process has a new holder name: a restarted pod is not mistaken for its predecessor.

Permissions needed on `leases`: `create`, and `get` and `update` of the one Lease.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final, NoReturn

from scriptix_operator.api.names import MANAGED_BY, MANAGED_BY_LABEL
from scriptix_operator.core.cluster.election import (
    LeaseObservation,
    LeaseTimes,
    Move,
    decide,
    observe,
)
from scriptix_operator.kube.api import LEASES, Json, KubeApi
from scriptix_operator.kube.errors import ConflictError, GoneError, KubeError, translated
from scriptix_operator.kube.lease import NOBODY, Lease, read_lease
from scriptix_operator.kube.problems import ProblemReports
from scriptix_operator.log_fields import field_logger

__all__ = ["Leadership", "LeadershipExpiredError", "LeadershipLostError", "new_identity"]

log = field_logger(__name__)

REQUEST_ERRORS: Final = (KubeError, TimeoutError, ValueError)
"""Errors of a request: a refusal, no reply (in time), or an invalid reply."""

SOURCE: Final = "Leadership"
OUTAGE: Final = 2
"""Failed renewals in a row that show an outage of the API server."""


class LeadershipLostError(Exception):
    """This process must not act any more: another one leads, or may lead soon."""


class LeadershipExpiredError(LeadershipLostError):
    """The API server was unreachable for the renew deadline; no other process is known to lead."""


def new_identity(pod_name: str) -> str:
    """A unique holder name for this process: the name of the pod, and a random part."""
    return f"{pod_name}_{secrets.token_hex(6)}"


class Leadership:
    """Contends for a Lease: `acquire`, then `hold` until it ends, then `release`.

    One task at a time uses it; cancel `hold` (or `acquire`) before `release`.

    Args:
        api: The client of the API server.
        namespace: Namespace of the Lease.
        name: Name of the Lease.
        identity: Our holder name, from `new_identity`.
        utc_now: Wall clock, for the times in the Lease; no decision depends on it.
        clock: Seconds that never jump, and continue while the machine is suspended.
        notes: Returns the annotations of the Lease while we hold it, at each write.
        problems: Takes the report of a standby that cannot contend for the Lease.
        reconnect: Reads the cluster's CA and credentials again, for `api`.
        times: Durations of the election, in seconds.
    """

    def __init__(  # noqa: PLR0913 - all named, all needed
        self,
        api: KubeApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        utc_now: Callable[[], datetime],
        clock: Callable[[], float],
        notes: Callable[[], Mapping[str, str]],
        problems: ProblemReports,
        reconnect: Callable[[], Awaitable[None]],
        times: LeaseTimes | None = None,
    ) -> None:
        self.identity = identity
        self._api = api
        self._reachability = api.reachability
        self._namespace = namespace
        self._name = name
        self._utc_now = utc_now
        self._clock = clock
        self._notes = notes
        self._problems = problems
        self._reconnect = reconnect
        self._times = times or LeaseTimes()
        self._seen: LeaseObservation | None = None
        self._lease: Lease | None = None
        """The Lease as last written by us; after a write of another process, our next one is
        refused."""
        self._deadline: float | None = None
        self._has_written = False
        self._logged: str | None = None
        self._failures = 0
        """Renewals that have failed since the last successful one."""

    @property
    def deadline(self) -> float | None:
        """The time on `clock` after which this process must not act; None while not leading."""
        return self._deadline

    @property
    def is_leading(self) -> bool:
        """Whether we may act now."""
        return self._time_left() > 0

    async def acquire(self) -> None:
        """Wait until we lead. Failed requests are reported and retried."""
        answered_at = self._clock()
        while True:
            try:
                leads = await self._try_to_acquire()
            except REQUEST_ERRORS as error:
                text = f"cannot contend for the Lease: {_describe(error)}"
                self._log_change(logging.WARNING, text)
                self._problems.report(SOURCE, f"This process {text}.", is_outage=True)
                if self._clock() - answered_at > self._times.reconnect:
                    answered_at = self._clock()
                    await self._reconnect()
            else:
                answered_at = self._clock()
                self._problems.clear(SOURCE)
                if leads:
                    log.about_process(self.identity).info("leading")
                    return
            await asyncio.sleep(self._times.retry)

    async def hold(self) -> NoReturn:
        """Renew the Lease until the leadership is lost.

        Raises:
            LeadershipExpiredError: No renewal has succeeded within the renew deadline, because the
                API server is unreachable. All work must end; then the process may contend again.
            LeadershipLostError: Another process holds the Lease, the Lease is gone, or the process
                was held up past the renew deadline. The process must end at once.
        """
        try:
            await self._renew_while_possible()
        except LeadershipLostError as error:
            lost = error
        else:
            # A process that was held up finds one request without a reply, if any.
            is_outage = self._failures >= OUTAGE and not self._reachability.is_reachable
            lost = (LeadershipExpiredError if is_outage else LeadershipLostError)(
                f"the Lease could not be renewed within {self._times.renew_deadline:g} s"
                f" ({self._logged or 'the process was held up'})"
            )
        finally:
            self._deadline = None
        log.about_process(self.identity).warning("leadership lost: %s", lost)
        raise lost

    async def release(self) -> None:
        """Release the Lease, so that a standby takes over when it reads the Lease next.

        The release takes a bounded time. If it fails, the Lease expires; the failure is logged, not
        raised, since the process is ending anyway.
        """
        self._deadline = None
        if not self._has_written:
            return
        try:
            async with asyncio.timeout(self._times.release):
                # Read first: an interrupted write may have acquired or renewed the Lease.
                lease = await self._read()
                while lease is not None and lease.holder == self.identity:
                    if await self._replace(self._released(lease)) is not None:
                        log.about_process(self.identity).info("released the Lease")
                        return
                    lease = await self._read()
        except REQUEST_ERRORS as error:
            log.warning("cannot release the Lease, which expires: %s", _describe(error))

    async def _try_to_acquire(self) -> bool:
        lease = await self._read()
        now = self._clock()
        self._seen = self._observe(lease, now)
        if decide(self._seen, self.identity, now, leading=False) is Move.WAIT:
            self._log_change(logging.INFO, f"standing by for {self._seen and self._seen.holder}")
            return False
        return await self._write(lease)

    async def _renew_while_possible(self) -> None:
        while (left := self._time_left()) > 0:
            await asyncio.sleep(min(self._times.retry, left))
            left = self._time_left()
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._renew()
                self._logged, self._failures = None, 0
            except REQUEST_ERRORS as error:
                self._failures += 1
                self._log_change(logging.WARNING, f"cannot renew the Lease: {_describe(error)}")

    def _time_left(self) -> float:
        return 0.0 if self._deadline is None else self._deadline - self._clock()

    async def _renew(self) -> None:
        """Renew the Lease once.

        Raises:
            LeadershipLostError: The Lease is not ours any more.
            KubeError, ValueError: The Lease may still be ours.
        """
        if self._lease is not None and await self._write(self._lease):
            return
        # Another process has written, or a write of ours took effect although it seemed to fail.
        lease, now = await self._read(), self._clock()
        seen = self._observe(lease, now)
        if decide(seen, self.identity, now, leading=True) is Move.LOST:
            state = f"held by {seen.holder or 'nobody'}" if seen else "gone"
            raise LeadershipLostError(f"the Lease is {state}")
        if not await self._write(lease):
            raise ConflictError("others keep writing to the Lease")

    def _observe(self, lease: Lease | None, now: float) -> LeaseObservation | None:
        if lease is None:
            return None
        duration = lease.duration or self._times.duration
        return observe(self._seen, lease.holder, lease.renewed_at, duration, now)

    async def _write(self, lease: Lease | None) -> bool:
        """Write us as the holder; None: create the Lease; False if another process was faster."""
        sent = self._clock()
        self._has_written = True
        if lease is None:
            written = await self._create()
        else:
            written = await self._replace(self._held(lease))
        if written is None:
            return False
        self._lease = written
        self._deadline = sent + self._times.renew_deadline
        return True

    async def _read(self) -> Lease | None:
        try:
            return await self._ask(self._api.get(LEASES.path(self._namespace, self._name)))
        except GoneError:
            return None

    async def _create(self) -> Lease | None:
        """Create the Lease; None if it exists already."""
        metadata = {"name": self._name, "labels": {MANAGED_BY_LABEL: MANAGED_BY}}
        lease = self._held(replace(NOBODY, metadata=metadata))
        try:
            return await self._ask(self._api.create(LEASES.path(self._namespace), lease.body()))
        except ConflictError:
            return None

    async def _replace(self, lease: Lease) -> Lease | None:
        """Replace the Lease that `lease` was made from; None if it has changed since."""
        path = LEASES.path(self._namespace, self._name)
        try:
            return await self._ask(self._api.replace(path, lease.body()))
        except (ConflictError, GoneError):
            return None

    async def _ask(self, request: Awaitable[Json]) -> Lease:
        begun_at = self._reachability.now()
        with translated(f"Lease {self._namespace}/{self._name}"):
            try:
                async with asyncio.timeout(self._times.request):
                    return read_lease(await request)
            except TimeoutError:
                text = f"no reply within {self._times.request:g} s"
                self._reachability.failed(begun_at, text)
                raise

    def _held(self, before: Lease) -> Lease:
        """The Lease as held by us, renewed now."""
        now, is_ours = self._utc_now(), before.holder == self.identity
        transitions = 0 if before.transitions is None else before.transitions + 1
        return replace(
            before.with_annotations(self._notes()),
            holder=self.identity,
            duration=self._times.duration,
            acquired_at=before.acquired_at if is_ours else now,
            renewed_at=now,
            transitions=before.transitions if is_ours else transitions,
        )

    def _released(self, before: Lease) -> Lease:
        """The Lease as held by no process."""
        now = self._utc_now()
        return replace(
            before.with_annotations(self._notes()),
            holder="",
            duration=1,
            acquired_at=now,
            renewed_at=now,
        )

    def _log_change(self, level: int, text: str) -> None:
        """Log a text, unless it was logged last, or kube/reachability.py has logged the cause."""
        is_repeat = text == self._logged or not self._reachability.is_reachable
        log.log(logging.DEBUG if is_repeat else level, "%s", text)
        self._logged = text


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
