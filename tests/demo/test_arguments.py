"""Arguments of the demo, its settings for the operator, and its closing text."""

from pathlib import Path

import pytest

from demo.__main__ import parse_arguments
from demo.background import Places
from demo.epilogue import next_steps
from demo.errors import DemoError
from demo.services import describe_limits, limits, operator_settings, without_settings
from demo.terminal import check_command
from scriptix_operator.settings import load_settings, unknown_settings


def test_by_default_eight_hours_take_a_minute_and_end() -> None:
    options = parse_arguments([], {})
    assert options.speed == 8 * 60
    assert not options.keep


@pytest.mark.parametrize(
    ("value", "keep"), [("1", True), ("yes", True), ("0", False), ("No", False), ("", False)]
)
def test_keep_is_read_from_the_environment(value: str, *, keep: bool) -> None:
    assert parse_arguments([], {"KEEP": value}).keep is keep


@pytest.mark.parametrize("speed", ["0", "0.5", "1e9", "nan", "fast"])
def test_invalid_speed_is_refused(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--speed", speed], {})
    assert "--speed" in capsys.readouterr().err


@pytest.mark.parametrize("speed", [1, 480, 2400, 3600])
def test_operator_accepts_settings_with_shortened_windows(speed: float) -> None:
    environment = operator_settings("http://127.0.0.1:8099", speed, limits({}))
    settings = load_settings(environment)
    (starts,) = settings.limit_starts
    (status,) = settings.limit_status
    assert (starts.count, status.count) == (5, 100)
    # Never a shorter window than the simulator's: the demo is to show no refusals.
    assert 3600 / speed <= starts.seconds < 3600 / speed + 0.001
    assert 60 / speed <= status.seconds < 60 / speed + 0.001
    assert unknown_settings(environment) is None


def test_windows_of_the_callers_limits_are_shortened() -> None:
    allowed = limits({"SCRIPTIX_LIMIT_STARTS": "2/1h,3/1d", "SCRIPTIX_LIMIT_LOGS": "1/1m"})
    settings = operator_settings("http://127.0.0.1:8099", 480, allowed)
    assert settings["SCRIPTIX_LIMIT_STARTS"] == "2/7500ms,3/180000ms"
    assert settings["SCRIPTIX_LIMIT_STATUS"] == "100/125ms"
    assert settings["SCRIPTIX_LIMIT_LOGS"] == "1/125ms"
    assert describe_limits(allowed, 480) == (
        "Limits of each API key: starts 2/1h,3/1d, status calls 100/1m, log calls 1/1m; "
        "1h takes 7.5s here. To change them, set SCRIPTIX_LIMIT_STARTS, SCRIPTIX_LIMIT_STATUS, "
        "SCRIPTIX_LIMIT_LOGS."
    )


def test_invalid_limit_of_the_caller_is_named() -> None:
    with pytest.raises(DemoError, match=r"SCRIPTIX_LIMIT_STARTS: .* is not count/duration"):
        limits({"SCRIPTIX_LIMIT_STARTS": "nonsense"})


def test_check_unsets_the_settings_that_the_demo_ignores() -> None:
    environment = {"SCRIPTIX_LIMIT_STARTS": "2/1h", "SCRIPTIX_WATCH_NAMESPACES": "prod"}
    command = check_command(Path("/demo/run 1"), "http://127.0.0.1:1", environment)
    assert command.startswith(
        "env -u SCRIPTIX_WATCH_NAMESPACES KUBECONFIG='/demo/run 1/kubeconfig' "
        "POD_NAMESPACE=scriptix-system SCRIPTIX_BASE_URL=http://127.0.0.1:1 /"
    )
    assert command.endswith("/scriptix-operator check")


def test_settings_for_another_operator_are_ignored() -> None:
    environment = {"PATH": "/bin", "SCRIPTIX_WATCH_NAMESPACES": "prod", "KUBECONFIG": "/prod"}
    assert without_settings(environment) == {"PATH": "/bin"}


def test_next_steps_can_be_pasted_into_a_shell() -> None:
    places = Places("http://127.0.0.1:1", "http://127.0.0.1:2/metrics")
    text = next_steps(Path("/assets"), Path("/demo/run-1"), places, 4711)
    assert "\nexport KUBECONFIG=/demo/run-1/kubeconfig\n" in text
    assert "\nexport PATH=/assets:$PATH\n" in text
    assert "http://127.0.0.1:1/admin/models/101" in text
    assert text.endswith("\nkill 4711")
