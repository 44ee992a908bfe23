"""kube/watch.py against a real API server, through a proxy that makes Kopf fail."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import kopf
import pytest
from aiohttp import web

from scriptix_operator.api.names import PLURAL
from scriptix_operator.kube import embedded, watch
from scriptix_operator.kube.connection import configure, connect, reconnect
from scriptix_operator.kube.watch import Watch
from scriptix_operator.telemetry.health import Problems
from tests.controlplane.cluster import ControlPlane
from tests.crash.proxy import Proxy, proxied
from tests.operator.lab import TIMEOUT, Lab

Refusal = Callable[[web.Request], int | None]

ERROR = {
    "type": "ERROR",
    "object": {"kind": "Status", "status": "Failure", "code": 500, "message": "of the proxy"},
}


@dataclass
class Watching:
    """A running watch, the resources it has observed, and its proxy."""

    watch: Watch
    proxy: Proxy
    problems: Problems
    names: set[str] = field(default_factory=set)
    beats: int = 0
    failures: int = 0

    def sink(self, _kind: str | None, raw: dict[str, Any]) -> None:
        """Record an observed resource."""
        self.names.add(raw["metadata"]["name"])

    def beat(self) -> None:
        """Count the signs of life."""
        self.beats += 1

    def failed(self) -> None:
        """Count the reports of a failure."""
        self.failures += 1

    async def sees(self, name: str) -> None:
        """Wait until a resource was observed."""
        await self.until(lambda: name in self.names)

    async def open(self, count: int = 1) -> None:
        """Wait until this number of streams is open."""
        await self.until(lambda: len(self.proxy.watches) == count)

    def paths(self) -> list[str]:
        """The namespaces of the open streams; an empty one is for all."""
        return sorted(self.proxy.watches.values())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the condition is true."""
        async with asyncio.timeout(TIMEOUT):
            while not holds():  # noqa: ASYNC110 - it is asked, it does not tell
                await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(
    cluster: ControlPlane, directory: Path, *namespaces: str
) -> AsyncIterator[Watching]:
    async with proxied(cluster, directory) as proxy:
        configuration = await configure({"KUBECONFIG": str(proxy.kubeconfig)})
        problems = Problems()
        async with (
            connect(configuration) as api,
            Watch(api, namespaces, problems, partial(reconnect, api)) as watch,
        ):
            made = Watching(watch, proxy, problems)
            running = asyncio.create_task(watch.run(made.sink, made.beat, made.failed))
            try:
                yield made
                assert not running.done()
            finally:
                running.cancel()
                await asyncio.wait([running])


@pytest.fixture
def second(cluster: ControlPlane) -> Iterator[str]:
    """Create another namespace."""
    name = f"second-{secrets.token_hex(4)}"
    cluster.api.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    yield name
    cluster.api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
async def made(lab: Lab, cluster: ControlPlane, tmp_path: Path) -> AsyncIterator[Watching]:
    async with watching(cluster, tmp_path, lab.namespace) as running:
        await running.open()
        yield running


def refuse_requests(status: int, count: int, *, only_watch: bool = False) -> Refusal:
    """Refuse this many requests for trainings."""
    left = count

    def refuse(request: web.Request) -> int | None:
        nonlocal left
        matches = request.path.endswith(f"/{PLURAL}") and request.method == "GET"
        if not left or not matches or (only_watch and "watch" not in request.query):
            return None
        left -= 1
        return status

    return refuse


async def test_watch_restarts_after_error_event(made: Watching, lab: Lab) -> None:
    await made.proxy.add(ERROR)
    await made.until(lambda: made.problems.outstanding() != [])
    await lab.train("next", 901)
    await made.sees("next")
    await made.until(lambda: made.problems.outstanding() == [])


EXPIRED = {
    "type": "ERROR",
    "object": {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410},
}


@pytest.mark.parametrize("form", ["event", "reply"])
async def test_expired_watch_lists_again(made: Watching, lab: Lab, form: str) -> None:
    [stream] = made.proxy.watches
    made.proxy.silent.add(stream)
    await lab.train("missed", 901)
    if form == "event":
        await made.proxy.add(EXPIRED)
    else:
        made.proxy.refuse = refuse_requests(410, 1, only_watch=True)
        await close_streams(made)
    await made.sees("missed")
    await lab.train("next", 902)
    await made.sees("next")
    await made.until(lambda: made.problems.outstanding() == [])


