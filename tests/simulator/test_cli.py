"""The command, as a separate process."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
import yaml

from scriptix_simulator.cli import main

from .support import AUTH

EXAMPLE = Path(__file__).parent / "scenario.yaml"


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command until the block ends; yield it and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scriptix_simulator", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line.startswith("listening on http://127.0.0.1:")
            yield process, line.split()[-1]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_simulator_prints_its_url_and_ends_on_a_signal(number: signal.Signals) -> None:
    with command() as (process, url):
        reply = httpx.get(f"{url}/api/v3/custom_models/1", headers=AUTH)
        assert reply.json()["error_code"] == "MODEL_NOT_FOUND"
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_demo_overlay_starts_a_simulator_with_any_model() -> None:
    overlay = Path(__file__).parents[2] / "deploy" / "overlays" / "demo"
    _, deployment = yaml.safe_load_all((overlay / "simulator.yaml").read_text())
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["scriptix-simulator"]
    [secret] = yaml.safe_load((overlay / "kustomization.yaml").read_text())["secretGenerator"]
    key = secret["literals"][0].removeprefix("api-key=")
    options = [one for one in container["args"] if not one.startswith(("--host=", "--port="))]
    with command(*options) as (_process, url):
        assert httpx.get(url + container["readinessProbe"]["httpGet"]["path"]).is_success
        authorized = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{url}/api/v3/custom_models/101", headers=authorized).is_success


def test_its_options_reach_the_simulator() -> None:
    options = [
        *("--speed", "1e6", "--api-key", "w", "--read-only-key", "r", "--auth-header", "X-Key"),
        *("--auth-scheme", "", "--reply", "wrapped", "--run-reply", "empty", "--server", "lenient"),
        *("--window", "fixed", "--limit-starts", "none", "--limit-status", "9/1s,7/90s"),
        *("--rate-headers", "always", "--models", str(EXAMPLE), "--any-model"),
        *("--limit-logs", "1/999999999d", "--retry-hint", "date"),
        "--clock-offset=-3650d",
    ]
    with command(*options) as (_, url), httpx.Client(base_url=url) as client:
        client.headers["X-Key"] = "w"
        reply = client.get("/api/v3/custom_models/7")
        assert reply.headers["X-RateLimit-Limit"] == "7"
        ten_years_ago = datetime.now(UTC) - timedelta(days=3650)  # noqa: TID251 - what it is off by
        date = parsedate_to_datetime(reply.headers["Date"])
        assert abs(date - ten_years_ago) < timedelta(minutes=5)
        assert reply.json()["result"]["training_metrics"] == {"word_error_rate": 31.4}
        reply = client.post("/api/v3/custom_models/7/run", json={})
        assert (reply.status_code, reply.content) == (204, b"")
        assert "X-RateLimit-Limit" not in reply.headers
        assert client.get("/api/v3/custom_models/99").status_code == 200
        assert client.get("/api/v3/custom_models/7/log").status_code == 200
        reply = client.get("/api/v3/custom_models/7/log")
        assert reply.status_code == 429
        assert parsedate_to_datetime(reply.headers["Retry-After"]) > date
        client.headers["X-Key"] = "r"
        assert client.post("/api/v3/custom_models/99/run", json={}).status_code == 403


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--speed", "0"], "argument --speed: '0' is no number above 0"),
        (["--speed", "fast"], "argument --speed: 'fast' is no number above 0"),
        (["--speed", "nan"], "argument --speed: 'nan' is no number above 0"),
        (["--speed", "inf"], "argument --speed: 'inf' is no number above 0"),
        (["--port", "65536"], "argument --port: '65536' is no port from 0 to 65535"),
        (["--port", "-1"], "argument --port: '-1' is no port"),
        (["--api-key", ""], "argument --api-key: a key has one character at least"),
        (["--read-only-key", " "], "argument --read-only-key: a key has one character at least"),
        (["--auth-header", "a:b"], "argument --auth-header: 'a:b' is not the name of a header"),
        (["--auth-scheme", "To ken"], "argument --auth-scheme: 'To ken' is not one word"),
        (["--limit-starts", "nonsense"], "argument --limit-starts: 'nonsense' is no limit"),
        (["--limit-logs", "0/1h"], "argument --limit-logs: a limit allows at least 1 call"),
        (["--clock-offset=-3651d"], "argument --clock-offset: '-3651d' is more than ten years"),
        (["--clock-offset", "10"], "argument --clock-offset: '10' is no duration"),
        (["--limit-starts", "5"], "argument --limit-starts: '5' is no limit"),
        (["--limit-starts", "5/1h,"], "argument --limit-starts: '' is no limit"),
        (["--limit-starts", "5/1h,none"], "argument --limit-starts: 'none' is no limit"),
        (["--models", "/nowhere"], "argument --models: /nowhere"),
        (["--server", "kind"], "argument --server"),
    ],
)
def test_a_wrong_option_is_named(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_port_in_use_is_an_error_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    error = capsys.readouterr().err
    assert error.startswith("scriptix-simulator: ")
    assert error.count("\n") == 1
