"""The output of each command is that of its golden file; `python -m tests.plugin` renews them."""

import pytest

from kubectl_scriptix.app import COMMANDS as FUNCTIONS
from tests.plugin.golden import COMMANDS, GOLDEN, PAGE, PICTURES, page, pictures, renders


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    return renders()


@pytest.mark.parametrize("name", [*COMMANDS, "why"])
def test_output_is_that_of_the_golden_file(name: str, printed: dict[str, str]) -> None:
    assert printed[f"{name}.txt"] == (GOLDEN / f"{name}.txt").read_text()


def test_each_command_has_a_golden_file() -> None:
    commands = {function.__name__.replace("_", "-") for function in FUNCTIONS}
    assert commands <= {arguments[0] for arguments in COMMANDS.values()}
    assert {path.name for path in GOLDEN.iterdir()} == {f"{one}.txt" for one in (*COMMANDS, "why")}


def test_golden_files_have_eighty_columns() -> None:
    for name in set(COMMANDS) - {"plan-markdown"}:
        lines = (GOLDEN / f"{name}.txt").read_text().splitlines()
        wide = [line for line in lines if len(line) > 80]
        assert all(line.startswith("kubectl scriptix: ") for line in wide), name


def test_page_has_each_command_with_its_output() -> None:
    assert PAGE.read_text() == page()
    commands = {arguments[0] for arguments in COMMANDS.values()}
    assert all(f"$ kubectl scriptix {command}" in PAGE.read_text() for command in commands)


def test_pictures_of_the_page_are_current() -> None:
    drawn = pictures()
    assert {name: (PICTURES / name).read_text() for name in drawn} == drawn
