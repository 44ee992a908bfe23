"""The stories that are recorded of each version: a model, a resource, and what happens to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["STORIES", "Story"]

READY = {"duration": 0.1}
MINUTE = 60.0


@dataclass(frozen=True)
class Story:
    """One story. All parts are JSON, so that a recording holds the story itself.

    Args:
        about: What happens.
        model: The script of the model at the simulator.
        spec: The spec.
        fault: A fault of the API.
        actions: By second: an edit of the spec, or a change of the model.
        lenient: Whether the API starts a model that has ended without new data.
    """

    about: str
    model: Mapping[str, Any]
    spec: Mapping[str, Any] = field(default_factory=dict)
    fault: Mapping[str, Any] | None = None
    actions: tuple[tuple[float, Mapping[str, Any]], ...] = ()
    lenient: bool = False


STORIES: Mapping[str, Story] = {
    "success": Story("A run succeeds.", READY),
    "retry": Story(
        "A run fails for a cause that may go away, and its retry succeeds.",
        {**READY, "outcome": ["system_error", "success"]},
        {"backoffLimit": 2},
        lenient=True,
    ),
    "failure": Story("A run fails for good.", {**READY, "outcome": ["mismatch"]}),
    "lost-reply-acted": Story(
        "The reply to the start is lost; the run has begun.",
        READY,
        fault={"fault": "drop_after", "call": "run"},
    ),
    "lost-reply-not-acted": Story(
        "The start is lost; no run has begun, and the start is sent again.",
        READY,
        fault={"fault": "drop_before", "call": "run"},
    ),
    "lost-reply-late": Story(
        "The start takes effect seconds after its connection was closed.",
        READY,
        fault={"fault": "late", "call": "run", "after": 8, "hold": 1},
    ),
    "rerun": Story(
        "New data is uploaded, and another run is requested.",
        READY,
        actions=((20 * MINUTE, {"model": {"status": 2}}), (21 * MINUTE, {"runToken": "v2"})),
    ),
    "cancelled": Story(
        "Another run is requested, waits for its data, and is cancelled.",
        READY,
        actions=(
            (20 * MINUTE, {"model": {"status": 1}}),
            (21 * MINUTE, {"runToken": "v2"}),
            (25 * MINUTE, {"runToken": ""}),
        ),
    ),
    "adopted": Story("A run of another client is followed.", {**READY, "status": 3}),
    "gate-missed": Story(
        "A run misses its quality gate.", READY, {"qualityGate": {"maxWordErrorRate": "1"}}
    ),
    "suspended": Story(
        "The resource is suspended during its run, and resumed after its end.",
        READY,
        actions=((3 * MINUTE, {"suspend": True}), (15 * MINUTE, {"suspend": False})),
    ),
    "waited": Story("The model gets its data later.", {**READY, "status": 1, "ready_after": "5m"}),
    "timed-out": Story("A run takes too long.", {"duration": 1000}, {"timeoutSeconds": 300}),
    "refused": Story("A start is refused for too little data.", {**READY, "data_hours": 2}),
}
