"""Who works: a coordination.k8s.io Lease, held by one process at a time.

As client-go does it; core/cluster/election.py decides. The election of the kubernetes package is
not used: it has no release, a refused connection ends it, and it writes local time as UTC.

- Writes carry the resourceVersion that was read, so of two contenders one gets 409.
- The name of the holder is new in each process: a restarted pod is not taken for its predecessor.

Rights needed on `leases`: `create`, and `get` and `update` on the one of our name.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final, NoReturn, TypeVar

from kubernetes.aio import client

from scriptix_operator.api.names import MANAGED_BY, MANAGED_BY_LABEL
from scriptix_operator.core.cluster.election import (
    LeaseObservation,
    LeaseTimes,
    Move,
    decide,
    observe,
)
from scriptix_operator.kube.errors import ConflictError, GoneError, KubeError, translated
from scriptix_operator.kube.problems import ProblemReports

__all__ = ["Leadership", "LeadershipLostError", "new_identity"]

log = logging.getLogger(__name__)

REQUEST_ERRORS: Final = (KubeError, TimeoutError, ValueError)
"""What a request can end in: a refusal, no answer (in time), or an answer that is garbage."""

SOURCE: Final = "Leadership"

T = TypeVar("T")


class LeadershipLostError(Exception):
    """This process must not act any more: another leads, or may soon. The text says why."""


def new_identity(pod_name: str) -> str:
    """A holder's name for this process: the pod's, and what no other process has."""
    return f"{pod_name}_{secrets.token_hex(6)}"


class Leadership:
    """Contends for a Lease: `acquire`, then `hold` until it ends, then `release`.

    One task at a time uses it; cancel `hold` (or `acquire`) before `release`.

    Args:
        api: Where the API server is, and who we are there.
        namespace: Of the Lease.
        name: Of the Lease.
        identity: Our name as a holder, from `new_identity`.
        utc_now: Wall clock, for the times in the Lease; nothing is decided by it.
        clock: Seconds that never jump, and go on while the machine is suspended.
        notes: Gives the annotations that the Lease has while we hold it, at each write.
        problems: Where a standby reports that it cannot contend for the Lease.
        reconnect: Reads the cluster's CA and credentials again, for `api`.
        times: Seconds of the election.
    """

    def __init__(  # noqa: PLR0913 - all named, all needed
        self,
        api: client.ApiClient,
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
        self._leases = client.CoordinationV1Api(api)
        self._namespace = namespace
        self._name = name
        self._utc_now = utc_now
        self._clock = clock
        self._notes = notes
        self._problems = problems
        self._reconnect = reconnect
        self._times = times or LeaseTimes()
        self._seen: LeaseObservation | None = None
        self._lease: client.V1Lease | None = None
        """As last written by us; if another write has come after it, the next one is refused."""
        self._deadline: float | None = None
        self._has_written = False
        self._logged: str | None = None

    @property
    def deadline(self) -> float | None:
        """On `clock`: act no later than this. None while not leading."""
        return self._deadline

    @property
    def is_leading(self) -> bool:
        """Whether we may act at this very moment."""
        return self._time_left() > 0

    async def acquire(self) -> None:
        """Wait until we lead. Errors of requests are reported, and tried again."""
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
                    log.info("leading", extra={"identity": self.identity})
                    return
            await asyncio.sleep(self._times.retry)

    async def hold(self) -> NoReturn:
        """Renew until that ends.

        Raises:
            LeadershipLostError: Another holds the Lease, it is gone, or no renewal has succeeded
                within the renew deadline. The process must end without touching anything.
        """
        try:
            await self._renew_while_possible()
        finally:
            self._deadline = None
        raise LeadershipLostError(
            f"the Lease could not be renewed within {self._times.renew_deadline:g} s"
            f" ({self._logged or 'the process was held up'})"
        )

    async def release(self) -> None:
        """Give the Lease up, so that a standby takes over at its next look.

        Takes a bounded time. If it fails, the Lease expires; the failure is logged, not raised,
        since the process is ending anyway.
        """
        self._deadline = None
        if not self._has_written:
            return
        try:
            async with asyncio.timeout(self._times.release):
                # Read first: a write that was cut off may have made us its holder, or renewed it.
                lease = await self._read()
                while lease is not None and _spec(lease).holder_identity == self.identity:
                    if await self._replace(lease, self._spec_of_nobody(_spec(lease))) is not None:
                        log.info("released the Lease", extra={"identity": self.identity})
                        return
                    lease = await self._read()
        except REQUEST_ERRORS as error:
            log.warning("the Lease is left to expire: %s", _describe(error))

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
                self._logged = None
            except REQUEST_ERRORS as error:
                self._log_change(logging.WARNING, f"cannot renew the Lease: {_describe(error)}")

    def _time_left(self) -> float:
        return 0.0 if self._deadline is None else self._deadline - self._clock()

    async def _renew(self) -> None:
        """Renew once.

        Raises:
            LeadershipLostError: It is not ours any more.
            KubeError, ValueError: It may be.
        """
        if self._lease is not None and await self._write(self._lease):
            return
        # Another has written since; or a write of ours acted, though we took it for failed.
        lease, now = await self._read(), self._clock()
        seen = self._observe(lease, now)
        if decide(seen, self.identity, now, leading=True) is Move.LOST:
            state = f"held by {seen.holder or 'nobody'}" if seen else "gone"
            raise LeadershipLostError(f"the Lease is {state}")
        if not await self._write(lease):
            raise ConflictError("others keep writing to the Lease")

    def _observe(self, lease: client.V1Lease | None, now: float) -> LeaseObservation | None:
        if lease is None:
            return None
        spec = _spec(lease)
        duration = spec.lease_duration_seconds or self._times.duration
        return observe(self._seen, spec.holder_identity, spec.renew_time, duration, now)

    async def _write(self, lease: client.V1Lease | None) -> bool:
        """Write ourselves into the Lease, made where it is None; False if another was faster."""
        sent = self._clock()
        self._has_written = True
        if lease is None:
            written = await self._create()
        else:
            written = await self._replace(lease, self._spec_of_ours(_spec(lease)))
        if written is None:
            return False
        self._lease = written
        self._deadline = sent + self._times.renew_deadline
        return True

    async def _read(self) -> client.V1Lease | None:
        try:
            return await self._ask(self._leases.read_namespaced_lease(self._name, self._namespace))
        except GoneError:
            return None

    async def _create(self) -> client.V1Lease | None:
        """Make it; None if it is there already."""
        metadata = client.V1ObjectMeta(
            name=self._name, labels={MANAGED_BY_LABEL: MANAGED_BY}, annotations=dict(self._notes())
        )
        body = client.V1Lease(metadata=metadata, spec=self._spec_of_ours(client.V1LeaseSpec()))
        try:
            return await self._ask(self._leases.create_namespaced_lease(self._namespace, body))
        except ConflictError:
            return None

    async def _replace(
        self, lease: client.V1Lease, spec: client.V1LeaseSpec
    ) -> client.V1Lease | None:
        """Replace what was read; None if it is not what is there any more."""
        metadata = (lease.metadata or client.V1ObjectMeta()).model_copy()
        metadata.annotations = {**(metadata.annotations or {}), **self._notes()}
        body = client.V1Lease(metadata=metadata, spec=spec)
        try:
            return await self._ask(
                self._leases.replace_namespaced_lease(self._name, self._namespace, body)
            )
        except (ConflictError, GoneError):
            return None

    async def _ask(self, request: Awaitable[T]) -> T:
        with translated(f"Lease {self._namespace}/{self._name}"):
            async with asyncio.timeout(self._times.request):
                return await request

    def _spec_of_ours(self, before: client.V1LeaseSpec) -> client.V1LeaseSpec:
        now = _micro_time(self._utc_now())
        acquired, transitions = before.acquire_time, before.lease_transitions
        if before.holder_identity != self.identity:
            acquired = now
            transitions = 0 if transitions is None else transitions + 1
        return client.V1LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=self._times.duration,
            acquire_time=acquired and _micro_time(acquired),
            renew_time=now,
            lease_transitions=transitions,
        )

    def _spec_of_nobody(self, before: client.V1LeaseSpec) -> client.V1LeaseSpec:
        now = _micro_time(self._utc_now())
        return client.V1LeaseSpec(
            lease_duration_seconds=1,
            acquire_time=now,
            renew_time=now,
            lease_transitions=before.lease_transitions,
        )

    def _log_change(self, level: int, text: str) -> None:
        """Log, but not the same thing at each look."""
        log.log(logging.DEBUG if text == self._logged else level, "%s", text)
        self._logged = text


def _spec(lease: client.V1Lease) -> client.V1LeaseSpec:
    return lease.spec or client.V1LeaseSpec()


def _micro_time(moment: datetime) -> datetime:
    """An instant that is written with its fraction: Kubernetes' MicroTime takes no other."""
    return moment if moment.microsecond else moment.replace(microsecond=1)


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
