"""Tables as kubectl prints them."""

__all__ = ["cells", "rows"]


def cells(line: str, header: str) -> dict[str, str]:
    """Cut a row where kubectl's header has its columns: a cell may be empty or have blanks."""
    starts = [i for i, c in enumerate(header) if c != " " and (i == 0 or header[i - 1] == " ")]
    ends = [*starts[1:], max(len(line), len(header))]
    return {
        header[start:end].strip(): line[start:end].strip()
        for start, end in zip(starts, ends, strict=True)
    }


def rows(table: str) -> dict[str, dict[str, str]]:
    """The rows of a table by the name in their first column."""
    header, *lines = table.splitlines()
    cut = (cells(line, header) for line in lines)
    return {row["NAME"]: row for row in cut}
