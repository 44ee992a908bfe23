"""The service without HTTP."""

import pytest

from scriptix_simulator import ManualClock, SimulatorConfig, SimulatorState
from scriptix_simulator.state import ApiRequest, endpoint

from .support import AUTH, HOUR

MODELS = "/api/v3/custom_models"


@pytest.mark.parametrize(
    ("method", "path", "call"),
    [
        ("POST", f"{MODELS}/5/run", ("run", 5)),
        ("GET", f"{MODELS}/5/", ("model", 5)),
        ("GET", f"{MODELS}/5/log", ("log", 5)),
        ("GET", f"{MODELS}/five", ("model", None)),
        ("DELETE", f"{MODELS}/5", ("other", 5)),
        ("GET", f"{MODELS}/5/log/1", ("other", None)),
        ("GET", MODELS, ("other", None)),
    ],
)
def test_a_request_is_a_kind_of_call(method: str, path: str, call: tuple[str, int | None]) -> None:
    assert endpoint(ApiRequest(method, path)) == call


def test_hundreds_of_models_train_side_by_side(clock: ManualClock) -> None:
    config = SimulatorConfig(any_model=True, limit_starts=(), limit_status=())
    state = SimulatorState(config, clock.now())

    def ask(method: str, path: str, now: float) -> bytes:
        request = ApiRequest(
            method, f"{MODELS}/{path}", AUTH["Authorization"], "application/json", b"{}"
        )
        return state.answer(request, now).payload

    now = clock.now()
    for model in range(600):
        assert b'"training_status": 3' in ask("POST", f"{model}/run", now + model)
    for model in range(600):
        assert b'"training_progress": 50' in ask("GET", f"{model}", now + model + 4 * HOUR)
        assert b'"training_status": 4' in ask("GET", f"{model}", now + model + 8 * HOUR)
