"""The rules for a base URL and a token."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.endpoint import DEFAULT_BASE_URL, check_base_url, check_token, effective_base_url
from provisioner.errors import UsageError

CASES = yaml.safe_load(
    (Path(__file__).parent / "cases" / "meteroid" / "base_urls.yaml").read_text(encoding="utf-8")
)
ELSEWHERE = "https://evil.example"
SANDBOX = "http://127.0.0.1:8080"


@pytest.mark.parametrize("url", CASES["accepted"])
def test_b59_a_base_url_of_this_form_is_accepted(url: str) -> None:
    assert check_base_url(url) is None


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: repr(case["url"]))
def test_b59_a_base_url_of_this_form_is_refused_with_the_rule_it_breaks(case: dict[str, Any]) -> None:
    problem = check_base_url(case["url"])
    assert problem is not None
    assert case["rule"] in problem.rule
    assert problem.secret == case.get("secret", False)
    assert problem.remedy


@given(st.text(alphabet="htps:/[]@.#?%1ax\\-_ \n\t\u00fc", max_size=24).map("https://".__add__))
@settings(max_examples=300)
def test_b59_what_is_accepted_is_to_the_http_library_a_host_and_a_port_and_nothing_else(url: str) -> None:
    if check_base_url(url) is None:
        parsed = httpx.URL(url)
        assert (parsed.scheme, parsed.userinfo, parsed.raw_path, parsed.fragment) == ("https", b"", b"/", "")
        assert url.removeprefix("https://").startswith((parsed.host, f"[{parsed.host}]"))


def test_b59_without_a_word_from_manifest_or_environment_the_default_host_is_used() -> None:
    assert effective_base_url(None, None) == DEFAULT_BASE_URL


@pytest.mark.parametrize("manifest", [None, DEFAULT_BASE_URL, SANDBOX])
def test_b59_the_environment_prevails_over_a_manifest_that_names_the_same_or_the_default(
    manifest: str | None,
) -> None:
    assert effective_base_url(manifest, SANDBOX) == SANDBOX


def test_b59_an_empty_variable_counts_as_none() -> None:
    assert effective_base_url(DEFAULT_BASE_URL, "") == DEFAULT_BASE_URL


@pytest.mark.parametrize("manifest", [ELSEWHERE, SANDBOX, DEFAULT_BASE_URL + ":8443"])
@pytest.mark.parametrize("environment", [None, "", DEFAULT_BASE_URL, "https://other.example"])
def test_b59_a_manifest_that_names_another_host_is_refused(manifest: str, environment: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        effective_base_url(manifest, environment)
    assert caught.value.summary == "The manifest names another API host"
    assert f'"{manifest}"' in caught.value.detail
    assert "METEROID_BASE_URL" in caught.value.hint


def test_b59_a_base_url_with_credentials_is_refused_without_being_shown() -> None:
    with pytest.raises(UsageError) as caught:
        effective_base_url(None, "https://user:hunter2@api.meteroid.com")
    assert caught.value.summary == "METEROID_BASE_URL is not a base URL"
    assert caught.value.detail == "A base URL holds no user name and no password."
    assert "hunter2" not in caught.value.summary + caught.value.detail + caught.value.hint


def test_b59_a_manifest_s_malformed_base_url_is_shown_escaped_with_the_rule() -> None:
    with pytest.raises(UsageError) as caught:
        effective_base_url("https://api.meteroid.com/\x1b[31m", None)
    assert caught.value.summary == "The manifest's provider.base_url is not a base URL"
    assert caught.value.detail.startswith('It is "https://api.meteroid.com/\\x1b[31m"; a base URL is visible')


@pytest.mark.parametrize("token", ["sk_live_abc-DEF~1|2:3/4+5==", b"sk_live_1", "!" * 4096])
def test_b60_a_token_of_visible_ascii_is_accepted(token: str | bytes) -> None:
    assert check_token(token) is None


@pytest.mark.parametrize(
    ("token", "rule"),
    [
        ("", "not empty"),
        (b"", "not empty"),
        ("hunter2\n", "no line break after it"),
        ("hunter2\r\n", "no line break after it"),
        ("Bearer hunter2", "the key alone"),
        ('"hunter2"', "no quotes"),
        ("'hunter2'", "no quotes"),
        ("hunter2`", "no quotes"),
        ("hunter2\r\nX-Evil: 1", "visible ASCII"),
        ("hunter2\nX", "visible ASCII"),
        (" hunter2", "visible ASCII"),
        ("hunter2 ", "visible ASCII"),
        ("hunter\t2", "visible ASCII"),
        ("hunter\x002", "visible ASCII"),
        ("hunter\x7f2", "visible ASCII"),
        ("hunter\u00fc2", "visible ASCII"),
        (b"hunter\xff2", "visible ASCII"),
        ("h" * 4097, "at most 4096"),
    ],
)
def test_b60_a_token_that_cannot_stand_in_a_header_is_refused_and_never_shown(
    token: str | bytes, rule: str
) -> None:
    problem = check_token(token)
    assert problem is not None
    assert rule in problem.rule
    assert problem.secret
    assert "hunter" not in problem.rule + problem.remedy


@given(st.text(max_size=20) | st.binary(max_size=20))
def test_b60_what_is_accepted_is_one_header_value_byte_for_byte(token: str | bytes) -> None:
    if check_token(token) is None:
        text = token.decode("ascii") if isinstance(token, bytes) else token
        assert text
        assert all(0x21 <= ord(char) <= 0x7E for char in text)
