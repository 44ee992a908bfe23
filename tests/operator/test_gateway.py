"""A gateway between the operator and the API: one odd reply does not outweigh known facts."""

import pytest

from tests.operator.lab import Lab, condition_of, phase_of


@pytest.mark.parametrize(
    "fault",
    [
        ("gateway", {}),
        ("status", {"status": 404, "code": "MODEL_NOT_FOUND"}),
        ("status", {"status": 401, "code": "INVALID_API_KEY"}),
    ],
    ids=["gateway", "404", "401"],
)
async def test_one_refused_poll_does_not_block_a_followed_run(
    lab: Lab, fault: tuple[str, dict[str, object]]
) -> None:
    lab.model(701, duration=8000)
    await lab.secret()
    await lab.operator()
    await lab.train("followed", 701)
    await lab.until_phase("followed", "Running")
    await lab.fault(fault[0], call="model", model=701, **fault[1])
    announced = await lab.until_reason("followed", "ApiUnavailable")
    assert (phase_of(announced), condition_of(announced, "Stalled")) == ("Running", None)
    again = await lab.until_reason("followed", "Training")
    assert condition_of(again, "Stalled") is None
    await lab.admin("PATCH", "/models/701", {"finish": True})
    await lab.until_phase("followed", "Succeeded")
    assert lab.starts(701) == 1


@pytest.mark.parametrize("fault", ["gateway", "error_in_success"])
async def test_accepted_start_is_followed_whatever_the_reply(lab: Lab, fault: str) -> None:
    status = {"status": 403} if fault == "gateway" else {"code": "INSUFFICIENT_DATA"}
    lab.model(702, duration=8000)
    await lab.secret()
    await lab.fault(fault, call="run", model=702, act=True, **status)
    await lab.operator()
    await lab.train("filtered", 702)
    running = await lab.until_phase("filtered", "Running")
    assert running["status"]["run"]["ownership"] == "Unconfirmed"
    assert condition_of(running, "Stalled") is None
    await lab.admin("PATCH", "/models/702", {"finish": True})
    await lab.until_phase("filtered", "Succeeded")
    assert (lab.starts(702), len(lab.posts(702))) == (1, 1)


async def test_insufficient_data_in_a_200_ends_as_in_a_400(lab: Lab) -> None:
    for model_id in (703, 704):
        lab.model(model_id)
    await lab.secret()
    code = {"code": "INSUFFICIENT_DATA"}
    await lab.fault("error_in_success", call="run", model=703, **code)
    await lab.fault("status", status=400, call="run", model=704, **code)
    await lab.operator()
    await lab.train("by-200", 703)
    await lab.train("by-400", 704)
    ends = [await lab.until_phase(name, "Failed") for name in ("by-200", "by-400")]
    by_200, by_400 = [end["status"]["failure"] for end in ends]
    assert by_200 == {**by_400, "message": by_400["message"].replace("HTTP 400", "HTTP 200")}
    assert by_200["reason"] == "InsufficientData"
    assert "intent" not in ends[0]["status"]["run"]
    assert (lab.starts(703), len(lab.posts(703))) == (0, 1)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compressed_replies_train_a_model(lab: Lab, coding: str) -> None:
    lab.model(705)
    await lab.secret()
    await lab.fault("compressed", coding=coding, times="forever")
    await lab.operator()
    await lab.train("compressed", 705)
    done = await lab.until_phase("compressed", "Succeeded")
    assert done["status"]["metrics"]["wordErrorRate"]
    assert len(lab.posts(705)) == 1
