"""`scriptix-operator check`: verifies that `run` would find everything that it needs.

The check changes nothing and uses no quota of the Scriptix API. A note names what cannot be
verified, a warning a missing protection of others; neither fails the check.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from scriptix_operator.api.names import CRD_NAME, MANAGED_BY, MANAGED_BY_LABEL, QUOTA
from scriptix_operator.api.times import format_time
from scriptix_operator.core.cluster.installation import Installation, show_namespaces, show_overlap
from scriptix_operator.core.cluster.permissions import EVERYTHING, Right, rights
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.scheduling.quota_document import QuotaDocument, parse
from scriptix_operator.engine.clock import Clock
from scriptix_operator.kube.access_review import missing_verbs, whoami
from scriptix_operator.kube.admission import is_confined
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.connection import ClusterUnreachableError, configure, connect
from scriptix_operator.kube.errors import KubeError, RefusedError
from scriptix_operator.kube.installations import installation_in, installations
from scriptix_operator.kube.quota_config_map import QuotaConfigMap
from scriptix_operator.kube.schema import SchemaError, check_schema
from scriptix_operator.kube.trainings import ALL, Trainings, show_scope
from scriptix_operator.scriptix import ScriptixClient, ScriptixError
from scriptix_operator.settings import Settings, SettingsError, load_settings, unknown_settings

__all__ = ["Finding", "Severity", "check", "quota_lines"]

SERVICE_ACCOUNT = "system:serviceaccount:"
"""How the user names of ServiceAccounts begin."""


class Severity(StrEnum):
    """How a finding affects the operator."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the output.

    Args:
        severity: Whether the finding prevents `run` from working.
        topic: What was checked.
        text: What was found, and what to do about it.
    """

    severity: Severity
    topic: str
    text: str

    def __str__(self) -> str:
        return f"{self.severity:<5} {self.topic:<9} {self.text}"


async def check(environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Check settings, cluster and API; yields each finding as soon as it is known."""
    try:
        settings = load_settings(environ)
    except SettingsError as error:
        yield Finding(Severity.BAD, "settings", str(error))
        return
    if unknown := unknown_settings(environ):
        yield Finding(Severity.NOTE, "settings", unknown)
    watched = show_namespaces(settings.watch_namespaces)
    text = f"for {watched}, from namespace {settings.pod_namespace}"
    yield Finding(Severity.OK, "settings", text)
    yield _notifications(settings)
    async for finding in _cluster(settings, environ):
        yield finding
    yield await _api(settings)


def _notifications(settings: Settings) -> Finding:
    """Whether a sink is configured; its URL is a credential, and the Secret is not read."""
    if not settings.notification_secret:
        text = "notifications are off: SCRIPTIX_NOTIFICATION_SECRET is not set"
        return Finding(Severity.OK, "notify", text)
    where = f"Secret {settings.pod_namespace}/{settings.notification_secret}"
    has_url = bool(settings.notification_url.get_secret_value())
    sink = "SCRIPTIX_NOTIFICATION_URL" if has_url else f"url of {where}"
    text = f"a sink is configured: {sink}, signed with signing-key of {where}; nothing was sent"
    return Finding(Severity.OK, "notify", text)


