"""Texts about the Secret with the API key."""

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.core.status.texts.registry import shown

__all__ = [
    "api_key_missing",
    "api_key_rejected",
    "api_key_unusable",
    "secret_forbidden",
    "secret_missing",
]

SECRET = {"namespace": "speech", "secret": "scriptix-api-key"}


@shown(FailureReason.SECRET_NOT_FOUND, example=SECRET)
def secret_missing(namespace: str, secret: str) -> str:
    """The API server replies 404."""
    return f'Secret "{secret}" with the Scriptix API key is not in namespace "{namespace}".'


@shown(FailureReason.SECRET_NOT_FOUND, example=SECRET)
def secret_forbidden(namespace: str, secret: str) -> str:
    """The API server replies 403."""
    return f'The operator may not read Secret "{secret}" in namespace "{namespace}".'


@shown(FailureReason.KEY_NOT_FOUND, example=SECRET | {"key": "api-key"})
def api_key_missing(namespace: str, secret: str, key: str) -> str:
    """The Secret does not have the key."""
    # The text names no other keys: not all users may read the Secret.
    return (
        f'Secret "{secret}" in namespace "{namespace}" has no key "{key}"; to list its keys, run '
        f"`kubectl -n {namespace} describe secret {secret}`."
    )


@shown(
    FailureReason.KEY_NOT_FOUND,
    example=SECRET | {"key": "api-key", "cause": "the API key is empty"},
)
def api_key_unusable(namespace: str, secret: str, key: str, cause: str = "") -> str:
    """The value of the key cannot be an API key."""
    return (
        f'Key "{key}" of Secret "{secret}" in namespace "{namespace}" is not usable: '
        f"{cause or 'the value is not text'}."
    )


@shown(
    FailureReason.UNAUTHORIZED,
    example={
        "refusal": "HTTP 401 INVALID_API_KEY: Invalid API key",
        "source": "Secret/speech/scriptix-api-key/api-key",
    },
)
def api_key_rejected(refusal: str, source: str | None) -> str:
    """The API refused a call because of the API key."""
    return f"{refusal} (the API key is that of {source})" if source else refusal
