"""examples/notifications: what the operator sends reaches Slack, a mailbox and another URL."""

import asyncio
import base64
import email
import email.policy
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from standardwebhooks import Webhook

from examples.notifications.receiver import Receiver, Target, VerificationError, targets, verify
from scriptix_operator.api.status import PendingNotification
from scriptix_operator.core.status.cloud_event import CONTENT_TYPE, cloud_event
from scriptix_operator.core.status.notifications import notification_id
from scriptix_operator.webhook.client import Delivery, WebhookClient
from scriptix_operator.webhook.destination import Destination
from tests.unit.core.builders import EIGHT, a_training, whole_status

KEY = b"k" * 32
FOLDER = Path(__file__).parents[2] / "examples" / "notifications"
ENTRY = PendingNotification(
    type="Succeeded", run_id="run-1", message="Trained <well> & fast.", at=EIGHT
)
TRAINING = a_training(status=whole_status())
TEXT = (
    "\u2705 team-a/cardiology: training succeeded. Word error rate 12.5 %. Trained <well> & fast."
)


@contextmanager
def receiving(send_to: list[Target]) -> Iterator[str]:
    """Run the receiver on loopback; yields its URL."""
    with Receiver(("127.0.0.1", 0), (KEY,), send_to) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{receiver.server_address[1]}/"
        receiver.shutdown()
        thread.join()


async def notify(url: str, key: bytes = KEY) -> Delivery:
    """Send a notification as the operator does."""
    async with WebhookClient() as client:
        return await client.post(
            Destination(url, (key,)),
            notification_id(TRAINING.uid, ENTRY),
            int(time.time()),  # noqa: TID251 - the receiver compares with its own clock
            cloud_event(TRAINING, ENTRY),
            CONTENT_TYPE,
        )


@dataclass
class Http:
    """A server that records the bodies it gets, such as Slack."""

    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    refusals: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        [length] = [line[15:] for line in head.splitlines() if line.startswith("content-length:")]
        body = json.loads(await reader.readexactly(int(length)))
        if self.refusals:
            self.refusals -= 1
            writer.write(b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n")
        else:
            self.bodies.append(body)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()


@dataclass
class Mailbox:
    """An SMTP server that records the messages it gets."""

    port: int = 0
    messages: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold one conversation."""
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            verb = line.strip().upper()
            if verb == b"DATA":
                writer.write(b"354 go\r\n")
                self.messages.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
        writer.close()


@asynccontextmanager
async def serving(server: Http | Mailbox) -> AsyncIterator[None]:
    """Run a server on loopback."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1")
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield


async def test_notification_reaches_slack_mail_and_another_url() -> None:
    slack, other, mailbox = Http(), Http(), Mailbox()
    async with serving(slack), serving(other), serving(mailbox):
        environ = {
            "SLACK_URL": f"http://127.0.0.1:{slack.port}/services/hush",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mailbox.port),
            "MAIL_FROM": "operator@example.com",
            "MAIL_TO": "team@example.com",
            "FORWARD_URL": f"http://127.0.0.1:{other.port}/scriptix",
        }
        with receiving(targets(environ)) as url:
            for _ in range(2):  # the operator repeats it if the reply was lost
                assert (await notify(url)).is_delivered
    [said] = slack.bodies
    assert said == {"text": TEXT.replace("<well> &", "&lt;well&gt; &amp;")}
    [event] = other.bodies
    assert event == json.loads(cloud_event(TRAINING, ENTRY))
    [raw] = mailbox.messages
    message = email.message_from_string(raw, policy=email.policy.default)
    assert message["To"] == "team@example.com"
    assert message["Subject"] == TEXT.partition(". ")[0]
    assert TEXT in " ".join(message.get_content().split())


async def test_notification_is_asked_for_again_until_the_target_takes_it() -> None:
    slack = Http(refusals=1)
    async with serving(slack):
        environ = {"SLACK_URL": f"http://127.0.0.1:{slack.port}/"}
        with receiving(targets(environ)) as url:
            assert (await notify(url)).cause == "HTTP 502"
            assert (await notify(url)).is_delivered
    assert len(slack.bodies) == 1


async def test_notification_with_another_key_is_refused() -> None:
    with receiving([]) as url:
        assert (await notify(url, b"x" * 32)).cause == "HTTP 401"


@pytest.mark.parametrize(
    ("age", "body", "problem"),
    [
        (0, b"{}", None),
        (299, b"{}", None),
        (301, b"{}", "too far from now"),
        (-301, b"{}", "too far from now"),
        (0, b"{ }", "no signature fits"),
    ],
)
def test_receiver_verifies_as_standardwebhooks_does(
    age: int, body: bytes, problem: str | None
) -> None:
    text = Webhook("whsec_" + base64.b64encode(KEY).decode()).sign("cmt_1", EIGHT, "{}")
    now = int(EIGHT.timestamp())
    headers = {
        "webhook-id": "cmt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1a,other {text}",
    }
    if problem is None:
        verify((b"x" * 32, KEY), headers, body, now + age)
        return
    with pytest.raises(VerificationError, match=problem):
        verify((KEY,), headers, body, now + age)


def test_argo_events_manifest_selects_what_the_operator_sends() -> None:
    """By structure: the schema of Argo Events is not in this repository (docs/notifications.md)."""
    source, sensor = yaml.safe_load_all((FOLDER / "argo-events.yaml").read_text(encoding="utf-8"))
    [(event_name, webhook)] = source["spec"]["webhook"].items()
    [dependency] = sensor["spec"]["dependencies"]
    assert dependency["eventSourceName"] == source["metadata"]["name"]
    assert dependency["eventName"] == event_name
    assert [webhook["port"]] == [str(port["port"]) for port in source["spec"]["service"]["ports"]]
    event = {"body": json.loads(cloud_event(TRAINING, ENTRY))}
    [wanted] = dependency["filters"]["data"]
    assert [at_path(event, wanted["path"])] == wanted["value"]
    [trigger] = sensor["spec"]["triggers"]
    [parameter] = trigger["template"]["k8s"]["parameters"]
    assert parameter["src"]["dependencyName"] == dependency["name"]
    assert at_path(event, parameter["src"]["dataKey"]) == "custom_model_7"


def at_path(document: dict[str, Any], path: str) -> object:
    """The value at a path with dots."""
    found: Any = document
    for name in path.split("."):
        found = found[name]
    return found
