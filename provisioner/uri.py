"""URIs by the grammar of RFC 3986: taken apart without loss, and brought to one form for comparing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

DEFAULT_PORTS = {"http": "80", "https": "443"}


class Parts(NamedTuple):
    """A URI taken apart, nothing decoded. None is a part that is not there; "" is one that is empty."""

    scheme: str
    userinfo: str | None
    host: str | None
    port: str | None
    path: str
    query: str | None
    fragment: str | None


# What nearly all are: in normal form, with a path of plain segments; before it a DNS name over https, the
# loopback address over http, or a scheme of one's own.
_LABEL = r"(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN = re.compile(
    rf"(?:https://(?=[a-z0-9.-]{{1,253}}/)(?:{_LABEL}\.)+(?=[a-z]){_LABEL}"
    r"|http://127\.0\.0\.1(?::(?!80/)[1-9][0-9]{0,3})?"
    r"|[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+:)"
    r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?"
)
_PLAIN_LENGTH = 1024

# The other patterns are compiled when the first URI comes that is not plain: it takes longer than judging it.
# Loose on purpose: whatever follows a scheme finds its part, so that a rule can say what is wrong with it.
_SPLIT = (
    r"(?s)([A-Za-z][A-Za-z0-9+.-]*):"
    r"(?://(?:([^/?#]*)@)?(\[[^]/?#@]*\]|[^:/?#@]*)(?::([^/?#]*))?(?=[/?#]|\Z))?"
    r"([^?#]*)(?:\?([^#]*))?(?:#(.*))?"
)
_BRACKETED = r"\[[0-9A-Fa-f:.]+\]"
_DOTTED = r"[0-9.]+"
_CHARACTER = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_FORMS = Parts(
    scheme=r".*",
    userinfo=rf"(?:{_CHARACTER}|:)*",
    host=rf"{_BRACKETED}|{_CHARACTER}*",
    port=r"[0-9]*",
    path=rf"(?:{_CHARACTER}|[:@/])*",
    query=rf"(?:{_CHARACTER}|[:@/?])*",
    fragment=rf"(?:{_CHARACTER}|[:@/?])*",
)
_ESCAPE = r"%[0-9A-Fa-f]{2}"
_UNRESERVED = r"[A-Za-z0-9._~-]"


def is_plain(uri: str) -> bool:
    """Whether neither a rule nor the normal form can have anything against `uri`. False says nothing."""
    return len(uri) <= _PLAIN_LENGTH and _PLAIN.fullmatch(uri) is not None


def split(uri: str) -> Parts | None:
    """`uri` in parts, or None where it does not start with a scheme. Joined again they are `uri`."""
    match = re.fullmatch(_SPLIT, uri)
    return Parts(*match.groups()) if match else None


def address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` spells as an IP literal (RFC 3986 §3.2.2); None where it is anything else."""
    bracketed = re.fullmatch(_BRACKETED, host)
    if not bracketed and not re.fullmatch(_DOTTED, host):
        return None
    from ipaddress import IPv4Address, IPv6Address  # noqa: PLC0415  # few URIs need it

    try:
        return IPv6Address(host[1:-1]) if bracketed else IPv4Address(host)
    except ValueError:
        return None


def plain(text: str) -> str:
    """`text` with escapes of unreserved characters decoded and the others in upper case (RFC 3986 §6.2.2)."""
    return re.sub(_ESCAPE, _plain_escape, text) if "%" in text else text


def _plain_escape(match: re.Match[str]) -> str:
    char = chr(int(match[0][1:], 16))
    return char if re.fullmatch(_UNRESERVED, char) else match[0].upper()


def canonical(uri: str) -> str:
    """The form of `uri` in which a normalising server compares (RFC 3986 §6.2.2 and §6.2.3).

    An empty authority, query or path segment goes too, as many programs drop them. A text that is not a URI
    is returned as it is.
    """
    if is_plain(uri):
        return uri
    parts = split(uri)
    if parts is None or not _is_well_formed(parts):
        return uri
    scheme, path, authority = parts.scheme.lower(), plain(parts.path), ""
    if parts.host is not None:
        authority = _canonical_authority(scheme, parts.host, parts)
        path = path or "/"
    query = f"?{plain(parts.query)}" if parts.query else ""
    fragment = "" if parts.fragment is None else f"#{plain(parts.fragment)}"
    return f"{scheme}:{authority}{_without_dots(path)}{query}{fragment}"


def canonical_host(host: str) -> str:
    """`host` in lower case, without trailing dots, an IPv6 address in its short form (RFC 5952)."""
    name = plain(plain(host).lower())
    name = name.rstrip(".") or name
    literal = address(name)
    # A mapped IPv4 address is left alone: Python spells it in one way up to 3.12 and in another from 3.13 on.
    return f"[{literal}]" if literal and literal.version == 6 and not literal.ipv4_mapped else name


def _is_well_formed(parts: Parts) -> bool:
    return all(
        part is None or re.fullmatch(form or "", part) for part, form in zip(parts, _FORMS, strict=True)
    )


def _canonical_authority(scheme: str, host: str, parts: Parts) -> str:
    userinfo = "" if parts.userinfo is None else f"{plain(parts.userinfo)}@"
    port = parts.port or ""
    port = port.lstrip("0") or port[:1]
    tail = "" if port in ("", DEFAULT_PORTS.get(scheme)) else f":{port}"
    authority = userinfo + canonical_host(host) + tail
    return authority and f"//{authority}"


def _without_dots(path: str) -> str:
    """A path without dot segments (RFC 3986 §5.2.4) and empty ones; one without a root stays as it is."""
    if not path.startswith("/"):
        return path
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    is_folder = bool(kept) and segments[-1] in ("", ".", "..")
    return "/" + "/".join(kept) + ("/" if is_folder else "")
