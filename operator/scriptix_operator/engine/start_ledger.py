"""The start ledger: what is in flight, charged and known, and how a start is begun and resolved.

engine/ledger_document.py keeps the ledger in a ConfigMap, written by compare-and-set.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from scriptix_operator.core.ledger.ledger import (
    NO_START,
    InFlightStart,
    LatestRun,
    Ledger,
    StartCharge,
    StartInFlightError,
    StartOutcome,
    charges_of,
    pruned,
    remembered,
    with_observed_limits,
    with_start_begun,
    with_start_resolved,
)
from scriptix_operator.core.ledger.observed_limits import StoredLimit
from scriptix_operator.core.ledger.rebuild import rebuilt
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.start.competing_trainings import is_start_of
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.ledger_document import LedgerChangedError, LedgerDocument
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.errors import UnavailableError
from scriptix_operator.kube.ledger_config_map import LedgerConfigMap
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["StartLedger"]


@dataclass(slots=True)
class StartLedger:
    """The ledger of this installation.

    Args:
        config_map: The ConfigMap that holds the ledger.
        store: All resources, to rebuild a lost ledger from.
        gap: Returns why the store is incomplete; None: it is complete.
        window: How long a start may count against a quota, configured or observed later.
        clock: The clocks.
        metrics: Counts each write.
        problems: Takes the report that no run can be started.
    """

    config_map: LedgerConfigMap
    store: TrainingStore
    gap: Callable[[], str | None]
    window: timedelta
    clock: Clock
    metrics: Metrics
    problems: Problems = field(default_factory=Problems)
    document: LedgerDocument = field(init=False)

    def __post_init__(self) -> None:
        self.document = LedgerDocument(
            self.config_map,
            self._rebuild,
            self.gap,
            lambda ledger: pruned(ledger, self.clock.now(), self.window),
            self.clock,
            self.metrics,
            self.problems,
        )

    def in_flight(self, model_id: int) -> InFlightStart | None:
        """The start of a model that may be under way."""
        return (
            None
            if self.document.ledger is None
            else self.document.ledger.in_flight_starts.get(model_id)
        )

    def latest_run(self, model_id: int) -> LatestRun | None:
        """The newest run of a model that the ledger records."""
        if self.document.ledger is None:
            return None
        return remembered(self.document.ledger, model_id, self.clock.now(), self.window)

    def charges_of(
        self, fingerprint: str, key_source: str
    ) -> tuple[list[StartCharge], list[StartCharge]]:
        """The starts that are charged to a key, as core.ledger.ledger.charges_of."""
        return (
            ([], [])
            if self.document.ledger is None
            else charges_of(self.document.ledger, fingerprint, key_source)
        )

    def observed_limits(self, fingerprint: str) -> dict[str, tuple[StoredLimit, ...]]:
        """The observed limits of a key, by kind of call."""
        return (
            {} if self.document.ledger is None else self.document.ledger.limits.get(fingerprint, {})
        )

    async def learn(
        self, fingerprint: str, call: str, observed_limits: tuple[StoredLimit, ...]
    ) -> None:
        """Keep the observed limits of a key.

        Raises:
            KubeError: The limits may not be kept; then the next process observes them again.
        """
        await self.document.write(
            lambda ledger: with_observed_limits(ledger, fingerprint, call, observed_limits)
        )

    async def record_in_flight(
        self, training: Training, is_over: Callable[[InFlightStart], bool]
    ) -> None:
        """Record the in-flight start that another ledger may have, if it is missing in this one.

        Args:
            training: The resource, with the intent of that start.
            is_over: Whether the outcome of an in-flight start is recorded, or its resource is gone.

        Raises:
            KubeError: The in-flight start may not be recorded, or the model has another one whose
                resource resolves it first.
        """
        await self.document.ready()
        known, superseded = self.in_flight(training.spec.model_id), NO_START
        if known is not None:
            if is_start_of(known, training):
                return
            # A newer intent of the same resource shows that the older start is over. The wait for
            # the outcome begins now, and is long enough for a POST of the older start, too.
            if known.uid == training.uid or is_over(known):
                superseded = known.serial
        try:
            await self.begin(training, None, superseded)
        except LedgerChangedError as error:
            raise UnavailableError(f"{training.key}: {error}") from error

    async def begin(
        self, training: Training, revision: int | None, superseded: int = NO_START
    ) -> InFlightStart:
        """Charge the start whose intent `training` carries, and begin it in the ledger.

        Args:
            training: The resource, with the intent recorded.
            revision: The revision that `document.ready` returned before the model was polled;
                None: any.
            superseded: Serial of an in-flight start whose place this one takes.

        Raises:
            LedgerChangedError: The in-flight start is not recorded.
            KubeError: The in-flight start may be recorded.
        """
        begun: list[InFlightStart] = []

        def change(ledger: Ledger) -> Ledger:
            ledger, in_flight = with_start_begun(ledger, training, self.clock.now(), superseded)
            begun.append(in_flight)
            return ledger

        try:
            await self.document.write(change, revision)
        except StartInFlightError as error:
            raise LedgerChangedError(str(error)) from error
        return begun[-1]

    async def resolve(self, outcome: StartOutcome) -> None:
        """Resolve the in-flight start whose outcome is recorded.

        Raises:
            KubeError: The start may still be in flight; the next resource that needs the model
                resolves it.
        """
        await self.document.write(
            lambda ledger: with_start_resolved(ledger, outcome, self.clock.now())
        )

    def _rebuild(self) -> Ledger:
        # Higher than any serial of the lost ledger, which counted starts, not milliseconds.
        return rebuilt(self.store, int(self.clock.now().timestamp() * 1000))
