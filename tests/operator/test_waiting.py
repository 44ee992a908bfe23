"""The function of docs/trainings.md that waits for an outcome, in bash, with the real kubectl."""

import asyncio
import os
import re
from pathlib import Path

import pytest
import yaml

from tests.operator.lab import TIMEOUT, Lab, condition_of

PAGE = (Path(__file__).parents[2] / "docs" / "trainings.md").read_text(encoding="utf-8")
FUNCTION = re.findall(r"```bash\n(wait_for_training\(\) .*?\n)```", PAGE, re.DOTALL)


class Waiting:
    """bash, configured for the lab's namespace."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        plane, self._kubeconfig = lab.control_plane, directory / "kubeconfig"
        document = yaml.safe_load(plane.kubeconfig.read_text())
        document["contexts"][0]["context"]["namespace"] = lab.namespace
        self._kubeconfig.write_text(yaml.safe_dump(document))
        self._path = f"{plane.assets}{os.pathsep}{os.environ['PATH']}"

    async def returns(self, call: str) -> tuple[int, str, str]:
        """Run the function in a script with `set -e`; return exit status, output and errors."""
        [function] = FUNCTION
        script = f"set -e\n{function}\n{call}\n"
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script),
            env={"PATH": self._path, "KUBECONFIG": str(self._kubeconfig), "HOME": "/nowhere"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        # The output ends when all processes that could write it have ended.
        output, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()


@pytest.fixture
def waiting(lab: Lab, tmp_path: Path) -> Waiting:
    """Return bash in the lab."""
    return Waiting(lab, tmp_path)


async def test_waiting_ends_with_each_outcome_of_a_training(lab: Lab, waiting: Waiting) -> None:
    outcomes: dict[str, tuple[int, dict[str, object], int, str]] = {
        "good": (921, {}, 0, "The model is trained with a word error rate of 12.5%"),
        "missed": (922, {"metrics": {"word_error_rate": 31.4}}, 1, "quality gate"),
        "failed": (923, {"outcome": "mismatch"}, 1, "Audio and transcript mismatch detected."),
    }
    await lab.secret()
    for name, (model, script, *_) in outcomes.items():
        lab.model(model, duration=4, **script)
        await lab.train(name, model, qualityGate={"maxWordErrorRate": "15"})
    await lab.train("blocked", 924)  # no model has this number
    waits = [waiting.returns(f"wait_for_training {name}") for name in [*outcomes, "blocked"]]
    running = asyncio.gather(*waits)
    await lab.operator()
    *ended, blocked = await running
    for (name, (_, _, status, message)), (returned, output, errors) in zip(
        outcomes.items(), ended, strict=True
    ):
        assert (name, returned, errors) == (name, status, "")
        assert message in output
    assert blocked[0] == 1
    assert "spec.modelId" in blocked[1]


async def test_waiting_for_a_rerun_ignores_the_previous_outcome(lab: Lab, waiting: Waiting) -> None:
    lab.model(925, outcome=["mismatch", "success"], duration=4)
    await lab.secret()
    await lab.operator()
    await lab.train("again", 925)
    await lab.until("again", lambda item: condition_of(item, "Stalled") is not None)
    await lab.admin("PATCH", "/models/925", {"status": 2})
    await lab.edit("again", runToken="v2")
    status, output, errors = await waiting.returns("wait_for_training again")
    assert (status, errors) == (0, "")
    assert "The model is trained" in output


async def test_waiting_distinguishes_no_outcome_from_a_failure(lab: Lab, waiting: Waiting) -> None:
    await lab.train("idle", 926)  # no operator runs
    status, _, errors = await waiting.returns("wait_for_training idle 1s")
    assert (status, "timed out waiting" in errors) == (2, True)
    status, output, errors = await waiting.returns("wait_for_training nobody")
    assert (status, output, "NotFound" in errors) == (2, "", True)


async def test_waiting_ends_when_the_training_is_deleted(lab: Lab, waiting: Waiting) -> None:
    before = await watches(lab)
    await lab.train("idle", 927)  # no operator runs
    deleted = asyncio.create_task(waiting.returns("wait_for_training idle"))
    await watched(lab, before + 3)
    await lab.delete("idle")
    status, output, errors = await deleted
    assert (status, output, "NotFound" in errors) == (1, "", True)


async def watched(lab: Lab, times: int) -> None:
    """Wait until the API server serves this number of watches of trainings."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            if await watches(lab) >= times:
                return
            await asyncio.sleep(0.05)


async def watches(lab: Lab) -> int:
    """Return the number of watches of trainings that the API server serves."""
    text = (await lab.client.get("/metrics")).text
    counts = re.findall(
        r"^apiserver_longrunning_requests{.*resource=\"custommodeltrainings\".*} (\d+)",
        text,
        re.MULTILINE,
    )
    return sum(map(int, counts))
