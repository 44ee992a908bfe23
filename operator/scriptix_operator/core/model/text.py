"""Remote text made safe for status, events and logs: one line, printable, bounded."""

__all__ = ["clean", "one_line"]

ELLIPSIS = "…"


def clean(text: str, limit: int) -> str:
    """Cut `text` to `limit` characters and drop control characters.

    Control characters other than a newline become spaces; lone surrogates, which no API server
    accepts, become `\ufffd`. A cut text ends in `…`.
    """
    if len(text) <= limit and text.isprintable():
        return text.strip()  # the common case, for speed: each reconcile cleans texts
    # Only the begin of the text counts, and whether more follows: the text may be very long.
    text = text.lstrip()
    head = "".join(_safe(c) for c in text[:limit]).strip()
    if not text[limit:].strip():
        return head
    return head[: limit - 1].rstrip() + ELLIPSIS


def one_line(text: str, limit: int) -> str:
    """As `clean`, with all white space folded into single spaces."""
    return clean(" ".join(text.split(maxsplit=limit)), limit)


def _safe(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    return character if character.isprintable() or character == "\n" else " "
