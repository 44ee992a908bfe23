"""docs/reference/conditions-and-events.md, generated from the texts that the operator uses."""

from collections.abc import Iterable, Iterator

from scriptix_operator.api.reasons import (
    ConditionType,
    EventReason,
    FailureReason,
    GateReason,
    LogState,
    Reason,
)
from scriptix_operator.core.status.event_catalog import EVENT_CATALOG, EventEntry
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG, Remedy
from scriptix_operator.core.status.texts import (
    end_texts,
    event_texts,
    log_texts,
    poll_texts,
    resource_texts,
    run_texts,
    secret_texts,
    start_texts,
    waiting_texts,
)
from scriptix_operator.core.status.texts.registry import TEXTS, Shown, Text

__all__ = ["reference_page"]

MODULES = (
    waiting_texts,
    start_texts,
    run_texts,
    end_texts,
    poll_texts,
    log_texts,
    secret_texts,
    resource_texts,
    event_texts,
)
"""All modules with texts: the import of a module registers its texts."""
NAMES = [module.__name__ for module in MODULES]

INTRODUCTION = """\
# Conditions, events and failures

<!-- Made from operator/scriptix_operator/core/status/ by `make docs`: texts/, event_catalog.py,
failure_catalog.py. Edit the sentences there. -->

Each condition gives a reason for programs and a message for people; `status.message` has the same
message. Examples show a message with example values. Names, times and words of the API differ.

## Condition types

`Reconciling`, `Stalled` and `Suspended` are present only while they are True (kstatus).
`QualityGatePassed` is present from the judgement of a run until the next run begins.

| Type | True | False | Unknown |
|---|---|---|---|
"""

TYPES: dict[ConditionType, tuple[str, str, str]] = {
    ConditionType.SUCCEEDED: (
        "The run passed its quality gate, and its result is published.",
        "The run ended without a usable model, or was refused.",
        "The run is not over, or waits for a retry.",
    ),
    ConditionType.READY: ("As `Succeeded`.", "As `Succeeded`.", "As `Succeeded`."),
    ConditionType.RECONCILING: ("The operator works towards the spec.", "", ""),
    ConditionType.STALLED: ("A user must fix the reported problem.", "", ""),
    ConditionType.SUSPENDED: ("spec.suspend is set.", "", ""),
    ConditionType.QUALITY_GATE_PASSED: (
        "The run keeps all bounds of spec.qualityGate.",
        "The run misses a bound, enforced or in DryRun.",
        "A metric is missing, in DryRun.",
    ),
}

CONDITIONS = """
## Reasons without a failure

The column Condition has the condition that is True; `Succeeded` is Unknown otherwise. The reason
of a failure is in [Failures](#failures). `Stalled` with reason `Unreadable` is no failure of the
run: the operator cannot read a field, which the message names, and starts nothing
([0041](../decisions/0041-what-can-be-read-is-read.md)).

`Observed` means that the next step follows within seconds, and that the resource waits for nothing
that has a reason of its own.

| Reason | Condition | When | Example message | What to do |
|---|---|---|---|---|
"""

TRUE_CONDITIONS: dict[Reason, ConditionType | None] = {
    Reason.TRAINING_SUCCEEDED: ConditionType.SUCCEEDED,
    Reason.SUSPENDED: ConditionType.SUSPENDED,
    Reason.UNREADABLE: ConditionType.STALLED,
    Reason.BEING_DELETED: None,
}
"""Reasons with another condition than Reconciling."""

FURTHER_TEXTS = """
Any message may end with one of these texts:

| When | Example text | What to do |
|---|---|---|
"""

GATE = """
## Reasons of QualityGatePassed

The condition has a reason and a message of its own. A missed bound has the name of its field; if
several are missed, the reason names the first one, and the message all of them
([quality-gate.md](../quality-gate.md)).

| Reason | When | Example message |
|---|---|---|
"""

GATE_REASONS: dict[GateReason, tuple[str, str]] = {
    GateReason.MAX_WORD_ERROR_RATE_EXCEEDED: (
        "The word error rate is above maxWordErrorRate.",
        "word error rate is 31.0% (at most 25% wanted)",
    ),
    GateReason.MAX_WORD_ERROR_RATE_INCREASE_EXCEEDED: (
        "The word error rate exceeds the published one by more than maxWordErrorRateIncrease.",
        "word error rate is 14.2% (at most 0.5 percentage points above the published 12.5% wanted)",
    ),
    GateReason.MAX_CHARACTER_ERROR_RATE_EXCEEDED: (
        "The character error rate is above maxCharacterErrorRate.",
        "character error rate is 8.3% (at most 8% wanted)",
    ),
    GateReason.MIN_ACCURACY_IMPROVEMENT_MISSED: (
        "The accuracy improvement is below minAccuracyImprovement.",
        "accuracy improvement is 3.1% (at least 5% wanted)",
    ),
    GateReason.METRIC_MISSING: (
        "The API did not give a metric that the gate bounds, and no other bound is missed.",
        "character error rate is not given (at most 8% wanted)",
    ),
}
"""Why a gate is missed: when, and the missed bound in the message."""

EVENTS = """
## Events

The operator publishes an event when the reason begins; status has each fact, too.
These reasons have no event, only conditions: NO_EVENT. A failed run has the event TrainingFailed,
whatever its reason, unless another row names the reason.

| Reason | Type | When | Example message | What to do |
|---|---|---|---|---|
"""

