"""What a refusal or a failure of the API server means, and what to do about it."""

import json

from kubernetes.client.exceptions import ApiException

from kubectl_scriptix.errors import PluginError

__all__ = [
    "NOT_FOUND",
    "UNAUTHORIZED",
    "UnreachableError",
    "explain_refusal",
    "no_kubeconfig",
]

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY = 401, 403, 404, 429
SERVER_ERROR = 500
MOST = 1000
"""Characters of a message of the API server."""


class UnreachableError(PluginError):
    """The API server gives no usable reply now; the same request may succeed later."""


def no_kubeconfig(error: Exception) -> PluginError:
    """The error of a kubeconfig that cannot be used."""
    return PluginError(
        f"no usable kubeconfig: {str(error).rstrip('.')}. Set KUBECONFIG, or use --kubeconfig"
    )


def explain_refusal(what: str, error: ApiException, namespace: str) -> PluginError:
    """The error of a refused request, with what to do."""
    if error.status == UNAUTHORIZED:
        return UnreachableError(
            f"cannot {what}: the API server rejects the credentials (401). Log in again."
        )
    if error.status == FORBIDDEN:
        return PluginError(
            f"cannot {what}: {_message(error)} (403). Ask an administrator for the role `view`, or "
            "`edit` to change trainings."
        )
    if error.status == NOT_FOUND:
        hint = (
            f"There is none of this name in namespace {namespace}; -n selects another namespace."
            if what.startswith("get")
            else "The CustomResourceDefinition is not installed, or the cluster is the wrong one."
        )
        return PluginError(f"cannot {what}: not found. {hint}")
    if error.status in {0, TOO_MANY} or (error.status or 0) >= SERVER_ERROR:
        return UnreachableError(f"cannot {what}: the API server answers {error.status}")
    return PluginError(f"cannot {what}: {error.status} {error.reason}: {_message(error)}")


def _message(error: ApiException) -> str:
    """The message of the API server's Status object, cut to a screen."""
    body = error.body
    text = body if isinstance(body, str) else repr(body)
    try:
        return str(json.loads(text)["message"])[:MOST]
    except (ValueError, KeyError, TypeError):  # another server than Kubernetes' answers
        return text[:MOST]
