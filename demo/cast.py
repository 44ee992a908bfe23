"""The three examples: what each is there to show, and what the table must say about them."""

from collections.abc import Iterator

from demo.errors import DemoError
from demo.table import Row, Table

GOOD, BAD, LATE = "cardiology-en", "radiology-nl", "legal-de"
LATE_MODEL = 103

ENDS = {GOOD: "Succeeded", BAD: "Failed", LATE: "Succeeded"}
TERMINAL = {"Succeeded", "Failed"}
# The data of the late one comes when the good one has left these behind.
EARLY_STAGES = {"", "DataPreprocessing", "InitialEpochs"}
REASON = "mismatch"


def data_is_due(table: Table) -> bool:
    """Whether the late one has been seen waiting long enough."""
    good, late = (table.rows.get(name, Row(name)) for name in (GOOD, LATE))
    return late.phase == "Pending" and bool(late.message) and good.stage not in EARLY_STAGES


def has_ended(table: Table) -> bool:
    """Whether all of them have come to the end that they should.

    Raises:
        DemoError: one has come to another end.
    """
    for name, end in ENDS.items():
        row = table.rows.get(name, Row(name))
        if row.phase in TERMINAL - {end}:
            raise DemoError(f"{name} should be {end} and is {row.phase}: {row.message}")
        if name == BAD and row.phase == end and REASON not in row.message.lower():
            raise DemoError(f"{name} should fail on a {REASON} and says: {row.message}")
    return not list(missed(table))


def missed(table: Table) -> Iterator[str]:
    """Say of each that has not come to its end where it is instead."""
    for name, end in ENDS.items():
        row = table.rows.get(name)
        if row is None:
            yield f"{name} is not there"
        elif row.phase != end:
            yield f"{name} is {row.phase or 'not seen by the operator'} and not {end}"
