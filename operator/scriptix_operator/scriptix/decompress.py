"""Compressed replies: decompresses a body piece by piece, within a bound.

The operator requests `identity`; a proxy may compress all the same. The bound counts the bytes
after decompression, so a few bytes on the wire cannot become gigabytes in memory.
"""

import zlib
from collections.abc import Iterator

from scriptix_operator.core.model.text import one_line

__all__ = ["BodyError", "Decompressor"]

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_CODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
_NAMED = {*_CODINGS, "br", "compress", "x-compress", "zstd", "dcb", "dcz"}
"""Codings that a message may quote: any other text may contain an echoed key."""
_METHOD, _DEFLATE, _CHECK = 0x0F, 8, 31
PIECE = 64 * 1024
"""Bytes decompressed at once: 64 KiB on the wire can expand to 64 MiB."""
_HEAD = 2
"""Bytes that distinguish deflate with a zlib header from deflate without; servers send both."""


MAX_MEMBERS = 10_000
"""Members of one gzip body: an empty one is 20 bytes on the wire, and costs time but no memory."""


class BodyError(Exception):
    """The body of a reply cannot be read; the message says why."""


class Decompressor:
    """Decompresses one body.

    Args:
        coding: The header Content-Encoding; empty: none.
        limit: Bytes of the body at most, before and after decompression.

    Raises:
        BodyError: The coding is not supported.
    """

    def __init__(self, coding: str, limit: int) -> None:
        names = [name.strip().lower() for name in coding.split(",")]
        names = [name for name in names if name not in {"", "identity"}]
        name = ", ".join(names)
        self._is_plain = not names
        if not self._is_plain and name not in _CODINGS:
            said = one_line(name, 40) if _NAMED.issuperset(names) else "another coding"
            text = f"the operator asks for none and cannot read {said}"
            raise BodyError(f"reply is compressed: {text}")
        self._bits = _CODINGS.get(name, _GZIP)
        self._stream = zlib.decompressobj(self._bits)
        self._members = 1
        self._limit = limit
        self._received = 0
        self._decompressed = 0
        self._head = b""

    def feed(self, part: bytes) -> Iterator[bytes]:
        """Take the next bytes from the wire, and yield the decompressed bytes.

        Raises:
            BodyError: The body is too large, or its compression is corrupt.
        """
        is_begun = self._received >= _HEAD
        self._received += len(part)
        if self._received > self._limit:
            raise self._too_large()
        if self._is_plain:
            yield part
            return
        if not is_begun:
            part = self._head = self._head + part
            if self._received < _HEAD:
                return
            if self._bits == _ZLIB and not _has_zlib_header(part):
                self._stream = zlib.decompressobj(_RAW)
        yield from self._pieces(part)

    def finish(self) -> None:
        """Check that the body is complete, after all of it was fed.

        Raises:
            BodyError: The body ends too early.
        """
        if self._received and not self._is_plain and not self._stream.eof:
            raise BodyError("compressed reply ends too early")

    def _pieces(self, part: bytes) -> Iterator[bytes]:
        piece = b""
        # After a full piece, output may be pending although all input is consumed.
        while part or len(piece) == PIECE:
            if self._stream.eof:
                part = part.lstrip(b"\0")  # padding
                if not part:
                    return
                self._begin_member()
            try:
                piece = self._stream.decompress(part, PIECE)
            except zlib.error:
                raise BodyError("reply is corrupt: its compression cannot be read") from None
            self._decompressed += len(piece)
            if self._decompressed > self._limit:
                raise self._too_large()
            if piece:
                yield piece
            part = self._stream.unconsumed_tail or self._stream.unused_data

    def _begin_member(self) -> None:
        """Begin the next member: a gzip body may have several (RFC 1952).

        Raises:
            BodyError: The coding has no members, or there are too many.
        """
        self._members += 1
        if self._bits != _GZIP:
            raise BodyError("reply is corrupt: it continues after its compressed data")
        if self._members > MAX_MEMBERS:
            raise BodyError(f"reply has more than {MAX_MEMBERS} gzip members")
        self._stream = zlib.decompressobj(_GZIP)

    def _too_large(self) -> BodyError:
        return BodyError(f"reply is larger than {self._limit} bytes")


def _has_zlib_header(body: bytes) -> bool:
    return body[0] & _METHOD == _DEFLATE and int.from_bytes(body[:2]) % _CHECK == 0
