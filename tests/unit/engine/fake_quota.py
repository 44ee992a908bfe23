"""A fake ConfigMap with the quota left, which refuses writes on demand."""

from collections import deque

from scriptix_operator.kube.errors import RefusedError
from scriptix_operator.kube.quota_config_map import QuotaConfigMap

__all__ = ["FakeQuotaConfigMap"]


class FakeQuotaConfigMap(QuotaConfigMap):
    """Keeps the newest documents that were written; a day in virtual time writes thousands."""

    def __init__(self) -> None:
        self.texts: deque[str] = deque(maxlen=10)
        self.is_refusing = False

    async def write(self, text: str) -> None:
        """Write a document."""
        if self.is_refusing:
            raise RefusedError("write: 403")
        self.texts.append(text)
