"""docs/failures.md, generated from the failure catalog that the operator uses."""

from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG, Remedy

__all__ = ["failures_page"]

INTRODUCTION = """\
# What can fail, and what to do

<!-- Made from operator/scriptix_operator/core/status/failure_catalog.py by `make docs`; edit it
there. -->

`status.failure.reason` names the row. `message` is what happened, in the API's own words where the
API gave any (up to 4096 characters, of a refused call 1024, control characters replaced).
`solution` is the remedy for this case. The conditions give the same reason, and `status.message`
gives message and solution together.

**Ends the run**: phase Failed, `Succeeded` is False, `Stalled` is True; another run needs a new
`spec.runToken`. **Blocks**: phase Pending, Starting or Running, `Succeeded` stays Unknown,
`Stalled` is True; the run continues automatically once the problem is fixed. **Retried**:
`spec.backoffLimit` may start another run automatically.

`Stalled` with reason `Unreadable` is no failure of the run: the operator cannot read a field, which
the message names, and starts nothing (decisions/0041-what-can-be-read-is-read.md).

"""

HEADER = (
    "| Reason | What happened | Where it shows | Retried | What to do | Recognised by |",
    "|---|---|---|---|---|---|",
)


PIPE, ESCAPED_PIPE = "|", r"\|"


def failures_page() -> str:
    """The whole page as Markdown."""
    rows = (_row(reason.value, remedy) for reason, remedy in FAILURE_CATALOG.items())
    return INTRODUCTION + "\n".join((*HEADER, *rows)) + "\n"


def _row(reason: str, remedy: Remedy) -> str:
    solutions = [
        remedy.solution,
        *(f"**{case.when}**: {case.solution}" for _, case in remedy.cases),
    ]
    cells = (
        f"`{reason}`",
        remedy.happened,
        "blocks" if remedy.blocks else "ends the run",
        "yes" if remedy.retryable else "no",
        "<br>".join(solutions),
        "; ".join(_signs(remedy)),
    )
    return f"| {' | '.join(cell.replace(PIPE, ESCAPED_PIPE) for cell in cells)} |"


def _signs(remedy: Remedy) -> list[str]:
    codes = [f"code `{code}`" for code in sorted(remedy.codes)]
    words = " or ".join(f"“{example}”" for example in remedy.examples)
    signs = (*codes, f"words such as {words}" if words else "", remedy.recognised)
    return [sign for sign in signs if sign]
