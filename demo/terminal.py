"""Shell lines for another terminal: the variables of the demo, and the check of its operator."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

NAMESPACE = "scriptix-system"
"""Namespace of the operator's Lease."""

LIMITS = {
    "SCRIPTIX_LIMIT_STARTS": "starts",
    "SCRIPTIX_LIMIT_STATUS": "status calls",
    "SCRIPTIX_LIMIT_LOGS": "log calls",
}
"""The settings in the user's environment that the demo uses, and what they limit."""


def exports(assets: Path, directory: Path) -> str:
    """Return the lines for a shell: the kubeconfig, and kubectl of the cluster's own version."""
    kubeconfig, binaries = shlex.quote(f"{directory}/kubeconfig"), shlex.quote(str(assets))
    return f"export KUBECONFIG={kubeconfig}\nexport PATH={binaries}:$PATH"


def check_command(directory: Path, simulator: str, environment: Mapping[str, str]) -> str:
    """Return the command that checks the demo's operator.

    Args:
        directory: Where the kubeconfig is.
        simulator: URL of the simulated Scriptix API.
        environment: The user's environment; settings for another operator are unset.
    """
    unset = [word for name in ignored(environment) for word in ("-u", name)]
    words = [
        *(["env", *unset] if unset else []),
        f"KUBECONFIG={directory}/kubeconfig",
        f"POD_NAMESPACE={NAMESPACE}",
        f"SCRIPTIX_BASE_URL={simulator}",
        str(Path(sys.executable).with_name("scriptix-operator")),
        "check",
    ]
    return " ".join(map(_quoted, words))


def ignored(environment: Mapping[str, str]) -> list[str]:
    """Return the settings in an environment that the demo ignores."""
    own = (name for name in environment if name.startswith(("SCRIPTIX_", "POD_")))
    return sorted(name for name in own if name not in LIMITS)


def _quoted(word: str) -> str:
    """Quote a word for a shell; an assignment stays one."""
    name, equals, value = word.partition("=")
    is_assignment = bool(equals) and name.isidentifier()
    return f"{name}={shlex.quote(value)}" if is_assignment else shlex.quote(word)