FAILURES = """
## Failures

`status.failure.reason` names the row. `message` is what happened, in the API's own words where the
API gave any (up to 4096 characters, of a refused call 1024, control characters replaced).
`solution` is the remedy for this case. The conditions give the same reason, and `status.message`
gives message and solution together.

**Ends the run**: phase Failed, `Succeeded` is False, `Stalled` is True; another run needs a new
`spec.runToken`. **Blocks**: phase Pending, Starting or Running, `Succeeded` stays Unknown,
`Stalled` is True; the run continues automatically once the problem is fixed. **Retried**:
`spec.backoffLimit` may start another run automatically.

| Reason | What happened | Where it shows | Retried | What to do | Recognised by |
|---|---|---|---|---|---|
"""

FAILURE_TEXTS = """
Messages of the operator's own; the others are words of the API:

| Reason | When | Example message |
|---|---|---|
"""

LOGS = """
## Log states

`status.log.state`, and `status.log.message` where something is missing
([logs.md](../logs.md)).

| State | When | Example message | What to do |
|---|---|---|---|
"""

PIPE, ESCAPED_PIPE = "|", r"\|"


def reference_page() -> str:
    """The whole page as Markdown."""
    failures = (_failure(reason, remedy) for reason, remedy in FAILURE_CATALOG.items())
    sections = (
        (INTRODUCTION, ((f"`{kind}`", *TYPES[kind]) for kind in ConditionType)),
        (CONDITIONS, _conditions()),
        (FURTHER_TEXTS, ((text.when, str(text), text.action) for text in _texts(None))),
        (GATE, _gate_reasons()),
        (
            EVENTS.replace("NO_EVENT", _reasons_without_event()),
            (row for reason in EventReason for row in _event(reason, EVENT_CATALOG[reason])),
        ),
        (FAILURES, failures),
        (FAILURE_TEXTS, _failure_texts()),
        (LOGS, _logs()),
    )
    return "".join(head + _rows(rows) for head, rows in sections)


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(
        f"| {' | '.join(cell.replace(PIPE, ESCAPED_PIPE) for cell in cells)} |\n" for cells in rows
    )


def _texts(reason: Shown | None) -> list[Text]:
    """The texts of a reason. Members of two enumerations may be equal, so the type counts, too."""
    found = [
        text
        for text in TEXTS
        if any(one is reason for one in text.shown_for) or (reason is None and not text.shown_for)
    ]
    return sorted(found, key=_place)


def _place(text: Text) -> tuple[int, int]:
    """The place of a text in the modules; the order of imports differs."""
    code = text.function.__code__
    return NAMES.index(text.function.__module__), code.co_firstlineno


def _action(text: Text) -> str:
    return text.action or "As the message says."


def _conditions() -> Iterator[tuple[str, ...]]:
    for reason in Reason:
        kind = TRUE_CONDITIONS.get(reason, ConditionType.RECONCILING)
        for text in _texts(reason):
            condition = "none" if kind is None else f"`{kind}`"
            yield f"`{reason}`", condition, text.when, str(text), _action(text)


def _reasons_without_event() -> str:
    """The reasons whose message no event repeats; Unreadable has an event with texts of its own."""
    announced = {entry.message_of for entry in EVENT_CATALOG.values()} | {Reason.UNREADABLE}
    reasons = [f"`{one}`" for one in Reason if one not in announced]
    return f"{', '.join(reasons[:-1])} and {reasons[-1]}"


def _event(reason: EventReason, entry: EventEntry) -> Iterator[tuple[str, ...]]:
    name, kind = f"`{reason}`", "Warning" if entry.is_warning else "Normal"
    for text in _texts(reason):
        yield name, kind, text.when, str(text), _action(text)
    match entry.message_of:
        case None:
            return
        case FailureReason() as failure:
            remedy, texts = FAILURE_CATALOG[failure], _texts(failure)
            message = str(texts[0]) if texts else next(iter(remedy.examples), remedy.happened)
            action = f"As [Failures](#failures) says of `{failure}`."
            shown = resource_texts.failure_with_solution(message, remedy.solution)
            yield name, kind, entry.when, shown, action
        case same:
            text = _texts(same)[0]
            yield name, kind, entry.when, str(text), _action(text)


def _failure(reason: FailureReason, remedy: Remedy) -> tuple[str, ...]:
    solutions = [
        remedy.solution,
        *(f"**{case.when}**: {case.solution}" for _, case in remedy.cases),
    ]
    return (
        f"`{reason}`",
        remedy.happened,
        "blocks" if remedy.blocks else "ends the run",
        "yes" if remedy.retryable else "no",
        "<br>".join(solutions),
        "; ".join(_signs(remedy)),
    )


def _signs(remedy: Remedy) -> list[str]:
    codes = [f"code `{code}`" for code in sorted(remedy.codes)]
    words = " or ".join(f"“{example}”" for example in remedy.examples)
    signs = (*codes, f"words such as {words}" if words else "", remedy.recognised)
    return [sign for sign in signs if sign]


def _gate_reasons() -> Iterator[tuple[str, ...]]:
    for text in _texts(GateReason.BOUNDS_KEPT):
        yield f"`{GateReason.BOUNDS_KEPT}`", text.when, str(text)
    for reason, (when, miss) in GATE_REASONS.items():
        yield f"`{reason}`", when, end_texts.gate_missed(miss)


def _failure_texts() -> Iterator[tuple[str, ...]]:
    for reason in FailureReason:
        for text in _texts(reason):
            yield f"`{reason}`", text.when, str(text)


def _logs() -> Iterator[tuple[str, ...]]:
    for state in LogState:
        for text in _texts(state):
            yield f"`{state}`", text.when, str(text), _action(text)
