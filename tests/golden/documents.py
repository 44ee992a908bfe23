"""Reads and writes a story as YAML, in one form: a renewed file differs only where it must."""

import re
from pathlib import Path
from typing import Any

import yaml

__all__ = ["FOLDER", "read_story", "stories", "write_story"]

FOLDER = Path(__file__).parent

TEXT = "tag:yaml.org,2002:str"
TIMESTAMP = "tag:yaml.org,2002:timestamp"
"""Times stay texts, as in JSON."""
WIDTH = 96
MARGIN = 16
"""Columns that are left for the name and the indentation of a collection in one line."""


class _Folded(str):
    """A text that is written as a folded block."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012 - as in the base class
        first: [pair for pair in pairs if pair[0] != TIMESTAMP]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def represent_data(self, data: Any) -> yaml.Node:  # noqa: ANN401 - any JSON
        """Write a collection in one line where it has no inner collection and fits."""
        node = super().represent_data(data)
        if isinstance(node, yaml.CollectionNode):
            inner = data.values() if isinstance(data, dict) else data
            is_flat = not any(isinstance(each, dict | list) and each for each in inner)
            # A sentence has a line of its own.
            is_short = len(str(data)) <= WIDTH - MARGIN and ". " not in f"{data} "
            node.flow_style = is_flat and is_short
        return node

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's signature
        return True


_Dumper.add_representer(
    _Folded, lambda dumper, text: dumper.represent_scalar(TEXT, str(text), style=">")
)


def stories() -> list[Path]:
    """The files, in the order of their numbers."""
    return sorted(FOLDER.glob("[0-9][0-9]-*.yaml"))


def read_story(text: str) -> dict[str, Any]:
    """The document of a story.

    Raises:
        TypeError: The text is no mapping.
    """
    story = yaml.load(text, _Loader)  # noqa: S506 - a subclass of SafeLoader
    if not isinstance(story, dict):
        raise TypeError("a story is a mapping")
    return story


def write_story(story: dict[str, Any]) -> str:
    """The text of a story, with a blank line before each part."""
    text = yaml.dump(
        {**story, "story": _Folded(story["story"].rstrip() + "\n")},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
    )
    text = re.sub(r"^(?=- at:|resource:|steps:|status:)", "\n", text, flags=re.MULTILINE)
    return text.replace("steps:\n\n", "steps:\n")
