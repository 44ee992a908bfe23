"""The one error of this package. Its text is for a person and ends with what to do."""

from tests.gotools.errors import ToolError


class ControlPlaneError(ToolError):
    """The control plane could not be found, built or started."""
