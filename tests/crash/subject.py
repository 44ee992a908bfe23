"""An operator that strikes itself down where it is told to: `python -m tests.crash.subject run`.

The operator is the real one, imported and run by its own command; only the class attributes
`Stepper.step` and `Wire.trace`, and the wall clock, are replaced by ones that look on.
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
"""The last that httpcore tells before it writes."""


class Injector:
    """Watches the steps, takes notes, and strikes where the orders say."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._itinerary = Itinerary()
        self._frames: list[FrameType] = []
        self._is_there = False
        self._is_done = False
        self.is_wanted: Callable[[], bool] = lambda: True
        """Whether the step is about the run of the orders; one may begin before it is asked for."""

    def suspended(self, frames: list[FrameType]) -> None:
        """Note the place, and strike if it is the one."""
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
        """Look out for the next line of ours: it means that the await has returned."""
        if self._is_there and not self._is_done and self._orders.mode != "enter":
            sys.settrace(self._on_call)

    def ended(self) -> None:
        """The step is over, and so is any await of it."""
        sys.settrace(None)
        self._itinerary.depart()
        self._leave()

    def strike(self) -> None:
        """Do it, once."""
        if not self._is_done:
            self._is_done = True
            sys.settrace(None)
            write(self._orders.notes, Struck(at=time.monotonic()))
            self._orders.strike()

    def _leave(self) -> None:
        """Strike at the latest when the step is elsewhere: no case may pass without a strike."""
        if self._is_there:
            self.strike()

    def _on_call(self, frame: FrameType, _event: str, _arg: object) -> "Tracer | None":
        return self._on_line if frame in self._frames else None

    def _on_line(self, _frame: FrameType, event: str, _arg: object) -> "Tracer":
        if event in {"line", "exception"}:
            self.strike()
        return self._on_line


Tracer = Callable[[FrameType, str, Any], Any]


def watch_steps(orders: Orders, injector: "Injector") -> None:
    """Watch every step, and note how its resource is left."""
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
    """Whether the run that is asked for has begun, by what is recorded."""
    run, phase = training.status.run, training.status.phase
    is_asked_for = run is not None and run.token == training.spec.run_token
    return is_asked_for and phase in {Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED}


def strike_before_bytes(injector: Injector) -> None:
    """Strike when the check before a start has passed and nothing is written yet."""
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

    clock.datetime = Shifted  # type: ignore[attr-defined] # where it reads the wall clock


def arm() -> None:
    """Do what the environment orders."""
    orders = Orders.from_environment()
    injector = Injector(orders)
    watch_steps(orders, injector)
    if orders.before_bytes:
        strike_before_bytes(injector)
    if orders.clock_shift:
        shift_clock(orders.clock_shift)


if __name__ == "__main__":
    arm()
    sys.exit(main())