async def test_silent_watch_is_replaced(
    lab: Lab, cluster: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SILENCE_LIMIT", 1.0)
    async with watching(cluster, tmp_path, lab.namespace) as made:
        await made.open()
        made.proxy.silent.update(made.proxy.watches)
        await lab.train("missed", 901)
        await made.sees("missed")
        assert made.problems.outstanding() == []


async def test_watch_restarts_after_404_on_reconnect(made: Watching, lab: Lab) -> None:
    made.proxy.refuse = refuse_requests(404, 1, only_watch=True)
    await close_streams(made)
    await made.until(lambda: made.problems.outstanding() != [])
    assert "404" in made.problems.outstanding()[0].text
    await lab.train("next", 901)
    await made.sees("next")


async def test_watch_restarts_after_repeated_5xx(made: Watching, lab: Lab) -> None:
    made.proxy.refuse = refuse_requests(503, 1_000_000)
    await close_streams(made)
    await made.until(lambda: made.problems.outstanding() != [])
    problem = made.problems.outstanding()[0]
    assert problem.is_outage
    assert "503" in problem.text
    await lab.train("next", 901)
    made.proxy.refuse = lambda _: None
    await made.sees("next")
    await made.until(lambda: made.problems.outstanding() == [])


async def returns() -> None:
    """End without an error."""


async def idles() -> None:
    """Make no request, as Kopf does without a CRD."""
    await asyncio.Event().wait()


async def exits() -> None:
    """End with an error that is no Exception."""
    raise SystemExit(1)


async def hangs() -> None:
    """Make no request, and ignore cancellation."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


@pytest.mark.parametrize("first", [returns, idles, exits, hangs])
async def test_watch_restarts_kopf_when_it_does_not_watch(
    lab: Lab,
    cluster: ControlPlane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    firsts, real = iter([first]), kopf.operator

    def operator(**arguments: Any) -> Coroutine[Any, Any, None]:  # noqa: ANN401 - Kopf's
        return next(firsts, partial(real, **arguments))()

    monkeypatch.setattr(kopf, "operator", operator)
    await lab.train("next", 901)
    async with watching(cluster, tmp_path, lab.namespace) as made:
        await made.sees("next")
        assert made.beats > 1


async def test_watch_serves_exactly_the_namespaces_that_are_set(
    lab: Lab, cluster: ControlPlane, tmp_path: Path, second: str
) -> None:
    async with watching(cluster, tmp_path, lab.namespace) as made:
        await made.open()
        assert made.paths() == [lab.namespace]
        made.watch.set_namespaces(frozenset({lab.namespace, second}))
        await made.until(lambda: made.paths() == sorted([lab.namespace, second]))
        made.watch.set_namespaces(frozenset())
        await made.until(lambda: made.paths() == [])
        await lab.train("unseen", 901)
        beats = made.beats
        await made.until(lambda: made.beats > beats)
        assert made.names == set()
        made.watch.set_namespaces(None)
        await made.sees("unseen")
        await made.until(lambda: made.paths() == [""])


async def test_refused_namespace_is_a_problem_and_no_failure_to_watch(
    lab: Lab, cluster: ControlPlane, tmp_path: Path, second: str
) -> None:
    async with watching(cluster, tmp_path, lab.namespace, second) as made:
        made.proxy.refuse = lambda request: 403 if f"/{second}/" in request.path else None
        await made.until(lambda: made.problems.outstanding() != [])
        [problem] = made.problems.outstanding()
        assert f"namespace {second}: HTTP 403" in problem.text
        assert not problem.is_outage
        await lab.train("served", 901)
        await made.sees("served")
        made.watch.set_namespaces(frozenset({lab.namespace}))
        await made.until(lambda: made.problems.outstanding() == [])


async def test_namespace_without_watch_permission_is_left_out(
    lab: Lab,
    cluster: ControlPlane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    second: str,
) -> None:
    monkeypatch.setattr(watch, "REFUSED_RETRY", 0.5)
    refusals = 0

    def refuse(request: web.Request) -> int | None:
        nonlocal refusals
        is_refused = f"/{second}/" in request.path and "watch" in request.query
        refusals += is_refused
        return 403 if is_refused else None

    async with watching(cluster, tmp_path, lab.namespace, second) as made:
        made.proxy.refuse = refuse
        await made.until(lambda: [one.subject for one in made.problems.outstanding()] == [second])
        [problem] = made.problems.outstanding()
        assert f"namespace {second}: HTTP 403" in problem.text
        assert not problem.is_outage
        await made.open()
        assert made.paths() == [lab.namespace]
        [stream], before, failures = made.proxy.watches, refusals, made.failures
        await made.until(lambda: refusals > before + 1)
        assert list(made.proxy.watches) == [stream]
        assert made.failures == failures
        made.proxy.refuse = lambda _: None
        await made.until(lambda: made.paths() == sorted([lab.namespace, second]))
        await made.until(lambda: made.problems.outstanding() == [])


async def test_watch_reads_a_replaced_token(
    lab: Lab, cluster: ControlPlane, tmp_path: Path
) -> None:
    await lab.train("next", 901)
    kubeconfig = tmp_path / "kubeconfig"
    whole = cluster.kubeconfig.read_text()
    kubeconfig.write_text(whole.replace("token: ", "token: x"))
    environ, names, problems = {"KUBECONFIG": str(kubeconfig)}, set[str](), Problems()
    async with connect(await configure(environ)) as api:
        again = partial(reconnect, api, environ)
        async with Watch(api, [lab.namespace], problems, again, reconnect_after=0.5) as watch:
            running = asyncio.create_task(
                watch.run(lambda _, raw: names.add(raw["metadata"]["name"]))
            )
            try:
                async with asyncio.timeout(TIMEOUT):
                    while not problems.outstanding():  # noqa: ASYNC110 - it is asked
                        await asyncio.sleep(0.02)
                    assert "401" in problems.outstanding()[0].text
                    kubeconfig.write_text(whole)
                    while "next" not in names:  # noqa: ASYNC110 - it is asked
                        await asyncio.sleep(0.02)
            finally:
                running.cancel()
                await asyncio.wait([running])


async def close_streams(made: Watching) -> None:
    """End the streams as the API server does at their time-out."""
    for stream in made.proxy.watches.copy():
        await stream.write_eof()
        made.proxy.watches.pop(stream, None)
