"""The output of `kubectl get cmt` for resources that a whole operator reconciles."""

import asyncio

from tests.operator.lab import Lab
from tests.operator.tables import rows


async def test_kubectl_get_shows_phase_and_reason_of_each_problem(lab: Lab) -> None:
    for number in range(1, 6):
        lab.model(730 + number, duration=8000 if number == 1 else 1)
    await lab.secret()
    await lab.operator(limit_starts="3/1h")
    await lab.train("running", 731)
    await lab.train("trained", 732)
    await lab.train("misses-gate", 733, qualityGate={"maxWordErrorRate": "5"})
    for name, phase in (
        ("running", "Running"),
        ("trained", "Succeeded"),
        ("misses-gate", "Failed"),
    ):
        await lab.until_phase(name, phase)
    await lab.train("without-key", 734, apiKeySecretRef={"name": "absent"})
    await lab.train("queued", 735)
    await lab.until_phase("queued", "Queued")
    await lab.until_reason("without-key", "SecretNotFound")
    assert await _shown(lab) == {
        "misses-gate": ("Failed", "QualityGateFailed"),
        "queued": ("Queued", "WaitingForStartQuota"),
        "running": ("Running", "Training"),
        "trained": ("Succeeded", "TrainingSucceeded"),
        "without-key": ("Pending", "SecretNotFound"),
    }
    await lab.fault("status", call="model", status=401, code="INVALID_API_KEY", times="forever")
    await lab.until_reason("running", "Unauthorized")
    assert (await _shown(lab))["running"] == ("Running", "Unauthorized")


async def _shown(lab: Lab) -> dict[str, tuple[str, str]]:
    """Phase and reason of each resource in the plain table."""
    table = await asyncio.to_thread(lab.control_plane.kubectl, "-n", lab.namespace, "get", "cmt")
    return {name: (row["PHASE"], row["REASON"]) for name, row in rows(table).items()}
