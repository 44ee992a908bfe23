"""Matching of faults to calls."""

import json
import zlib
from typing import Literal

import pytest
from pydantic import JsonValue, ValidationError

from scriptix_simulator.faults import FORGED, Fault, FaultQueue, distort, forge
from scriptix_simulator.replies import Reply


def queue(*faults: Fault) -> FaultQueue:
    made = FaultQueue()
    for fault in faults:
        made.add(fault)
    return made


def test_fault_applies_the_configured_number_of_times() -> None:
    faults = queue(Fault(fault="cut", times=2))
    assert [faults.take("run", 1) is None for _ in range(3)] == [False, False, True]


def test_fault_can_apply_forever() -> None:
    faults = queue(Fault(fault="cut", times="forever"))
    assert all(faults.take("run", 1) for _ in range(100))
    faults.clear()
    assert faults.take("run", 1) is None


def test_fault_applies_only_to_its_calls() -> None:
    faults = queue(Fault(fault="cut", call="run", model=1))
    assert faults.take("model", 1) is None
    assert faults.take("run", 2) is None
    assert faults.take("run", 1) is not None


def test_only_the_oldest_matching_fault_applies() -> None:
    faults = queue(
        Fault(fault="cut", call="log"), Fault(fault="html"), Fault(fault="stale", times=3)
    )
    struck = [faults.take("model", 1) for _ in range(2)]
    assert [fault.fault for fault in struck if fault] == ["html", "stale"]
    assert [(fault.fault, fault.times) for fault in faults.pending()] == [("cut", 1), ("stale", 2)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"fault": "explode"},
        {"fault": "cut", "times": 0},
        {"fault": "cut", "act": True},
        {"fault": "cut", "status": 500},
        {"fault": "html", "reset": True},
        {"fault": "html", "body": {}},
        {"fault": "too_many", "status": 503},
        {"fault": "drip", "headers": {"A": "b"}},
        {"fault": "html", "headers": {"a b": "c"}},
        {"fault": "html", "headers": {"a": "b\r\nc: d"}},
        {"fault": "html", "model": -1},
        {"fault": "redirect", "status": 200},
        {"fault": "error_in_success", "status": 300},
        {"fault": "stale", "call": "run"},
        {"fault": "delay"},
        {"fault": "drip", "interval": float("inf")},
        {"fault": "delay", "delay": -1},
        {"fault": "status", "status": 99},
        {"fault": "status", "colour": "red"},
    ],
)
def test_a_wrong_fault_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate(wrong)


@pytest.mark.parametrize("name", sorted(FORGED - {"error_in_success"}))
def test_forged_reply_is_no_success(name: str) -> None:
    assert forge(Fault.model_validate({"fault": name})).status >= 300


def test_a_reply_without_a_body_survives_every_distortion() -> None:
    empty = Reply(204)
    assert distort(Fault(fault="truncated"), empty).payload == b""
    assert distort(Fault(fault="wrong_types"), empty).payload == b"[]"
    assert len(distort(Fault(fault="oversize", size=9), empty).payload) == 9


def test_a_gateway_answers_in_plain_text() -> None:
    reply = forge(Fault(fault="gateway"))
    assert (reply.status, reply.content_type) == (404, "text/plain")
    assert reply.payload == b"default backend - 404"
    assert forge(Fault(fault="gateway", status=403)).status == 403


@pytest.mark.parametrize("body", [None, {"error": "no"}])
def test_an_error_in_success_is_a_2xx_with_an_error(body: JsonValue) -> None:
    reply = forge(Fault(fault="error_in_success", code="INSUFFICIENT_DATA", body=body))
    rate_info = json.loads(reply.payload)
    assert reply.status == 200
    assert rate_info == body or rate_info["error_code"] == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("coding", "name", "bits"),
    [("gzip", "gzip", 31), ("deflate", "deflate", 15), ("raw-deflate", "deflate", -15)],
)
def test_compressed_reply_contains_the_original(
    coding: Literal["gzip", "deflate", "raw-deflate"], name: str, bits: int
) -> None:
    reply = distort(Fault(fault="compressed", coding=coding), Reply.of({"id": 7}))
    assert reply.headers["Content-Encoding"] == name
    assert zlib.decompress(reply.payload, bits) == b'{"id": 7}'
    assert distort(Fault(fault="compressed"), Reply(204)) == Reply(204)
