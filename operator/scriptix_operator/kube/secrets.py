"""The API key of a training: read from a Secret by name, cached for a moment, never listed."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from scriptix_operator.api.names import DEFAULT_SECRET, DEFAULT_SECRET_KEY
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import Failure
from scriptix_operator.core.model.api_key import ApiKey, check_key
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import may_be_running
from scriptix_operator.core.status.failure_catalog import Cause
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.texts import secret_texts
from scriptix_operator.kube.api import SECRETS, KubeApi, map_of
from scriptix_operator.kube.errors import GoneError, RefusedError, translated

__all__ = ["DefaultKey", "KeyUnavailableError", "Keys"]


class KeyUnavailableError(Exception):
    """There is no usable API key; `failure` has the cause and the remedy."""

    def __init__(self, why: Failure) -> None:
        super().__init__(why.message)
        self.failure = why


class SecretMissingError(KeyUnavailableError):
    """The Secret does not exist; one that is forbidden or lacks the key does exist."""


@dataclass(frozen=True, slots=True)
class DefaultKey:
    """The operator's default key, for namespaces without a key.

    Args:
        namespace: The operator's namespace.
        secret: Name of the Secret in that namespace.
        is_for: Whether resources in a namespace may use it.
    """

    namespace: str
    secret: str
    is_for: Callable[[str], bool]


class Keys:
    """API keys by resource.

    Args:
        api: The cluster.
        default: The operator's default key.
        ttl: Seconds for which a Secret is cached.
        clock: Monotonic seconds.
        hide: Called with each key that is read, so that logs never show the key.
    """

    def __init__(
        self,
        api: KubeApi,
        default: DefaultKey,
        *,
        ttl: float,
        clock: Callable[[], float],
        hide: Callable[[str], None],
    ) -> None:
        self._api = api
        self._default = default
        self._ttl = ttl
        self._clock = clock
        self._hide = hide
        self._remembered: dict[tuple[str, str], tuple[float, dict[str, str]]] = {}

    async def resolve(self, training: Training) -> ApiKey:
        """The key for a resource.

        The key is from the Secret that spec names. Without a name in spec, the key is from
        `scriptix-api-key` of the namespace; if that does not exist, it is the operator's default
        key, provided that the namespace may use it. A run that is under way keeps its source.

        Raises:
            KeyUnavailableError: A user has to fix the Secret or the spec.
            KubeError: The API server did not answer.
        """
        namespace, ref = training.key.namespace, training.spec.api_key_secret_ref
        if ref is not None:
            return await self._read(namespace, ref.name, ref.key)
        run = training.status.run
        begun_with = run.key_source if run and may_be_running(training.status) else None
        own_source = _source(namespace, DEFAULT_SECRET, DEFAULT_SECRET_KEY)
        default = self._default
        default_source = _source(default.namespace, default.secret, DEFAULT_SECRET_KEY)
        if begun_with == default_source and default.is_for(namespace):
            return await self._read(default.namespace, default.secret, DEFAULT_SECRET_KEY)
        try:
            return await self._read(namespace, DEFAULT_SECRET, DEFAULT_SECRET_KEY)
        except SecretMissingError:
            if begun_with == own_source or not default.is_for(namespace):
                raise
        return await self._read(default.namespace, default.secret, DEFAULT_SECRET_KEY)

    async def _read(self, namespace: str, name: str, entry: str) -> ApiKey:
        data = await self._secret(namespace, name)
        encoded = data.get(entry)
        if encoded is None:
            raise KeyUnavailableError(
                failure(
                    FailureReason.KEY_NOT_FOUND,
                    secret_texts.api_key_missing(namespace, name, entry),
                )
            )
        try:
            # `echo KEY | base64` leaves a line break at the end, which is removed.
            value = base64.b64decode(encoded, validate=True).decode("utf-8").strip()
            check_key(value)
        except ValueError as error:
            why = "" if isinstance(error, UnicodeDecodeError) else str(error)
            raise KeyUnavailableError(
                failure(
                    FailureReason.KEY_NOT_FOUND,
                    secret_texts.api_key_unusable(namespace, name, entry, why),
                )
            ) from None  # a decoding error quotes the value
        self._hide(value)
        return ApiKey(value, _source(namespace, name, entry))

    async def _secret(self, namespace: str, name: str) -> dict[str, str]:
        now = self._clock()
        known = self._remembered.get((namespace, name))
        if known is not None and now - known[0] < self._ttl:
            return known[1]
        try:
            with translated(f"get Secret {namespace}/{name}"):
                secret = map_of(await self._api.get(SECRETS.path(namespace, name)), "data")
        except GoneError as error:
            self._remembered.pop((namespace, name), None)
            raise SecretMissingError(
                failure(
                    FailureReason.SECRET_NOT_FOUND, secret_texts.secret_missing(namespace, name)
                )
            ) from error
        except RefusedError as error:
            raise KeyUnavailableError(
                failure(
                    FailureReason.SECRET_NOT_FOUND,
                    secret_texts.secret_forbidden(namespace, name),
                    cause=Cause.SECRET_FORBIDDEN,
                )
            ) from error
        data = {name: str(value) for name, value in secret.items()}
        self._remembered[namespace, name] = (now, data)
        return data


def _source(namespace: str, name: str, entry: str) -> str:
    return f"Secret/{namespace}/{name}/{entry}"[:253]
