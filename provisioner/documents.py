"""Strict JSON documents: one value a line on the way out; on the way in, the exact check that failed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from provisioner.errors import StateError
from provisioner.model import App, AppSpec
from provisioner.reply import UnusableError, app_from, is_moment
from provisioner.text import quote

FORMAT = 1
_MAX_DIGITS = 20


def dump(document: Mapping[str, Any]) -> bytes:
    """A document as bytes, the same for equal values."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():  # names from the server must not act on who reads the diff
        text = json.dumps(document, indent=2, sort_keys=True)
    return text.encode() + b"\n"


def packed(document: Mapping[str, Any]) -> bytes:
    """The same on one line, for what people do not read: several times faster to make."""
    return json.dumps(document, sort_keys=True).encode() + b"\n"


def fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass by their names, none of them copied."""
    return {name: getattr(value, name) for name in value.__match_args__}


def load(
    data: bytes, where: str, fields: set[str], optional: Collection[str] = frozenset()
) -> dict[str, Any]:
    """A document of this format with exactly these fields, and maybe the optional ones."""
    document = mapping(decode(data, where), where, None, "it")
    version = document.get("format")
    if type(version) is not int or version != FORMAT:
        newer = type(version) is int and version > FORMAT
        refuse(
            where, "a newer provisioner wrote it" if newer else "its format is not one that was ever written"
        )
    return mapping(document, where, fields | document.keys() & set(optional), "it")


def decode(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object in `data`; `where` names it in errors."""
    document, check = parse(data)
    if check:  # out here the error has no context: json's holds the whole document
        refuse(where, check)
    return mapping(document, where, None, "it")


def parse(data: bytes) -> tuple[Any, str]:
    """What strict JSON says, or the check that failed."""
    if not data:
        return None, "it is empty (0 bytes)"
    try:
        document = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_short_int
        )
        if b"\\u" in data:  # how half a surrogate pair can be written
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        return None, "it is not UTF-8"
    except UnicodeEncodeError:
        return None, "it has half a surrogate pair, which is no character"
    except RecursionError:
        return None, "it is nested too deeply"
    except json.JSONDecodeError as error:
        return None, f"it is not whole JSON: it breaks off or goes wrong at line {error.lineno}"
    except ValueError as error:
        return None, str(error)
    return document, ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("it has a key twice")
    return document


def _no_constant(_: str) -> NoReturn:
    raise ValueError("it has a number that JSON does not know")


def _short_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"it has a number of more than {_MAX_DIGITS} digits")
    return int(digits)


def mapping(value: Any, where: str, fields: set[str] | None, what: str) -> dict[str, Any]:
    """`value` as an object, with exactly these fields unless None."""
    if not isinstance(value, dict):
        refuse(where, f"{what} is not an object")
    if fields is not None and value.keys() != fields:
        odd = min(value.keys() ^ fields)
        refuse(where, f"{what} {'lacks' if odd in fields else 'has the unknown'} field {quote(odd, 40)}")
    return value


def string(value: Any, where: str, what: str, *, empty: bool = False) -> str:
    """`value` as a string."""
    if not isinstance(value, str) or not (value or empty):
        refuse(where, f"{what} is not a string")
    return value


def optional(value: Any, where: str, what: str) -> str | None:
    """`value` as a string, or None."""
    return None if value is None else string(value, where, what, empty=True)


def flag(value: Any, where: str, what: str) -> bool:
    """`value` as true or false."""
    if not isinstance(value, bool):
        refuse(where, f"{what} is neither true nor false")
    return value


def moment(value: Any, where: str, what: str) -> str | None:
    """`value` as a date and time with its offset (RFC 3339), or None."""
    text = optional(value, where, what)
    if text is not None and not is_moment(text):
        refuse(where, f"{what} is not a date and time with its offset")
    return text


def app(value: Any, where: str) -> App:
    """`value` as an app."""
    mapping(value, where, set(App.__match_args__), "the app in it")
    held, check = None, ""
    try:
        held = app_from(value)
    except UnusableError as error:
        check = str(error)
    if held is None:
        refuse(where, f"the app in it is damaged: {check}")
    return held


def spec(value: Any, where: str) -> AppSpec:
    """`value` as what an app should be."""
    fields = mapping(value, where, set(AppSpec.__match_args__), "spec")
    return AppSpec(
        string(fields["name"], where, "spec.name"),
        texts(fields["redirect_uris"], where, "spec.redirect_uris"),
        None if fields["scopes"] is None else texts(fields["scopes"], where, "spec.scopes"),
    )


def texts(value: Any, where: str, what: str) -> tuple[str, ...]:
    """`value` as a list of strings."""
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        refuse(where, f"{what} is not a list of strings")
    return tuple(value)


def refuse(where: str, check: str) -> NoReturn:
    """Raise the StateError that names the check that failed."""
    raise StateError(
        f"The state cannot be trusted: {quote(where, 200)}",
        f"It was refused because {check}. It is never taken for an empty state.",
        "Bring the file back from version control or a backup, then run `provisioner plan`.",
    )
