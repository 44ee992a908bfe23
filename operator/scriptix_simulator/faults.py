"""Faults on request: what they are, when they strike, and what they make of a reply.

A fault is a rule: it strikes calls of its kind, for its model, so many times. The first rule that
matches a call strikes it and no other does. What happens to the connection itself (waiting,
hanging up, dripping) is up to `delivery`; what happens to the bytes is decided here.
"""

import gzip
import json
import zlib
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from .replies import Reply, refusal

__all__ = ["Call", "Fault", "FaultName", "FaultQueue", "distort", "forge"]

Call = Literal["run", "model", "log", "other"]
"""The kinds of call: POST run, GET model, GET log, and whatever else comes in."""

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
"""Faults whose reply is made up; the server acts on the call only if told to."""

Seconds = Annotated[float, Field(ge=0, le=86400)]


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

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: FaultName
    call: Literal["run", "model", "log", "any"] = "any"
    model: int | None = Field(None, description="only calls for this model")
    times: Annotated[int, Field(ge=1)] | Literal["forever"] = 1
    delay: Seconds = Field(0, description="waited before anything else happens, with any fault")
    act: bool = Field(
        default=False, description="with a made-up reply: act on the call all the same"
    )
    reset: bool = Field(default=False, description="close with RST instead of FIN")
    after: Seconds = 0
    hold: Seconds = 0
    status: int | None = Field(None, ge=200, le=599)
    body: JsonValue = None
    code: str = Field("SIMULATED_FAULT", description="error_code of a made-up error body")
    coding: Literal["gzip", "deflate", "raw-deflate", "br"] = Field(
        "gzip",
        description="raw-deflate is deflate without a zlib header; br is the name only",
    )
    headers: dict[str, str] = {}
    location: str = "/elsewhere"
    size: int = Field(1_048_576, ge=0, le=268_435_456)
    interval: Seconds = 0.1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.act and self.fault not in FORGED:
            raise ValueError(f"act: only for {', '.join(sorted(FORGED))}; others say it by name")
        return self

    def strikes(self, call: Call, model: int | None) -> bool:
        """Return whether the rule is for such a call."""
        return self.call in {"any", call} and self.model in {None, model}


@dataclass(slots=True)
class _Rule:
    fault: Fault
    left: int | None


class FaultQueue:
    """The rules in force, oldest first."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []

    def add(self, fault: Fault) -> None:
        """Put a rule behind the others."""
        self._rules.append(_Rule(fault, None if fault.times == "forever" else fault.times))

    def clear(self) -> None:
        """Drop all rules."""
        self._rules.clear()

    def take(self, call: Call, model: int | None) -> Fault | None:
        """Return the fault that strikes this call, if any, and count it."""
        for rule in self._rules:
            if rule.fault.strikes(call, model):
                if rule.left is not None:
                    rule.left -= 1
                    if rule.left == 0:
                        self._rules.remove(rule)
                return rule.fault
        return None

    def pending(self) -> list[Fault]:
        """Return the rules in force; `times` is what is left of each."""
        return [
            rule.fault.model_copy(update={"times": "forever" if rule.left is None else rule.left})
            for rule in self._rules
        ]


def forge(fault: Fault) -> Reply:
    """Return the made-up reply of a fault in `FORGED`."""
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
    """Return the true reply as a fault leaves it; unchanged if the fault is not about bytes."""
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
