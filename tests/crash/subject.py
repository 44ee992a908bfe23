"""An operator that sends itself a signal where its orders say: `python -m tests.crash.subject run`.

The operator is the real one, run by its own command. Only `Reconciler.reconcile`, `Wire.trace` and
the wall clock are wrapped by observers.
"""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import scriptix_operator
from scriptix_operator.api.reasons import Phase
from scriptix_operator.cli import main
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.engine import clock
from scriptix_operator.engine.reconciler import Reconciler
from scriptix_operator.scriptix.wire import Wire
from tests.crash.awaits import Itinerary, Watched
from tests.crash.orders import Ended, Orders, Stopped, Struck, write

ROOT = Path(scriptix_operator.__file__).parent
MADE_READY = "http11.send_request_headers.started"
"""The last trace event of httpcore before it writes."""


class Injector:
    """Observes each reconcile, writes notes, and sends the signal where the orders say."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._itinerary = Itinerary()
        self._frames: list[FrameType] = []
        self._is_there = False
        self._is_done = False
        self.is_wanted: Callable[[], bool] = lambda: True
        """Whether the reconcile is for the run of the orders; one may begin before the request."""

    def suspended(self, frames: list[FrameType]) -> None:
        """Note the place, and send the signal if the orders name it."""
        sys.settrace(None)
        if not self.is_wanted():
            return
        here = self._itinerary.arrive(frames)
        write(
            self._orders.notes,
            Stopped(at=time.monotonic(), place=here.name, suspension=here.suspensions),
        )
        if here.name != self._orders.at:
            self._leave()
            return
        self._is_there, self._frames = True, frames
        if self._orders.mode != "leave" and here.suspensions == self._orders.suspension:
            self.strike()

    def resuming(self) -> None:
        """Trace the next line of the operator, which shows that the await has returned."""
        if self._is_there and not self._is_done and self._orders.mode != "enter":
            sys.settrace(self._on_call)

    def ended(self) -> None:
        """The reconcile is over, and so are its awaits."""
        sys.settrace(None)
        self._itinerary.depart()
        self._leave()

    def strike(self) -> None:
        """Send the signal, once."""
        if not self._is_done:
            self._is_done = True
            sys.settrace(None)
            write(self._orders.notes, Struck(at=time.monotonic()))
            self._orders.strike()

    def _leave(self) -> None:
        """Send the signal when the reconcile is elsewhere at the latest: no case goes without."""
        if self._is_there:
            self.strike()

    def _on_call(self, frame: FrameType, _event: str, _arg: object) -> "Tracer | None":
        return self._on_line if frame in self._frames else None

    def _on_line(self, _frame: FrameType, event: str, _arg: object) -> "Tracer":
        if event in {"line", "exception"}:
            self.strike()
        return self._on_line


Tracer = Callable[[FrameType, str, Any], Any]


def observe_reconciles(orders: Orders, injector: "Injector") -> None:
    """Observe every reconcile, and note whether the run is recorded at its end."""
    reconcile = Reconciler.reconcile

    async def watched(self: Reconciler, key: TrainingKey) -> float | None:
        def training() -> Training | None:
            found = self.store.get(key)
            return found if found and found.spec.run_token == orders.run_token else None

        injector.is_wanted = lambda: training() is not None
        try:
            return await Watched(reconcile(self, key), injector, ROOT)
        finally:
            left = training()
            if left is not None:
                now = time.monotonic()
                write(orders.notes, Ended(at=now, is_recorded=is_recorded(left)))

    Reconciler.reconcile = watched  # type: ignore[method-assign] # the point of this module


def is_recorded(training: Training) -> bool:
    """Whether the requested run is recorded as begun."""
    run, phase = training.status.run, training.status.phase
    is_asked_for = run is not None and run.token == training.spec.run_token
    return is_asked_for and phase in {Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED}


def strike_before_bytes(injector: Injector) -> None:
    """Send the signal when the check before a start has passed and no byte is written."""
    trace = Wire.trace

    async def traced(self: Wire, event: str, info: Mapping[str, Any]) -> None:
        await trace(self, event, info)
        is_start = event == MADE_READY and info["request"].method == b"POST"
        if is_start and injector.is_wanted():
            injector.strike()

    Wire.trace = traced  # type: ignore[method-assign] # the point of this module


def shift_clock(seconds: float) -> None:
    """Set the wall clock of this process ahead."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override] # noqa: ANN401
            return datetime.now(tz) + timedelta(seconds=seconds)  # noqa: TID251 - it is the clock

    clock.datetime = Shifted  # type: ignore[attr-defined] # the name by which it reads the wall clock


def arm() -> None:
    """Follow the orders in the environment."""
    orders = Orders.from_environment()
    injector = Injector(orders)
    observe_reconciles(orders, injector)
    if orders.before_bytes:
        strike_before_bytes(injector)
    if orders.clock_shift:
        shift_clock(orders.clock_shift)


if __name__ == "__main__":
    arm()
    sys.exit(main())
