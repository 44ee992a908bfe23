"""Tables as `kubectl get cmt -o wide` prints them."""

from demo.table import Table, parse

HEADINGS = ("NAME", "MODEL", "PHASE", "REASON", "PROGRESS", "STAGE", "WER", "ETA", "AGE")
WIDE = ("RATING", "QUEUE", "STARTED", "MESSAGE")


def printed(*rows: dict[str, str]) -> str:
    """Lay rows out as kubectl does: three spaces between columns, none after the last."""
    headings = (*HEADINGS, *WIDE)
    cells = [headings, *(tuple(row.get(heading, "") for heading in headings) for row in rows)]
    widths = [max(map(len, column)) + 3 for column in zip(*cells, strict=True)]
    lines = (
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def row(name: str, phase: str = "", stage: str = "", message: str = "") -> dict[str, str]:
    """A row of a resource that is one second old."""
    return {
        "NAME": name,
        "MODEL": "101",
        "PHASE": phase,
        "STAGE": stage,
        "AGE": "1s",
        "MESSAGE": message,
    }


def table(*rows: dict[str, str]) -> Table:
    """The table with these rows."""
    return parse(printed(*rows))
