"""The model object and the log in the API's replies."""

from pydantic import JsonValue

from . import training_log
from .model import Model, Run, Status
from .timeline import DOCUMENT, stage
from .units import spelled

__all__ = ["log_body", "model_body", "started_body"]

_MESSAGES: dict[int, str] = {
    Status.NOT_READY: "Not running",
    Status.READY: "Ready to run",
    Status.SUCCEEDED: "Training completed successfully",
    Status.FAILED: "Training failed",
}


def model_body(model: Model, now: float, start_offset: int = 0) -> dict[str, JsonValue]:
    """Return the model object at `now` (unix seconds), with its start `start_offset` seconds later.

    The run start time stays when new data resets the model to status 2; everything else about the
    run is shown only while the run counts.
    """
    script = model.script
    status = model.status(now)
    body: dict[str, JsonValue] = {
        "id": model.id,
        "model_key": script.model_key or f"custom_model_{model.id}",
        "name": script.name or f"Model {model.id}",
        "description": script.description,
        "language": script.language,
        "base_model": script.base_model,
        "training_status": status,
        "status_message": _MESSAGES.get(status, ""),
        "created_at": _time(model, model.created),
        "updated_at": _time(model, _updated(model, now)),
    }
    if model.last is not None:
        body["started_training_at"] = _time(model, model.last.run_start_time + start_offset)
        if model.idle is None:
            body |= _run_fields(model, model.last, now)
    return _dressed(model, body)


def started_body(model: Model, now: float) -> dict[str, JsonValue]:
    """Return the model object in the reply to a start at `now`."""
    body = model_body(model, now, model.script.reply_start_offset)
    if "status_message" in body:
        body["status_message"] = "Training started successfully"
    return body


def log_body(model: Model, now: float) -> dict[str, JsonValue]:
    """Return the log of the newest run, as far as written at `now`; empty without a run."""
    entries: list[JsonValue] = []
    if model.last is not None:
        entries = [*_entries(model, model.last, now)]
    body: dict[str, JsonValue] = {
        "model_id": model.id,
        "log_entries": entries,
        "total_entries": len(entries),
    }
    return body | model.script.log_extra


def _time(model: Model, at: float) -> JsonValue:
    return spelled(at, model.script.time_form)


def _run_fields(model: Model, run: Run, now: float) -> dict[str, JsonValue]:
    script = model.script
    has_results = run.has_results(now, script.results_after)
    match run.status(now):
        case Status.RUNNING:
            progress = run.progress(now)
            return {"status_message": stage(progress), **_shown_progress(model, run, now)}
        case Status.SUCCEEDED:
            done: dict[str, JsonValue] = {
                "training_progress": 100,
                "finished_training_at": _time(model, _finished(run)),
            }
            if script.metrics is not None and has_results:
                done["training_metrics"] = script.metrics
            return done
        case _:
            error: dict[str, JsonValue] = {
                "string": run.error,
                "object": {"code": "TRAINING_FAILED", "message": run.error},
                "null": None,
            }
            failed: dict[str, JsonValue] = {
                "finished_training_at": _time(model, _finished(run)),
                "failed_at": _time(model, _finished(run)),
            }
            if not has_results:
                return {**failed, "status_message": ""}
            return {**failed, "error": error[script.error_form]}


def _shown_progress(model: Model, run: Run, now: float) -> dict[str, JsonValue]:
    hour = run.share(now) * run.hours
    steps = [step for step in model.script.progress_steps if step.at <= hour]
    if steps and steps[-1].omit:
        return {}
    if steps and "value" in steps[-1].model_fields_set:
        return {"training_progress": steps[-1].value}
    return {"training_progress": int(run.progress(now))}


def _entries(model: Model, run: Run, now: float) -> list[JsonValue]:
    rate = (model.script.metrics or {}).get("word_error_rate")
    final = float(rate) if isinstance(rate, int | float) else 12.5
    share = run.share(now)
    lines = ((_share_of(line, run), line) for line in training_log.lines(final))
    entries = [
        _entry(
            max(run.began + at * run.seconds, run.run_start_time), line.level, line.message, model
        )
        for at, line in lines
        if at <= share
    ]
    match run.status(now):
        case Status.SUCCEEDED:
            closing = f"Training completed - Final WER: {final}%"
            entries.append(_entry(_finished(run), "info", closing, model))
        case Status.FAILED:
            entries.append(_entry(_finished(run), "error", run.error or "", model))
        case _:
            pass
    return entries


def _share_of(line: training_log.Line, run: Run) -> float:
    """Return the share of a run at which it writes a line, scaled from the documented run."""
    if run.timeline is DOCUMENT:
        return line.share
    return run.timeline.share_at(DOCUMENT.progress_at(line.share))


def _entry(at: float, level: str, message: str, model: Model) -> JsonValue:
    padded = message.ljust(model.script.log_line_bytes, ".")
    return {"timestamp": _time(model, at), "level": level, "message": padded}


def _finished(run: Run) -> float:
    """Return the end, never before the run start time, which may be after the exact start."""
    return max(run.ends, run.run_start_time)


def _updated(model: Model, now: float) -> float:
    instants = [model.changed]
    if model.last is not None:
        instants.append(model.last.run_start_time)
        if now >= model.last.ends:
            instants.append(_finished(model.last))
    return max(instants)


def _dressed(model: Model, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    merged = body | model.script.extra
    return {name: value for name, value in merged.items() if name not in model.script.omit}
