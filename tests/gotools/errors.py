"""The one error of this package. Its text is for a person and ends with what to do."""


class ToolError(Exception):
    """A tool could not be found or built."""
