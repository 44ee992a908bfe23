"""The tests that a page names, such as tests/unit/test_usage.py::test_help, exist."""

import ast
from pathlib import Path

__all__ = ["missing_tests"]

ROOT = Path(__file__).parents[2]


def missing_tests(cell: str) -> list[str]:
    """The names in a cell of a table, separated by commas, that are no test or no file of tests."""
    names = [name.strip().strip("`") for name in cell.split(",")]
    return [name for name in names if not _exists(name)]


def _exists(name: str) -> bool:
    file, _, function = name.partition("::")
    if not (ROOT / file).is_file():
        return False
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_"
    }
    return function in defined if function else bool(defined)
