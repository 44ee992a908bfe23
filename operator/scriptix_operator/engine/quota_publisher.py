"""Publishes the quota left per API key, in a ConfigMap for people and tools."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import NoReturn

from scriptix_operator.core.scheduling.quota_document import QuotaDocument, dump
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.kube.quota_config_map import QuotaConfigMap
from scriptix_operator.telemetry.metric_types import WriteOutcome
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["QuotaPublisher"]

FIRST = 5.0
"""Seconds until the first write: a new leader does not know the API keys yet, and would replace the
document of the former leader by an empty one."""
INTERVAL = 30.0
"""Seconds between two writes, at least."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class QuotaPublisher:
    """Writes the document when it has changed, beside all reconciles."""

    config_map: QuotaConfigMap
    schedulers: KeySchedulers
    metrics: Metrics
    _written: QuotaDocument | None = field(default=None, init=False)
    """What this process has written last."""
    _is_failing: bool = field(default=False, init=False)

    async def run(self) -> NoReturn:
        """Work until cancelled."""
        await asyncio.sleep(FIRST)
        while True:
            await self.publish()
            await asyncio.sleep(INTERVAL)

    async def publish(self) -> None:
        """Write the document if it has changed; a failure is logged once and counted."""
        document = self.schedulers.quota_document()
        if self._written is not None and document.has_same_quotas_as(self._written):
            return
        try:
            await self.config_map.write(dump(document))
        except KubeError as error:
            self.metrics.quota_written(WriteOutcome.FAILED)
            level = logging.DEBUG if self._is_failing else logging.WARNING
            logger.log(level, "the quota left is not published: %s", error)
            self._is_failing = True
            return
        self.metrics.quota_written(WriteOutcome.WRITTEN)
        if self._is_failing:
            logger.info("the quota left is published again")
        self._written, self._is_failing = document, False
