"""engine/fence.py in child processes, which it may end; with threads that get no signal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scriptix_operator.engine.fence import FENCED

PRELUDE = """
import sys, threading, time
from scriptix_operator.engine.fence import Fence
for _ in range(16):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
fence, now = Fence(), lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
"""
SAY_AND_READ = """
print("ready", flush=True)
line = sys.stdin.readline()
"""
ENDED = """
print("lived", flush=True)
"""


@contextmanager
def child(code: str, *wrapper: str) -> Iterator["subprocess.Popen[str]"]:
    """Run code with a fence until it is ready."""
    with subprocess.Popen(
        [*wrapper, sys.executable, "-c", PRELUDE + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def stopped(process: "subprocess.Popen[str]") -> None:
    """Stop the process, and wait until it is stopped."""
    process.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def lived(process: "subprocess.Popen[str]") -> bool:
    """Resume the process; returns whether it continued."""
    published, _ = process.communicate("go on\n")
    assert process.returncode == (0 if published else FENCED)
    return bool(published == "lived\n")


def passes(seconds: float) -> None:
    """Wait until a deadline has passed: these tests need real time."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(left)


def test_process_paused_past_its_deadline_dies_before_it_resumes() -> None:
    with child(f"fence.arm(now() + 0.3)\n{SAY_AND_READ}{ENDED}") as process:
        stopped(process)
        passes(0.4)
        process.send_signal(signal.SIGCONT)
        assert not lived(process)


def test_process_resumed_in_time_lives() -> None:
    code = f"number = fence.arm(now() + 60)\n{SAY_AND_READ}fence.disarm(number)\n"
    with child(code + ENDED) as process:
        stopped(process)
        process.send_signal(signal.SIGCONT)
        assert lived(process)


def test_process_hanging_past_its_deadline_dies() -> None:
    with child(f"fence.arm(now() + 0.1)\n{SAY_AND_READ}{ENDED}") as process:
        assert process.wait() == FENCED


@pytest.mark.parametrize("deadline", ["now()", "now() - 5"], ids=["now", "long ago"])
def test_past_deadline_ends_the_process_at_once(deadline: str) -> None:
    code = f'print("ready", flush=True)\nfence.arm({deadline})\ntime.sleep(60)\n{ENDED}'
    with child(code) as process:
        assert process.wait() == FENCED


def test_disarmed_process_may_be_paused() -> None:
    code = "fence.disarm(fence.arm(now() + 0.1))\n"
    with child(code + SAY_AND_READ + ENDED) as process:
        stopped(process)
        passes(0.2)
        process.send_signal(signal.SIGCONT)
        assert lived(process)


ARMED = "late = fence.arm(now() + 60)\nsoon = fence.arm(now() + 0.2)\n"
"""The order of arming does not matter."""
ARMED_BACKWARDS = "soon = fence.arm(now() + 0.2)\nlate = fence.arm(now() + 60)\n"


@pytest.mark.parametrize("armed", [ARMED, ARMED_BACKWARDS], ids=["late first", "soon first"])
@pytest.mark.parametrize(
    ("disarmed", "lives"),
    [
        pytest.param("", False, id="none disarmed"),
        pytest.param("fence.disarm(late)\n", False, id="the later one disarmed"),
        pytest.param("fence.disarm(soon)\n", True, id="the earlier one disarmed"),
        pytest.param("fence.disarm(soon)\nfence.disarm(soon)\n", True, id="twice disarmed"),
    ],
)
def test_of_several_sends_at_once_the_earliest_counts(
    armed: str,
    disarmed: str,
    lives: bool,  # noqa: FBT001 - the expected value
) -> None:
    with child(armed + disarmed + SAY_AND_READ + ENDED) as process:
        passes(0.3)
        assert lived(process) == lives


def test_disarming_twice_leaves_other_fences_armed() -> None:
    code = "one = fence.arm(now() + 60)\nfence.disarm(one)\n"
    code += "fence.arm(now() + 0.1)\nfence.disarm(one)\n"
    with child(code + SAY_AND_READ + ENDED) as process:
        assert process.wait() == FENCED


OWN_PIDS = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")


def test_process_1_of_a_container_is_not_spared() -> None:
    """The kernel suppresses default actions for process 1, which an image's entry point is."""
    if subprocess.run([*OWN_PIDS, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine allows no PID namespaces")
    code = "import os\nassert os.getpid() == 1\nfence.arm(now() + 0.1)\n"
    with child(code + SAY_AND_READ + ENDED, *OWN_PIDS) as process:
        assert process.wait() == FENCED


def test_signal_goes_to_the_sending_thread_only() -> None:
    """A signal to another thread would end the process, too, but the sender might continue."""
    code = (
        "import signal\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, {{{FENCED}}})\n"
        f"fence.arm(now())\n{SAY_AND_READ}"
        f"print({FENCED} in signal.sigpending(), flush=True)\n"
        f"signal.pthread_sigmask(signal.SIG_UNBLOCK, {{{FENCED}}})\n"
    )
    with child(code + ENDED) as process:
        passes(0.1)  # enough for any other thread to take the signal
        published, _ = process.communicate("go on\n")
        assert (published, process.returncode) == ("True\n", FENCED)
