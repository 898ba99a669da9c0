"""What `--json` prints: one object a line, in the form of `terraform plan -json` and `apply -json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.plan import ApplyResult, Drift, Event, Result, Started, Status
from provisioner.render.apply_text import progress
from provisioner.render.plan_json import changed, counted, drifted

UI_VERSION = "1.2"  # of the stream's form, Terraform's
_ACTIONS = {("delete", "create"): "replace", ("no-op",): "noop"}


def version_event(version: str, time: str) -> str:
    """The first line."""
    return _line(time, f"provisioner {version}", "version", provisioner=version, ui=UI_VERSION)


def plan_events(document: Mapping[str, Any], time: str) -> Iterator[str]:
    """A plan's document as lines: drift, changes, warnings, conflicts, and the summary."""
    for entry in document["resource_drift"]:
        yield _of(entry, time, "resource_drift", "Drift detected ({})")
    for entry in document["resource_changes"]:
        if entry["change"]["actions"] != ["no-op"] or {"importing", "previous_address"} & _fields(entry):
            yield _of(entry, time, "planned_change", "Plan to {}")
    for note in document["notes"]:
        yield _line(
            time, f"Warning: {note['text']}", "diagnostic", level="warn",
            diagnostic={"severity": "warning", "summary": note["text"], "address": note["address"]},
        )  # fmt: skip
    for conflict in document["conflicts"]:
        yield error_event(
            conflict["summary"], conflict["detail"], conflict["hint"], time, conflict["address"]
        )
    yield summary_event(document["summary"], "plan", time)


def drift_events(drift: tuple[Drift, ...], time: str) -> Iterator[str]:
    """A line for each app that is not as it was recorded, then their number."""
    for item in drift:
        yield _of(drifted(item), time, "resource_drift", "Drift detected ({})")
    yield _line(time, f"Drift: {len(drift)} apps", "drift_summary", drifted=len(drift))


def apply_event(event: Event, seconds: float, time: str) -> str:
    """An action begins, or ends; `seconds` is how long it took."""
    entry = changed(event.action)
    hook: dict[str, Any] = {"resource": _resource(entry), "action": _action(entry)}
    if isinstance(event, Started):
        return _line(time, progress(event, seconds), "apply_start", hook=hook)
    hook["elapsed_seconds"] = round(seconds)
    if event.app is not None:
        hook |= {"id_key": "id", "id_value": event.app.id}
    good = event.status is Status.DONE and not event.problems
    if not good:
        hook["status"] = event.status.value
    kind, level = ("apply_complete", "info") if good else ("apply_errored", "error")
    return _line(time, progress(event, seconds), kind, level=level, hook=hook)


def result_events(result: ApplyResult, time: str) -> Iterator[str]:
    """How an apply ended."""
    for item in result.unfinished:
        yield _undone(item, time)
    if result.trouble:
        yield error_event("What was done is not where others see it", result.trouble, "", time)
    yield summary_event(counted(result.counts), "apply", time)


def summary_event(figures: Mapping[str, int], operation: str, time: str) -> str:
    """The figures of a plan or an apply."""
    said = ", ".join(f"{count} {name}" for name, count in figures.items())
    return _line(time, f"{operation}: {said}", "change_summary", changes={**figures, "operation": operation})


def error_event(summary: str, detail: str, hint: str, time: str, address: str | None = None) -> str:
    """An error; its texts are escaped."""
    told = "\n".join(part for part in (detail, hint) if part)
    diagnostic = {"severity": "error", "summary": summary, "detail": told, "address": address}
    return _line(time, f"Error: {summary}", "diagnostic", level="error", diagnostic=diagnostic)


def warning_event(summary: str, detail: str, time: str) -> str:
    """What should be known and stops nothing; its texts are escaped."""
    diagnostic = {"severity": "warning", "summary": summary, "detail": detail, "address": None}
    return _line(time, f"Warning: {summary}", "diagnostic", level="warn", diagnostic=diagnostic)


def _undone(item: Result, time: str) -> str:
    detail = item.message or "; ".join(item.problems)
    return error_event(f"{item.action.address} is not finished", detail, "", time, str(item.action.address))


def _of(entry: Mapping[str, Any], time: str, kind: str, doing: str) -> str:
    action = _action(entry)
    change = {"resource": _resource(entry), "action": action, **entry["change"]}
    for name in ("action_reason", "previous_address", "deliveries", "resuming"):
        if name in entry:
            change[name] = entry[name]
    return _line(time, f"{entry['address']}: {doing.format(action)}", kind, change=change)


def _fields(entry: Mapping[str, Any]) -> set[str]:
    return {*entry, *entry["change"]}


def _resource(entry: Mapping[str, Any]) -> dict[str, str]:
    return {"addr": entry["address"], "resource_type": entry["type"], "resource_name": entry["name"]}


def _action(entry: Mapping[str, Any]) -> str:
    actions = tuple(entry["change"]["actions"])
    if "importing" in entry["change"]:
        return "import"
    if "previous_address" in entry and actions == ("no-op",):
        return "move"
    return _ACTIONS.get(actions) or str(actions[0])


def _line(time: str, message: str, kind: str, *, level: str = "info", **fields: Any) -> str:
    head = {"@level": level, "@message": message, "@module": "provisioner.ui", "@timestamp": time}
    return json.dumps({**head, "type": kind, **fields})
