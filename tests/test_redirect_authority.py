"""The authority of a redirect URI, for whole ranges of addresses and names."""

from __future__ import annotations

import unicodedata
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.redirect_authority import check
from provisioner.uri import Parts


def authority(host: str | None, *, userinfo: str | None = None, port: str | None = None) -> Parts:
    return Parts("x", userinfo, host, port, "/cb", None, None)


def errors(scheme: str, parts: Parts) -> list[str]:
    return [problem.rule for problem in check(scheme, parts) if not problem.warning]


@given(st.ip_addresses(v=4))
def test_any_ipv4_address_may_be_named_over_https(ip: IPv4Address) -> None:
    assert errors("https", authority(str(ip))) == []


@given(st.ip_addresses(v=6))
def test_any_ipv6_address_but_a_mapped_one_may_be_named_over_https(ip: IPv6Address) -> None:
    assert bool(errors("https", authority(f"[{ip}]"))) is bool(ip.ipv4_mapped)


@given(st.ip_addresses())
def test_b28_no_address_but_the_two_loopback_literals_may_be_named_over_http(
    ip: IPv4Address | IPv6Address,
) -> None:
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    assert (errors("http", authority(host)) == []) is (str(ip) in ("127.0.0.1", "::1"))


@given(st.ip_addresses(v=4))
def test_b46_an_address_outside_the_public_ranges_gets_a_warning(ip: IPv4Address) -> None:
    warnings = [problem for problem in check("https", authority(str(ip))) if problem.warning]
    assert bool(warnings) is (ip.is_multicast or not ip.is_global)


@given(st.integers(1, 65535))
def test_b35_every_port_in_range_is_accepted(port: int) -> None:
    assert errors("https", authority("h.example", port=str(port))) == []


@given(st.from_regex(r"0[0-9]*|[0-9]{6,}|[1-9][0-9]*[^0-9*:]", fullmatch=True))
def test_b35_every_other_port_is_refused(port: str) -> None:
    (rule,) = errors("https", authority("h.example", port=port))
    assert "65535" in rule


@settings(max_examples=200)
@given(st.text(st.characters(min_codepoint=0x0430, max_codepoint=0x044F), min_size=1, max_size=20))
def test_b41_the_a_label_of_a_name_in_one_script_is_accepted(name: str) -> None:
    label = "xn--" + unicodedata.normalize("NFC", name).encode("punycode").decode()
    assert errors("https", authority(f"{label}.example")) == []


@settings(max_examples=200)
@given(st.from_regex(r"xn--[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True))
def test_b41_an_a_label_is_accepted_only_where_it_is_the_one_spelling_of_a_name(label: str) -> None:
    if errors("https", authority(label)):
        return
    name = label.removeprefix("xn--").encode().decode("punycode")
    assert not name.isascii()
    assert name.isprintable()
    assert label == "xn--" + name.lower().encode("punycode").decode()


@pytest.mark.parametrize("scheme", ["http", "https", "com.example.app"])
@given(st.none() | st.text(), st.none() | st.text(), st.none() | st.text())
def test_no_authority_makes_a_check_raise(
    scheme: str, host: str | None, port: str | None, userinfo: str | None
) -> None:
    problems = list(check(scheme, authority(host, port=port, userinfo=userinfo)))
    assert any("credentials" in problem.rule for problem in problems) is (userinfo is not None)


def test_the_host_of_a_private_use_scheme_is_not_judged_as_a_dns_name() -> None:
    assert errors("com.example.app", authority("-x..y")) == []
    assert errors("https", authority("-x..y")) != []
