"""What the environment adds to a connection, held against what httpx makes of the same variables."""

import os
from base64 import b64encode
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import ApiError
from provisioner.meteroid import check_authorities, proxy_of

BASE = "https://api.meteroid.com"
PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://other.example"}, PROXY),
        ({"HTTPS_PROXY": "http://other.example", "https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": ""}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": PROXY}, None),
        ({"PIP_PROXY": PROXY, "PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "other.example, *"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "api.meteroid.com"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": " API.meteroid.com ,x"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "meteroid.com"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": ".meteroid.com"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": ".api.meteroid.com"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "eteroid.com"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*.meteroid.com"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost,127.0.0.1,::1,10.0.0.0/8"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "api.meteroid.com:8443"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "https://api.meteroid.com"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "all://api.meteroid.com"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "http://api.meteroid.com"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "https://meteroid.com"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": ","}, PROXY),
    ],
)
def test_b61_the_proxy_that_is_shown_is_the_one_that_is_used(
    environ: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = proxy_of(BASE, environ)
    assert (used and str(used)) == proxy
    assert goes_through_a_proxy(BASE, environ, monkeypatch) is (proxy is not None)


@pytest.mark.parametrize(
    ("base_url", "no_proxy", "straight"),
    [
        ("https://127.0.0.1:8443", "127.0.0.1", True),
        ("https://127.0.0.1:8443", "127.0.0.1/8", True),
        ("https://127.0.0.2:8443", "127.0.0.1/8", False),
        ("https://[::1]:8443", "::1", True),
        ("https://[::1]", "::1", True),
        ("https://[::2]", "::1", False),
        ("https://localhost", "localhost", True),
        ("https://a.localhost", "localhost", False),
        ("https://host.example:8443", "host.example:8443", True),
        ("https://host.example:8443", "host.example", True),
        ("https://host.example", "host.example:8443", False),
    ],
)
def test_b61_addresses_and_ports_in_no_proxy_are_read_as_httpx_reads_them(
    base_url: str, no_proxy: str, straight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert (proxy_of(base_url, environ) is None) is straight
    assert goes_through_a_proxy(base_url, environ, monkeypatch) is not straight


def use(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def goes_through_a_proxy(base_url: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> bool:
    use(environ, monkeypatch)
    with httpx.Client(verify=False) as client:  # noqa: S501  # nothing is sent
        return client._transport_for_url(httpx.URL(base_url)) is not client._transport


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080", "http://localhost"])
def test_b61_plain_http_goes_through_no_proxy(base_url: str) -> None:
    assert proxy_of(base_url, {"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY, "HTTPS_PROXY": PROXY}) is None


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://user:hunter2@proxy.example:3128", PROXY),
        ("user:hunter2@proxy.example:3128", PROXY),
        ("http://user:hun/ter2@proxy.example:3128/path?q#f", PROXY),
        ("http://user:hun@ter2@proxy.example:3128", PROXY),
        ("HTTP://proxy.example:3128", PROXY),
        ("socks5h://user:hunter2@[::1]:1080", "socks5h://[::1]:1080"),
    ],
)
def test_b61_a_proxy_is_shown_without_user_name_and_password(proxy: str, shown: str) -> None:
    used = proxy_of(BASE, {"HTTPS_PROXY": proxy})
    assert str(used) == shown
    assert "hunter2" not in repr(used)


@given(
    scheme=st.sampled_from(["", "http://", "https://", "socks5://", "ftp://"]),
    user=st.text(alphabet="ab:/@#?%[] ", max_size=8),
    tail=st.text(alphabet="cd:/?#[]1", max_size=8),
)
def test_b61_what_stands_before_an_at_sign_is_never_shown(scheme: str, user: str, tail: str) -> None:
    try:
        used = proxy_of(BASE, {"HTTPS_PROXY": f"{scheme}{user}hunter2@{tail}"})
    except ApiError as error:
        assert "hunter2" not in error.detail + error.hint
    else:
        assert used is not None
        assert "hunter2" not in str(used)


@pytest.mark.parametrize(
    "proxy",
    [
        *("http://proxy.example:3128", "proxy.example", "https://proxy.example", "HTTP://proxy.example:80"),
        *(
            "http://fleet:hun%40ter2@proxy.example:3128",
            "http://fleet@[::1]:3128",
            "http://f%3Ax:@proxy.example",
        ),
    ],
)
def test_b61_a_proxy_is_taken_apart_as_httpx_does(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used = proxy_of(BASE, {"HTTPS_PROXY": proxy})
    assert used is not None
    use({"HTTPS_PROXY": proxy}, monkeypatch)
    with httpx.Client(verify=False) as client:  # noqa: S501  # nothing is sent
        pool = client._transport_for_url(httpx.URL(BASE))._pool  # type: ignore[attr-defined]
        theirs = pool._proxy_url
        told = dict(pool._proxy_headers).get(b"Proxy-Authorization")
    assert (used.scheme.encode(), used.host.encode()) == (theirs.scheme, theirs.host)
    assert (used.port or 80) == (theirs.port or 80)
    ours = None if used.auth is None else b"Basic " + b64encode(b":".join(used.auth))
    assert ours == told


def test_b61_authorities_that_are_there_or_not_named_are_fine(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert check_authorities({}) is None
    assert check_authorities({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}) is None
    assert check_authorities({"SSL_CERT_FILE": str(bundle), "SSL_CERT_DIR": f"/nowhere:{tmp_path}"}) is None


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_b61_authorities_that_are_missing_are_named_by_their_variable(name: str, tmp_path: Path) -> None:
    problem = check_authorities({name: str(tmp_path / "missing")})
    assert problem is not None
    assert problem.rule.startswith(name)
    assert name in problem.remedy
