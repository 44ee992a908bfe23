"""webhook: one signed POST, with nothing in its errors that identifies the sink."""

import asyncio
import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from scriptix_operator.webhook.client import WebhookClient, signature
from scriptix_operator.webhook.destination import Destination, check_sink_url, decode_keys

BODY = json.dumps({"data": "ü"}, ensure_ascii=False).encode()


@pytest.mark.parametrize("number", [0, 1])
def test_signature_is_verified_by_standardwebhooks_with_each_key(number: int) -> None:
    texts = ["whsec_" + base64.b64encode(key * 24).decode() for key in (b"a", b"b")]
    keys = decode_keys(f"{texts[0]}\n {texts[1]}\n")
    now = int(datetime.now(UTC).timestamp())  # noqa: TID251 - the library compares with its own clock
    headers = {
        "webhook-id": "cmt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature(keys, "cmt_1", now, BODY),
    }
    assert Webhook(texts[number]).verify(BODY, headers) == {"data": "ü"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no key"),
        ("whsec_" + "A" * 31, "is not base64"),
        ("whsec_" + base64.b64encode(b"k" * 23).decode(), "has a key of 23 bytes"),
        ("whsec_" + base64.b64encode(b"k" * 65).decode(), "has a key of 65 bytes"),
        (" ".join(["whsec_" + base64.b64encode(b"k" * 24).decode()] * 5), "more than 4"),
    ],
)
def test_unusable_signing_key_is_refused_without_its_text(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        decode_keys(text)
    assert "AAAA" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "insecure", "problem"),
    [
        ("https://hooks.example.com/hush?token=hush", False, None),
        ("http://127.0.0.1:9/hush", True, None),
        ("http://[::1]/hush", True, None),
        ("http://localhost/hush", True, None),
        ("http://127.0.0.1:9/hush", False, "is plain http"),
        ("http://hush.example.com/", True, "is plain http"),
        ("ftp://hush", True, "is not an https URL"),
        ("hush", True, "is not an https URL"),
        ("https://x:hush/", True, "is not a URL"),
        ("https://x:0/hush", True, "is not an https URL"),
        ("https://x/" + "h" * 2048, True, "is not an https URL"),
        ("https://me:hush@x/", True, "has a user or password"),
        ("https://x/hush#hush", True, "has a fragment"),
        ("https://x/hush hush", True, "has a fragment, white space"),
        ("https://x/hush\u00fc", True, "characters that a URL does not have"),
    ],
)
def test_sink_url_is_https_or_http_on_loopback(
    url: str,
    insecure: bool,  # noqa: FBT001 - a column of the table
    problem: str | None,
) -> None:
    if problem is None:
        check_sink_url(url, allow_insecure_http=insecure)
        return
    with pytest.raises(ValueError, match=problem) as caught:
        check_sink_url(url, allow_insecure_http=insecure)
    assert "hush" not in str(caught.value)


async def test_sink_without_a_certificate_of_trust_gets_no_notification() -> None:
    """A server that speaks no TLS: the handshake fails, and the cause names no host."""
    got = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/hush"
    async with server, WebhookClient() as client:
        to = Destination(url, (b"k" * 24,))
        delivery = await client.post(to, "cmt_1", 1, BODY, "application/json")
    assert not delivery.is_delivered
    assert delivery.cause == "ConnectError"
    assert BODY not in bytes(got)
    assert "hush" not in repr(to)
