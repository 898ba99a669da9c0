"""The authority of a redirect URI: credentials, host and port (RFC 3986 §3.2)."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from provisioner.errors import Problem
from provisioner.uri import DEFAULT_PORTS, Parts, address

if TYPE_CHECKING:
    from collections.abc import Iterator

# Compiled when the first URI comes that is not plain, as in `uri`.
_PORT = r"[1-9][0-9]{0,4}"
_BRACKET = r"[][]"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_ENDS_IN_NUMBER = r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$"  # what browsers take for an IPv4 address

_CREDENTIALS = Problem(
    "A redirect URI holds no credentials: everyone who sees it would learn them (RFC 3986 §3.2.1).",
    "Remove them together with the @, and change the password if it was a real one.",
)
_BAD_PORT = Problem(
    "A port is a number from 1 to 65535 without leading zeros (RFC 3986 §3.2.3).",
    "Correct it, or leave it out together with its colon.",
)
_BAD_IPV6 = Problem(
    "An IPv6 address stands between [ and ], without a zone id (RFC 3986 §3.2.2).",
    "Write it as in http://[::1]:8080/callback.",
)
_BAD_IPV4 = Problem(
    "The host is not a canonical IP literal: browsers read it as an address that it does not show.",
    "Write an IPv4 address as four decimal numbers, as in 127.0.0.1.",
)
_BAD_HOST = Problem(
    "A host is a DNS name of letters, digits and hyphens, or an IP literal (RFC 1123 §2.1).",
    "Write the name as the DNS holds it: labels of 1 to 63 characters, 253 in all.",
)
_BAD_A_LABEL = Problem(
    "A host label that starts with xn-- is an IDNA A-label; this one decodes to no name (RFC 5891 §5.4).",
    "Take the label from your DNS zone or registrar.",
)
_MIXED_SCRIPTS = Problem(
    "An IDNA A-label of the host mixes Latin, Greek or Cyrillic letters, which look alike (UTS #39 §5.1).",
    "Use a domain name in one script.",
)
_HTTPS_NEEDED = Problem(
    "http is for loopback addresses, and this host is not one (RFC 9700 §2.6, RFC 8252 §7.3).",
    "Use https, or http://127.0.0.1 or http://[::1] for a program on the user's own machine.",
)
_LOCALHOST = Problem(
    "localhost is a name, which may lead to something other than this machine (RFC 8252 §8.3).",
    "Write 127.0.0.1 or [::1] instead.",
    warning=True,
)
_NOT_PUBLIC = Problem(
    "The host is an address of a private, link-local, loopback or other special range (RFC 6890).",
    "Make sure that it leads to the same machine from every user's browser.",
    warning=True,
)


def check(scheme: str, parts: Parts) -> Iterator[Problem]:
    """What stands against the authority; the host is judged where `scheme` is http or https."""
    host, port = (parts.host or "").lower(), parts.port
    if parts.userinfo is not None:
        yield _CREDENTIALS
    if ":" in (port or "") or (re.search(_BRACKET, host) and address(host) is None):
        yield _BAD_IPV6
        return
    if port is not None and "*" not in port and not _is_port(port):
        yield _BAD_PORT
    if scheme in DEFAULT_PORTS and "*" not in host:
        yield from _web_host(scheme, host.rstrip("."))


def _is_port(port: str) -> bool:
    return re.fullmatch(_PORT, port) is not None and int(port) <= 65535


def _web_host(scheme: str, host: str) -> Iterator[Problem]:
    literal = address(host)
    if literal is None and not re.search(_ENDS_IN_NUMBER, host):
        yield from _domain(scheme, host)
    elif literal is None or (literal.version == 6 and literal.ipv4_mapped):
        yield _BAD_IPV4
    elif scheme == "http" and str(literal) not in ("127.0.0.1", "::1"):
        yield _HTTPS_NEEDED
    elif scheme == "https" and (literal.is_multicast or not literal.is_global):
        yield _NOT_PUBLIC


def _domain(scheme: str, host: str) -> Iterator[Problem]:
    labels = host.split(".")
    if len(host) > 253 or not all(re.fullmatch(_LABEL, label) for label in labels):
        yield _BAD_HOST
        return
    faults = (_a_label_fault(label) for label in labels if label.startswith("xn--"))
    yield from dict.fromkeys(fault for fault in faults if fault)
    if host == "localhost":
        yield _LOCALHOST
    elif scheme == "http":
        yield _HTTPS_NEEDED


def _a_label_fault(label: str) -> Problem | None:
    """What IDNA refuses and the standard library can tell: second spellings, capitals, the invisible."""
    encoded = label.removeprefix("xn--").encode()
    try:
        name = encoded.decode("punycode")
    except UnicodeError:
        return _BAD_A_LABEL
    if name.isascii() or not name.isprintable() or name != unicodedata.normalize("NFKC", name).lower():
        return _BAD_A_LABEL
    if name.encode("punycode") != encoded:
        return _BAD_A_LABEL
    scripts = {unicodedata.name(char, "").partition(" ")[0] for char in name}
    return _MIXED_SCRIPTS if len(scripts & {"LATIN", "GREEK", "CYRILLIC"}) > 1 else None
