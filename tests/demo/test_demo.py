"""The whole demo, as `make demo` runs it, with eight hours in twelve seconds."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.demo.rehearsal import commands, rehearse, session, until

pytestmark = pytest.mark.timeout(400)  # longer than the demo's own time-outs

# services, etcd, kube-apiserver, kube-controller-manager, simulator, operator
PROCESSES = 6
FOLLOWING = r"\$ kubectl get cmt "


def test_demo_shows_three_trainings_and_leaves_nothing(assets: Path, tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    with rehearse(assets, directory) as demo:
        demo.wait_for_output(FOLLOWING)
        services = demo.services()
        assert len(session(services)) == PROCESSES
        assert demo.wait() == 0, demo.output

    for news in (
        r"> legal-de waits: The model is not ready",
        r"> radiology-nl has failed: Audio and transcript mismatch detected",
        r"> The data for legal-de arrives: curl -X PATCH http://127.0.0.1:\d+/admin/models/103",
        r"> legal-de is being trained",
        r"> legal-de has succeeded",
        r"> cardiology-en has succeeded",
    ):
        assert re.search(news, demo.output), news
    assert "\x1b" not in demo.output

    shown = dict(re.findall(r"^\$ (.+)\n((?:(?!\n\$ )[^\0])*)", demo.output, re.MULTILINE))
    results = {" ".join(command.split()[:4]): result for command, result in shown.items()}
    assert "condition met" in results["kubectl wait --for=condition=Succeeded cmt/cardiology-en"]
    assert "AudioTranscriptMismatch" in results["kubectl describe cmt radiology-nl"]
    assert "TrainingSucceeded" in results["kubectl events"]
    assert "Final WER: 12.5%" in results["kubectl get configmap cardiology-en-log"]
    assert "word_error_rate=12.5" in results["kubectl get configmap cardiology-en-result"]

    assert session(services) == set()
    assert not directory.exists()


def test_kept_demo_is_used_and_stopped_by_printed_commands(assets: Path, tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    own = {"SCRIPTIX_LIMIT_STARTS": "1/8h", "SCRIPTIX_WATCH_NAMESPACES": "prod"}
    with rehearse(assets, directory, "--keep", environment=own) as demo:
        assert demo.wait() == 0, demo.output
    found = re.search(r"^kill (\d+)\n\Z", demo.output, re.MULTILINE)
    assert found, demo.output
    services = int(found[1])
    try:
        assert len(session(services)) == PROCESSES
        assert_checked(demo.output, own)
        assert "ignores SCRIPTIX_WATCH_NAMESPACES." in demo.output
        assert "Limits of each API key: starts 1/8h," in demo.output
        assert "TrainingQueued" in demo.output
        assert demo.output.splitlines()[3].startswith("export KUBECONFIG=")
    finally:
        os.kill(services, signal.SIGTERM)
    until(lambda: not session(services) and not directory.exists())


def assert_checked(output: str, own: dict[str, str]) -> None:
    """Run the printed check command in the user's shell: no result is bad."""
    at_start, at_end = re.findall(r"^.*/scriptix-operator check$", output, re.MULTILINE)
    assert at_start == at_end
    done = subprocess.run(
        ["/usr/bin/env", "bash", "-c", at_end],
        env=os.environ | own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = {tuple(line.split()[:2]) for line in done.stdout.splitlines()}
    # The demo's user is the cluster's administrator, to which the admission policy does not apply.
    assert {topic for result, topic in results if result != "ok"} == {"policy"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-C", "SIGKILL"])
def test_all_processes_end_with_the_demo(assets: Path, tmp_path: Path, how: signal.Signals) -> None:
    directory = tmp_path / "demo"
    with rehearse(assets, directory) as demo:
        demo.wait_for_output(FOLLOWING)
        services = demo.services()
        demo.process.send_signal(how)
        assert demo.wait() == {signal.SIGINT: 130, signal.SIGKILL: -9}[how], demo.output
    until(lambda: not session(services))
    assert "Traceback" not in demo.output
    assert directory.exists() is (how == signal.SIGKILL)


def test_demo_fails_and_keeps_the_logs_when_a_part_dies(assets: Path, tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    with rehearse(assets, directory) as demo:
        demo.wait_for_output(FOLLOWING)
        services = demo.services()
        running = dict(commands())
        operator = next(pid for pid in session(services) if "scriptix_operator" in running[pid])
        os.kill(operator, signal.SIGKILL)
        assert demo.wait() == 1
    assert "The demo failed. The operator ended with exit status -9; the end of" in demo.output
    assert "leading" in demo.output  # the end of its log
    (kept,) = directory.iterdir()
    assert f"All logs are in {kept}" in demo.output
    assert {"operator.log", "simulator.log", "kube-apiserver.log", "etcd.log"} <= {
        path.name for path in kept.iterdir()
    }
    assert not (kept / "etcd").exists()
    assert session(services) == set()
