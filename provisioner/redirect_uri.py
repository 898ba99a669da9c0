"""Redirect URIs: which may be registered, judged on the text as written and not on a parser's result."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from provisioner import redirect_authority
from provisioner.errors import Problem
from provisioner.text import code_point, quote
from provisioner.uri import DEFAULT_PORTS, Parts, canonical, canonical_host, is_plain, plain, split

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_LENGTH", "canonical", "check", "destination"]

MAX_LENGTH = 2048

_REFUSED_SCHEMES = frozenset(
    ("about", "blob", "data", "file", "ftp", "javascript", "mailto", "tel", "urn", "vbscript", "ws", "wss")
)
# The patterns are compiled when the first URI comes that is not plain, as in `uri`.
_RESPONSE_PARAMETER = (  # RFC 6749 §4.1.2 and §4.2.2, RFC 9207, JARM, OpenID Connect
    r"code|state|iss|response|error(?:_description|_uri)?|(?:access|id)_token"
)
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_SPACE = " "
_FOREIGN = r"[^\x00-\x9f]"
_BACKSLASH = r"\\"
_UNSAFE = r'["<>^`{|}]'
_BRACKET = r"[][]"
_LONE_PERCENT = r"%(?![0-9A-Fa-f]{2})(?![^/?#]*\])"  # in brackets it begins a zone id
_UP_TO_AUTHORITY = r"[^/?#]*//[^/?#]*"

_HOST_AND_PORT = r"[A-Za-z0-9.-]+:[0-9]+(?:[/?#]|\Z)"
_REVERSE_DOMAIN = r"[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+"

# Credentials, and what people paste from an address bar. It refuses nothing: it hides the value in errors.
_CONFIDENTIAL = r"(?i)@|%40|[?&;#][\w.~-]{0,40}(?:code|token|secret|passw|key|assertion)"

_NOT_ABSOLUTE = Problem(
    "A redirect URI is absolute: it has a scheme and a host (RFC 6749 §3.1.2).",
    "Write all of it, as in https://app.example.com/oauth/callback.",
)
_SCHEME_ONLY = Problem(
    "A redirect URI of a private-use scheme has a path (RFC 8252 §7.1).",
    "Add one, as in com.example.app:/oauth/callback.",
)
_FRAGMENT = Problem(
    "A redirect URI has no fragment, not even an empty one (RFC 6749 §3.1.2).",
    "Remove the # and everything after it.",
)
_WILDCARD = Problem(
    "Redirect URIs are compared byte for byte: a wildcard * matches nothing but itself (RFC 9700 §2.1).",
    "List every redirect URI in full.",
)
_NOT_REVERSED = Problem(
    "A private-use scheme is a domain name of yours in reverse order (RFC 8252 §7.1, §8.4).",
    "Write it as in com.example.app:/oauth/callback, or use https.",
)


def check(uri: str) -> tuple[Problem, ...]:
    """What stands against registering `uri`: RFC 3986 for its form, RFC 6749, 8252 and 9700 for its sense.

    Where `uri` may hold a secret every problem says so, and no remedy repeats it.
    """
    if is_plain(uri):
        return ()
    if len(uri) > MAX_LENGTH:
        problems = [Problem(f"The URI has {len(uri)} characters; {MAX_LENGTH} is the limit.", "Shorten it.")]
    else:
        # With a character that no URI holds in it, programs differ in where they see the host.
        problems = list(_strays(uri)) or list(_faults(uri))
    if _may_be_secret(uri):
        problems = [replace(problem, secret=True) for problem in problems]
    return tuple(problems)


def destination(uri: str) -> tuple[str, str]:
    """The scheme and the host that a good URI leads to, in lower case; the host is "" where there is none."""
    parts = split(uri)
    if parts is None:
        return "", ""
    return parts.scheme.lower(), canonical_host(parts.host) if parts.host else ""


def _may_be_secret(uri: str) -> bool:
    return re.search(_CONFIDENTIAL, plain(uri)) is not None


def _strays(uri: str) -> Iterator[Problem]:
    """Characters that no URI holds: of each kind the first, with its place (RFC 3986 §2)."""
    start = re.match(_UP_TO_AUTHORITY, uri)
    end = start.end() if start else 0
    escape = "Write it as a percent escape of its UTF-8 bytes, or remove it."
    for match, kind, remedy in (
        (
            re.search(_CONTROL, uri),
            "control character",
            "Remove it; in YAML, write the URI in quotes or after >-.",
        ),
        (re.search(_SPACE, uri), "space", "Remove it, or write %20 where it is meant."),
        (re.search(_BACKSLASH, uri), "backslash", "Write a slash: that is what browsers make of it."),
        (re.search(_UNSAFE, uri) or re.compile(_BRACKET).search(uri, end), "character", escape),
        (re.compile(_FOREIGN).search(uri, end), "non-ASCII character", escape),
        (
            re.search(_LONE_PERCENT, uri),
            "unfinished percent escape",
            "Write %25 where a percent sign is meant.",
        ),
    ):
        if match:
            yield Problem(f"A URI cannot hold the {kind} {_place(match)} (RFC 3986 §2).", remedy)
    if match := re.compile(_FOREIGN).search(uri, 0, end):
        yield Problem(
            f"A host has IDNA A-labels and cannot hold the non-ASCII character {_place(match)} (RFC 5890).",
            "Write the label as the DNS holds it: it starts with xn--.",
        )


def _place(match: re.Match[str]) -> str:
    return f"{code_point(match[0])} at {match.start() + 1}"


def _faults(uri: str) -> Iterator[Problem]:
    parts = split(uri)
    scheme = parts.scheme.lower() if parts else ""
    if scheme in _REFUSED_SCHEMES:
        yield Problem(
            f"A {scheme}: URI leads to no client that can take an authorization response (RFC 6749 §3.1.2).",
            "Use https, or for a program on the user's machine http://127.0.0.1 or a private-use scheme.",
        )
        return
    is_web = scheme in DEFAULT_PORTS
    if parts is None or re.match(_HOST_AND_PORT, uri) or (is_web and not parts.host and not parts.port):
        yield _NOT_ABSOLUTE
        return
    yield from redirect_authority.check(scheme, parts)
    yield from () if is_web else _private_use(scheme, parts, uri)
    yield from _anywhere(parts, uri)
    yield from _spelling(scheme, parts, uri)


def _anywhere(parts: Parts, uri: str) -> Iterator[Problem]:
    """The rules that hold whatever the scheme."""
    if parts.fragment is not None:
        yield _FRAGMENT
    if "*" in uri:
        yield _WILDCARD
    names = {plain(pair.partition("=")[0]) for pair in re.split("[&;]", parts.query or "")}
    if taken := sorted(name for name in names if re.fullmatch(_RESPONSE_PARAMETER, name)):
        yield Problem(
            f"The query presets {', '.join(taken)}, which the authorization response sets (RFC 6749 §4.1.2).",
            "Remove it: register the URI as it is before the server adds its answer.",
        )
    if "%" in uri:
        yield from _escapes(uri)


def _escapes(uri: str) -> Iterator[Problem]:
    try:
        text = unquote_to_bytes(uri).decode()
    except UnicodeDecodeError:
        yield Problem(
            "The percent escapes do not spell UTF-8 (RFC 3986 §2.5).",
            "Escape the UTF-8 bytes of each character, as in %C3%A9 for U+00E9.",
        )
        return
    if hidden := next((char for char in text if not char.isprintable()), ""):
        yield Problem(
            f"A percent escape stands for the control or invisible character {code_point(hidden)}.",
            "Remove the escape.",
        )


def _private_use(scheme: str, parts: Parts, uri: str) -> Iterator[Problem]:
    if not re.fullmatch(_REVERSE_DOMAIN, scheme):
        yield _NOT_REVERSED
    elif not parts.host and not parts.path:
        yield _SCHEME_ONLY
    elif parts.host or parts.port or not parts.path.startswith("/"):
        yield Problem(
            "After a private-use scheme stands a single slash, as there is no host to name (RFC 8252 §7.1).",
            _written(canonical(f"{scheme}:/{uri.partition(':')[2].lstrip('/')}"), uri),
            warning=True,
        )


def _spelling(scheme: str, parts: Parts, uri: str) -> Iterator[Problem]:
    """What a browser or a library on the way rewrites, so that it no longer matches byte for byte."""
    host, path = parts.host or "", plain(parts.path)
    segments = path.split("/")[1:] if path.startswith("/") else []
    oddities = (
        ("an upper-case scheme", parts.scheme != scheme),
        ("an upper-case host", host != host.lower() and "%" not in host),
        ("a trailing dot on the host", host.endswith(".") and host.strip(".") != ""),
        ("an empty host", path != "" and parts[1:4] == (None, "", None)),
        ("a long form of an IPv6 address", "[" in host and canonical_host(host) != host.lower()),
        ("the default port", parts.port is not None and parts.port == DEFAULT_PORTS.get(scheme)),
        ("an empty path segment", "" in segments[:-1]),
        ("a dot segment", "." in segments or ".." in segments),
        ("an empty query", parts.query == ""),
        ("an escape of a plain character or in lower case", plain(uri) != uri),
    )
    if found := ", ".join(name for name, is_found in oddities if is_found):
        yield Problem(
            f"The URI has {found}: rewritten on its way, it does not match byte for byte (RFC 3986 §6.2.2).",
            _written(canonical(uri), uri),
        )


def _written(form: str, uri: str) -> str:
    return "Write it in its normal form." if form == uri or _may_be_secret(uri) else f"Write {quote(form)}."
