"""What a broken installation lacks, as far as the caller may see."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from kubectl_scriptix.cluster import Cluster
from kubectl_scriptix.errors import PluginError
from scriptix_operator.api.crd import missing_fields
from scriptix_operator.api.names import CRD_NAME, DEFAULT_SECRET, DEFAULT_SECRET_KEY, GROUP, PLURAL
from scriptix_operator.core.model.training import Training

__all__ = ["Finding", "Severity", "examine"]


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the output.

    Attributes:
        severity: Whether trainings work in spite of it.
        topic: What was examined.
        text: What was found, and what to do about it.
    """

    severity: Severity
    topic: str
    text: str

    def __str__(self) -> str:
        return f"{self.severity:<5} {self.topic:<10} {self.text}"


def examine(cluster: Cluster) -> Iterator[Finding]:
    """Examine the CRD, the caller's rights, the trainings, their Secrets and the operator."""
    yield _crd(cluster)
    yield from _rights(cluster)
    try:
        trainings = cluster.trainings(cluster.namespace)
    except PluginError as error:
        yield Finding(Severity.BAD, "trainings", str(error))
        return
    yield Finding(Severity.OK, "trainings", f"{len(trainings)} in namespace {cluster.namespace}")
    yield from _secrets(trainings)
    yield from _operator(trainings)


def _crd(cluster: Cluster) -> Finding:
    try:
        installed = cluster.crd()
    except PluginError as error:
        return Finding(Severity.NOTE, "crd", f"not examined: {error}")
    missing = missing_fields(installed)
    if missing:
        return Finding(
            Severity.BAD,
            "crd",
            f"{CRD_NAME} is older than this plugin: it lacks {', '.join(missing[:5])}. Apply the "
            "CRD of the installed operator, or use the plugin of the same version.",
        )
    return Finding(Severity.OK, "crd", f"{CRD_NAME} has all fields that this plugin reads")


def _rights(cluster: Cluster) -> Iterator[Finding]:
    wanted = (
        ("list", GROUP, PLURAL, "list trainings"),
        ("get", "", "configmaps", "read logs and results"),
        ("list", "", "events", "read events"),
        ("patch", GROUP, PLURAL, "retrain, suspend and resume"),
    )
    for verb, group, resource, purpose in wanted:
        allowed = cluster.may(verb, group, resource)
        text = f"you may {purpose} in namespace {cluster.namespace}"
        if not allowed:
            text = (
                f"you may not {purpose} in namespace {cluster.namespace} ({verb} {resource}). "
                "Ask an administrator for the role `view` or `edit`."
            )
        severity = Severity.OK if allowed else Severity.NOTE
        yield Finding(severity, "rights", text)


def _secrets(trainings: list[Training]) -> Iterator[Finding]:
    """Whether the Secrets are there; their values are neither read nor shown."""
    wanted = {
        (ref.name, ref.key)
        if (ref := training.spec.api_key_secret_ref) is not None
        else (DEFAULT_SECRET, DEFAULT_SECRET_KEY)
        for training in trainings
    }
    blocked = {
        condition.message
        for training in trainings
        for condition in training.status.conditions
        if condition.reason in {"SecretNotFound", "KeyNotFound", "Unauthorized"}
    }
    for message in sorted(blocked):
        yield Finding(Severity.BAD, "secret", message)
    if not blocked and wanted:
        names = ", ".join(sorted(f"{name}/{key}" for name, key in wanted))
        yield Finding(Severity.OK, "secret", f"no training reports a problem with {names}")


def _operator(trainings: list[Training]) -> Iterator[Finding]:
    """Whether an operator reconciles the trainings."""
    servers = sorted(
        {
            training.status.served_by.namespace
            for training in trainings
            if training.status.served_by is not None
        }
    )
    stale = [
        str(training.key)
        for training in trainings
        if training.status.observed_generation != training.generation
    ]
    if servers:
        text = f"served from namespace {', '.join(servers)}"
        yield Finding(Severity.OK, "operator", text)
    if stale:
        yield Finding(
            Severity.BAD,
            "operator",
            f"no operator has seen the latest version of {', '.join(stale[:5])}. Ask the "
            "administrator of the operator whether it runs and serves this namespace.",
        )
