"""Completion through kubectl: kubectl runs `kubectl_complete-scriptix` with the words so far."""

import sys

import typer

from kubectl_scriptix.app import app

__all__ = ["completions", "main"]

NO_FILES = 4
"""The directive of Cobra, kubectl's library, that offers no file names."""


def completions(words: list[str]) -> list[str]:
    """The words that may follow; the last one is being typed.

    Args:
        words: The words behind `kubectl scriptix`.
    """
    group = typer.main.get_command(app)
    typed = words[-1] if words else ""
    if len(words) <= 1:
        names = sorted(getattr(group, "commands", {}))
        return [name for name in names if name.startswith(typed)]
    command = getattr(group, "commands", {}).get(words[0])
    if command is None:
        return []
    options = [option for parameter in command.params for option in parameter.opts]
    return [option for option in options if option.startswith("-") and option.startswith(typed)]


def main() -> None:
    """Print the completions as Cobra expects them."""
    found = completions(sys.argv[1:])
    sys.stdout.write("".join(f"{word}\n" for word in found) + f":{NO_FILES}\n")
