"""A client id and its secret as text that programs read: dotenv, JSON, YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from provisioner.delivery import Credentials, Target
from provisioner.errors import SinkError
from provisioner.model import Secret
from provisioner.text import quote

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")  # POSIX.1-2017 XBD 8.1: names that every shell takes
_VALUE = re.compile(rb"[\x20-\x7e]+")  # RFC 6749 appendix A: VSCHAR
_UNSAFE = re.compile(rb"['\\]|\$\{")  # quotes and escapes are read in many ways; python-dotenv expands ${…}
_OURS = (
    re.compile(rb"(?:[A-Z_][A-Z0-9_]*='[^'\\\n]+'\n){2}"),
    re.compile(rb'\{\n(?:  "[A-Za-z0-9_.-]+": "(?:[^"\\\n]|\\["\\])+",?\n){2}\}\n'),
    re.compile(rb'(?:"[A-Za-z0-9_.-]+": "(?:[^"\\\n]|\\["\\])+"\n){2}'),
)


def named(target: Target, credentials: Credentials) -> Mapping[str, str | Secret]:
    """The pair under the names that this target wants."""
    client_id, client_secret = target.names
    if client_id == client_secret:
        raise SinkError(
            f"The client id and the client secret have one name: {quote(client_id, 80)}",
            "One would take the place of the other.",
            "Give `keys` of the sink two names.",
        )
    return {client_id: credentials.client_id, client_secret: credentials.client_secret}


def render(format: str, pairs: Mapping[str, str | Secret]) -> Secret:  # noqa: A002  as the option is called
    """`pairs` as dotenv, json or yaml, in their order. A value that a reader may not give back is refused."""
    values = {name: _plain(name, value) for name, value in pairs.items()}
    if format == "dotenv":
        return Secret(b"".join(map(_assignment, values, values.values())))
    strings = {name: value.decode("ascii") for name, value in values.items()}
    if format == "json":
        return Secret(json.dumps(strings, indent=2).encode("ascii") + b"\n")
    if format == "yaml":  # a JSON string of printable ASCII is a double-quoted scalar (YAML 1.2 §7.3.1)
        lines = (f"{json.dumps(name)}: {json.dumps(value)}\n" for name, value in strings.items())
        return Secret("".join(lines).encode("ascii"))
    raise SinkError(f"Not a format: {quote(format, 80)}", "It is dotenv, json or yaml.")


def is_rendered(content: bytes) -> bool:
    """Whether `content` is what `render` makes of a pair, in whichever format and under whichever names."""
    return any(pattern.fullmatch(content) for pattern in _OURS)


def _plain(name: str, value: str | Secret) -> bytes:
    data = value.reveal() if isinstance(value, Secret) else value.encode("utf-8", "surrogatepass")
    if not _NAME.fullmatch(name):
        raise SinkError(
            f"Not a name for a value: {quote(name, 80)}", "It is letters, digits, _, - and . (ASCII)."
        )
    if not _VALUE.fullmatch(data):
        raise SinkError(
            f"The value for {quote(name, 80)} cannot be delivered",
            "It is empty, or not all of it is printable ASCII (RFC 6749 appendix A). It is not shown.",
        )
    return data


def _assignment(name: str, value: bytes) -> bytes:
    if not _VARIABLE.fullmatch(name):
        raise SinkError(
            f"Not a name for an environment variable: {quote(name, 80)}",
            "It is A to Z, 0 to 9 and _, and does not start with a digit.",
            "Change `prefix` or `keys` of the sink: {KEY} is the app's key in capitals.",
        )
    if _UNSAFE.search(value):
        raise SinkError(
            f"The value for {quote(name, 80)} cannot be written as dotenv",
            "It has a single quote, a backslash or ${ in it, which shells and dotenv libraries read"
            " differently. It is not shown.",
            "Use `format: json` for this sink.",
        )
    return b"%s='%s'\n" % (name.encode("ascii"), value)
