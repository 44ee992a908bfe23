"""Completion through kubectl: kubectl runs `kubectl_complete-scriptix` with the words so far."""

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import typer

from kubectl_scriptix.app import app
from kubectl_scriptix.cluster import Cluster, Target
from kubectl_scriptix.errors import PluginError

__all__ = ["completions", "main"]

NO_FILES = 4
"""The directive of Cobra, kubectl's library, that offers no file names."""
NAMED = frozenset({"name", "names"})
"""Arguments that name a training."""


def completions(words: Sequence[str], names: Callable[[Target], list[str]]) -> list[str]:
    """The words that may follow; the last one is being typed.

    Args:
        words: The words behind `kubectl scriptix`.
        names: Lists the names of the trainings there.
    """
    typed = words[-1] if words else ""
    return [word for word in _possible(words[:-1], typed, names) if word.startswith(typed)]


def _possible(
    before: Sequence[str], typed: str, names: Callable[[Target], list[str]]
) -> Iterator[str]:
    group = typer.main.get_command(app)
    commands = getattr(group, "commands", {})
    command = next((commands[word] for word in before if word in commands), None)
    if typed.startswith("-"):
        for parameter in (command or group).params:
            yield from (option for option in parameter.opts if option.startswith("-"))
    elif command is None:
        yield from sorted(commands)
    elif any(parameter.name in NAMED for parameter in command.params):
        yield from names(_target(before))


def _target(words: Sequence[str]) -> Target:
    """The cluster and the namespace that the words name."""
    values = dict(pairwise(words))
    return Target(
        values.get("--kubeconfig"),
        values.get("--context"),
        values.get("-n", values.get("--namespace")),
    )


def _names(target: Target) -> list[str]:
    """The names in the cluster; none if it does not answer: a completion shows no errors."""
    try:
        cluster = Cluster(target)
        return [training.key.name for training in cluster.trainings(cluster.namespace)]
    except PluginError:
        return []


def main() -> None:
    """Print the completions as Cobra expects them."""
    found = completions(sys.argv[1:], _names)
    sys.stdout.write("".join(f"{word}\n" for word in found) + f":{NO_FILES}\n")
