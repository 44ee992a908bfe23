"""The three examples: what each shows, and the phases that the table must show."""

from collections.abc import Iterator

from demo.errors import DemoError
from demo.table import Row, Table

GOOD, BAD, LATE = "cardiology-en", "radiology-nl", "legal-de"
LATE_MODEL = 103

ENDS = {GOOD: "Succeeded", BAD: "Failed", LATE: "Succeeded"}
TERMINAL = {"Succeeded", "Failed"}
# The data of LATE arrives when GOOD has passed these stages.
EARLY_STAGES = {"", "DataPreprocessing", "InitialEpochs"}
REASON = "mismatch"


def data_is_due(table: Table) -> bool:
    """Whether LATE has been seen waiting for long enough."""
    good, late = (table.rows.get(name, Row(name)) for name in (GOOD, LATE))
    return late.phase == "Pending" and bool(late.message) and good.stage not in EARLY_STAGES


def has_ended(table: Table) -> bool:
    """Whether all examples have reached their expected phases.

    Raises:
        DemoError: an example has ended in another phase.
    """
    for name, end in ENDS.items():
        row = table.rows.get(name, Row(name))
        if row.phase in TERMINAL - {end}:
            raise DemoError(f"{name} should be {end} and is {row.phase}: {row.message}")
        if name == BAD and row.phase == end and REASON not in row.message.lower():
            raise DemoError(f"{name} should fail on a {REASON} and says: {row.message}")
    return not list(missed(table))


def missed(table: Table) -> Iterator[str]:
    """Yield a line for each example that has not reached its expected phase."""
    for name, end in ENDS.items():
        row = table.rows.get(name)
        if row is None:
            yield f"{name} is not there"
        elif row.phase != end:
            yield f"{name} is {row.phase or 'not seen by the operator'} and not {end}"
