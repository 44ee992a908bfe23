"""Plays the people at Scriptix's end, through the admin view of the simulator."""

import httpx

from demo.errors import DemoError

NEW_DATA = '{"status": 2}'
"""What new training data makes of a model: one that can be trained."""


def upload_command(simulator: str, model: int, change: str = NEW_DATA) -> str:
    """Return the command with which a person does what `upload` does."""
    return f"curl -X PATCH {simulator}/admin/models/{model} -d '{change}'"


def upload(simulator: str, model: int) -> None:
    """Let training data for a model arrive.

    Raises:
        DemoError: the simulator did not take it.
    """
    url = f"{simulator}/admin/models/{model}"
    try:
        # A proxy has no business on loopback.
        reply = httpx.patch(url, content=NEW_DATA, trust_env=False)
    except httpx.TransportError as error:
        raise DemoError(f"The simulator at {url} does not answer: {error}") from error
    if not reply.is_success:
        raise DemoError(f"The simulator refused the data for model {model}: {reply.text}")
