"""Texts of status.log.message: why the log of a run is not fetched, not stored or not complete."""

from scriptix_operator.api.reasons import FailureReason, LogState
from scriptix_operator.core.model.wording import sentence
from scriptix_operator.core.status.texts.registry import EDIT_SPEC, NO_ACTION, NOTHING, shown

__all__ = [
    "entries_missing",
    "entries_of_earlier_runs",
    "entries_too_late",
    "fetches_ended_by_spec",
    "fetches_ended_by_time_out",
    "log_absent",
    "log_empty",
    "log_not_fetched",
    "log_not_stored",
    "log_of_other_runs",
    "log_superseded",
    "log_superseded_before_last_fetch",
    "name_taken",
    "retried_after_edit",
]


MAY_BE_MISSING = "entries that are newer than the last fetch may be missing"
NOT_FOUND = {"cause": "HTTP 404: Log not found"}


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


@shown(
    LogState.COLLECTING,
    example={"cause": "HTTP 503: Service Unavailable"},
    action=NOTHING,
)
def log_not_fetched(cause: str) -> str:
    """A log call failed; the operator makes another one."""
    return sentence(f"The operator could not fetch the log: {cause}")


@shown(
    LogState.COLLECTING,
    LogState.REFUSED,
    example={"cause": "create ConfigMap speech/cardiology-en-log: 403 exceeded quota"},
    action="Fix the reported problem.",
)
def log_not_stored(cause: str) -> str:
    """The cluster did not accept a ConfigMap of the log; three refusals end the attempts."""
    return sentence(f"The operator could not store the log: {cause}")


@shown(
    LogState.NAME_TAKEN,
    FailureReason.RESULT_NOT_PUBLISHED,
    example={
        "name": "cardiology-en-log",
        "owner": "Deployment speech (2f1c7c2e-3d0a-4f7e-9f55-0d5c1a9b8e77)",
    },
)
def name_taken(name: str, owner: str | None) -> str:
    """Another object has the name of the ConfigMap: the cause that another text gives."""
    has = f"is controlled by {owner}" if owner else "is not controlled by this resource"
    return (
        f"ConfigMap {name} {has}; delete or rename the ConfigMap, or give this resource another "
        "name."
    )


@shown(LogState.COLLECTING, example=NOT_FOUND, action=NOTHING)
@shown(LogState.UNAVAILABLE, example=NOT_FOUND, action=EDIT_SPEC)
def log_absent(cause: str) -> str:
    """The API replied 404 or 405 to a log call; two such replies end the attempts."""
    return sentence(f"The API has no log of this run: {cause}")


@shown(LogState.UNAVAILABLE, action=EDIT_SPEC)
def log_empty() -> str:
    """The log had no entry at the last fetch."""
    return "The API's log is empty."


@shown(LogState.UNAVAILABLE, example={"count": 12}, action=EDIT_SPEC)
def log_of_other_runs(count: int) -> str:
    """The log had entries at the last fetch, all of them older than the run."""
    return f"The API's log has {_entries(count)}, but none of this run."


@shown(LogState.REFUSED, LogState.UNAVAILABLE, LogState.NAME_TAKEN)
def retried_after_edit() -> str:
    """The attempts have ended: follows the message."""
    return "The operator tries again after any change of spec."


@shown(LogState.PARTIAL, example={"given": 900, "total": 1000}, action=NO_ACTION)
def entries_missing(given: int, total: int) -> str:
    """The last reply has fewer entries than its total_entries says."""
    return f"The API returned {given} of the {_entries(total)} that it reports for the log."


@shown(LogState.PARTIAL, example={"count": 3}, action=NO_ACTION)
def entries_too_late(count: int) -> str:
    """Entries appeared in the log after newer ones were stored."""
    return (
        f"The stored log lacks {_entries(count)}, which the API reported after newer entries were "
        "stored."
    )


@shown(LogState.PARTIAL, example={"collect": "Never"}, action=NO_ACTION)
def fetches_ended_by_spec(collect: str) -> str:
    """An edit of spec.log.collect ends the fetches before the last one."""
    return (
        f"The operator makes no further log calls for this run, because spec.log.collect is "
        f"{collect}; {MAY_BE_MISSING}."
    )


@shown(LogState.PARTIAL, action=NO_ACTION)
def fetches_ended_by_time_out() -> str:
    """The run is timed out, which ends the fetches before the last one."""
    return (
        "The operator makes no further log calls for this run, because spec.timeoutSeconds has "
        f"passed; {MAY_BE_MISSING}."
    )


@shown(LogState.UNAVAILABLE, action=NO_ACTION)
def log_superseded() -> str:
    """Another resource began a run of the model before the first fetch."""
    return "Another run of the model began before the operator fetched the log of this run."


@shown(LogState.PARTIAL, action=NO_ACTION)
def log_superseded_before_last_fetch() -> str:
    """Another resource began a run of the model before the last fetch."""
    return (
        "Another run of the model began before the last fetch of this run's log; entries may be "
        "missing."
    )


@shown(LogState.COMPLETE, example={"count": 12}, action=NO_ACTION)
def entries_of_earlier_runs(count: int) -> str:
    """The log has entries from before the run."""
    return f"The stored log leaves out {_entries(count)} from before this run."
