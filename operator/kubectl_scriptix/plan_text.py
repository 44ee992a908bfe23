"""A plan and the quota of each key as tables, as text and as records for programs."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.table import Table

from kubectl_scriptix.live import Live
from kubectl_scriptix.plan import Plan, PlannedRun
from kubectl_scriptix.records import time_text
from kubectl_scriptix.tables import plain_table
from kubectl_scriptix.times import short_duration
from scriptix_operator.core.model.wording import timestamp
from scriptix_operator.core.scheduling.quota_document import KeyQuota

__all__ = ["plan_lines", "plan_record", "plan_table", "quota_records", "quota_table", "use_table"]

OTHERS = "(others)"
"""Stands for starts of trainings that the caller may not list, or that were deleted."""


def plan_table(plan: Plan) -> Table:
    """One row for each run that the plan starts."""
    table = plain_table("TRAINING", "STARTS", "LATEST", "ENDS", "LATEST")
    for run in plan.runs:
        times = (run.start.likely, run.start.late, run.end.likely, run.end.late)
        table.add_row(str(run.key), *map(_short, times))
    return table


def _short(moment: datetime) -> str:
    return f"{moment:%m-%d %H:%MZ}"


def plan_lines(plan: Plan) -> Iterator[str]:
    """What stands below the table: quotas, delays, what starts nothing, and notes."""
    for fingerprint, use in plan.uses.items():
        yield f"Start quota of API key {fingerprint}: {use}."
    hidden = 0
    for delay in plan.delays:
        if delay.key is None:
            hidden += 1
        else:
            yield f"Delays {delay.key} by {short_duration(delay.by)}."
    if hidden:
        longest = max(one.by for one in plan.delays if one.key is None)
        yield f"Delays {hidden} trainings elsewhere, by at most {short_duration(longest)}."
    for one in plan.unstarted:
        yield f"Starts nothing: {one.key}: {one.why}."
    yield from plan.notes


def plan_record(run: PlannedRun) -> dict[str, Any]:
    """A planned run for programs."""
    return {
        "name": run.key.name,
        "namespace": run.key.namespace,
        "keyFingerprint": run.fingerprint,
        "startsAt": time_text(run.start.likely),
        "startsAtP90": time_text(run.start.late),
        "endsAt": time_text(run.end.likely),
        "endsAtP90": time_text(run.end.late),
    }


def quota_table(live: Live) -> Table:
    """One row for each limit of each key."""
    table = plain_table("API KEY", "CALLS", "LIMIT", "USED", "LEFT", "NEXT FREE", "QUEUE")
    for fingerprint, quota in _published(live):
        for call, operation in quota.operations.items():
            free_at = operation.next_free_at
            is_free = free_at is None or free_at <= live.now
            for limit in operation.limits:
                table.add_row(
                    fingerprint,
                    call,
                    f"{limit.limit}/{limit.window}",
                    str(limit.used),
                    str(limit.left),
                    "now" if is_free or free_at is None else timestamp(free_at),
                    str(quota.start_queue.length) if call == "start" else "",
                )
    return table


def use_table(live: Live) -> Table:
    """The starts in the window and the queue, by namespace."""
    table = plain_table("API KEY", "NAMESPACE", "STARTS IN THE WINDOW", "QUEUED")
    for fingerprint in live.fingerprints():
        for namespace, starts, queued in _uses(live, fingerprint):
            table.add_row(fingerprint, namespace, str(starts), str(queued))
    return table


def _uses(live: Live, fingerprint: str) -> Iterator[tuple[str, int, int]]:
    """Namespace, starts and queued resources; what the caller may not see is one row."""
    starts = live.quota(fingerprint).starts_by_namespace()
    queued = {space: len(names) for space, names in live.queued(fingerprint).items()}
    hidden = [0, 0]
    for namespace in sorted({*starts, *queued}):
        row = starts.get(namespace, 0), queued.get(namespace, 0)
        if namespace and live.may_show(namespace):
            yield namespace, *row
        else:
            hidden = [hidden[0] + row[0], hidden[1] + row[1]]
    if any(hidden):
        yield OTHERS, hidden[0], hidden[1]


def quota_records(live: Live) -> Iterator[dict[str, Any]]:
    """The keys for programs."""
    for fingerprint, quota in _published(live):
        dumped = quota.model_dump(mode="json", by_alias=True, exclude_none=True)
        yield {
            "name": fingerprint,
            "operations": dumped["operations"],
            "queueLength": quota.start_queue.length,
            "namespaces": {
                namespace: {"starts": starts, "queued": queued}
                for namespace, starts, queued in _uses(live, fingerprint)
            },
        }


def _published(live: Live) -> Iterator[tuple[str, KeyQuota]]:
    """The published quotas of the keys that the caller may see."""
    keys = {} if live.document is None else live.document.keys
    for fingerprint in live.fingerprints():
        if fingerprint in keys:
            yield fingerprint, keys[fingerprint]
