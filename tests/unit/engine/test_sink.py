"""engine/sink.py: the URL and the keys, and what is said where they cannot be used."""

import base64
from typing import Any, cast

import pytest

from scriptix_operator.engine.sink import Sink
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.notification_secret import NotificationSecret, SecretUnusableError
from tests.unit.engine.notification_bench import KEYS, SIGNING_KEY

URL = "https://hooks.example.com/hush"


class Secrets:
    """An API server with one Secret."""

    def __init__(self, **data: str) -> None:
        self.data = {
            k.replace("_", "-"): base64.b64encode(v.encode()).decode() for k, v in data.items()
        }
        self.reads = 0

    async def get(self, path: str) -> dict[str, Any]:
        """Return the Secret as KubeApi.get does."""
        assert path == "/api/v1/namespaces/system/secrets/hooks"
        self.reads += 1
        return {"data": self.data}


def a_sink(
    secrets: Secrets, hidden: list[str], url: str = "", now: list[float] | None = None
) -> Sink:
    """A sink whose clock is the last of `now`."""
    secret = NotificationSecret(cast("KubeApi", secrets), "system", "hooks", hidden.append)
    times = now or [0.0]
    return Sink(secret, url, allow_insecure_http=False, ttl=60.0, clock=lambda: times[-1])


async def test_url_of_the_setting_comes_before_that_of_the_secret() -> None:
    secrets = Secrets(signing_key=f" {SIGNING_KEY}\n", url="https://other.example.com/hush")
    hidden: list[str] = []
    assert (await a_sink(secrets, hidden, URL).destination()).url == URL
    to = await a_sink(secrets, hidden).destination()
    assert (to.url, to.keys) == ("https://other.example.com/hush", KEYS)
    assert {SIGNING_KEY, to.url} <= set(hidden)


async def test_secret_is_read_again_after_its_time() -> None:
    secrets, now = Secrets(signing_key=SIGNING_KEY, url=URL), [0.0]
    sink = a_sink(secrets, [], now=now)
    for time in (0.0, 59.0, 60.0):
        now.append(time)
        await sink.destination()
    assert secrets.reads == 2


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"url": URL}, "Secret system/hooks has no signing-key"),
        ({"signing_key": "hush", "url": URL}, "signing-key of Secret system/hooks has a key of"),
        (
            {"signing_key": SIGNING_KEY},
            "SCRIPTIX_NOTIFICATION_URL is not set, and Secret system/hooks has no url",
        ),
        (
            {"signing_key": SIGNING_KEY, "url": "http://hush.example.com"},
            "url of Secret system/hooks is plain http",
        ),
    ],
)
async def test_unusable_secret_is_named_without_its_values(
    data: dict[str, str], problem: str
) -> None:
    with pytest.raises(SecretUnusableError, match=problem) as caught:
        await a_sink(Secrets(**data), []).destination()
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None
