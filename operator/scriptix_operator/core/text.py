"""Remote text made safe for status, events and logs: one line, printable, bounded."""

__all__ = ["clean", "one_line"]

ELLIPSIS = "…"


def clean(text: str, limit: int) -> str:
    """Cut `text` to `limit` characters and drop what a terminal would obey.

    Control characters other than a newline become spaces; lone surrogates, which no API server
    accepts, become `\ufffd`. A cut text ends in `…`.
    """
    # One character more than the limit is enough to know whether to cut, however long the text is.
    head = text[: limit + 1].encode("utf-8", "replace").decode("utf-8")
    head = "".join(c if c.isprintable() or c == "\n" else " " for c in head).strip()
    return head if len(head) <= limit else head[: limit - 1].rstrip() + ELLIPSIS


def one_line(text: str, limit: int) -> str:
    """As `clean`, with all white space folded into single spaces."""
    return clean(" ".join(text[: limit * 4].split()), limit)
