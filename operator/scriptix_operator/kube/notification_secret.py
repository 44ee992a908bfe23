"""The Secret of notifications: the signing keys and, unless a setting has it, the sink's URL."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from scriptix_operator.kube.api import SECRETS, KubeApi, map_of
from scriptix_operator.kube.errors import translated

__all__ = ["NotificationSecret", "SecretData", "SecretUnusableError"]

SIGNING_KEY, URL = "signing-key", "url"


class SecretUnusableError(Exception):
    """The Secret lacks a value; the text names the Secret and the key, never a value."""


@dataclass(frozen=True, slots=True)
class SecretData:
    """The values of the Secret, without the white space around them."""

    signing_key: str
    url: str
    """Empty: absent."""


class NotificationSecret:
    """Reads the Secret by its name.

    Args:
        api: The cluster.
        namespace: The operator's namespace.
        name: The name of the Secret.
        hide: Called with each value, so that logs never show it.
    """

    def __init__(
        self, api: KubeApi, namespace: str, name: str, hide: Callable[[str], None]
    ) -> None:
        self._api, self._namespace, self._name, self._hide = api, namespace, name, hide

    def __str__(self) -> str:
        """For messages."""
        return f"Secret {self._namespace}/{self._name}"

    async def read(self) -> SecretData:
        """The values as they are now.

        Raises:
            SecretUnusableError: The Secret lacks the signing key, or a value is no text.
            KubeError: The API server did not return the Secret.
        """
        with translated(f"get {self}"):
            data = map_of(await self._api.get(SECRETS.path(self._namespace, self._name)), "data")
        key, url = self._text(data, SIGNING_KEY), self._text(data, URL)
        for value in (*key.split(), url):
            self._hide(value)
        if not key:
            raise SecretUnusableError(f"{self} has no {SIGNING_KEY}")
        return SecretData(key, url)

    def _text(self, data: dict[str, object], entry: str) -> str:
        try:
            return base64.b64decode(str(data.get(entry) or ""), validate=True).decode().strip()
        except ValueError:
            text = f"{entry} of {self} is not text"
            raise SecretUnusableError(text) from None  # the cause quotes the value
