"""Compressed replies are read within the bound."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from scriptix_operator.core.model.remote import FailureKind
from scriptix_operator.scriptix import (
    AmbiguousError,
    ScriptixClient,
    UnauthorizedError,
    decompress,
)
from scriptix_operator.scriptix.decompress import BodyError, Decompressor
from tests.scriptix.calls import BRIEF, CALLS, KEY, MODEL, Call, failure_of
from tests.scriptix.rawserver import Ending, raw_server, reply

LIMIT = 1000
BODY = b"".join(f"{n * n} ".encode() for n in range(150))
MODEL_BODY = json.dumps({"id": MODEL, "training_status": 3, "log_entries": []}).encode()

Compress = Callable[[bytes], bytes]


def raw_deflate(body: bytes) -> bytes:
    """Compress without a zlib header."""
    return zlib.compress(body, wbits=-zlib.MAX_WBITS)


CODINGS = [
    pytest.param("gzip", gzip.compress, id="gzip"),
    pytest.param(" X-GZIP", gzip.compress, id="x-gzip"),
    pytest.param("deflate", zlib.compress, id="deflate"),
    pytest.param("deflate", raw_deflate, id="raw deflate"),
    pytest.param("", bytes, id="none"),
    pytest.param("identity", bytes, id="identity"),
    pytest.param("identity, Identity", bytes, id="identity twice"),
    pytest.param("gzip, identity", gzip.compress, id="gzip and identity"),
]


def decompressed(coding: str, packed: bytes, size: int, limit: int = LIMIT) -> bytes:
    """Feed a body in pieces of `size` bytes."""
    decompressor = Decompressor(coding, limit)
    body = bytearray()
    for at in range(0, len(packed), size):
        for piece in decompressor.feed(packed[at : at + size]):
            body += piece
    decompressor.finish()
    return bytes(body)


@pytest.mark.parametrize(("coding", "compress"), CODINGS)
@pytest.mark.parametrize("size", [1, 2, 3, LIMIT])
def test_a_body_is_read_however_it_is_cut(coding: str, compress: Compress, size: int) -> None:
    assert decompressed(coding, compress(BODY), size) == BODY
    assert decompressed(coding, compress(b""), size) == b""
    assert decompressed(coding, b"", size) == b""


@pytest.mark.parametrize(("coding", "compress"), CODINGS[:4])
@pytest.mark.parametrize("size", [1, 7, LIMIT])
def test_a_body_is_decompressed_in_small_pieces(
    monkeypatch: pytest.MonkeyPatch, coding: str, compress: Compress, size: int
) -> None:
    """This holds also where all input is consumed and output is pending."""
    monkeypatch.setattr(decompress, "PIECE", 10)
    for body in (BODY, *(b" " * length for length in range(0, LIMIT, 9))):
        packed = compress(body)
        decompressor = Decompressor(coding, LIMIT)
        fed = (decompressor.feed(packed[at : at + size]) for at in range(0, len(packed), size))
        pieces = [piece for part in fed for piece in part]
        decompressor.finish()
        assert b"".join(pieces) == body
        assert all(len(piece) <= 10 for piece in pieces)


@pytest.mark.parametrize(("coding", "compress"), CODINGS)
def test_the_bound_counts_decompressed_bytes(coding: str, compress: Compress) -> None:
    assert len(decompressed(coding, compress(b" " * LIMIT), 7)) == LIMIT
    with pytest.raises(BodyError, match="larger than 1000 bytes"):
        decompressed(coding, compress(b" " * (LIMIT + 1)), 7)


def test_the_bound_counts_compressed_bytes_too() -> None:
    with pytest.raises(BodyError, match="larger than 1000 bytes"):
        decompressed("gzip", gzip.compress(b"") + b"\0" * LIMIT, 7)


def test_decompression_bomb_takes_no_more_memory_than_the_bound() -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(BodyError):
            decompressed("gzip", bomb, 2**16, 2**20)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("coding", "compress"), CODINGS[:4])
def test_a_truncated_body_is_an_error(coding: str, compress: Compress) -> None:
    packed = compress(BODY)
    for end in (1, 2, len(packed) // 2, len(packed) - 1):
        with pytest.raises(BodyError, match="ends too early"):
            decompressed(coding, packed[:end], 7)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        pytest.param("gzip", MODEL_BODY, id="not compressed"),
        pytest.param("deflate", b"\x07" + MODEL_BODY, id="no deflate"),
        pytest.param("gzip", gzip.compress(BODY)[:-8] + bytes(8), id="wrong checksum"),
        pytest.param("gzip", gzip.compress(BODY) + b"no member", id="no second member"),
        pytest.param("deflate", zlib.compress(BODY) + b"x", id="more behind it"),
    ],
)
def test_a_corrupt_body_is_an_error(coding: str, packed: bytes) -> None:
    with pytest.raises(BodyError, match="reply is corrupt"):
        decompressed(coding, packed, 7)


def test_zeros_behind_a_body_are_padding() -> None:
    assert decompressed("gzip", gzip.compress(BODY) + bytes(9), 7) == BODY


@pytest.mark.parametrize("size", [1, 7, LIMIT])
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((BODY[:300], BODY[300:]), id="two"),
        pytest.param((b"", BODY), id="an empty one first"),
        pytest.param((BODY, b""), id="an empty one last"),
    ],
)
@pytest.mark.parametrize("padding", [b"", bytes(9)], ids=["close", "padded"])
def test_gzip_members_are_one_body(parts: tuple[bytes, ...], padding: bytes, size: int) -> None:
    packed = padding.join(gzip.compress(part) for part in parts) + padding
    assert decompressed("gzip", packed, size) == BODY
    with pytest.raises(BodyError, match="ends too early"):
        decompressed("gzip", packed.rstrip(b"\0")[:-9], size)


def test_the_bound_counts_all_members() -> None:
    member = gzip.compress(b" " * 400)
    assert len(decompressed("gzip", member * 2, 7)) == 800
    with pytest.raises(BodyError, match="larger than 1000 bytes"):
        decompressed("gzip", member * 3, 7)


def test_gzip_members_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "MAX_MEMBERS", 3)
    assert decompressed("gzip", gzip.compress(b"x") * 3, 7) == b"xxx"
    with pytest.raises(BodyError, match="more than 3 gzip members"):
        decompressed("gzip", gzip.compress(b"x") * 4, 7)


@pytest.mark.parametrize(
    ("coding", "quoted"),
    [
        pytest.param("BR", "br", id="known"),
        pytest.param("gzip, br", "gzip, br", id="several"),
        pytest.param(KEY.value, "another coding", id="a key"),
        pytest.param(f"br, {KEY.value}", "another coding", id="a key among others"),
        pytest.param("br," * 1000, "br, br, br, br, br, br, br, br, br, br,…", id="endless"),
    ],
)
def test_only_a_known_coding_is_quoted(coding: str, quoted: str) -> None:
    """The header may echo the key, and a truncated key could not be redacted."""
    with pytest.raises(BodyError) as caught:
        Decompressor(coding, LIMIT)
    assert str(caught.value).endswith(f"cannot read {quoted}")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("compress", [gzip.compress, lambda body: gzip.compress(body)[:-9]])
async def test_compressed_reply_equals_the_plain_one(call: Call, compress: Compress) -> None:
    packed = compress(MODEL_BODY)
    answer = reply(body=packed, headers=("Content-Encoding: gzip",))
    async with (
        raw_server(lambda _: (answer, Ending.KEEP)) as server,
        ScriptixClient(base_url=server.url, timeouts=BRIEF) as client,
    ):
        if compress is gzip.compress:
            await call(client)
            return
        failure = await failure_of(call(client), AmbiguousError)
    assert (failure.status, failure.message) == (200, "compressed reply ends too early")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
async def test_the_key_is_redacted_after_decompression(call: Call, compress: Compress) -> None:
    coding = "gzip" if compress is gzip.compress else "deflate"
    refusal = compress(json.dumps({"error": "no", "message": f"bad {KEY.value}"}).encode())
    useless = compress(f"<html>{KEY.value}".encode())
    answers = [
        reply("401 No", refusal, (f"Content-Encoding: {coding}",)),
        reply("200 OK", useless, (f"Content-Encoding: {coding}",)),
    ]
    async with (
        raw_server(lambda _: (answers.pop(0), Ending.KEEP)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        rejected = await failure_of(call(client), UnauthorizedError)
        useless_reply = await failure_of(call(client), AmbiguousError)
    assert rejected.kind is FailureKind.UNAUTHORIZED
    assert rejected.message == "HTTP 401: bad [API key]"
    assert "<html>[API key]" in useless_reply.message
