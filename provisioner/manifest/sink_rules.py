"""The rules that each option of a sink is held against, by itself and with the key of some app in it."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.errors import Problem
from provisioner.manifest.faults import Fault, Loc
from provisioner.manifest.forms import Part
from provisioner.manifest.options import (
    FORMS,
    IN_CLEAR,
    ONE_NAME,
    name_check,
    placeholder_problems,
    with_key,
)
from provisioner.manifest.rules import Check, CheckRecipient, anything, recipient_check, set_faults
from provisioner.manifest.sinks import AnySink, Keys, model_of
from provisioner.manifest.tree import Document, List, Map, Node

_AS_WRITTEN = frozenset({"type", "format", "auth", "timeout", "recipients"})  # nothing is filled in there
_NO_PROGRAM = Problem("The first item is the program, and it is empty.", "Write its name or its path.")


def sink_faults(document: Document, check_recipient: CheckRecipient | None) -> Iterator[Fault]:
    """What is wrong with each option of the sinks of one file."""
    for name, sink in document.section("sinks").items():
        model = model_of(sink)
        if model is not None and isinstance(sink, Map):
            known = {option: sink[option] for option in model.model_fields if option in sink}
            yield from _sink(document, ("sinks", name), known, model, recipient_check(check_recipient))


def _sink(
    document: Document, loc: Loc, sink: dict[str, Node], model: type[AnySink], recipient: Check
) -> Iterator[Fault]:
    forms = FORMS[str(sink["type"])]
    for option, node in sink.items():
        yield from _texts(document, (*loc, option), node, forms.get(option, anything))
    yield from set_faults(document, (*loc, "env"), sink.get("env"), anything)
    yield from set_faults(document, (*loc, "recipients"), sink.get("recipients"), recipient)
    yield from _names(document, loc, sink, model)
    for option in ("command", "remove"):
        program = sink.get(option)
        if isinstance(program, List) and program[:1] == [""]:
            yield document.fault((*loc, option, 0), _NO_PROGRAM)
    is_file = sink["type"] == "file"  # of which `structure` says that it must agree
    if (is_file or "manifest" in sink) and sink.get("plaintext", is_file) is False:
        yield document.key_fault((*loc, "plaintext" if "plaintext" in sink else "manifest"), IN_CLEAR)


def _texts(document: Document, loc: Loc, node: Node, check: Check) -> Iterator[Fault]:
    """A text, or each of a list or mapping of them. What holds a wrong word in braces is not looked into."""
    if isinstance(node, Map | List):
        for step, item in node.items() if isinstance(node, Map) else enumerate(node):
            if isinstance(item, str):
                yield from _texts(document, (*loc, step), item, check)
    elif isinstance(node, str) and node:
        wrong = [] if loc[2] in _AS_WRITTEN else list(placeholder_problems(node))
        for shown, problem in wrong:
            yield document.fault(loc, problem, shown)
        for problem in () if wrong else check(with_key(node)):
            yield document.fault(loc, problem, node)


def _names(document: Document, loc: Loc, sink: dict[str, Node], model: type[AnySink]) -> Iterator[Fault]:
    """What the two values would be called. A name of the secret is not shown: it may be the secret itself."""
    prefix, keys = sink.get("prefix", ""), sink.get("keys", Map())
    if not isinstance(prefix, str) or not isinstance(keys, Map) or any(placeholder_problems(prefix)):
        return
    check = name_check(str(sink["type"]), str(sink.get("format", _default(model, "format"))))
    unfit = next(iter(check(with_key(f"{prefix}X"))), None)
    if unfit:
        yield document.fault((*loc, "prefix"), unfit, prefix)
    for key, text in () if unfit else keys.items():
        if (
            key in Keys.model_fields
            and isinstance(text, str)
            and text
            and not any(placeholder_problems(text))
        ):
            for problem in check(with_key(prefix + text)):
                yield document.fault((*loc, "keys", key), problem, text if key == "client_id" else None)
    one, other = (keys.get(key, _default(Keys, key)) for key in Keys.model_fields)
    if isinstance(one, str) and one == other:
        stated = [key for key in Keys.model_fields if key in keys]
        yield document.key_fault((*loc, "keys", stated[-1]), ONE_NAME)


def _default(model: type[Part], option: str) -> object:
    return model.model_fields[option].default if option in model.model_fields else ""
