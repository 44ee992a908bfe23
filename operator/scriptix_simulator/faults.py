"""Injected faults: their kinds, the calls that they apply to, and the replies that they cause.

A fault is a rule: it applies to calls of its kind, for its model, a number of times. Only the first
matching rule applies to a call. `delivery` treats the connection (waiting, hanging up, dripping);
this module changes the bytes.
"""

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from .replies import Reply, refusal

__all__ = ["Call", "Fault", "FaultName", "FaultQueue", "distort", "forge"]

Call = Literal["run", "model", "log", "other"]
"""The kinds of call: POST run, GET model, GET log, and all others."""

FaultName = Literal[
    "delay",
    "drop_before",
    "drop_after",
    "late",
    "status",
    "html",
    "redirect",
    "too_many",
    "truncated",
    "cut",
    "drip",
    "oversize",
    "wrong_types",
    "stale",
    "gateway",
    "error_in_success",
    "compressed",
]

FORGED: frozenset[FaultName] = frozenset(
    {"status", "html", "redirect", "too_many", "gateway", "error_in_success"}
)
"""Faults with a forged reply; the server acts on the call only if `act` is set."""

BREAKING: frozenset[FaultName] = frozenset({"drop_before", "drop_after", "late", "cut"})
"""Faults that close the connection."""

_USED_BY: Mapping[str, frozenset[FaultName]] = {
    "act": FORGED,
    "after": frozenset({"late"}),
    "body": frozenset({"status", "error_in_success"}),
    "code": frozenset({"status", "error_in_success"}),
    "coding": frozenset({"compressed"}),
    "headers": frozenset(get_args(FaultName)) - BREAKING - {"drip"},
    "hold": frozenset({"late"}),
    "interval": frozenset({"drip"}),
    "location": frozenset({"redirect"}),
    "reset": BREAKING,
    "size": frozenset({"oversize"}),
    "status": FORGED - {"too_many"},
}
"""By field: the faults that use it; other faults refuse the field."""

_STATUSES: Mapping[FaultName, tuple[int, int]] = {
    "error_in_success": (200, 299),
    "redirect": (300, 399),
}

Seconds = Annotated[float, Field(ge=0, le=86400)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0a-\x1f\x7f]*$")]


class Fault(BaseModel):
    """One rule. Seconds are real ones.

    | fault | what the client gets |
    |---|---|
    | delay | the true answer, `delay` seconds late; acted on then, even if the client has gone |
    | drop_before | the connection closed; the server did not act |
    | drop_after | the connection closed; the server did act |
    | late | the connection closed after `hold` seconds; the server acts `after` seconds on |
    | status | `status` (default 503) with `body`, or with the API's error body |
    | html | a proxy's HTML page with `status` (default 502) |
    | redirect | `status` (default 302) to `location` |
    | too_many | 429 with the API's body, but nothing about when to come back |
    | truncated | the first half of the true JSON, as if that were all |
    | cut | the first half of the true body, then the connection closed |
    | drip | the true answer, a byte every `interval` seconds |
    | oversize | the true answer, grown to `size` bytes |
    | wrong_types | the true answer with numbers, strings and lists swapped |
    | stale | the model as it was before its last start or change (GET model only) |
    | gateway | `default backend - 404` as text/plain, or with another `status` |
    | error_in_success | 200 (or another 2xx `status`) with the API's error body with `code` |
    | compressed | the true answer in `coding`, whatever the client accepts |
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fault: FaultName = Field(description="the fault, as in the table above")
    call: Literal["run", "model", "log", "any"] = Field(
        "any", description="calls: POST run, GET model, GET log, or any"
    )
    model: int | None = Field(None, ge=0, description="only calls for this model; null: all")
    times: Annotated[int, Field(ge=1)] | Literal["forever"] = Field(
        1, description="number of calls that the fault applies to"
    )
    delay: Seconds = Field(0, description="waited before anything else, with any fault")
    act: bool = Field(
        default=False, description="with a forged reply: act on the call all the same"
    )
    reset: bool = Field(default=False, description="close with RST instead of FIN")
    after: Seconds = Field(0, description="late: the server acts this much later")
    hold: Seconds = Field(0, description="late: the connection is closed this much later")
    status: int | None = Field(
        None, ge=200, le=599, description="of a forged reply; null: as in the table above"
    )
    body: JsonValue = Field(None, description="of a forged reply; null: the API's error body")
    code: str = Field("SIMULATED_FAULT", description="error_code of a forged error body")
    coding: Literal["gzip", "deflate", "raw-deflate", "br"] = Field(
        "gzip",
        description="raw-deflate is deflate without a zlib header; br is the name only",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        {}, description="set in the reply, over its own headers"
    )
    location: str = Field("/elsewhere", description="redirect: where to")
    size: int = Field(1_048_576, ge=0, le=268_435_456, description="oversize: bytes of the body")
    interval: Seconds = Field(0.1, description="drip: before each byte")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in sorted(self.model_fields_set & _USED_BY.keys()):
            if self.fault not in _USED_BY[name]:
                raise ValueError(f"{name}: only for {', '.join(sorted(_USED_BY[name]))}")
        if self.fault == "delay" and "delay" not in self.model_fields_set:
            raise ValueError("delay: how many seconds?")
        if self.fault == "stale" and self.call not in {"model", "any"}:
            raise ValueError("call: only GET model can be stale")
        lowest, highest = _STATUSES.get(self.fault, (200, 599))
        if self.status is not None and not lowest <= self.status <= highest:
            raise ValueError(f"status: {self.fault} has one from {lowest} to {highest}")
        return self

    def strikes(self, call: Call, model: int | None) -> bool:
        """Return whether the rule applies to such a call."""
        return self.call in {"any", call} and self.model in {None, model}


@dataclass(slots=True)
class _Rule:
    fault: Fault
    left: int | None


class FaultQueue:
    """The active rules, oldest first."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []

    def add(self, fault: Fault) -> None:
        """Append a rule."""
        self._rules.append(_Rule(fault, None if fault.times == "forever" else fault.times))

    def clear(self) -> None:
        """Drop all rules."""
        self._rules.clear()

    def take(self, call: Call, model: int | None) -> Fault | None:
        """Return the fault that applies to this call, if any, and count it."""
        for rule in self._rules:
            if rule.fault.strikes(call, model):
                if rule.left is not None:
                    rule.left -= 1
                    if rule.left == 0:
                        self._rules.remove(rule)
                return rule.fault
        return None

    def pending(self) -> list[Fault]:
        """Return the active rules; `times` is the remaining number of each."""
        return [
            rule.fault.model_copy(update={"times": "forever" if rule.left is None else rule.left})
            for rule in self._rules
        ]


