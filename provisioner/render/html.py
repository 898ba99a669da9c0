"""A plan as one page that needs nothing else: no script to be read, no request to be shown.

The policy in its head lets nothing run and nothing load but what is hashed there.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from provisioner.render.html_markup import Markup, element, shown, together, void
from provisioner.render.html_script import SCRIPT
from provisioner.render.html_sections import Section, sections
from provisioner.render.html_style import CSS
from provisioner.render.markdown import title
from provisioner.render.phrases import kind_of

_SEALED = "A plan holds no secret. New ones are sealed to their readers when it is applied."
_NOT_ASKED = "This is about what is recorded, and cannot be applied as it is."
_WRITTEN_OUT = "What cannot be seen in a name is written out: a \\u{202e} turns the direction of text around."


def html(document: Mapping[str, Any], text: str, timestamp: str = "") -> str:
    """The page for a plan's document and its text; whoever makes the page tells the time."""
    parts = sections(document, text)
    page = element(
        "div",
        _header(document, timestamp),
        _index(parts),
        element("main", *map(_section, parts)),
        element("footer", element("p", shown(_SEALED)), element("p", shown(_WRITTEN_OUT))),
        class_="page",
    )
    body = element("body", page, element("script", SCRIPT))
    return f"<!DOCTYPE html>\n{element('html', _head(document), body, lang='en')}\n"


def _head(document: Mapping[str, Any]) -> Markup:
    return element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", http_equiv="Content-Security-Policy", content=_policy()),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        void("meta", name="referrer", content="no-referrer"),
        element("title", shown(f"provisioner plan: {title(document)}")),
        element("style", CSS),
    )


def _policy() -> str:
    style, script = (f"'sha256-{b64encode(sha256(it.encode()).digest()).decode()}'" for it in (CSS, SCRIPT))
    return f"default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"


def _header(document: Mapping[str, Any], timestamp: str) -> Markup:
    made = f"provisioner plan, {timestamp}" if timestamp else "provisioner plan"
    return element(
        "header",
        element("p", shown(made)),
        element("h1", _title(document)),
        *(element("p", *words) for words in _standing(document)),
    )


def _title(document: Mapping[str, Any]) -> Markup:
    """Broken between its figures only."""
    figures = title(document).replace(", ", ",\n").split("\n")
    return together((element("span", shown(figure)) for figure in figures), " ")


def _standing(document: Mapping[str, Any]) -> Iterator[list[Markup]]:
    """What a reader must know of the whole before any part of it."""
    if not document["refreshed"]:
        yield _strong("Drift was not looked for.", "The API was not asked (--no-refresh). " + _NOT_ASKED)
    if not document["complete"]:
        yield _strong("Only a part was planned.", "The rest is left out by --target or --exclude.")
    if document["destruction"]:
        yield _strong("This is a plan to destroy.", "What is recorded goes, wanted by the manifest or not.")
    if document["refreshed"] and not document["resource_drift"]:
        yield [shown("Nothing was changed outside of provisioner.")]
    if not document["errored"] and not any(map(kind_of, document["resource_changes"])):
        yield [shown(f"Nothing to do: {_why_nothing(document)}.")]


def _strong(what: str, more: str) -> list[Markup]:
    return [element("strong", shown(what)), shown(f" {more}")]


def _why_nothing(document: Mapping[str, Any]) -> str:
    if not document["complete"]:
        return "the rest was left out on request"
    if document["destruction"]:
        return "the state is empty"
    return f"{'the API' if document['refreshed'] else 'the state'} has what the manifest says"


def _index(parts: tuple[Section, ...]) -> Markup:
    entries = [
        element(
            "li",
            element("a", shown(part.heading), href=f"#{part.anchor}"),
            shown(" "),
            *([element("span", shown(part.count))] if part.count else []),
        )
        for part in parts
    ]
    return element("nav", element("ul", *entries), aria_label="On this page")


def _section(part: Section) -> Markup:
    count = [shown(" "), element("span", shown(part.count))] if part.count else []
    heading = element("h2", shown(part.heading), *count, id=f"{part.anchor}-heading")
    return element(
        "section",
        heading,
        part.content,
        id=part.anchor,
        aria_labelledby=f"{part.anchor}-heading",
    )
