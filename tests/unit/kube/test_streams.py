"""kube/streams.py: the health of the watch streams, by their requests."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from scriptix_operator.api.names import PLURAL
from scriptix_operator.kube import streams
from scriptix_operator.kube.streams import Streams

LIST = URL(f"https://cluster.invalid/apis/g/v1/namespaces/team-a/{PLURAL}")
WATCH = LIST.with_query(watch="true")


def request(url: URL) -> Any:  # noqa: ANN401 - in place of an aiohttp.ClientRequest
    return SimpleNamespace(url=url)


async def test_watch_request_without_a_reply_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEAD_TIMEOUT", 0.0)
    observed = Streams(frozenset({"team-a"}), lambda: 0.0)

    async def hang(_: aiohttp.ClientRequest) -> aiohttp.ClientResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with asyncio.timeout(10.0):
        with pytest.raises(TimeoutError):
            await observed.observe(request(WATCH), hang)
    assert observed.failing() == {"team-a": "TimeoutError no reply within 0 s"}
