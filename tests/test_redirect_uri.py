"""Redirect URIs: every rule has its cases in tests/cases/redirect_uri, the properties are here."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner import redirect_uri
from provisioner import uri as uri_module
from provisioner.redirect_uri import MAX_LENGTH, canonical, check
from provisioner.text import quote
from provisioner.uri import is_plain

CASES = Path(__file__).parent / "cases" / "redirect_uri"
REFUSED = yaml.safe_load((CASES / "refused.yaml").read_text(encoding="utf-8"))
WARNED = yaml.safe_load((CASES / "warned.yaml").read_text(encoding="utf-8"))
ACCEPTED = yaml.safe_load((CASES / "accepted.yaml").read_text(encoding="utf-8"))


RUN: set[str] = set()


def cases(start: str) -> pytest.MarkDecorator:
    RUN.add(start)
    found = [case for case in REFUSED + WARNED if case["id"].startswith(start + "-")]
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in found])


def has_its_problems(case: dict[str, Any], *, refused: bool = True) -> None:
    """Every problem is expected, has a way out, and quotes the URI neither whole nor in the rule."""
    problems = check(case["uri"])
    assert len(problems) == len(case["expect"]), problems
    for problem, part in zip(problems, case["expect"], strict=True):
        assert part in problem.rule
        assert problem.remedy.endswith(".")
        assert len(case["uri"]) < 8 or case["uri"] not in problem.rule
    assert any(not problem.warning for problem in problems) is refused
    assert case.get("remedy", "") in problems[0].remedy


def refuses(uri: str) -> bool:
    return any(not problem.warning for problem in check(uri))


@cases("b25")
def test_b25_a_uri_that_is_not_absolute_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b26")
def test_b26_a_fragment_even_an_empty_one_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b27")
def test_b27_a_wildcard_is_refused_wherever_it_stands(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b28")
def test_b28_http_to_another_host_than_loopback_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b29")
def test_b29_localhost_gets_a_warning_only(case: dict[str, Any]) -> None:
    has_its_problems(case, refused=False)
    assert check(case["uri"])[0].remedy == "Write 127.0.0.1 or [::1] instead."


@cases("b30")
def test_b30_a_second_spelling_of_an_ip_address_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b31")
def test_b31_a_name_that_looks_like_loopback_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b32")
def test_b32_credentials_are_refused_and_never_repeated(case: dict[str, Any]) -> None:
    has_its_problems(case)
    assert all(problem.secret for problem in check(case["uri"]))


@pytest.mark.parametrize(
    "uri",
    [
        "https://u:hunter2@h.example/cb",
        "https://u:hunter2@h.example/cb\n",
        "HTTPS://u:hunter2@H.EXAMPLE:443//cb#",
        "https://u:hunter2%40h.example/cb",
        "https://u:p/hunter2@h.example/cb",
        "https:/u:hunter2@h.example/cb",
        "u:hunter2@h.example",
        "com.example.app://u:hunter2@host/cb",
        "mailto:hunter2@h.example",
        "https://h.example:443/cb?code=hunter2",
        "https://h.example:443/cb?%63ode=hunter2",
        "https://h.example/cb#access_token=hunter2",
        "https://h.example/cb?a=1;api_key=hunter2{",
        "https://h.example/cb?CLIENT_SECRET=hunter2&a=" + "x" * MAX_LENGTH,
    ],
)
def test_b32_what_may_be_a_secret_is_marked_in_every_problem_and_shown_in_none(uri: str) -> None:
    problems = check(uri)
    assert problems
    assert all(problem.secret for problem in problems)
    assert not any("hunter2" in problem.rule + problem.remedy for problem in problems)


@cases("b33")
def test_b33_a_backslash_is_refused_before_anything_is_taken_apart(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b34")
def test_b34_white_space_and_control_characters_are_refused_with_their_place(case: dict[str, Any]) -> None:
    has_its_problems(case)


def test_b34_the_remedy_for_a_block_scalars_line_break_names_the_yaml_to_write() -> None:
    (problem,) = check("https://h.example/cb\n")
    assert problem.remedy == "Remove it; in YAML, write the URI in quotes or after >-."


@cases("b35")
def test_b35_a_port_is_a_plain_number_in_range(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b36")
def test_b36_an_escape_that_is_broken_or_hides_something_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("character")
def test_a_character_that_no_uri_holds_is_refused_with_its_place(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("host")
def test_a_host_that_no_dns_name_spells_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@pytest.mark.parametrize(
    ("host", "is_refused"),
    [
        ("a" * 63 + ".example", False),
        ("a" * 64 + ".example", True),
        (".".join(["a" * 49] * 5) + ".abc", False),
        (".".join(["a" * 49] * 5) + ".abcd", True),
    ],
    ids=["label-63", "label-64", "name-253", "name-254"],
)
def test_a_host_has_labels_of_63_characters_and_253_in_all_at_most(host: str, is_refused: bool) -> None:
    assert refuses(f"https://{host}/cb") is is_refused


@cases("b37")
def test_b37_what_would_be_rewritten_on_its_way_is_refused_with_its_normal_form(case: dict[str, Any]) -> None:
    has_its_problems(case)
    (problem,) = check(case["uri"])
    assert problem.remedy == f"Write {quote(case['canonical'])}."
    assert canonical(case["uri"]) == case["canonical"]
    assert check(case["canonical"]) == ()


@cases("b38")
def test_b38_a_scheme_that_leads_to_no_client_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b39")
def test_b39_a_private_use_scheme_that_is_no_reversed_domain_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b40")
def test_b40_a_private_use_scheme_without_its_single_slash_gets_a_warning(case: dict[str, Any]) -> None:
    has_its_problems(case, refused=False)


@cases("b41")
def test_b41_a_host_that_is_not_in_valid_a_labels_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b42")
def test_b42_a_broken_ipv6_literal_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


def test_b44_a_uri_has_at_most_2048_characters() -> None:
    longest = "https://h.example/".ljust(MAX_LENGTH, "a")
    assert check(longest) == ()
    (problem,) = check(longest + "a")
    assert problem.rule == "The URI has 2049 characters; 2048 is the limit."
    assert not problem.warning
    assert not problem.secret


@cases("b45")
def test_b45_a_query_that_presets_a_response_parameter_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b46")
def test_b46_an_address_that_is_not_public_gets_a_warning_over_https(case: dict[str, Any]) -> None:
    has_its_problems(case, refused=False)


@pytest.mark.parametrize("uri", ACCEPTED)
def test_an_ordinary_uri_has_no_problem(uri: str) -> None:
    assert check(uri) == ()


def test_several_broken_rules_are_told_at_once() -> None:
    rules = [problem.rule for problem in check("HTTP://u:p@h.example:0443/a/../cb?code=1#")]
    parts = [
        "credentials",
        "65535",
        "loopback",
        "fragment",
        "presets code",
        "upper-case scheme, a dot segment",
    ]
    assert [part in rule for part, rule in zip(parts, rules, strict=True)] == [True] * 6


def test_every_case_in_the_files_belongs_to_a_test() -> None:
    assert {case["id"].partition("-")[0] for case in REFUSED + WARNED} == RUN


# --- what holds for every text


def mostly(good: str, odd: list[str]) -> st.SearchStrategy[str]:
    """A good one, and now and then an odd one: many samples are accepted, and many are not."""
    return st.sampled_from(good.split() * 3 + odd)


STARTS = mostly(
    "https:// https:// http:// com.example.app:/",
    ["HTTPS://", "a.b://", "a.b:///", "a.b:", "myapp:", "data:", ""],
)
HOSTS = mostly(
    "h.example h-1.example 127.0.0.1 [::1] xn--mxac.gr localhost",
    ["H.Example", "h.example.", "[0::1]", "10.0.0.1", "127.1", "u@h", "*", "[::1", "h..x", ""],
)
PORTS = mostly(":8080 :1", ["", "", "", ":443", ":80", ":0", ":", ":*"])
SEGMENTS = mostly(
    "/a /b.c /~x /@y /%C3%A9 /%2F /1,2;3=(4)",
    ["/", "/.", "/..", "/%2e", "/%41", "/%c3%a9", "/%00", "/*", "/ ", "/%"],
)
QUERIES = mostly("?a=1 ?a=/b?c:d ?a=%2F&b", ["", "", "", "?", "?a=%41", "?code=1", "#", "#a", "?#", "\n"])
SAMPLES = (
    st.tuples(STARTS, HOSTS, PORTS, st.lists(SEGMENTS, max_size=3).map("".join), QUERIES).map("".join)
    | st.text()
    | st.text("ahtps:/?#[]@.%2eE0\\* \n-").map("https:/".__add__)
)


@settings(max_examples=300)
@given(SAMPLES)
def test_no_text_makes_a_check_raise_and_every_problem_says_what_to_do(uri: str) -> None:
    for problem in check(uri):
        assert problem.rule.endswith(".")
        assert problem.remedy.endswith(".")
        assert (problem.rule + problem.remedy).isprintable()


@settings(max_examples=300)
@given(SAMPLES)
def test_what_is_accepted_is_printable_ascii_that_a_parser_gives_back_unchanged(uri: str) -> None:
    if refuses(uri):
        return
    assert uri.isascii()
    assert uri.isprintable()
    assert not set(uri) & set(' "#*<>\\^`{|}')
    parsed = urlsplit(uri)
    assert parsed.geturl() == uri
    assert parsed.username is None
    assert parsed.fragment == ""
    assert parsed.port is None or 0 < parsed.port < 65536


@settings(max_examples=300)
@given(SAMPLES)
def test_what_is_accepted_is_its_own_canonical_form_but_for_an_empty_path(uri: str) -> None:
    if refuses(uri):
        return
    form = canonical(uri)
    assert form == uri or form == urlsplit(uri)._replace(path="/").geturl()
    before, after = urlsplit(uri), urlsplit(form)
    assert (before.scheme, before.netloc, before.query) == (after.scheme, after.netloc, after.query)


@given(
    st.sampled_from(["https://h.example", "http://127.0.0.1:8080", "http://[::1]", "com.example.app:"]),
    st.lists(
        st.sampled_from("abz019-_~!$&'()+,;=:@") | st.sampled_from(["%20", "%2F", "%C3%A9", "a/", "a."])
    ),
)
def test_a_uri_in_normal_form_is_accepted_whatever_its_path(start: str, pieces: list[str]) -> None:
    assert check(f"{start}/a{''.join(pieces)}") == ()


@given(SAMPLES)
def test_a_character_that_no_uri_holds_spoils_any_uri(uri: str) -> None:
    for stray in ("\n", "\\", "\u202e", " "):
        assert refuses(uri + stray)
        assert refuses(stray + uri)


def test_the_module_offers_the_canonical_form_for_finding_duplicates() -> None:
    assert redirect_uri.canonical("HTTPS://H.example:443") == "https://h.example/"


NEARLY_PLAIN = st.lists(
    st.sampled_from(
        ["https://", "http://127.0.0.1", "com.example", "xn--p1ai", "a", "A", "1", "0x1", "-", "_", ".", "..",
         "/", "//", ":", "80", "8080", "h.example", "~", "%41", "?", "#", "*", " ", "@", "a" * 63]
    )
).map("".join)  # fmt: skip


@settings(max_examples=300)
@given(st.from_regex(uri_module._PLAIN, fullmatch=True) | NEARLY_PLAIN)
def test_a_plain_uri_is_one_that_the_rules_and_the_normal_form_have_nothing_against(uri: str) -> None:
    if not is_plain(uri):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redirect_uri, "is_plain", lambda _: False)
        patch.setattr(uri_module, "is_plain", lambda _: False)
        assert redirect_uri.check(uri) == ()
        assert redirect_uri.canonical(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://a.example.com/oauth/callback",
        "https://a.example.com/oauth/callback/",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:8914/callback",
        "com.example.app:/oauth/callback",
    ],
)
def test_what_nearly_all_redirect_uris_are_like_is_plain(uri: str) -> None:
    assert is_plain(uri)
