"""Variables: ${var.NAME} in a string is replaced by text, once, in the tree: no value can become YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from provisioner.errors import Problem
from provisioner.manifest.events import read, unfit
from provisioner.manifest.faults import (
    Fault,
    Loc,
    ManifestError,
    Place,
    Source,
    fault_at,
    in_file_order,
)
from provisioner.manifest.tree import Document, List, Map, Refused, reading
from provisioner.manifest.words import near
from provisioner.text import escape, quote

ENVIRONMENT_PREFIX = "PROVISIONER_VAR_"
SECTION = "variables"

# name → (value, where it was given: `--var`, a file given with --var-file, or PROVISIONER_VAR_name)
VariableValues = dict[str, tuple[str, str]]

_REFERENCE = re.compile(r"\$\$\{|\$\{var\.([A-Za-z_][A-Za-z0-9_]*)\}|\$\{[^}]{0,60}\}?")
_NESTED = Problem(
    "The value of a variable cannot hold ${, because variables are filled in once.", "Write it out."
)
_FOREIGN = Problem(
    "Only ${var.NAME} is filled in; the environment is not read here.",
    "Declare a variable under `variables`, or write $${ where ${ itself is meant.",
)

_NO_TWIN = Problem(
    "This gives a value to a variable called FILE, and the manifest declares none.",
    "A file of variables is named with --var-file on the command line only.",
)

# The value of each declared variable; `Refused` where it has none that can be used, which was said.
Settled = Mapping[str, str | Refused]


def variables_from(source: Source) -> dict[str, str]:
    """The values in a file given with --var-file: a mapping of strings."""
    document, faults = read(source)
    values: dict[str, str] = {}
    for name, node in document.root.items() if document else ():
        if isinstance(node, str):
            values[name] = node
        elif document and node is not Refused.VALUE:
            rule = f"The value of a variable is a string; YAML reads this as {reading(node)}."
            faults.append(document.fault((name,), Problem(rule, "Write it in quotes.")))
    if faults:
        raise ManifestError(sorted(faults, key=in_file_order([source])), "file of variables")
    return values


def settle(documents: list[Document], given: VariableValues) -> tuple[Settled, list[Fault]]:
    """The value of every variable that the files declare: the given one, else its default."""
    settled: dict[str, str | Refused] = {}
    faults: list[Fault] = []
    for document in documents:
        for name, body in document.section(SECTION).items():
            default = body.get("default") if isinstance(body, Map) else None
            problem = _unusable(default) if isinstance(default, str) else None
            if problem is not None:
                faults.append(document.fault((SECTION, name, "default"), problem))
            elif isinstance(body, Map) and "default" not in body and name not in given:
                faults.append(document.key_fault((SECTION, name), _without_value(name)))
            value = given[name][0] if name in given else default
            usable = value if isinstance(value, str) and _unusable(value) is None else None
            settled[name] = Refused.VALUE if usable is None else usable
    return settled, faults + _given_faults(settled, given)


def _without_value(name: str) -> Problem:
    return Problem(
        "This variable has no value.",
        f"Give it one with --var {name}=…, in a file named with --var-file, or in "
        f"{ENVIRONMENT_PREFIX}{name}; or state a default.",
    )


def _given_faults(settled: Settled, given: VariableValues) -> list[Fault]:
    """Values for nothing that is declared, and such as no string of the manifest could have."""
    faults = []
    for name, (value, origin) in given.items():
        problem = _unusable(value) if name in settled else _undeclared(name, settled)
        # The environment may serve several manifests; who gives a variable by name means this one.
        if name not in settled and origin == f"{ENVIRONMENT_PREFIX}{name}":
            problem = _passed_over(name, value, settled, given)
        if problem is not None:
            faults.append(fault_at(Place(origin, 0, 0), ("var", name), problem))
    return faults


def _passed_over(name: str, value: str, settled: Settled, given: VariableValues) -> Problem | None:
    """What is to be said of a variable of the environment that nothing declares. Mostly nothing."""
    if name == "FILE" and value:
        return _NO_TWIN
    meant = next((other for other in settled if other.lower() == name.lower() and other not in given), None)
    if meant is None:
        return None
    return Problem(
        f"This gives no value to the variable {quote(meant, 80)}: capitals and small letters differ.",
        f"Write {escape(f'{ENVIRONMENT_PREFIX}{meant}', 100)}, or unset it.",
        warning=True,
    )


def expand(document: Document, values: Settled) -> list[Fault]:
    """Fill in the variables of a file, in every string but keys and those under `variables`."""
    faults: list[Fault] = []

    def fill(text: str, loc: Loc) -> str | Refused:
        filled, found = _filled(text, values)
        faults.extend(document.fault(loc, problem, shown) for shown, problem in found)
        return filled

    _walk(document.root, (), fill)
    return faults


def _unusable(value: str) -> Problem | None:
    return _NESTED if "${" in value else unfit(value)


def _walk(node: Map | List, loc: Loc, fill: Callable[[str, Loc], str | Refused]) -> None:
    put: Callable[[Any, str | Refused], None] = node.__setitem__
    for step, value in node.items() if isinstance(node, Map) else enumerate(node):
        if isinstance(value, str):
            if "${" in value:
                put(step, fill(value, (*loc, step)))
        elif isinstance(value, Map | List) and (loc or step != SECTION):
            _walk(value, (*loc, step), fill)


def _filled(text: str, values: Settled) -> tuple[str | Refused, list[tuple[str, Problem]]]:
    """`text` with its references replaced, and each that cannot be; only these are shown, not all of it."""
    found: list[tuple[str, Problem]] = []
    known = True

    def replacement(match: re.Match[str]) -> str:
        nonlocal known
        name = match[1]
        if match[0] == "$${":
            return "${"
        value = values.get(name) if name else None
        if value is None:
            found.append((match[0], _undeclared(name, values) if name else _FOREIGN))
        known = known and isinstance(value, str)
        return value if isinstance(value, str) else ""

    filled = _REFERENCE.sub(replacement, text)
    problem = unfit(filled) if known else None
    if problem is not None:
        found.append((text, problem))
    return filled if known and problem is None else Refused.VALUE, found


def _undeclared(name: str, values: Settled) -> Problem:
    remedy = near(name, list(values)) or f"Declare {quote(name, 80)} under `variables`."
    return Problem("The manifest declares no such variable.", remedy)
