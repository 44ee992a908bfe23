"""The Scriptix API over HTTP: one client, three calls, one error tree.

`client` sends; `wire` watches and bounds one exchange; `jsontext` and `replies` read what came back
into the types of core/model/remote.py, `logstream`, `logreader` and `jsonstream` a log while it
arrives; `refusals` and `errors` say what went wrong. Nothing here retries, and nothing here knows
Kubernetes.
"""

from scriptix_operator.scriptix.client import ScriptixClient, Timeouts
from scriptix_operator.scriptix.errors import (
    AmbiguousError,
    ConflictError,
    DefiniteError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    RejectedError,
    ScriptixError,
    UnauthorizedError,
)

__all__ = [
    "AmbiguousError",
    "ConflictError",
    "DefiniteError",
    "NotFoundError",
    "NotSentError",
    "RateLimitedError",
    "RejectedError",
    "ScriptixClient",
    "ScriptixError",
    "Timeouts",
    "UnauthorizedError",
]
