"""engine/cluster_breaker.py: reconciles wait for the API server, with single trial requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.engine.cluster_breaker import LONGEST_WAIT, RESUME_RATE, ClusterBreaker
from scriptix_operator.kube.errors import UnavailableError
from scriptix_operator.kube.reachability import Reachability
from tests.virtual.loop import boottime, run_virtually

A, B = TrainingKey("team", "a"), TrainingKey("team", "b")


class Bench:
    """A breaker and an API server in virtual time.

    Args:
        overdue: Resources that are overdue after an outage.
    """

    def __init__(self, overdue: int = 0) -> None:
        self.reachability = Reachability(boottime)
        self.is_away = False
        self.is_silent = False
        self.trials: list[float] = []
        self.resumed: list[tuple[tuple[TrainingKey, ...], float]] = []
        self._overdue = overdue
        self.breaker = ClusterBreaker(self.reachability, self._try, boottime, self._resume)

    async def _try(self) -> None:
        self.trials.append(boottime())
        if self.is_silent:
            await asyncio.Event().wait()
        self.request()

    def request(self) -> None:
        """Make a request to the API server."""
        if self.is_away:
            self.reachability.failed(boottime(), "reset")
            raise UnavailableError("reset")
        self.reachability.answered()

    def fail(self, *keys: TrainingKey) -> None:
        """Let reconciles fail."""
        self.reachability.failed(boottime(), "reset")
        for key in keys:
            assert self.breaker.note(key)

    def _resume(self, failed: tuple[TrainingKey, ...], since: float) -> int:
        self.resumed.append((failed, since))
        return self._overdue

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the breaker."""
        task = asyncio.create_task(self.breaker.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def may_begin(self) -> bool:
        """Whether a reconcile may begin now."""
        try:
            async with asyncio.timeout(0.001):
                await self.breaker.wait()
        except TimeoutError:
            return False
        return True


def test_trial_requests_are_made_one_at_a_time_with_growing_delays() -> None:
    async def live() -> list[float]:
        bench = Bench()
        async with bench.running():
            await asyncio.sleep(10)
            bench.is_away = True
            bench.fail(A, B)
            await asyncio.sleep(20)
        return bench.trials

    assert run_virtually(live) == [10, 11, 13, 17, 22, 27]


def test_no_reconcile_begins_before_a_reply_which_resumes_all() -> None:
    async def live() -> None:
        bench = Bench()
        async with bench.running():
            assert await bench.may_begin()
            bench.is_away = True
            bench.fail(A, B)
            bench.breaker.forget(B)
            await asyncio.sleep(60)
            assert not await bench.may_begin()
            assert bench.resumed == []
            bench.is_away = False
            before, back = len(bench.trials), boottime()
            bench.request()  # of any client in the process
            assert await bench.may_begin()
            [(failed, since)] = bench.resumed
            assert failed == (A,)
            assert since == back
            assert len(bench.trials) == before
            assert not bench.breaker.note(B)

    run_virtually(live)


def test_failure_of_one_request_resumes_nothing() -> None:
    """Otherwise a resource whose requests alone fail would be retried without a backoff."""

    async def live() -> None:
        bench = Bench()
        async with bench.running():
            bench.fail(A)
            await asyncio.sleep(0.1)
            assert await bench.may_begin()
            assert len(bench.trials) == 1
            assert bench.resumed == []

    run_virtually(live)


def test_trial_request_without_a_reply_is_given_up() -> None:
    async def live() -> list[float]:
        bench = Bench()
        async with bench.running():
            bench.is_silent = True
            bench.fail(A)
            await asyncio.sleep(20)
        return bench.trials

    assert run_virtually(live) == [0, 5, 11, 19]


def test_overdue_reconciles_begin_at_a_bounded_rate() -> None:
    async def live(count: int) -> float:
        bench = Bench(overdue=count)
        async with bench.running():
            bench.is_away = True
            bench.fail()
            await asyncio.sleep(30)
            bench.is_away = False
            await bench.breaker.wait()
            begun = boottime()
            assert begun <= 30 + LONGEST_WAIT
            for _ in range(count):
                await bench.breaker.wait()
                bench.breaker.begun()
            took = boottime() - begun
            await bench.breaker.wait()  # no resource is overdue any more
            assert boottime() - begun == took
            return took

    took = run_virtually(partial(live, 1001))
    assert abs(took - 1000 / RESUME_RATE) < 0.1