def forge(fault: Fault) -> Reply:
    """Return the forged reply of a fault in `FORGED`."""
    match fault.fault:
        case "html":
            page = b"<html><head><title>Bad gateway</title></head><body>nginx</body></html>"
            reply = Reply(fault.status or 502, page, "text/html")
        case "redirect":
            reply = Reply(fault.status or 302, headers={"Location": fault.location})
        case "too_many":
            reply = refusal(429, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded")
        case "gateway":
            status = fault.status or 404
            reply = Reply(status, f"default backend - {status}".encode(), "text/plain")
        case "error_in_success" if fault.body is None:
            reply = refusal(fault.status or 200, fault.code, "A fault was asked for")
        case "error_in_success":
            reply = Reply.of(fault.body, fault.status or 200)
        case _ if fault.body is not None:
            reply = Reply.of(fault.body, fault.status or 503)
        case _:
            reply = refusal(fault.status or 503, fault.code, "A fault was asked for")
    return replace(reply, headers={**reply.headers, **fault.headers})


def distort(fault: Fault, reply: Reply) -> Reply:
    """Return the true reply, changed by the fault if the fault concerns bytes."""
    payload = reply.payload
    match fault.fault:
        case "truncated":
            payload = reply.payload[: len(reply.payload) // 2]
        case "oversize":
            payload = reply.payload + b" " * (fault.size - len(reply.payload))
        case "wrong_types":
            payload = json.dumps(_swap(json.loads(reply.payload or b"null"))).encode()
        case "compressed":
            return _compressed(fault, reply)
        case _:
            pass
    return replace(reply, payload=payload, headers={**reply.headers, **fault.headers})


def _compressed(fault: Fault, reply: Reply) -> Reply:
    if not reply.payload:
        return reply
    match fault.coding:
        case "gzip":
            payload = gzip.compress(reply.payload)
        case "deflate":
            payload = zlib.compress(reply.payload)
        case "raw-deflate":
            payload = zlib.compress(reply.payload, wbits=-zlib.MAX_WBITS)
        case _:
            payload = reply.payload
    coding = {"Content-Encoding": fault.coding.removeprefix("raw-")}
    return replace(reply, payload=payload, headers={**reply.headers, **coding, **fault.headers})


def _swap(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return {key: _swap(inner) for key, inner in value.items()}
        case list():
            return {str(index): _swap(inner) for index, inner in enumerate(value)}
        case str():
            return len(value)
        case None:
            return []
        case _:
            return f"{value}?"
