"""A plan, wherever it is to be shown: a terminal, a stream of events, files, a workflow's summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provisioner import __version__
from provisioner.cli.clock import SystemClock
from provisioner.cli.options import Reports
from provisioner.cli.output import complain, say, say_painted
from provisioner.errors import ProvisionerError
from provisioner.files import Files, append
from provisioner.plan import Plan
from provisioner.settings import Settings
from provisioner.text import escape

_OUTPUTS = ("add", "change", "remove", "import", "forget", "move")


@contextmanager
def streaming() -> Iterator[None]:
    """A stream of events: its first line, and an error as its last, besides the text on standard error."""
    from provisioner.render.events import error_event, version_event

    say(version_event(__version__, SystemClock().now()))
    try:
        yield
    except ProvisionerError as error:
        summary, detail, hint = map(escape, (error.summary, error.detail, error.hint))
        say(error_event(summary, detail, hint, SystemClock().now()))
        raise


def present(
    plan: Plan, readers: Iterable[str], reports: Reports, settings: Settings, colour: bool | None
) -> str:
    """Show a plan, and what stands in its way; the text of both, as a terminal has it."""
    from provisioner.render.plan_text import conflicts_text, plan_text

    text, conflicts = plan_text(plan, readers), conflicts_text(plan)
    if reports != Reports() or settings.github_summary or settings.github_output:
        from provisioner.render.plan_json import document

        _report(document(plan), text + conflicts, reports, settings)
    if not reports.as_json:
        say_painted(text, colour)
        if conflicts:
            complain(conflicts)
    return text + conflicts


def _report(document: Mapping[str, Any], text: str, reports: Reports, settings: Settings) -> None:
    if reports.as_json:
        from provisioner.render.events import plan_events

        for event in plan_events(document, SystemClock().now()):
            say(event)
    write_reports(document, text, reports)
    _tell_workflow(document, text, settings)


def write_reports(document: Mapping[str, Any], text: str, reports: Reports) -> None:
    """The files that were asked for, whole or not at all."""
    if reports.markdown is not None:
        from provisioner.render.markdown import markdown

        Files().write(Path(reports.markdown), markdown(document, text).encode())
    if reports.html is not None:
        from provisioner.render.html import html

        Files().write(Path(reports.html), html(document, text, SystemClock().now()).encode())
    if reports.gitlab is not None:
        from provisioner.render.gitlab import gitlab_report

        Files().write(Path(reports.gitlab), gitlab_report(document).encode())


def _tell_workflow(document: Mapping[str, Any], text: str, settings: Settings) -> None:
    """GitHub's job summary and step outputs, where a workflow has them."""
    if settings.github_summary is not None:
        from provisioner.render.markdown import markdown

        append(settings.github_summary, markdown(document, text).encode())
    if settings.github_output is not None:
        from provisioner.render.markdown import title

        figures = document["summary"]
        lines = [f"{name}={figures[name]}" for name in _OUTPUTS]
        changes = any(figures.values()) or document["errored"]
        lines += [f"changes={str(bool(changes)).lower()}", f"summary={title(document)}"]
        append(settings.github_output, ("\n".join(lines) + "\n").encode())
