"""What the environment adds to a connection: a proxy, and certificate authorities."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote_to_bytes

from provisioner.errors import ApiError, Problem
from provisioner.frozen import dataclass
from provisioner.text import escape

# All before the last @ is the user's: a password may hold any sign unescaped.
_PROXY = re.compile(
    r"(?:(?P<scheme>https?|socks5h?)://|(?!.*://))(?:(?P<user>[^:]*)(?::(?P<password>.*))?@)?"
    r"(?P<host>\[[^\]@]*\]|[^:/?#@\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?:[/?#][^@]*)?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """What requests go through; as a text without user name and password. `auth` is both, for HTTP Basic."""

    scheme: str
    host: str  # an IPv6 address without brackets
    port: int | None
    auth: tuple[bytes, bytes] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return escape(f"{self.scheme}://{host}" + (f":{self.port}" if self.port else ""), 80)


def proxy_of(base_url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for requests to `base_url`, None for none; raises ApiError for one that cannot be used.

    It reads the variables as httpx does. http is for loopback and never goes through a proxy, which would be
    shown the token.
    """
    scheme, _, authority = base_url.partition("://")
    settings = _settings(environ)
    proxy = settings.get("https") or settings.get("all")
    exempt = (entry.strip().lower() for entry in settings.get("no", "").split(","))
    if scheme != "https" or not proxy or any(_covers(entry, authority) for entry in exempt if entry):
        return None
    return _proxy(proxy)


def _proxy(written: str) -> Proxy:
    parts = _PROXY.fullmatch(written)
    port = int(parts["port"]) if parts and parts["port"] else None
    if (
        not parts
        or not (written.isascii() and parts["host"].isprintable())
        or not (port is None or 0 < port < 65536)
    ):
        raise ApiError(
            "The connection to the API cannot be set up",
            "The proxy that HTTPS_PROXY or ALL_PROXY names is of a form that is not known; it is not shown.",
            "A proxy is written like http://proxy.example:3128.",
        )
    user, password = (unquote_to_bytes(parts[name] or "") for name in ("user", "password"))
    auth = None if parts["user"] is None else (user, password)
    return Proxy((parts["scheme"] or "http").lower(), parts["host"].strip("[]"), port, auth)


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


def check_authorities(environ: Mapping[str, str]) -> Problem | None:
    """What is wrong with SSL_CERT_FILE or SSL_CERT_DIR, if anything.

    OpenSSL passes over one that is missing and trusts the system's authorities instead.
    """
    for name, exists in (("SSL_CERT_FILE", Path.is_file), ("SSL_CERT_DIR", Path.is_dir)):
        value = environ.get(name)
        if value and not any(exists(Path(part)) for part in value.split(os.pathsep)):
            return Problem(f"{name} names something that is not there", f"Correct {name}, or unset it.")
    return None
