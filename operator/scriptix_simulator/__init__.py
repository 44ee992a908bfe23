"""A simulator of the Scriptix custom-model training API.

For rehearsals it is a command, `scriptix-simulator`; for tests it is `serve`:

    async with serve(SimulatorConfig(speed=480)) as simulator:
        simulator.put(123, ModelScript(outcome="mismatch"))
        ...  # send requests to simulator.url, then check simulator.state

The simulation itself (`timeline`, `training_log`, `windows`, `model`, `views`, `state`) takes the
time as an argument; `reception` and `delivery` apply calls and faults, with a clock and without
sockets; `app` and `admin` serve HTTP, and `inprocess` (not imported here, as it needs httpx) serves
clients of the same process.
"""

from .app import create_app
from .clock import Clock, ManualClock, ShiftedClock, SystemClock
from .config import SimulatorConfig, fingerprint
from .faults import Fault
from .model import Status
from .scripts import ModelChange, ModelScript, ProgressStep, Scenario
from .server import Simulator, serve
from .state import SimulatorState
from .units import Limit

__all__ = [
    "Clock",
    "Fault",
    "Limit",
    "ManualClock",
    "ModelChange",
    "ModelScript",
    "ProgressStep",
    "Scenario",
    "ShiftedClock",
    "Simulator",
    "SimulatorConfig",
    "SimulatorState",
    "Status",
    "SystemClock",
    "create_app",
    "fingerprint",
    "serve",
]
