"""docs/reference/conditions-and-events.md has every reason, and every text of the operator."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from scriptix_operator.api.reasons import ConditionType, EventReason, FailureReason, Reason
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG
from scriptix_operator.core.status.reference_page import MODULES, reference_page
from scriptix_operator.core.status.texts.registry import TEXTS

ROOT = Path(__file__).parents[4]
PAGE = "docs/reference/conditions-and-events.md"
SECTIONS = dict(
    section.split("\n", 1) for section in reference_page().split("\n## ") if "\n" in section
)

SOURCE = ROOT / "operator" / "scriptix_operator"
WORDS = 4
SENTENCE = re.compile(r"[.;:](?: |$)")
"""A literal of so many words with such a mark is a sentence."""
DESCRIPTIONS = ("event_catalog", "reference_page", "waiting")
"""Modules of core/status with tables of reasons, which decide on none."""
PARTS = {
    "effect_resource_followed",
    "effect_resource_skipped",
    "facts_as_of",
    "failure_with_solution",
    "last_known_facts",
    "ledger_gap",
    "no_run_yet",
    "resources_left_alone",
    "status_undecided",
    "used_values_set",
}
"""Functions that return a part of a text."""
LOGGING = {"debug", "info", "warning", "error", "exception", "log"}
SHOWN_BY = {"ConditionReason", "EventRecord", "Failure", "failure", "LogUnavailable"}
"""Calls whose arguments users read."""


def _rows(section: str) -> dict[str, list[str]]:
    """The rows of a section's first table, by the name in the first column."""
    rows: dict[str, list[str]] = {}
    for line in SECTIONS[section].splitlines():
        if line.startswith("| `"):
            rows.setdefault(line.split("`", 2)[1], []).append(line)
    return rows


def test_the_page_in_docs_is_current() -> None:
    """`make docs` writes the page."""
    assert (ROOT / PAGE).read_text(encoding="utf-8") == reference_page()


def test_readme_links_the_reference_page() -> None:
    assert f"({PAGE})" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("section", "members"),
    [
        ("Condition types", ConditionType),
        ("Reasons without a failure", Reason),
        ("Events", EventReason),
        ("Failures", FailureReason),
    ],
)
def test_page_has_a_row_for_each_member(
    section: str, members: type[ConditionType | Reason | EventReason | FailureReason]
) -> None:
    assert sorted(_rows(section)) == sorted(members)


def test_page_has_each_text() -> None:
    page = reference_page()
    assert [str(text) for text in TEXTS if str(text) not in page] == []


def test_each_text_is_registered() -> None:
    """A function without @shown is on no page, unless it returns a part of another text."""
    names = {f"{module.__name__}.{name}" for module in MODULES for name in module.__all__}
    registered = {f"{each.function.__module__}.{each.function.__name__}" for each in TEXTS}
    assert {name.rpartition(".")[2] for name in names - registered} == PARTS


@pytest.mark.parametrize("reason", [*Reason, *EventReason], ids=repr)
def test_each_reason_is_decided(reason: Reason | EventReason) -> None:
    """Beside its row and its texts, a line of the code decides on the reason."""
    described = {SOURCE / "core" / "status" / f"{name}.py" for name in DESCRIPTIONS}
    member = re.compile(rf"\b{type(reason).__name__}\.{reason.name}\b")
    assert any(
        member.search(path.read_text(encoding="utf-8"))
        for path in SOURCE.rglob("*.py")
        if path not in described and path.parent.name != "texts"
    )


@pytest.mark.parametrize("reason", FailureReason)
def test_row_shows_all_of_a_reason(reason: FailureReason) -> None:
    advice, row = FAILURE_CATALOG[reason], _rows("Failures")[reason][0]
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert cells[1] == advice.happened
    assert cells[2] == ("blocks" if advice.blocks else "ends the run")
    assert cells[3] == ("yes" if advice.retryable else "no")
    solutions = [advice.solution, *(case.solution for _, case in advice.cases)]
    assert [solution for solution in solutions if solution not in cells[4]] == []
    signs = [*advice.codes, *advice.examples, advice.recognised]
    assert [sign for sign in signs if sign not in cells[5]] == []
    assert cells[5]


class _Sentences(ast.NodeVisitor):
    """Collects the literals that are sentences."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Expr(self, node: ast.Expr) -> None:
        """Skip docstrings."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Skip errors: their texts are causes within a sentence."""

    def visit_Call(self, node: ast.Call) -> None:
        """Skip the operator's log."""
        if _name(node) not in LOGGING:
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Join the literal parts of an f-string."""
        parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        self._add("".join(map(str, parts)))

    def visit_Constant(self, node: ast.Constant) -> None:
        """Add a literal."""
        if isinstance(node.value, str):
            self._add(node.value)

    def _add(self, text: str) -> None:
        is_code = text.startswith(("{", "("))
        if len(text.split()) >= WORDS and SENTENCE.search(text) and not is_code:
            self.found.append(text)


def _name(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _sentences(source: str) -> list[str]:
    """All sentences of a module: the core has no texts but those that users read."""
    visitor = _Sentences()
    visitor.visit(ast.parse(source))
    return visitor.found


def _shown_sentences(source: str) -> list[str]:
    """The sentences in calls that show a text: engine and kube also have texts of errors."""
    visitor = _Sentences()
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call):
            arguments = call.args if _name(call) in SHOWN_BY else []
            named = [each.value for each in call.keywords if each.arg == "message"]
            for argument in (*arguments, *named):
                visitor.visit(argument)
    return visitor.found


@pytest.mark.parametrize(
    ("source", "is_shown"),
    [
        ('EventRecord(reason, "The operator polls the model again.")', True),
        ('replace(log, message=f"The operator could not store the log: {error}")', True),
        ('text = f"{name} is training this model; waiting."', False),
    ],
)
def test_check_finds_a_sentence(source: str, *, is_shown: bool) -> None:
    assert _sentences(source)
    assert bool(_shown_sentences(source)) == is_shown


@pytest.mark.parametrize(
    ("layer", "sentences"),
    [("core", _sentences), ("engine", _shown_sentences), ("kube", _shown_sentences)],
)
def test_sentences_for_users_stand_in_core_status_only(
    layer: str, sentences: Callable[[str], list[str]]
) -> None:
    found = {
        f"{path.relative_to(SOURCE)}: {text}"
        for path in sorted((SOURCE / layer).rglob("*.py"))
        if not path.is_relative_to(SOURCE / "core" / "status")
        for text in sentences(path.read_text(encoding="utf-8"))
    }
    assert found == set()
