"""The registry of texts: what docs/reference/conditions-and-events.md says of each one."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeVar

from scriptix_operator.api.reasons import (
    EventReason,
    FailureReason,
    GateReason,
    LogState,
    Reason,
)

__all__ = [
    "ASK_ADMINISTRATOR",
    "EDIT_SPEC",
    "EXAMPLE_TIME",
    "NOTHING",
    "NO_ACTION",
    "TEXTS",
    "Shown",
    "Text",
    "shown",
]

Shown = Reason | EventReason | FailureReason | GateReason | LogState
"""What a text is shown for."""

NOTHING = "Nothing: the operator continues automatically."
"""The action while the operator has more to do."""
NO_ACTION = "Nothing."
"""The action in a final state."""
EDIT_SPEC = "To try again, edit spec."
ASK_ADMINISTRATOR = "Ask the administrator of the operator for the cause in the operator's log."
EXAMPLE_TIME = datetime(2026, 11, 30, 10, 40, tzinfo=UTC)
NO_VALUES: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Text:
    """A function that returns a text, and how the page shows it.

    Attributes:
        function: Returns the text.
        shown_for: The reasons that come with the text.
        example: Arguments of the example.
        action: What a user should do; empty: the text says it.
    """

    function: Callable[..., str]
    shown_for: tuple[Shown, ...]
    example: Mapping[str, object]
    action: str

    @property
    def when(self) -> str:
        """When the text is shown: the first paragraph of the function's docstring."""
        paragraph = (inspect.getdoc(self.function) or "").partition("\n\n")[0]
        return " ".join(paragraph.split())

    def __str__(self) -> str:
        return self.function(**self.example)


TEXTS: list[Text] = []
"""All texts, in the order of their modules."""

Function = TypeVar("Function", bound=Callable[..., str])


def shown(
    *shown_for: Shown, example: Mapping[str, object] = NO_VALUES, action: str = ""
) -> Callable[[Function], Function]:
    """Register a function that returns a text.

    Args:
        shown_for: The reasons that come with the text; none: the text may follow any message.
        example: Arguments of the example on the page.
        action: What a user should do; empty: the text says it.
    """

    def register(function: Function) -> Function:
        TEXTS.append(Text(function, shown_for, example, action))
        return function

    return register
