"""Tables as kubectl prints them."""

__all__ = ["cells", "rows"]


def cells(line: str, header: str) -> dict[str, str]:
    """Split a row at the columns of kubectl's header: a cell may be empty or contain blanks."""
    starts = [i for i, c in enumerate(header) if c != " " and (i == 0 or header[i - 1] == " ")]
    ends = [*starts[1:], max(len(line), len(header))]
    return {
        header[start:end].strip(): line[start:end].strip()
        for start, end in zip(starts, ends, strict=True)
    }


def rows(table: str) -> dict[str, dict[str, str]]:
    """The rows of a table, by the name in the first column."""
    header, *lines = table.splitlines()
    cut = (cells(line, header) for line in lines)
    return {row["NAME"]: row for row in cut}
