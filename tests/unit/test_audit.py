"""The audit of the pins, with the real pip-audit and a faked advisory service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from image import audit as script

SCRIPT = Path(__file__).parents[2] / "image" / "audit.py"
RUNTIME = SCRIPT.parents[1] / "requirements" / "runtime.txt"

KNOWN: dict[str, Any] = {
    "id": "PYSEC-2026-1",
    "summary": "It reads what it should not.",
    "details": "It reads what it should not.",
    "aliases": [],
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "pyyaml", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9999"}]}],
        }
    ],
}


@contextmanager
def advisories(status: int, by_name: dict[str, Any]) -> Iterator[str]:
    """Serve advisories as OSV does; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = by_name.get(asked["package"]["name"])
            body = json.dumps({"vulns": [found]} if found else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the audit against a service."""
    command = [sys.executable, str(SCRIPT), *options, "--osv-url", url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_known_vulnerability_fails_and_is_named_with_its_remedy() -> None:
    with advisories(200, {"pyyaml": KNOWN}) as url:
        reply = audit(url)
    assert reply.returncode == 1
    assert "KNOWN VULNERABILITY: pyyaml " in reply.stderr
    assert "PYSEC-2026-1, fixed in 9999" in reply.stderr


def test_pins_without_one_pass_and_say_how_many_were_asked_about() -> None:
    with advisories(200, {}) as url:
        reply = audit(url)
    assert (reply.returncode, reply.stderr) == (0, "")
    count = int(reply.stdout.split()[1])
    assert reply.stdout == f"Audited {count} packages, 0 known vulnerabilities\n"
    lines = RUNTIME.read_text().splitlines()
    assert count > sum("==" in line and "sys_platform" not in line for line in lines)


def test_unreachable_service_fails_nothing_and_is_reported() -> None:
    with advisories(200, {}) as url:
        pass  # no server listens there any more
    reply = audit(url)
    assert reply.returncode == 0
    assert reply.stderr.startswith("NOT AUDITED: no advisory service (osv) could be queried")


def test_a_service_that_only_fails_is_one_that_does_not_answer() -> None:
    with advisories(503, {}) as url:
        reply = audit(url)
    assert reply.returncode == 0
    assert reply.stderr.startswith("NOT AUDITED:")


def test_strict_fails_where_no_service_answers_and_only_there() -> None:
    with advisories(200, {}) as url:
        answered = audit(url, "--strict")
    silent = audit(url, "--strict")
    assert (answered.returncode, answered.stderr) == (0, "")
    assert silent.returncode == 1
    assert silent.stderr.startswith("NOT AUDITED:")


def package(name: str, version: str = "1", *known: str) -> dict[str, Any]:
    """The report of pip-audit on a known package."""
    vulns = [{"id": one, "fix_versions": ["9"]} for one in known]
    return {"name": name, "version": version, "vulns": vulns}


SKIPPED = {"name": "y", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("pypi", "osv", "lines"),
    [
        ([package("x", "1", "A"), SKIPPED], [package("x"), package("y")], ["x 1: A"]),
        (
            [package("x", "1", "A"), SKIPPED],
            [package("x", "1", "A", "B"), package("y", "1", "C")],
            ["x 1: A", "x 1: B", "y 1: C"],
        ),
        ([package("x", "1", "A"), package("x", "2")], [], ["x 1: A"]),
    ],
    ids=["the second knows of nothing", "both know of some", "one name at two versions"],
)
def test_no_answer_replaces_another(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pypi: list[dict[str, Any]],
    osv: list[dict[str, Any]],
    lines: list[str],
) -> None:
    replies = {"pypi": pypi, "osv": osv}
    monkeypatch.setattr(script, "ask", lambda service, *_: replies[service])
    assert script.main(["--strict"]) == 1
    printed, errors = capsys.readouterr()
    assert errors == "".join(f"KNOWN VULNERABILITY: {line}, fixed in 9\n" for line in lines)
    assert printed == f"Audited 2 packages, {len(lines)} known vulnerabilities\n"


@pytest.mark.parametrize(
    "osv",
    [None, [package("x"), SKIPPED], [package("x"), package("y", "2"), SKIPPED]],
    ids=["it does not answer", "it skips it too", "it knows of another version only"],
)
def test_what_each_service_skips_is_not_audited(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    osv: list[dict[str, Any]] | None,
) -> None:
    replies = {"pypi": [package("x"), SKIPPED], "osv": osv}
    monkeypatch.setattr(script, "ask", lambda service, *_: replies[service])
    assert script.main(["--strict"]) == 1
    assert "could be queried for 1 packages" in capsys.readouterr().err
