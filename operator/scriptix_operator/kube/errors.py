"""Errors of requests to the Kubernetes API server.

KubeError
├── ConflictError     another client has changed the object: load it and decide again
├── GoneError         the object does not exist (any more)
├── RefusedError      the API server refuses the request (400, 403, 422)
└── UnavailableError  the API server is unreachable, overloaded, or its reply is unusable: retry
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import aiohttp

from scriptix_operator.core.model.text import one_line

__all__ = [
    "ApiError",
    "ConflictError",
    "GoneError",
    "KubeError",
    "RefusedError",
    "UnavailableError",
    "translated",
]


class ApiError(Exception):
    """A reply of the API server other than 2xx; `translated` turns it into a KubeError.

    Its text does not have the reply, which may quote a Secret.
    """

    def __init__(self, status: int, reason: str, body: bytes) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.body = body


class KubeError(Exception):
    """A request to the Kubernetes API server failed."""


class ConflictError(KubeError):
    """409: resourceVersion or name conflict."""


class GoneError(KubeError):
    """404."""


class RefusedError(KubeError):
    """Another 4xx: retrying the same request is useless."""


class UnavailableError(KubeError):
    """No reply, an unreadable reply, 429 or 5xx."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the client's errors into ours; `what` names the request in the message.

    Raises:
        KubeError: In place of ApiError, aiohttp's errors, time-outs, a ServiceAccount token that
            cannot be read, and ValueError for a reply that is not what the API server should give.
    """
    try:
        yield
    except ApiError as error:
        raise _class_of(error.status)(f"{what}: {error.status} {_api_message(error)}") from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UnavailableError(f"{what}: {type(error).__name__} {error}") from error
    except ValueError as error:
        # Without the error or its text: both quote the reply, which may be a Secret.
        name = type(error).__name__
        raise UnavailableError(f"{what}: the reply cannot be read ({name})") from None


def _api_message(error: ApiError) -> str:
    """The message of the API server's Status object; otherwise the body."""
    body = error.body.decode(errors="replace")
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    message = status.get("message") if isinstance(status, dict) else None
    return one_line(str(message or body or error.reason), 512)


def _class_of(status: int) -> type[KubeError]:
    match status:
        case HTTPStatus.CONFLICT:
            return ConflictError
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return GoneError
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.REQUEST_TIMEOUT:
            return UnavailableError
        case int() if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return RefusedError
        case _:
            return UnavailableError
