"""Errors of the Kubernetes rim.

KubeError
├── ConflictError     the object was changed by somebody else meanwhile: load it and decide again
├── GoneError         the object is not there (any more)
├── RefusedError      the API server will not have the request as it is (400, 403, 422)
└── UnavailableError  the API server does not answer (to the point), or not now: try again
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import aiohttp
from kubernetes.aio.client import ApiException
from kubernetes.aio.config import ConfigException

from scriptix_operator.core.model.text import one_line

__all__ = [
    "ConflictError",
    "GoneError",
    "KubeError",
    "RefusedError",
    "UnavailableError",
    "translated",
]


class KubeError(Exception):
    """A request to the Kubernetes API server failed."""


class ConflictError(KubeError):
    """409: resourceVersion or name conflict."""


class GoneError(KubeError):
    """404."""


class RefusedError(KubeError):
    """Another 4xx: trying again as it is will not help."""


class UnavailableError(KubeError):
    """No answer, none that can be read, 429 or 5xx."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the client's errors into ours; `what` names the request in the message.

    Raises:
        KubeError: In place of ApiException, aiohttp's errors, time-outs, a ServiceAccount token
            that cannot be read, and ValueError for a reply that is not what the API server should
            give.
    """
    try:
        yield
    except ApiException as error:
        raise _class_of(error.status)(f"{what}: {error.status} {_api_message(error)}") from error
    except (TimeoutError, aiohttp.ClientError, OSError, ConfigException) as error:
        raise UnavailableError(f"{what}: {type(error).__name__} {error}") from error
    except ValueError as error:
        # Without its text or the error itself: they quote the reply, which may be a Secret.
        name = type(error).__name__
        raise UnavailableError(f"{what}: the reply cannot be read ({name})") from None


def _api_message(error: ApiException) -> str:
    """What the API server says: the message of its Status object, else the body as it is."""
    body = str(error.body or "")
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    message = status.get("message") if isinstance(status, dict) else None
    return one_line(str(message or body or error.reason or ""), 512)


def _class_of(status: int | None) -> type[KubeError]:
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
