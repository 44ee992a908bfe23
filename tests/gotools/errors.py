"""The one error of this package. Its text ends with the action that helps."""


class ToolError(Exception):
    """A tool could not be found or built."""
