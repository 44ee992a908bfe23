"""Exit statuses of the plugin, and the error that ends a command with one of them."""

from enum import IntEnum

__all__ = ["ExitStatus", "PluginError"]


class ExitStatus(IntEnum):
    """Exit statuses; scripts rely on them."""

    SUCCEEDED = 0
    """The command, or the run that the command waited for, succeeded."""
    ERROR = 1
    """The command failed, or the run that the command waited for failed."""
    USAGE = 2
    """The command line is wrong."""
    GATE_MISSED = 3
    """The run finished and missed its quality gate."""
    BLOCKED = 4
    """A person must act before the run continues."""
    TIMED_OUT = 124
    """The time of --timeout has passed."""


class PluginError(Exception):
    """Ends a command; the message says what happened and what to do.

    Attributes:
        status: The exit status.
    """

    def __init__(self, message: str, status: ExitStatus = ExitStatus.ERROR) -> None:
        super().__init__(message)
        self.status = status
