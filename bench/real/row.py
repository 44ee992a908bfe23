"""The declaration of a row, and where it runs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench.real.figures import Figures
from tests.controlplane.cluster import ControlPlane

__all__ = ["UNLIMITED", "Place", "Row"]

UNLIMITED = "100000/1m"
"""The largest quota that the operator's settings take; no row reaches it."""

S = TypeVar("S")
"""The scene in which the row is played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[S]):
    """A scenario.

    Attributes:
        about: The scenario in one sentence.
        play: What happens; returns the figures of each phase by its name.
        resources: How many resources.
        interval: Their poll interval in seconds.
        script: The model behind each resource.
        keys: API keys, each in a namespace of its own.
        limits: Quotas of each key at the simulator and in the operator's settings: starts, status.
        options: More arguments of the simulator.
        settings: More settings of the operator.
        has_resources_first: Whether the resources exist when the process begins; otherwise the play
            creates them.
        runs: How often the row runs, unless the command line says so; once if it takes minutes.
        is_optional: Whether the row runs only when it is named.
    """

    about: str
    play: Callable[[S], Awaitable[Mapping[str, Figures]]]
    resources: int
    interval: float
    script: Mapping[str, Any]
    keys: int = 1
    limits: tuple[str, str] = (UNLIMITED, UNLIMITED)
    options: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    has_resources_first: bool = False
    runs: int = 3
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row runs.

    Attributes:
        control_plane: The control plane.
        directory: For logs.
        namespaces: As many as keys; they exist. The first one is the operator's own, too.
        is_shared: Whether others use the control plane; then only these namespaces are watched.
        is_profiled: Whether py-spy records the process.
    """

    control_plane: ControlPlane
    directory: Path
    namespaces: Sequence[str]
    is_shared: bool = False
    is_profiled: bool = False
