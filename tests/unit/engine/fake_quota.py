"""A fake ConfigMap with the quota left, which refuses writes on demand."""

from scriptix_operator.kube.errors import RefusedError
from scriptix_operator.kube.quota_config_map import QuotaConfigMap

__all__ = ["FakeQuotaConfigMap"]


class FakeQuotaConfigMap(QuotaConfigMap):
    """Keeps the documents that were written."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_refusing = False

    async def write(self, text: str) -> None:
        """Write a document."""
        if self.is_refusing:
            raise RefusedError("write: 403")
        self.texts.append(text)
