"""Plays the staff of Scriptix, through the admin API of the simulator."""

import httpx

from demo.errors import DemoError

NEW_DATA = '{"status": 2}'
"""The change of a model when new training data arrives: it becomes ready."""


def upload_command(simulator: str, model: int, change: str = NEW_DATA) -> str:
    """Return the shell command that does the same as `upload`."""
    return f"curl -X PATCH {simulator}/admin/models/{model} -d '{change}'"


def upload(simulator: str, model: int) -> None:
    """Let training data for a model arrive.

    Raises:
        DemoError: the simulator did not accept the change.
    """
    url = f"{simulator}/admin/models/{model}"
    try:
        # A proxy has no business on loopback.
        reply = httpx.patch(url, content=NEW_DATA, trust_env=False)
    except httpx.TransportError as error:
        raise DemoError(f"The simulator at {url} does not answer: {error}") from error
    if not reply.is_success:
        raise DemoError(f"The simulator refused the data for model {model}: {reply.text}")
