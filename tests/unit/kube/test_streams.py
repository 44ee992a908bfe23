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


@pytest.mark.parametrize("url", [LIST, WATCH], ids=["list", "watch"])
async def test_request_whose_reply_is_cut_off_is_repeated_each_second(
    monkeypatch: pytest.MonkeyPatch, url: URL
) -> None:
    now, asked = [100.0], list[tuple[URL, float]]()

    async def advance(seconds: float) -> None:
        now[0] += max(seconds, 0.0)

    async def cut_off(sent: aiohttp.ClientRequest) -> Any:  # noqa: ANN401 - the part that is read
        asked.append((sent.url, now[0]))
        return SimpleNamespace(status=200, ok=True, closed=True)

    monkeypatch.setattr(asyncio, "sleep", advance)
    observed = Streams(frozenset({"team-a"}), lambda: now[0])
    other, page = (WATCH, LIST)[url == WATCH], LIST.with_query({"continue": "page 2"})
    for sent in (other, url, page, page, url, url):
        await observed.observe(request(sent), cut_off)
    now[0] += 60.0  # a stream that has ended at its time-out, or an expired one
    await observed.observe(request(url), cut_off)
    assert [at for to, at in asked if to == url] == [100.0, 101.0, 102.0, 162.0]
    assert [at for to, at in asked if to != url] == [100.0] * 3
