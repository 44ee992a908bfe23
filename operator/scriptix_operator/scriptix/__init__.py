"""The Scriptix API over HTTP: one client, three calls, one error tree.

`client` sends; `wire` observes and bounds one exchange; `jsontext` and `replies` parse replies into
the types of core/model/remote.py, `logstream`, `logreader` and `jsonstream` a log while it arrives;
`refusals` and `errors` classify failures. The package never retries, and does not depend on
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
