"""Measures how long trainings wait for the second replica: `python -m tests.operator.takeover`.

The time is from the signal to the first poll of the new leader, for a run that is due at once.
The tests assert the order of what happens, not the time.
"""

import asyncio
import os
import signal
import statistics
import sys
import tempfile
from pathlib import Path

from tests.controlplane.build import find_or_build
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import install_crd
from tests.operator.lab import Lab, laboratory

ROUNDS = 5
MODEL = 204


async def take_over(lab: Lab, number: signal.Signals) -> float:
    """Seconds from the signal to the leader until the new leader's first poll."""
    leader = await lab.operator()
    await leader.printed("leading")
    standby = await lab.operator()
    await standby.printed("standing by for")
    calls, clock = lab.simulator.state.calls, lab.simulator.clock
    await lab.until_phase("running", "Running")
    signalled = clock.now()
    leader.signal(number)
    if number == signal.SIGKILL:
        await leader.ended()
    # What a terminated leader has sent arrives by then. It sends nothing more, and ends later.
    after = clock.now() + 0.1
    await lab.simulator.until(lambda: any(call.at > after for call in calls))
    await leader.ended()
    standby.kill()
    await standby.ended()
    return next(call.at for call in calls if call.at > after) - signalled


async def measure(cluster: ControlPlane, directory: Path) -> None:
    """Print the times of each signal."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        seconds = []
        for each in range(ROUNDS):
            namespace = f"takeover-{number.name.lower()}-{each}"
            cluster.kubectl("create", "namespace", namespace)
            async with laboratory(cluster, namespace, directory) as lab:
                lab.model(MODEL, duration=8000)
                await lab.secret()
                await lab.train("running", MODEL)
                seconds.append(await take_over(lab, number))
                assert lab.starts() == 1
        median, worst = statistics.median(seconds), max(seconds)
        sys.stdout.write(f"{number.name}: median {median:.1f} s, worst {worst:.1f} s\n")
        sys.stdout.flush()


def main() -> None:
    """Measure on a control plane of its own."""
    assets = find_or_build(os.environ, sys.stderr)
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        with ControlPlane(assets, directory / "controlplane") as cluster:
            install_crd(cluster)
            asyncio.run(measure(cluster, directory))


if __name__ == "__main__":
    main()
