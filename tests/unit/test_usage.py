"""`--help` names the sources of settings and the meaning of exit statuses."""

import pytest

from scriptix_operator.cli import main
from scriptix_operator.settings import Settings, described
from scriptix_operator.usage import SETTING_GROUPS


def help_of(command: str, output: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    return output.readouterr().out


def test_each_setting_is_in_one_group() -> None:
    grouped = [name for names in SETTING_GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(Settings.model_fields)


@pytest.mark.parametrize("command", ["run", "check"])
def test_help_lists_each_setting_with_its_default(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(command, capsys)
    flat = " ".join(text.split())
    for name in Settings.model_fields:
        variable, _, meaning = described(name)
        assert f"  {variable} (default: " in text
        assert meaning.replace("`", "") in flat
    for line in (
        "  SCRIPTIX_LIMIT_STARTS (default: 5/1h)",
        "  SCRIPTIX_WATCH_NAMESPACES (default: empty)",
        "  POD_NAME (default: the host's name)",
    ):
        assert line in text.splitlines()
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("command", "statuses"), [("run", ["0", "1", "2", "34"]), ("check", ["0", "1", "2"])]
)
def test_help_names_sources_and_exit_statuses(
    command: str, statuses: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(command, capsys)
    for source in ("KUBECONFIG", "ServiceAccount", "~/.kube/config", "HTTPS_PROXY", "Secret"):
        assert source in text
    _, _, listed = text.partition("Exit status:\n")
    assert [line.split()[0] for line in listed.splitlines()] == statuses
