"""Arguments of the demo, settings that it hands to the operator, and what it says at the end."""

from pathlib import Path

import pytest

from demo.__main__ import parse_arguments
from demo.background import Places
from demo.epilogue import how_to_go_on
from demo.errors import DemoError
from demo.services import describe_limits, limits, operator_settings, without_settings
from demo.terminal import check_command
from scriptix_operator.settings import load_settings, unknown_settings


def test_without_arguments_eight_hours_take_a_minute_and_nothing_is_kept() -> None:
    options = parse_arguments([], {})
    assert options.speed == 8 * 60
    assert not options.keep


@pytest.mark.parametrize(
    ("value", "keep"), [("1", True), ("yes", True), ("0", False), ("No", False), ("", False)]
)
def test_keep_comes_from_the_environment_as_make_hands_it_over(value: str, *, keep: bool) -> None:
    assert parse_arguments([], {"KEEP": value}).keep is keep


@pytest.mark.parametrize("speed", ["0", "0.5", "1e9", "nan", "fast"])
def test_a_speed_that_cannot_work_is_refused(
    speed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--speed", speed], {})
    assert "--speed" in capsys.readouterr().err


@pytest.mark.parametrize("speed", [1, 480, 2400, 3600])
def test_the_operator_takes_the_settings_and_its_limits_shrink_with_time(speed: float) -> None:
    environment = operator_settings("http://127.0.0.1:8099", speed, limits({}))
    settings = load_settings(environment)
    (starts,) = settings.limit_starts
    (status,) = settings.limit_status
    assert (starts.count, status.count) == (5, 100)
    # Never a shorter window than the simulator's: the demo is to show no refusals.
    assert 3600 / speed <= starts.seconds < 3600 / speed + 0.001
    assert 60 / speed <= status.seconds < 60 / speed + 0.001
    assert unknown_settings(environment) is None


def test_limits_of_the_caller_shrink_with_simulated_time() -> None:
    allowed = limits({"SCRIPTIX_LIMIT_STARTS": "2/1h,3/1d", "SCRIPTIX_LIMIT_LOGS": "1/1m"})
    settings = operator_settings("http://127.0.0.1:8099", 480, allowed)
    assert settings["SCRIPTIX_LIMIT_STARTS"] == "2/7500ms,3/180000ms"
    assert settings["SCRIPTIX_LIMIT_STATUS"] == "100/125ms"
    assert settings["SCRIPTIX_LIMIT_LOGS"] == "1/125ms"
    assert describe_limits(allowed, 480) == (
        "Limits of each API key: starts 2/1h,3/1d, status calls 100/1m, log calls 1/1m; "
        "1h takes 7.5s here. SCRIPTIX_LIMIT_STARTS, SCRIPTIX_LIMIT_STATUS, SCRIPTIX_LIMIT_LOGS "
        "choose others."
    )


def test_a_limit_of_the_caller_that_cannot_be_used_is_named() -> None:
    with pytest.raises(DemoError, match=r"SCRIPTIX_LIMIT_STARTS: .* is not count/duration"):
        limits({"SCRIPTIX_LIMIT_STARTS": "nonsense"})


def test_the_check_unsets_what_the_demo_ignores() -> None:
    environment = {"SCRIPTIX_LIMIT_STARTS": "2/1h", "SCRIPTIX_WATCH_NAMESPACES": "prod"}
    command = check_command(Path("/demo/run 1"), "http://127.0.0.1:1", environment)
    assert command.startswith(
        "env -u SCRIPTIX_WATCH_NAMESPACES KUBECONFIG='/demo/run 1/kubeconfig' "
        "POD_NAMESPACE=scriptix-system SCRIPTIX_BASE_URL=http://127.0.0.1:1 /"
    )
    assert command.endswith("/scriptix-operator check")


def test_settings_of_a_users_own_operator_do_not_leak_in() -> None:
    environment = {"PATH": "/bin", "SCRIPTIX_WATCH_NAMESPACES": "prod", "KUBECONFIG": "/prod"}
    assert without_settings(environment) == {"PATH": "/bin"}


def test_what_to_go_on_with_can_be_pasted_into_a_shell() -> None:
    places = Places("http://127.0.0.1:1", "http://127.0.0.1:2/metrics")
    text = how_to_go_on(Path("/assets"), Path("/demo/run-1"), places, 4711)
    assert "\nexport KUBECONFIG=/demo/run-1/kubeconfig\n" in text
    assert "\nexport PATH=/assets:$PATH\n" in text
    assert "http://127.0.0.1:1/admin/models/101" in text
    assert text.endswith("\nkill 4711")
