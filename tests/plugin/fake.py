"""A cluster in memory, and the command line before it."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from rich.console import Console

from kubectl_scriptix.app import run
from kubectl_scriptix.cluster import Cluster, Target
from kubectl_scriptix.errors import PluginError
from kubectl_scriptix.options import Dependencies
from scriptix_operator.api.crd import custom_resource_definition
from scriptix_operator.api.names import QUOTA
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.scheduling.quota_document import QuotaDocument, dump
from tests.plugin.states import NOW
from tests.virtual.world import as_raw

__all__ = ["OPERATOR", "FakeCluster", "called"]

OPERATOR = "scriptix-system"
"""The namespace of the operator."""


class FakeCluster(Cluster):
    """Trainings and ConfigMaps.

    Attributes:
        all: The trainings; `later` replaces them one version after the other, with each sleep.
        later: Their later versions.
        config_maps: Data by `namespace/name`.
        all_events: The events of each training.
        refused: Verbs and resources, such as `list custommodeltrainings *`, that the caller lacks.
    """

    def __init__(
        self,
        trainings: Sequence[Training],
        config_maps: Mapping[str, Mapping[str, str]] | None = None,
        quota: QuotaDocument | None = None,
        refused: frozenset[str] = frozenset(),
    ) -> None:
        self.namespace = "speech"
        self.all = {training.key: training for training in trainings}
        self.later: list[Callable[[Training], Training]] = []
        self.config_maps = {name: dict(data) for name, data in (config_maps or {}).items()}
        if quota is not None:
            self.config_maps[f"{OPERATOR}/{QUOTA}"] = {"quota.json": dump(quota)}
        self.all_events: list[Any] = []
        self.refused = refused

    def connect(self, target: Target) -> "FakeCluster":
        """Take the place of a connection."""
        self.namespace = target.namespace or "speech"
        return self

    def sleep(self, seconds: float) -> None:
        """Let the trainings change."""
        del seconds
        change = self.later.pop(0)
        self.all = {key: change(training) for key, training in self.all.items()}

    def raw_trainings(self, namespace: str | None) -> Iterator[dict[str, Any]]:
        """List them."""
        for key, training in self.all.items():
            if namespace in {None, key.namespace}:
                yield as_raw(training)

    def raw_training(self, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Read one."""
        for training in self.all.values():
            if (training.key.namespace, training.key.name) == (namespace or self.namespace, name):
                return as_raw(training)
        raise PluginError(f"cannot get cmt {name}: not found.")

    def patch_spec(self, name: str, spec: Mapping[str, Any]) -> Training:
        """Change one."""
        there = self.training(name)
        merged = {**there.spec.model_dump(by_alias=True), **spec}
        changed = replace(
            there,
            spec=type(there.spec).model_validate(merged),
            generation=there.generation + 1,
        )
        self.all[there.key] = changed
        return changed

    def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        """Read one."""
        if f"get configmaps {namespace}" in self.refused:
            raise PluginError(f"cannot get configmap {namespace}/{name}: forbidden (403).")
        return self.config_maps.get(f"{namespace}/{name}")

    def events(self, training: Training) -> list[Any]:
        """List those of a training."""
        return [one for one in self.all_events if one.involved_object.name == training.key.name]

    def crd(self) -> dict[str, Any]:
        """The CRD of this version."""
        return custom_resource_definition()

    def may(self, verb: str, group: str, resource: str, *, all_namespaces: bool = False) -> bool:
        """Whether nothing refuses the right."""
        del group
        where = "*" if all_namespaces else self.namespace
        return f"{verb} {resource} {where}" not in self.refused


def called(
    cluster: FakeCluster,
    *arguments: str,
    width: int = 80,
    now: datetime = NOW,
    console: Console | None = None,
) -> tuple[int, str]:
    """The exit status and the output of a command on a terminal without colours."""
    out = console or Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False
    )
    dependencies = Dependencies(cluster.connect, lambda: now, cluster.sleep, lambda _: out)
    status = run(arguments, dependencies)
    text = out.file.getvalue() if isinstance(out.file, io.StringIO) else ""
    return status, "".join(f"{line.rstrip()}\n" for line in text.splitlines())