async def _cluster(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    try:
        configuration = await configure(environ)
        async with connect(configuration) as api:
            me = await whoami(api)
            yield Finding(Severity.OK, "cluster", f"{configuration.server}: authenticated as {me}")
            yield await _crd(api)
            async for finding in _rights(api, settings, me):
                yield finding
            if not settings.watch_namespaces:
                yield await _policy(api, settings.pod_namespace, me)
            for finding in await _namespaces(api, settings):
                yield finding
            async for finding in _others(api, settings, me):
                yield finding
            async for finding in _quota(api, settings.pod_namespace):
                yield finding
    except (ClusterUnreachableError, KubeError) as error:
        yield Finding(Severity.BAD, "cluster", str(error))


async def _crd(api: KubeApi) -> Finding:
    try:
        await check_schema(api)
    except (SchemaError, RefusedError) as error:
        return Finding(Severity.BAD, "crd", str(error))
    return Finding(Severity.OK, "crd", f"{CRD_NAME} holds all that this version writes")


async def _rights(api: KubeApi, settings: Settings, me: str) -> AsyncIterator[Finding]:
    needed = rights(
        own=settings.pod_namespace,
        watches=settings.watch_namespaces,
        elects=settings.leader_election,
        default_secret=settings.default_secret,
        notification_secret=settings.notification_secret,
    )
    verbs, complete = 0, True
    for right in needed:
        verbs += len(right.verbs)
        if missing := await missing_verbs(api, right):
            complete = False
            yield Finding(Severity.BAD, "rights", _lack(missing, me))
    if complete:
        yield Finding(Severity.OK, "rights", f"{me} has all {verbs} that are needed")


def _lack(missing: Right, me: str) -> str:
    where = f"a Role in namespace {missing.namespace}" if missing.namespace else "a ClusterRole"
    return (
        f"may not {missing}, which is needed {missing.purpose}; "
        f"bind {where} to {me} with the rule {missing.rule}"
    )


async def _policy(api: KubeApi, own: str, me: str) -> Finding:
    """Try a write that the admission policy must refuse an operator for all namespaces."""
    namespace = "default" if own != "default" else "kube-system"
    try:
        if await is_confined(api, namespace):
            text = f"the admission policy keeps {me} from ConfigMaps that no training controls"
            return Finding(Severity.OK, "policy", text)
        if await missing_verbs(api, EVERYTHING) is None:
            text = (
                f"{me} may do everything, so the admission policy does not apply to it; "
                "run this check in the operator's pod"
            )
            return Finding(Severity.NOTE, "policy", text)
        if not me.startswith(SERVICE_ACCOUNT):
            text = (
                f"{me} is not a ServiceAccount, so the admission policy need not apply to it; "
                "run this check in the operator's pod"
            )
            return Finding(Severity.NOTE, "policy", text)
    except KubeError as error:
        text = f"cannot test whether the admission policy applies to {me}: {error}"
        return Finding(Severity.NOTE, "policy", text)
    return Finding(
        Severity.WARN,
        "policy",
        f"no admission policy keeps {me} from ConfigMaps of others in all namespaces; apply the "
        "ValidatingAdmissionPolicy and its binding of this version (deploy/overlays/cluster, or "
        "admissionPolicy.enabled in the chart), with a ClusterRole that grants operate on "
        "custommodeltrainings.scriptix.io",
    )


async def _namespaces(api: KubeApi, settings: Settings) -> list[Finding]:
    """List each watched namespace as the operator does: it serves none whose list fails."""
    trainings, scopes = Trainings(api), settings.watch_namespaces or (ALL,)

    async def failure(scope: str) -> Finding | None:
        try:
            await trainings.check_list(scope)
        except KubeError as error:
            return Finding(
                Severity.BAD, "namespace", f"{show_scope(scope)} cannot be listed: {error}"
            )
        return None

    failures = dict(zip(scopes, await asyncio.gather(*map(failure, scopes)), strict=True))
    answering = [scope for scope, finding in failures.items() if finding is None]
    findings = [finding for finding in failures.values() if finding is not None]
    if answering:
        text = f"{show_namespaces([s for s in answering if s != ALL])} can be listed"
        findings.insert(0, Finding(Severity.OK, "namespace", text))
    return findings


async def _others(api: KubeApi, settings: Settings, me: str) -> AsyncIterator[Finding]:
    """Find other operators that serve the same namespaces: they would not know of each other."""
    own, now = settings.pod_namespace, Clock().now()
    try:
        known = await installations(api)
    except RefusedError:
        yield Finding(
            Severity.NOTE,
            "others",
            f"{me} may not list Leases in all namespaces, and need not; to find another operator "
            "that serves the same namespaces, run this check as an administrator, or: "
            f"kubectl get leases -A -l {MANAGED_BY_LABEL}={MANAGED_BY} -o yaml",
        )
        try:
            beside = await installation_in(api, own)
        except RefusedError:  # reported by the check of the permissions
            return
        known = [beside] if beside else []
    for one in known:
        if not one.runs(now):
            continue
        if one.problems and one.namespace == own:
            yield Finding(Severity.BAD, "running", f"{_who(one)} reports: {one.problems}")
        if finding := _other(one, settings):
            yield finding


def _who(one: Installation) -> str:
    return f"an operator in namespace {one.namespace} ({one.holder})"


def _other(one: Installation, settings: Settings) -> Finding | None:
    """The finding about a running operator; None if it may be this one."""
    watches, ours = one.watches, settings.watch_namespaces
    who = _who(one)
    if one.namespace == settings.pod_namespace:
        if watches is None or set(watches) == set(ours):
            return None
        return Finding(
            Severity.BAD,
            "others",
            f"{who} serves {show_namespaces(watches)} and holds the Lease; this operator would "
            "never become leader: install it in a namespace of its own (or repeat the check, if "
            "the other operator is being replaced)",
        )
    if watches is None:
        return Finding(
            Severity.NOTE,
            "others",
            f"{who} does not report which namespaces it serves; ensure that it serves none of ours",
        )
    if both := show_overlap(ours, watches):
        return Finding(
            Severity.BAD,
            "others",
            f"{who} serves {both}, too; each skips resources that the other serves, but neither "
            "charges the other's starts: SCRIPTIX_WATCH_NAMESPACES of the two must not overlap "
            f"(or, to check the other operator, set POD_NAMESPACE={one.namespace})",
        )
    return Finding(
        Severity.NOTE,
        "others",
        f"{who} serves {show_namespaces(watches)}; the two must not share an API key",
    )


async def _quota(api: KubeApi, own: str) -> AsyncIterator[Finding]:
    """Print the quota left, as the leader has published it."""
    where = f"ConfigMap {own}/{QUOTA}"
    try:
        text = await QuotaConfigMap(api, own, QUOTA).read()
    except RefusedError as error:
        yield Finding(Severity.NOTE, "quota", f"the quota left is not known: {error}")
        return
    if text is None:
        text = f"no quota is published in {where}; an operator does so once it leads"
        yield Finding(Severity.NOTE, "quota", text)
        return
    try:
        document = parse(text)
    except ValueError as error:
        yield Finding(Severity.NOTE, "quota", f"{where} cannot be read: {error}")
        return
    at = format_time(document.written_at)
    for line in quota_lines(document):
        yield Finding(Severity.OK, "quota", f"{line} (at {at})")


async def _api(settings: Settings) -> Finding:
    client = ScriptixClient(
        base_url=settings.base_url,
        auth_header=settings.auth_header,
        auth_scheme=settings.auth_scheme,
    )
    try:
        async with client:
            status = await client.reach()
    except ScriptixError as error:
        return Finding(
            Severity.BAD,
            "api",
            f"{settings.base_url} is unreachable: {error}"
            "; SCRIPTIX_BASE_URL is the address of the API",
        )
    text = f"{settings.base_url} answers (HTTP {status}); no API key was sent"
    return Finding(Severity.OK, "api", text)


def quota_lines(document: QuotaDocument) -> Iterator[str]:
    """One line of text for each key."""
    for key, quota in document.keys.items():
        left = [
            f"{', '.join(f'{one.left} of {one.limit}/{one.window}' for one in operation.limits)} "
            f"{name} calls left"
            for name, operation in quota.operations.items()
        ]
        free_at = quota.operations[Call.START].next_free_at
        if free_at is not None:
            left.append(f"next start at {format_time(free_at)}")
        if quota.start_queue.length:
            left.append(f"{quota.start_queue.length} resources wait for a start")
        yield f"API key {key}: {'; '.join(left)}"
    if document.omitted_keys:
        yield f"{document.omitted_keys} more API keys are not listed"
