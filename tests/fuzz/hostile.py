"""Replies of a hostile or broken API: any status, headers and body, with the key in each of them.

Wholly random bytes never get past the first check, so most bodies are models and logs with the
fields that a reader expects and values that it does not expect.
"""

import json
import string
from dataclasses import dataclass

import httpx
from hypothesis import strategies as st

__all__ = ["KEY", "Reply", "replies"]

KEY = "sk-fuzzed-9b1c77e04d"
"""The API key, which servers quote in unexpected places."""

LONG = "x" * 3000

_texts = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(codec=None), max_size=12),  # lone surrogates too
    st.sampled_from(
        [
            "",
            KEY,
            f"Bearer {KEY}",
            f"the key {KEY} was no good, {KEY}",
            LONG,
            LONG[:1015] + KEY,
            f"{LONG}{KEY}",
            "\x1b[2J\x07",
            "\r\nSet-Cookie: a=b",
            "\N{MUSICAL SYMBOL G CLEF}" * 1100,
            "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
            "'; DROP TABLE models; --",
            "{{ .Values.secret }}",
            "MODEL_NOT_READY",
            "TRAINING_IN_PROGRESS",
            "INSUFFICIENT_DATA",
            "NaN",
            "-0",
            "1e999",
        ]
    ),
)
_instants = st.one_of(
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    st.sampled_from(
        [
            "2025-01-16T08:00:00Z",
            "2025-01-16T08:00:00+14:00",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-14:00",
            "2025-02-30T08:00:00Z",
            "2025-01-16T24:00:00Z",
            "2025-01-16T08:00+99",
            "Thu, 16 Jan 2025 25:00:00 +9999",
            "1737014400000",
        ]
    ),
    _texts,
    st.none(),
)
_numbers = st.one_of(
    st.integers(-5, 110),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([True, 10**400, 2**53, -1, 1e308, 12.5]),
    _texts,
    st.none(),
)
_anything = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _texts),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_errors = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("message", "error", "error_code", "code", "details", "retry_after"), _texts | _anything
    ),
)
_metrics = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "word_error_rate",
            "character_error_rate",
            "accuracy_improvement",
            "training_hours",
            "test_word_error_rate",
            "training_word_error_rate",
        ),
        _numbers,
    ),
)
_models = st.fixed_dictionaries(
    {"id": st.just(7) | _numbers, "training_status": st.integers(0, 6) | _numbers},
    optional={
        "model_key": _texts,
        "name": _texts | _anything,
        "status_message": _texts | _anything,
        "training_progress": _numbers,
        "started_training_at": _instants | _numbers | _anything,
        "finished_training_at": _instants | _numbers | _anything,
        "failed_at": _instants | _numbers | _anything,
        "training_metrics": _metrics | _anything,
        "error": _errors | _texts | _anything,
    },
)
_entries = st.fixed_dictionaries(
    {},
    optional={"timestamp": _instants, "level": _texts | _anything, "message": _texts | _anything},
)
_logs = st.fixed_dictionaries(
    {"log_entries": st.lists(_entries | _anything, max_size=6) | _anything},
    optional={"id": _numbers, "model_id": _numbers},
)
_objects = _models | _logs | _errors
_json = st.one_of(_objects, _objects.map(lambda inner: {"result": inner}), _anything)


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()


_bodies = st.one_of(
    _json.map(_encoded),
    _json.map(_encoded),
    _json.map(_encoded),
    _json.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")),
    st.tuples(_json.map(_encoded), st.integers(0, 80)).map(lambda cut: cut[0][: cut[1]]),
    st.binary(max_size=80),
    st.sampled_from(
        [
            b"",
            b"\xef\xbb\xbf{}",
            b"[" * 100_000,
            b'{"a":' * 20_000,
            b'{"id": 7, "training_status": ' + b"9" * 5000 + b"}",
            b"<html>" + KEY.encode(),
            KEY.encode().join([b"x" * 4090, b"y"]),
            b'{"id": 7, "id": 8, "training_status": 3, "training_status": 4}',
        ]
    ),
)
_visible = st.text(string.ascii_letters + string.digits + " ,;:=-+/.", max_size=30)
_values = _visible | st.sampled_from(
    ["0", "-1", "1e9", "9" * 40, "Thu, 16 Jan 2025 08:00:00 GMT", KEY, f"https://e.example/{KEY}"]
)
_headers = st.dictionaries(
    st.sampled_from(
        [
            "Content-Type",
            "Date",
            "Location",
            "Retry-After",
            "Set-Cookie",
            "X-RateLimit-Limit",
            "X-RateLimit-Remaining",
            "X-RateLimit-Reset",
        ]
    ),
    _values,
    max_size=4,
)
_codes = st.sampled_from([200, 200, 200, 200, 201, 204]) | st.sampled_from(
    [
        *(*range(202, 209), 300, 301, 302, 307, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429),
        *(451, 500, 502, 503, 504, 599),
    ]
)
_broken = st.sampled_from(
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.ReadError(f"reset {KEY}"),
        httpx.RemoteProtocolError(f"no HTTP: {KEY}"),
        httpx.WriteError("reset"),
        httpx.DecodingError("no gzip"),
    ]
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, or how the connection ends without one."""

    code: int
    headers: dict[str, str]
    body: bytes
    error: httpx.RequestError | None = None

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return the reply to a httpx.MockTransport.

        Raises:
            httpx.RequestError: The connection ends.
        """
        if self.error is not None:
            raise type(self.error)(str(self.error), request=request)
        return httpx.Response(self.code, headers=self.headers, content=self.body)


def replies() -> st.SearchStrategy[Reply]:
    """Return the whole body."""
    whole = st.builds(Reply, _codes, _headers, _bodies)
    return st.one_of(whole, whole, whole, st.builds(Reply, _codes, _headers, _bodies, _broken))
