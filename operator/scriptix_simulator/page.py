"""The page at `/admin/`: documents models and faults, generated from their pydantic models."""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from pydantic import BaseModel, JsonValue

from .faults import Fault
from .scripts import DOCUMENT_METRICS, FAILURES, ModelChange, ModelScript, ProgressStep

__all__ = ["EXAMPLES", "page"]

EXAMPLES: Sequence[tuple[str, str, str, JsonValue]] = (
    ("A model that is ready and trains for eight hours", "PUT", "models/7", {}),
    (
        "One that has no data for half an hour, then fails at 42 percent, then succeeds",
        "PUT",
        "models/8",
        {
            "status": 1,
            "ready_after": "30m",
            "outcome": ["system_error", "success"],
            "fail_at": 42,
        },
    ),
    (
        "One that misses a quality gate of 15",
        "PUT",
        "models/9",
        {"duration": "2h", "metrics": {**DOCUMENT_METRICS, "word_error_rate": 31.4}},
    ),
    (
        "One that fails in words of your own",
        "PUT",
        "models/10",
        {"outcome": "system_error", "error": "GPU 3 is on fire"},
    ),
    ("New data for a model: it can be trained again", "PATCH", "models/7", {"status": 2}),
    (
        "The same, and its runs take 32 hours from now on",
        "PATCH",
        "models/7",
        {"status": 2, "script": {"duration": "32h"}},
    ),
    ("A run that another user starts", "PATCH", "models/9", {"start": True}),
    ("The end of that run", "PATCH", "models/9", {"fail": "mismatch"}),
    (
        "The reply to the next start is lost, and the model is trained all the same",
        "POST",
        "faults",
        {"fault": "drop_after", "call": "run"},
    ),
    (
        "GETs of model 7 are answered with 503, until faults are dropped",
        "POST",
        "faults",
        {"fault": "status", "status": 503, "call": "model", "model": 7, "times": "forever"},
    ),
    ("No faults any more", "DELETE", "faults", None),
)
"""Description, method, path below `/admin/` and body of each example, to be run in this order."""

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Scriptix simulator</title>
<style>
body {{ font-family: sans-serif; max-width: 75em; margin: 1em auto; padding: 0 1em }}
table {{ border-collapse: collapse }}
th, td {{ border: 1px solid #bbb; padding: .2em .5em; text-align: left; vertical-align: top }}
pre {{ background: #eee; padding: .5em; overflow: auto }}
</style>
<h1>Scriptix simulator</h1>
<ul>
<li><a href="summary">GET summary</a>: calls by kind and status, refusals, runs, models by status
<li><a href="calls">GET calls</a>: every call received
    (?kind=run&amp;model=1&amp;after=SEQ); DELETE forgets them
<li><a href="models">GET models</a>: all models; GET, PUT, PATCH, DELETE models/ID
<li><a href="faults">GET faults</a>: active faults; POST adds one or a list; DELETE drops all
<li><a href="keys">GET keys</a>: keys by fingerprint; PUT {{"keys": {{KEY: write|read|revoked}}}}
</ul>
<p>Bodies are JSON. Invalid ones are refused with 422 and a reason for each field. A duration is
simulated time: a number of hours, or text with a unit (250ms, 90s, 30m, 8h, 2d).
<h2>Examples</h2>
{examples}
<h2>PUT models/ID: a model</h2>
<p>Replaces the model with this id; <code>{{}}</code> has the defaults. <code>models</code> of
a file for <code>scriptix-simulator --models</code> takes the same fields.
{script}
<h3>Failures</h3>
{failures}
<h3>progress_steps</h3>
{step}
<h2>PATCH models/ID: a change of a model</h2>
{change}
<h2>POST faults</h2>
<p>The oldest fault that matches a call applies. Seconds are real ones.
{faults}
{fault}
"""


def page(origin: str) -> str:
    """Return the page as HTML.

    Args:
        origin: Address of the simulator, such as `http://127.0.0.1:8099`, for the examples.
    """
    return _PAGE.format(
        examples="\n".join(_examples(origin)),
        script=_fields(ModelScript),
        failures=_table(
            ("outcome", "error", "fails at"),
            [(name, one.message, f"{one.at:g} %") for name, one in FAILURES.items()],
        ),
        step=_fields(ProgressStep),
        change=_fields(ModelChange),
        faults=_table(("fault", "what the client gets"), _fault_rows()),
        fault=_fields(Fault),
    )


def _examples(origin: str) -> Iterator[str]:
    for title, method, path, body in EXAMPLES:
        data = "" if body is None else f" -d '{json.dumps(body)}'"
        command = f"curl -X {method} {origin}/admin/{path}{data}"
        yield f"<p>{escape(title)}:\n<pre>{escape(command, quote=False)}</pre>"


def _fault_rows() -> list[tuple[str, str]]:
    """Return the rows of the table in the docstring of `Fault`."""
    lines = inspect.cleandoc(Fault.__doc__ or "").splitlines()
    cells = [line.strip("| ").split(" | ", 1) for line in lines if line.startswith("|")]
    return [(name, text.replace("`", "")) for name, text in cells[2:]]


def _fields(model: type[BaseModel]) -> str:
    """Return the fields of a model as a table."""
    properties = model.model_json_schema()["properties"]
    rows = []
    for name, field in model.model_fields.items():
        schema = properties[name]
        default = "" if field.is_required() else json.dumps(schema.get("default"))
        rows.append((name, _type(schema), default, (field.description or "").replace("`", "")))
    return _table(("field", "type", "default", "meaning"), rows)


def _type(schema: Mapping[str, JsonValue]) -> str:
    """Return a short text for the type of a field, from its JSON schema."""
    match schema:
        case {"anyOf": list(kinds)}:
            return " or ".join(_type(kind) for kind in kinds if isinstance(kind, dict))
        case {"enum": list(values)}:
            return " | ".join(str(value) for value in values)
        case {"const": value}:
            return str(value)
        case {"type": "array", "items": dict(items)} if items:
            return f"list of {_type(items)}"
        case {"type": "array", "prefixItems": list(items)}:
            return f"[{', '.join(_type(item) for item in items if isinstance(item, dict))}]"
        case {"type": "array"}:
            return "list"
        case {"$ref": "#/$defs/ProgressStep"}:
            return "object, see below"
        case {"type": str(name)}:
            return f"{name}{_bounds(schema)}"
        case _:
            return "any JSON"


def _bounds(schema: Mapping[str, JsonValue]) -> str:
    bounds = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
    texts = [f"{sign} {schema[name]}" for name, sign in bounds if name in schema]
    return f" {', '.join(texts)}" if texts else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["<table>", "<tr>" + "".join(f"<th>{escape(head)}" for head in heads)]
    for first, *others in rows:
        cells = "".join(f"<td>{escape(cell, quote=False)}" for cell in others)
        lines.append(f"<tr><td><code>{escape(first)}</code>{cells}")
    return "\n".join([*lines, "</table>"])
