"""Describes the changes between two versions of the table, one line each."""

from collections.abc import Iterator

from demo.table import Row, Table

VERBS = {
    "Pending": "waits",
    "Queued": "is queued",
    "Running": "is being trained",
    "Succeeded": "has succeeded",
    "Failed": "has failed",
    "Suspended": "is suspended",
}
"""Phases that are narrated; the others pass too quickly."""


def narrate(before: Table, after: Table) -> Iterator[str]:
    """Yield a line for each resource whose phase has changed, with the operator's message."""
    for row in after.rows.values():
        old = before.rows.get(row.name, Row(row.name))
        verb = VERBS.get(row.phase)
        if verb and row.phase != old.phase:
            yield f"{row.name} {verb}: {row.message}" if row.message else f"{row.name} {verb}."
