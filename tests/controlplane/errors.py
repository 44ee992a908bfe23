"""The one error of this package. Its text is for a person and ends with what to do."""


class ControlPlaneError(Exception):
    """The control plane could not be found, built or started."""
