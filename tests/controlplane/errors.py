"""The one error of this package. Its text ends with the action that helps."""

from tests.gotools.errors import ToolError


class ControlPlaneError(ToolError):
    """The control plane could not be found, built or started."""
