"""A small sink of notifications: verifies each, and passes it on to Slack, e-mail or another URL.

Python's standard library only; one file, so that a ConfigMap can hold it. Configured by variables:

SIGNING_KEY     the signing-key of the operator's Secret: `whsec_` and base64; several by spaces
SLACK_URL       an incoming webhook of Slack
SMTP_HOST       a mail server, with SMTP_PORT (25), MAIL_FROM and MAIL_TO; SMTP_STARTTLS=true
FORWARD_URL     takes the CloudEvent as it is, such as the webhook of Argo Events
PORT            the port (8443)
TLS_CERT        a file with the certificate, with TLS_KEY; without them the receiver speaks plain
                http, for loopback or behind an Ingress that ends TLS

A notification is acknowledged (204) once all targets have taken it; otherwise the operator sends
it again. So a target may get a notification twice, after another target has failed.
"""

import base64
import hashlib
import hmac
import json
import os
import smtplib
import ssl
import sys
import threading
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

__all__ = ["Receiver", "VerificationError", "main", "targets", "text_of", "verify"]

MOST_BYTES: Final = 64 * 1024
TOLERANCE: Final = 300
"""Seconds by which the time of a request may differ: an old request is not accepted again."""
TIMEOUT: Final = 8
"""Seconds for one target: the operator waits 10 s for the reply."""
REMEMBERED: Final = 10_000
SYMBOLS: Final = {
    "started": "\u25b6",
    "succeeded": "\u2705",
    "failed": "\u274c",
    "blocked": "\u270b",
    "stalled": "\u23f3",
}

Event = dict[str, Any]
Target = Callable[[Event, bytes], None]


class VerificationError(Exception):
    """The request is not from the operator, or is an old one."""


def verify(keys: tuple[bytes, ...], headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Verify the signature of a request as Standard Webhooks describes it.

    Raises:
        VerificationError: The request is not to be trusted.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE:
        raise VerificationError("the time of the request is missing or too far from now")
    content = f"{message_id}.{timestamp}.".encode() + body
    expected = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)) for key in keys]
    for word in headers.get("webhook-signature", "").split():
        version, _, given = word.partition(",")
        if version == "v1" and any(hmac.compare_digest(one, given.encode()) for one in expected):
            return
    raise VerificationError("no signature fits")


def text_of(event: Event) -> str:
    """One paragraph for people."""
    data = event["data"]
    kind = str(event["type"]).split(".")[-2]
    parts = [f"{SYMBOLS.get(kind, '')} {data['namespace']}/{data['name']}: training {kind}."]
    if "wordErrorRate" in data:
        parts.append(f"Word error rate {data['wordErrorRate']} %.")
    if "message" in data:
        parts.append(str(data["message"]))
    return " ".join(parts).strip()


def to_slack(url: str) -> Target:
    """Post to an incoming webhook of Slack."""

    def send(event: Event, body: bytes) -> None:
        del body
        # Slack reads <, > and & as markup.
        text = text_of(event).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        _post(url, json.dumps({"text": text}).encode(), "application/json")

    return send


def to_url(url: str) -> Target:
    """Post the CloudEvent as it is."""

    def send(event: Event, body: bytes) -> None:
        del event
        _post(url, body, "application/cloudevents+json")

    return send


def to_mail(environ: Mapping[str, str]) -> Target:
    """Send an e-mail."""
    host, port = environ["SMTP_HOST"], int(environ.get("SMTP_PORT", "25"))
    sender, recipients = environ["MAIL_FROM"], environ["MAIL_TO"]
    uses_tls = environ.get("SMTP_STARTTLS") == "true"

    def send(event: Event, body: bytes) -> None:
        del body
        text = text_of(event)
        message = EmailMessage()
        message["From"], message["To"] = sender, recipients
        message["Subject"] = " ".join(text.partition(". ")[0].split())
        message["Message-ID"] = f"<{event['id']}@scriptix.io>"
        message.set_content(text)
        with smtplib.SMTP(host, port, timeout=TIMEOUT) as server:
            if uses_tls:
                server.starttls(context=ssl.create_default_context())
            server.send_message(message)

    return send


def targets(environ: Mapping[str, str]) -> list[Target]:
    """The targets that the variables name."""
    found: list[Target] = []
    if url := environ.get("SLACK_URL"):
        found.append(to_slack(url))
    if environ.get("SMTP_HOST"):
        found.append(to_mail(environ))
    if url := environ.get("FORWARD_URL"):
        found.append(to_url(url))
    return found


def _post(url: str, body: bytes, content_type: str) -> None:
    if not url.startswith(("https://", "http://")):
        raise ValueError("a target is not an http(s) URL")
    request = urllib.request.Request(  # noqa: S310 - checked above
        url, data=body, headers={"Content-Type": content_type}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:  # noqa: S310 - checked above
        reply.read(1024)


class Receiver(ThreadingHTTPServer):
    """The server."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], keys: tuple[bytes, ...], send_to: list[Target]
    ) -> None:
        super().__init__(address, _Handler)
        self._keys, self._targets = keys, send_to
        self._done: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """Pass a request on; returns the status of the reply."""
        try:
            verify(self._keys, headers, body, time.time())  # noqa: TID251 - this file stands alone
        except VerificationError as error:
            print(f"refused: {error}", file=sys.stderr)
            return 401
        event = json.loads(body)
        with self._lock:
            if event["id"] in self._done:
                return 204  # delivered before; its reply was lost
        for send in self._targets:
            try:
                send(event, body)
            except (OSError, smtplib.SMTPException) as error:
                print(f"{event['id']}: {type(error).__name__}, is sent again", file=sys.stderr)
                return 502
        with self._lock:
            self._done[event["id"]] = None
            if len(self._done) > REMEMBERED:
                self._done.popitem(last=False)
        print(f"{event['id']}: {text_of(event)}")
        return 204


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    timeout = 30

    def do_POST(self) -> None:
        """Take a notification."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.send_error(413)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(self.server.take(headers, self.rfile.read(int(length))))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """Log nothing: a path may have a token."""


def main(environ: Mapping[str, str]) -> None:
    """Serve until the process is ended."""
    keys = tuple(
        base64.b64decode(word.removeprefix("whsec_"), validate=True)
        for word in environ["SIGNING_KEY"].split()
    )
    receiver = Receiver(("", int(environ.get("PORT", "8443"))), keys, targets(environ))
    if environ.get("TLS_CERT"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(environ["TLS_CERT"], environ.get("TLS_KEY"))
        receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    print(f"listening on port {receiver.server_address[1]}", flush=True)
    receiver.serve_forever()


if __name__ == "__main__":
    main(os.environ)
