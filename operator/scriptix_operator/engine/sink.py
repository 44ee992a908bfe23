"""The sink of notifications as settings and the Secret have it, read again after some time."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from scriptix_operator.kube.notification_secret import NotificationSecret, SecretUnusableError
from scriptix_operator.webhook.destination import Destination, check_sink_url, decode_keys

__all__ = ["Sink"]


@dataclass(slots=True)
class Sink:
    """Resolves the destination of notifications.

    Args:
        secret: The Secret.
        url: The URL of the setting; empty: that of the Secret.
        allow_insecure_http: Whether plain http to a loopback host is allowed.
        ttl: Seconds for which the Secret is cached.
        clock: Monotonic seconds.
    """

    secret: NotificationSecret
    url: str = field(repr=False)
    allow_insecure_http: bool
    ttl: float
    clock: Callable[[], float]
    _known: Destination | None = field(default=None, init=False)
    _read_at: float = field(default=-math.inf, init=False)

    async def destination(self) -> Destination:
        """The URL and the signing keys.

        Raises:
            SecretUnusableError: A value is missing or cannot be used.
            KubeError: The API server did not return the Secret.
        """
        now = self.clock()
        if self._known is not None and now - self._read_at < self.ttl:
            return self._known
        data = await self.secret.read()
        try:
            keys = decode_keys(data.signing_key)
        except ValueError as error:
            raise SecretUnusableError(f"signing-key of {self.secret} {error}") from None
        url = self.url or data.url
        if not url:
            text = f"SCRIPTIX_NOTIFICATION_URL is not set, and {self.secret} has no url"
            raise SecretUnusableError(text)
        if not self.url:
            try:
                check_sink_url(url, allow_insecure_http=self.allow_insecure_http)
            except ValueError as error:
                raise SecretUnusableError(f"url of {self.secret} {error}") from None
        self._known, self._read_at = Destination(url, keys), now
        return self._known
