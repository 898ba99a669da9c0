"""What the environment adds to a connection, to be shown: a proxy, and certificate authorities."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from provisioner.errors import Problem
from provisioner.text import escape

_PROXY = re.compile(
    r"(?:(?P<scheme>https?|socks5h?)://)?(?:.*@)?(?P<host>\[[^\]@]*\]|[^:/?#@\[\]]+)(?P<port>:[0-9]+)?(?:[/?#][^@]*)?$",
    re.IGNORECASE | re.DOTALL,
)


def proxy_in_use(base_url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that requests to `base_url` go through, without its user name and password; None for none.

    It reads the variables as httpx does. http is for loopback and never goes through a proxy.
    """
    scheme, _, authority = base_url.partition("://")
    settings = _settings(environ)
    proxy = settings.get("https") or settings.get("all")
    exempt = (entry.strip().lower() for entry in settings.get("no", "").split(","))
    if scheme != "https" or not proxy or any(_covers(entry, authority) for entry in exempt if entry):
        return None
    return _shown(proxy)


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Scheme → value of the *_proxy variables; the lower-case one prevails, even where it is empty."""
    found = sorted(environ.items(), key=lambda item: item[0].endswith("_proxy"))
    return {name[:-6].lower(): value for name, value in found if name[-6:].lower() == "_proxy"}


def _covers(entry: str, authority: str) -> bool:
    """Whether an entry of NO_PROXY is about `authority`: a name and all below it, or one address."""
    scheme, explicit, pattern = entry.rpartition("://")
    if entry == "*" or (explicit and scheme not in ("https", "all")):
        return entry == "*"
    host, port = _split(authority)
    wanted, wanted_port = _split(pattern)
    if wanted_port and wanted_port != port:
        return False
    if explicit or wanted == "localhost" or _is_address(wanted):
        return host == wanted
    below = host.endswith("." + wanted.removeprefix("."))
    return below or host == wanted


def _split(authority: str) -> tuple[str, str]:
    """Host and port; an IPv6 address may stand without brackets, and an address may carry a prefix length."""
    bare = authority.partition("/")[0]
    if _is_address(bare):
        return bare, ""
    host, _, port = bare.rpartition(":") if re.search(r":[0-9]+$", bare) else (bare, "", "")
    return host.strip("[]"), port


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _shown(proxy: str) -> str:
    """Scheme, host and port alone. All before the last @ goes: a password may hold any sign unescaped."""
    parts = _PROXY.match(proxy)
    if not parts:
        return "a proxy that is not written as a URL"
    return escape(f"{(parts['scheme'] or 'http').lower()}://{parts['host']}{parts['port'] or ''}", 80)


def check_authorities(environ: Mapping[str, str]) -> Problem | None:
    """What is wrong with SSL_CERT_FILE or SSL_CERT_DIR, if anything.

    OpenSSL passes over one that is missing and trusts the system's authorities instead.
    """
    for name, exists in (("SSL_CERT_FILE", Path.is_file), ("SSL_CERT_DIR", Path.is_dir)):
        value = environ.get(name)
        if value and not any(exists(Path(part)) for part in value.split(os.pathsep)):
            return Problem(f"{name} names something that is not there", f"Correct {name}, or unset it.")
    return None
