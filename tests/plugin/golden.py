"""What the plugin prints, for the golden files."""

from pathlib import Path

from kubectl_scriptix.why import explain
from tests.plugin.states import NOW, all_states

__all__ = ["GOLDEN", "renders"]

GOLDEN = Path(__file__).parent / "golden"


def renders() -> dict[str, str]:
    """The text of each golden file by its name."""
    return {"why.txt": _why()}


def _why() -> str:
    """The answer of `why` for each state."""
    return "\n".join(f"# {title}\n{explain(one, NOW)}\n" for title, one in all_states())
