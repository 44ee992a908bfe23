"""A reply with a log, read while it arrives: each entry is passed on and not kept.

Both response variants are read: the object itself, or `{"result": …}` around it. Unknown fields are
ignored; `log_entries: null` is an empty log. The model may be named last in a reply, so an error
can follow entries.
"""

import codecs
from collections.abc import Callable, Iterable

from scriptix_operator.core.model.remote import LogEntry, LogReply
from scriptix_operator.scriptix import jsontext
from scriptix_operator.scriptix.jsonstream import JsonStream, NotJsonError, Steps
from scriptix_operator.scriptix.jsontext import BadReplyError, not_json, read_object, scrubbed
from scriptix_operator.scriptix.refusals import FIELDS
from scriptix_operator.scriptix.replies import read_entry, read_log_frame

__all__ = ["LogReader"]

_ENTRIES, _RESULT = "log_entries", "result"
_KEPT = frozenset((*FIELDS, _ENTRIES, _RESULT, "model_id", "total_entries"))


class LogReader:
    """Reads one reply that must be the log of a model.

    Args:
        model_id: The model.
        content_type: The Content-Type header, for messages only.
        redact: Removes the key from a text.
        add: Called once for each entry, in the order of the reply.
    """

    def __init__(
        self,
        model_id: int,
        content_type: str,
        redact: Callable[[str], str],
        add: Callable[[LogEntry], None],
    ) -> None:
        self.body: dict[str, object] = {}
        """The reply as far as read: the fields that are used, with an empty list for the
        entries."""
        self._model_id = model_id
        self._content_type = content_type
        self._redact = redact
        self._add = add
        self._head = b""
        self._entries = 0
        self._has_entries = False
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._stream = JsonStream()
        self._steps = self._read()

    def feed(self, pieces: Iterable[bytes]) -> None:
        """Take the next bytes of the body.

        Raises:
            BadReplyError: The reply cannot be used, whatever follows.
        """
        self._advance(b"".join(pieces), is_last=False)

    def finish(self, pieces: Iterable[bytes]) -> LogReply:
        """Take the last bytes of the body; returns the reply without its entries.

        Raises:
            BadReplyError: The reply cannot be used.
        """
        self._advance(b"".join(pieces), is_last=True)
        return LogReply(self._entries, read_log_frame(self.body, self._model_id))

    def _advance(self, data: bytes, *, is_last: bool) -> None:
        self._head += data[: jsontext.EXCERPT_BYTES - len(self._head)]
        text = self._decoder.decode(data, is_last)
        self._stream.feed(text, is_last=is_last)
        try:
            next(self._steps, None)
        except RecursionError:
            raise jsontext.too_deep() from None
        except NotJsonError:
            raise not_json(self._head, self._content_type, self._redact) from None

    def _read(self) -> Steps[None]:
        if (yield from self._stream.peek()) != "{":
            rest = yield from self._stream.rest()
            # Raises the error that describes the body.
            read_object(rest.encode(), self._content_type, self._redact)
            raise NotJsonError
        yield from self._read_object(self.body)
        if (yield from self._stream.peek()):
            raise NotJsonError

    def _read_object(self, fields: dict[str, object]) -> Steps[None]:
        """Read an object; the members that are used are put into `fields`."""
        mark = yield from self._stream.take("{")
        if (yield from self._stream.peek()) == "}":
            mark = yield from self._stream.take("}")
        while mark != "}":
            name = yield from self._stream.value()
            if not isinstance(name, str):
                raise NotJsonError
            yield from self._stream.take(":")
            yield from self._read_member(fields, name)
            mark = yield from self._stream.take(",}")

    def _read_member(self, fields: dict[str, object], name: str) -> Steps[None]:
        first = yield from self._stream.peek()
        if name == _ENTRIES:
            if self._has_entries:
                raise BadReplyError("reply has log_entries twice")
            self._has_entries = True
        if name == _ENTRIES and first == "[":
            fields[name] = []
            yield from self._read_entries()
        elif name == _RESULT and first == "{" and fields is self.body:
            fields[name] = inner = dict[str, object]()
            yield from self._read_object(inner)
        else:
            value = yield from self._stream.value()
            if name in _KEPT:
                fields[name] = scrubbed(value, self._redact)

    def _read_entries(self) -> Steps[None]:
        stream = self._stream
        mark = yield from stream.take("[")
        if (yield from stream.peek()) == "]":
            mark = yield from stream.take("]")
        while mark != "]":
            self._take_entry((yield from stream.value()))
            mark = yield from stream.take(",]")

    def _take_entry(self, value: object) -> None:
        self._entries += 1
        if self._entries > jsontext.MAX_ITEMS:
            raise jsontext.too_many_items()
        entry = read_entry(value, self._redact)
        if entry is not None:
            self._add(entry)
