"""What the options of a sink must look like, once an app's key is in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from provisioner.delivery import DeclaredSink, Target
from provisioner.duration import duration
from provisioner.errors import Problem
from provisioner.manifest.rules import Check
from provisioner.model import Address

_SAMPLE = Address("a")  # an app whose key fits everywhere: what does not fit with it is faulty by itself
_BRACES = re.compile(r"\$?\{+ *[A-Za-z0-9_-][A-Za-z0-9_.-]* *\}+")
_PLACEHOLDER = Problem(
    "Only {key} and {KEY} are filled in here: the key of the app, as it is and in capitals.",
    "Write one of the two, or leave the braces away.",
)
_ABSOLUTE = Problem("A sink's path starts at the file that states it.", "Write it from that file on.")
_HOME = Problem("A sink's path starts at the file that states it; ~ stands for no folder here.", "Remove it.")
_UP = Problem("A sink's path leads into no parent folder (..).", "Write it from the file that states it on.")
_NAMES = Problem(
    "A sink's path is names with a / between them, none of them empty, the last of them the file's.",
    "Write it so, as in secrets/{key}.env.",
)
_UNPRINTABLE = Problem("No control or invisible character may stand here.", "Remove it.")
_SEGMENTS = Problem(
    "A path in Vault is names with a / between them, and none at its ends; no name is empty, . or ..",
    "Write it so, as in apps/{key}.",
)
_NUL = Problem("An argument of a program holds no NUL.", "Remove it.")
_SHORT, _LONG = timedelta(seconds=1), timedelta(minutes=10)
_TIMEOUT = Problem("A command may take from 1s to 10m.", "Write a length of time between these.")
_USER = Problem(
    "An address holds no user: what a sink logs in with comes from the environment.",
    "Remove what stands before the @, and revoke it: who reads the manifest knows it.",
    secret=True,
)
IN_CLEAR = Problem(
    "The secret would stand there in clear, and nothing agrees to that.",
    "Write `plaintext: true` to agree, or use a sink of the type age.",
)
ONE_NAME = Problem("The client id and the client secret have one name.", "Write two different names.")
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_ENDS = "with a letter or digit at both ends (DNS-1123)."


def placeholder_problems(text: str) -> Iterator[tuple[str, Problem]]:
    """Each word in braces for which nothing is filled in. Only it is shown, not all of the text."""
    for match in _BRACES.finditer(text):
        if match[0] not in ("{key}", "{KEY}"):
            yield match[0], _PLACEHOLDER


def _form(pattern: str, rule: str, remedy: str = "Check it for typing errors.") -> Check:
    form, problem = re.compile(pattern), Problem(rule, remedy)
    return lambda text: () if form.fullmatch(text) else (problem,)


def _file(text: str) -> Iterator[Problem]:
    """A file below the folder of the manifest, as far as can be told without looking."""
    steps = text.removeprefix("./").split("/")
    if text.startswith("/"):
        yield _ABSOLUTE
    if text.startswith("~"):
        yield _HOME
    if ".." in steps:
        yield _UP
    elif not text.startswith("/") and not {"", "."}.isdisjoint(steps):
        yield _NAMES
    yield from _printable(text)


def _printable(text: str) -> Iterator[Problem]:
    if not text.isprintable():
        yield _UNPRINTABLE


def _argument(text: str) -> Iterator[Problem]:
    if "\0" in text:
        yield _NUL


def _timeout(text: str) -> Iterator[Problem]:
    time = duration(text)
    if time is not None and not _SHORT <= time <= _LONG:
        yield _TIMEOUT


def _address(text: str) -> Iterable[Problem]:
    return (_USER,) if "@" in text else _url(text)


def _vault(text: str) -> Iterator[Problem]:
    if any(step.strip() in ("", ".", "..") for step in text.split("/")):
        yield _SEGMENTS
    yield from _printable(text)


_url = _form(r"https?://[^\s/?#]+(/[^\s?#]*)?", "An address looks like https://vault.example.com:8200.")
_variable = _form(
    r"[A-Za-z_][A-Za-z0-9_]*", "A variable's name is letters, digits and _, and starts with no digit."
)
_repository = _form(
    r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}", "A repository is owner/name."
)
_name = _form(
    rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*", f"Kubernetes takes names of a-z, 0-9, - and ., {_ENDS}"
)
_namespace = _form(_LABEL, f"Kubernetes takes up to 63 of a-z, 0-9 and - here, {_ENDS}")

# By type and option; what is not here may be any text.
FORMS: Mapping[str, Mapping[str, Check]] = {
    "age": {"path": _file},
    "file": {"path": _file},
    "command": {"command": _argument, "remove": _argument, "timeout": _timeout, "env": _variable},
    "vault": {
        **dict.fromkeys(("path", "mount", "namespace", "approle_mount"), _vault),
        "address": _address,
        "ca_cert": _printable,
    },
    "kubernetes": {"name": _name, "namespace": _namespace, "context": _printable, "manifest": _file},
    "github-actions": {"repository": _repository, "environment": _printable},
}

_dotenv = _form(
    "[A-Z_][A-Z0-9_]*", "In dotenv a name is A-Z, 0-9 and _, and starts with no digit.", "Write another name."
)
_github = _form(
    "(?!GITHUB_)[A-Z_][A-Z0-9_]*",
    "GitHub takes names of A-Z, 0-9 and _ that start with no digit, nor with GITHUB_.",
    "Write another name.",
)
_plain = _form(
    "[A-Za-z_][-._A-Za-z0-9]{0,252}",
    "A name is up to 253 letters, digits, -, . and _, and starts with a letter or _.",
    "Write another name.",
)


def name_check(sink_type: str, file_format: str) -> Check:
    """What the names of the two values are held against where they are delivered."""
    if sink_type == "github-actions":
        return _github
    return _dotenv if file_format == "dotenv" else _plain


def with_key(text: str, address: Address = _SAMPLE) -> str:
    """A text of a sink with the key of an app in it: where none is given, one that fits wherever any does."""
    return str(Target(DeclaredSink("", "", {"text": text}), address).options["text"])


def misfit(kind: str, options: Mapping[str, Any], names: tuple[str, str]) -> tuple[str, str, Problem] | None:
    """The first option of a target that is not what it must be: its name, its text, and why."""
    for option, check in FORMS[kind].items():
        for text in filter(None, _texts(options[option])):
            for problem in check(text):
                return option, text, problem
    check = name_check(kind, options.get("format", ""))
    for name in names:
        for problem in check(name):
            return ("prefix" if options["prefix"] else "keys"), name, problem
    return ("keys", names[0], ONE_NAME) if names[0] == names[1] else None


def is_sound(sink: DeclaredSink) -> bool:
    """Whether a sink fits some app at least: if not, that is said of the sink, and of no app."""
    unfilled = any(any(placeholder_problems(text)) for text in _texts(sink.options))
    target = Target(sink, _SAMPLE)
    return not unfilled and misfit(sink.type, target.options, target.names) is None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)
