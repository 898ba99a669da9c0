"""URIs taken apart and in canonical form."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.uri import Parts, address, canonical, plain, split

PIECES = re.findall(
    r"\S+", "http com.a : / // ? # @ [::1] [0::1] h H. .. . :443 %2e %41 %2F %c3 % %%34 a 80 0"
)
TEXTS = st.text() | st.text("aZ:/?#[]@.%20eE4157C3*-~") | st.lists(st.sampled_from(PIECES)).map("".join)


def joined(parts: Parts) -> str:
    authority = "" if parts.host is None else f"//{parts.host}"
    if parts.userinfo is not None:
        authority = f"//{parts.userinfo}@{parts.host}"
    port, query, fragment = (
        "" if part is None else mark + part
        for mark, part in ((":", parts.port), ("?", parts.query), ("#", parts.fragment))
    )
    return f"{parts.scheme}:{authority}{port}{parts.path}{query}{fragment}"


@settings(max_examples=200)
@given(TEXTS)
def test_parts_joined_again_are_the_uri(uri: str) -> None:
    parts = split(uri)
    if parts is not None:
        assert joined(parts) == uri


def test_an_absent_part_is_told_from_an_empty_one() -> None:
    assert split("x:") == Parts("x", None, None, None, "", None, None)
    assert split("x://@:?#") == Parts("x", "", "", "", "", "", "")


@pytest.mark.parametrize("text", ["", "/cb", "//h/cb", "h", "1x:/", "é:/", "?x:"])
def test_a_text_without_a_scheme_is_not_taken_apart(text: str) -> None:
    assert split(text) is None


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("https://a:b@c@h:1/p?q?#f#", Parts("https", "a:b@c", "h", "1", "/p", "q?", "f#")),
        ("https://[::1]:80", Parts("https", None, "[::1]", "80", "", None, None)),
        ("https://[::1/p", Parts("https", None, "[", ":1", "/p", None, None)),
        ("https://h/\n//x@y", Parts("https", None, "h", None, "/\n//x@y", None, None)),
        ("com.a:b/c", Parts("com.a", None, None, None, "b/c", None, None)),
    ],
)
def test_each_part_of_a_uri_is_where_the_grammar_puts_it(uri: str, parts: Parts) -> None:
    assert split(uri) == parts


@settings(max_examples=400)
@given(TEXTS)
def test_the_canonical_form_is_total_and_its_own_canonical_form(uri: str) -> None:
    once = canonical(uri)
    assert canonical(once) == once


@pytest.mark.parametrize(
    ("uri", "form"),
    [
        ("HTTPS://User@H.Example:443", "https://User@h.example/"),
        ("https://h.example..:0443/", "https://h.example/"),
        ("http://h.example:443/", "http://h.example:443/"),
        ("https://h.example:00/", "https://h.example:0/"),
        ("https://h.example:/", "https://h.example/"),
        ("https://h%41.%c3%a9/", "https://ha.%C3%A9/"),
        ("https://h/%7e%41%2f%c3%a9", "https://h/~A%2F%C3%A9"),
        ("https://h/%2e%2E/a/./b/../c/.", "https://h/a/c/"),
        ("https://h/a//b///", "https://h/a/b/"),
        ("https://h/../..", "https://h/"),
        ("https://h/..a/b..", "https://h/..a/b.."),
        ("https://h?%61=%62#%63", "https://h/?a=b#c"),
        ("https://h/?", "https://h/"),
        ("https://h/#", "https://h/#"),
        ("http://[0:0::0:1]:80/", "http://[::1]/"),
        ("http://[::FFFF:7F00:1]/", "http://[::ffff:7f00:1]/"),
        ("COM.example:/a/../b", "com.example:/b"),
        ("COM.example:a/../b", "com.example:a/../b"),
        ("COM.example://H:80", "com.example://h:80/"),
        ("x:/.//h/p", "x:/h/p"),
        ("x:///p", "x:/p"),
        ("x://", "x:/"),
        ("x://./p", "x://./p"),
        ("x://@/p", "x://@/p"),
    ],
)
def test_the_canonical_form_is_what_a_normalising_server_makes(uri: str, form: str) -> None:
    assert canonical(uri) == form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "H/../a",
        "HTTPS://H/%zz",
        "HTTPS://H/%%34%31",
        "HTTPS://H/ ",
        "HTTPS://H/\n",
        "HTTPS://é/",
        "HTTPS://[::1/",
        "HTTPS://[::1%25eth0]/",
        "HTTPS://H:x/",
        "HTTPS://H/[]",
        "HTTPS://a@b@H/",
        "HTTPS://H/#a#",
    ],
)
def test_a_text_that_is_not_a_uri_is_its_own_canonical_form(text: str) -> None:
    assert canonical(text) == text


@given(st.ip_addresses())
def test_an_ip_literal_spells_its_address(ip: object) -> None:
    assert address(str(ip)) == ip or address(f"[{ip}]") == ip


@pytest.mark.parametrize(
    "host", ["", "h", "::1", "[127.0.0.1]", "127.1", "127.0.0.01", "[::1%1]", "[", "[]", "\uff11.1.1.1"]
)
def test_another_host_spells_no_address(host: str) -> None:
    assert address(host) is None


@given(st.text("aZ%2e4157C3/"))
def test_plain_text_keeps_every_escape_of_a_reserved_character(text: str) -> None:
    assert plain(text).upper().count("%2F") == text.upper().count("%2F")
