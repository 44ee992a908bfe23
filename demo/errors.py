"""The one error of this package. Its text is for the user who runs the demo."""


class DemoError(Exception):
    """The demo did not show what it promises."""
