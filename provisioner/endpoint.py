"""Where the API is and what it is shown: the rules for a base URL and a token."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from provisioner.errors import Problem, UsageError
from provisioner.text import quote

DEFAULT_BASE_URL = "https://api.meteroid.com"

_EXAMPLE = f"Write it like {DEFAULT_BASE_URL}."
_FORM = re.compile(r"(?P<scheme>[a-z]+)://(?P<host>\[[^\]]*\]|[^:/?#]*)(?::(?P<port>[^/?#]*))?(?P<rest>.*)")
# RFC 1123 §2.1 and the underscore that container networks use; beyond 63 octets a label cannot be looked up.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_TOKEN_LIMIT = 4096


def check_base_url(url: str) -> Problem | None:
    """What is wrong with `url` as the API's base URL, if anything: https, a host, perhaps a port, no more.

    http is for loopback only. The raw text is judged, since URL parsers drop and repair what they are given.
    """
    if not url:
        return Problem("a base URL is not empty", _EXAMPLE)
    if "@" in url:
        return Problem("a base URL holds no user name and no password", _EXAMPLE, secret=True)
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return Problem(
            "a base URL is visible ASCII without spaces and backslashes",
            "Write a host outside ASCII as its A-label (xn--…, RFC 5891).",
        )
    parts = _FORM.fullmatch(url)
    if not parts or parts["scheme"] not in ("https", "http"):
        return Problem("a base URL starts with https://, in lower case, and a host", _EXAMPLE)
    if parts["rest"]:
        secret = "?" in url or "#" in url  # people put keys into queries
        return Problem("nothing follows the host and port, not even a slash", _EXAMPLE, secret=secret)
    return _check_host(parts["host"], parts["scheme"]) or _check_port(parts["port"])


def _check_port(port: str | None) -> Problem | None:
    if port is None or (_PORT.fullmatch(port) and int(port) <= 65535):
        return None
    return Problem("a port is a number from 1 to 65535, without leading zeros", "Correct it or leave it out.")


def _check_host(host: str, scheme: str) -> Problem | None:
    if not _is_address(host) and not _is_name(host):
        return Problem(
            "the host is a name in lower case, or an IP address in its canonical form (RFC 5952 for IPv6)",
            _EXAMPLE,
        )
    if scheme == "http" and not _is_loopback(host):
        return Problem(
            "http:// is for this machine only (127.0.0.1, [::1], localhost): the token would travel in clear",
            "Use https://.",
        )
    return None


def _is_address(host: str) -> bool:
    bracketed = host.startswith("[")
    try:
        address = IPv6Address(host[1:-1]) if bracketed else IPv4Address(host)
    except AddressValueError:
        return False
    return str(address) == (host[1:-1] if bracketed else host) and "%" not in host


def _is_name(host: str) -> bool:
    """A name that no resolver takes for an address: `127.1` and `0x7f000001` are IPv4 to some of them."""
    labels = host.split(".")
    numeric = labels[-1].isdigit() or labels[-1].startswith("0x")
    return len(host) <= 253 and not numeric and all(map(_LABEL.fullmatch, labels))


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "[::1]") or (_is_address(host) and host.startswith("127."))


def effective_base_url(manifest_url: str | None, environment_url: str | None) -> str:
    """The one base URL that the token may go to; raises UsageError.

    The environment's, else the default. A manifest may repeat either and may name no other: whoever can
    edit it in a pull request must not be able to send the token elsewhere.
    """
    chosen = environment_url or DEFAULT_BASE_URL  # a variable that is set but empty is how CI leaves one out
    _require(chosen, "METEROID_BASE_URL")
    if manifest_url is None or manifest_url in (chosen, DEFAULT_BASE_URL):
        return chosen
    _require(manifest_url, "The manifest's provider.base_url")
    raise UsageError(
        "The manifest names another API host",
        f"provider.base_url is {quote(manifest_url, 80)}; the token goes to {quote(chosen, 80)} only.",
        "Remove provider.base_url, or set METEROID_BASE_URL to the same URL where you trust it.",
    )


def _require(url: str, source: str) -> None:
    problem = check_base_url(url)
    if problem:
        found = "" if problem.secret else f"It is {quote(url, 80)}; "
        rule = problem.rule if found else problem.rule[0].upper() + problem.rule[1:]
        raise UsageError(f"{source} is not a base URL", f"{found}{rule}.", problem.remedy)


def check_token(token: bytes | str) -> Problem | None:
    """What is wrong with an API token, if anything; what passes can stand in a header (RFC 9110 §5.5)."""
    text = token.decode("latin-1") if isinstance(token, bytes) else token
    if not text:
        return _token_problem("the token is not empty", "Set METEROID_API_KEY.")
    if text[-1] in "\r\n":
        return _token_problem("the token has no line break after it", "Write it with printf '%s', not echo.")
    if text.lower().startswith("bearer "):
        return _token_problem("the token is the key alone", 'Leave out the word "Bearer" before it.')
    if any(mark in text for mark in "\"'`"):
        return _token_problem("the token has no quotes", "Remove the quotes around it.")
    if not all("!" <= char <= "~" for char in text):
        return _token_problem(
            "the token is visible ASCII, without spaces and line breaks",
            "Copy it again from where it was made.",
        )
    if len(text) > _TOKEN_LIMIT:
        return _token_problem(
            f"the token has at most {_TOKEN_LIMIT} characters", "Give the key, not a file of keys."
        )
    return None


def _token_problem(rule: str, remedy: str) -> Problem:
    return Problem(rule, remedy, secret=True)
