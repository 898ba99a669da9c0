"""The manifest: every fault with its place, all at once, and none of it with a secret in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.delivery import DeclaredSink
from provisioner.errors import Problem
from provisioner.manifest import (
    Fault,
    Manifest,
    ManifestError,
    Place,
    Source,
    VariableValues,
    events,
    json_schema,
    load,
    variables_from,
)
from provisioner.manifest.decoding import MAX_BYTES
from provisioner.manifest.diagnostics import diagnostics_json
from provisioner.manifest.tree import Document, List, Map, Node, Refused
from provisioner.model import Address

CASES = Path(__file__).resolve().parent / "cases" / "manifest"
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ALL = sorted(CASES.glob("*.yaml"))
GOOD = [path for path in ALL if path.name.startswith("good-")]
BAD = [path for path in ALL if path not in GOOD]
KEY = "AGE-SECRET-KEY-1" + "Q" * 58
PARSERS = {"libyaml": yaml.CSafeLoader, "pure": yaml.SafeLoader}


def check_recipient(text: str) -> Problem | None:
    """Knows two recipients, and a private key when it sees one."""
    if text in ("good", "another"):
        return None
    return Problem("This is no recipient.", "Write one.", secret=text.startswith("AGE-"))


def load_text(text: str | bytes, variables: VariableValues | None = None) -> Manifest:
    data = text.encode() if isinstance(text, str) else text
    return load([Source("apps.yaml", data)], variables, check_recipient)


def faults_of(text: str | bytes, variables: VariableValues | None = None) -> tuple[Fault, ...]:
    with pytest.raises(ManifestError) as caught:
        load_text(text, variables)
    return caught.value.faults


def only(text: str | bytes, variables: VariableValues | None = None) -> Fault:
    (fault,) = faults_of(text, variables)
    return fault


def place(fault: Fault) -> tuple[int, int, str]:
    return fault.line, fault.column, fault.path


def places(name: str) -> list[tuple[int, int, str]]:
    return [place(fault) for fault in faults_of((CASES / f"{name}.yaml").read_bytes())]


def rules(name: str) -> set[str]:
    return {fault.rule for fault in faults_of((CASES / f"{name}.yaml").read_bytes())}


def app(body: str) -> str:
    """A manifest of one app, whose body starts in column 11 of line 2."""
    return f"version: 1\napps: {{a: {{{body}}}}}\n"


def expected(path: Path) -> str:
    beside = path.with_suffix(".faults.txt")
    return beside.read_text("utf-8") if beside.exists() else ""


# Cases as files: a manifest, and beside it what is said of it.


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_manifest_gets_exactly_what_stands_beside_it(path: Path) -> None:
    try:
        manifest = load([Source(path.name, path.read_bytes())], {}, check_recipient)
        said = "".join(f"Warning: {fault.render()}\n" for fault in manifest.warnings)
    except ManifestError as error:
        said = f"{error.summary}\n{error.detail}\n"
    assert said == expected(path)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_the_document_has_what_people_are_told_at_the_same_places(path: Path) -> None:
    try:
        manifest = load([Source(path.name, path.read_bytes())], {}, check_recipient)
        document = json.loads(diagnostics_json(None, manifest.warnings))
    except ManifestError as error:
        document = json.loads(diagnostics_json(error))
    said, found = expected(path), document["diagnostics"]
    ranges = [(item["range"]["filename"], item["range"]["start"]) for item in found]
    places = [f"{name}:{start['line']}:{start['column']}" for name, start in ranges]
    shown = re.findall(rf"^(?:Warning: )?({re.escape(path.name)}:\d+:\d+)(?::|$)", said, re.MULTILINE)
    assert places[: len(shown)] == shown
    assert len(shown) == min(len(found), 100)
    assert all(item["summary"] in said for item in found[:100])
    lines = [line for item in found[:100] for line in item["detail"].split("\n")]
    assert all(line.removeprefix("Found: ") in said for line in lines)
    first = re.match(r"The manifest has ([0-9,]+) fault", said)
    count = int(first[1].replace(",", "")) if first else 0
    assert (document["valid"], document["error_count"]) == (not count, count)
    assert document["error_count"] + document["warning_count"] == len(found)


def test_in_the_document_what_was_found_is_cut_and_escaped_and_a_name_is_text() -> None:
    fault = Fault("su\udcffr.yaml", 1, 2, "apps", "x" * 200 + "\x1b", "It is wrong.")
    (found,) = json.loads(diagnostics_json(ManifestError([fault])))["diagnostics"]
    assert found["detail"] == f'apps\nFound: "{"x" * 79}…"'
    assert found["range"]["filename"] == r"su\xffr.yaml"


def test_only_good_manifests_have_no_faults_beside_them() -> None:
    assert [path.stem for path in BAD if "fault" not in expected(path)] == []
    assert [path.stem for path in GOOD if "fault" in expected(path)] == []
    assert {path.name.removesuffix(".faults.txt") for path in CASES.glob("*.txt")} <= {p.stem for p in ALL}


# YAML and structure


def test_b01_a_duplicate_key_is_refused_with_both_lines() -> None:
    fault = faults_of((CASES / "b01-duplicate-key.yaml").read_bytes())[0]
    assert place(fault) == (6, 5, "apps.portal.name")
    assert "first at line 4" in fault.rule


def test_b02_an_alias_bomb_is_refused_alias_by_alias() -> None:
    data = (CASES / "b02-alias-bomb.yaml").read_bytes()
    document, faults = events.read(Source("apps.yaml", data))
    assert len(faults) == data.count(b"&") + data.count(b"*")
    assert document is not None
    assert document.root["b"] == [Refused.VALUE] * 9


def test_b03_a_merge_bomb_is_refused_before_anything_is_merged() -> None:
    data = (CASES / "b03-merge-bomb.yaml").read_bytes()
    document, faults = events.read(Source("apps.yaml", data))
    assert document is not None
    assert document.root["h"] == {}
    assert sum("Merge keys" in fault.rule for fault in faults) == 7


def test_b03_a_quoted_merge_key_is_a_key_like_any_other() -> None:
    assert place(only('version: 1\napps: {}\n"<<": {}\n')) == (3, 1, '"<<"')


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "- " * 5000, "{a: " * 5000, "? " * 5000, "".join(" " * n + "a:\n" for n in range(300))],
    ids=["brackets", "dashes", "braces", "keys", "lines"],
)
def test_b04_deep_nesting_is_refused(text: str) -> None:
    assert "at most 32 levels deep" in faults_of(text)[-1].rule


def test_b04_deep_nesting_is_refused_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PARSER", yaml.SafeLoader)
    assert "at most 32 levels deep" in only("[" * 200).rule


def test_b04_32_levels_are_read_and_33_are_not() -> None:
    assert events.read(Source("a", ("a: " + "[" * 31 + "]" * 31).encode()))[1] == []
    document, faults = events.read(Source("a", ("a: " + "[" * 32 + "]" * 32).encode()))
    assert document is None
    assert place(faults[0]) == (1, 35, "a" + "[0]" * 31)


def test_b05_a_recursive_alias_is_refused() -> None:
    assert places("b05-recursive-alias") == [(2, 7, "apps"), (2, 19, "apps.portal")]


def test_b06_tags_are_refused_standard_ones_too() -> None:
    assert [path for _, _, path in places("b06-tags") if path != "version"] == [
        "apps.portal",
        "apps.portal.name",
        "apps.portal.redirect_uris",
        "apps.portal.redirect_uris[0]",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "--- ~\n", "\ufeff"])
def test_b07_an_empty_file_is_refused(text: str) -> None:
    assert "empty" in only(text).rule


@pytest.mark.parametrize("text", ["a: b\n---\nc: d\n", "version: 1\napps: {}\n...\n---\n"])
def test_b07_a_second_document_is_refused_where_it_starts(text: str) -> None:
    fault = only(text)
    assert "exactly one YAML document" in fault.rule
    assert text.splitlines()[fault.line - 1] == "---"


@pytest.mark.parametrize("text", ["portal", "[a, b]", "12"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert "must hold a mapping" in only(text).rule


@pytest.mark.parametrize("root", ["*x", f"{KEY}", "!!python/name:os.system {}"])
def test_a_root_that_is_refused_is_said_once(root: str) -> None:
    assert not any("must hold" in fault.rule for fault in faults_of(root))


@pytest.mark.parametrize(
    ("data", "position", "rule"),
    [
        (b"version: 1\n\nname: \xff\n", (3, 7), "Byte 0xff at offset 18 is not UTF-8"),
        (b"version: 1\r\nx: \xc3\xa9\xed\xa0\x80", (2, 5), "Byte 0xed at offset 17"),
        ("version: 1\rx: é\x00".encode(), (2, 5), "U+0000"),
        ("a: x\ufeff".encode(), (1, 5), "byte order mark inside"),
        ("\ufeffa: x\ufeff".encode(), (1, 5), "byte order mark inside"),
        ("a: x\x85b".encode(), (1, 5), "U+0085"),
        ("a: x\u2028b".encode(), (1, 5), "U+2028"),
        (b"a: \x1b[31m", (1, 4), "U+001B"),
        ("a: \uffff".encode(), (1, 4), "U+FFFF"),
        ("version: 1".encode("utf-16"), (1, 1), "UTF-16"),
        ("version: 1".encode("utf-32"), (1, 1), "UTF-32"),
        (b"\xfe\xff\0a", (1, 1), "UTF-16"),
        (b"\0\0\xfe\xff\0\0\0a", (1, 1), "UTF-32"),
    ],
)
def test_b08_a_fault_of_encoding_has_its_line(data: bytes, position: tuple[int, int], rule: str) -> None:
    fault = only(data)
    assert (fault.line, fault.column) == position
    assert rule in fault.rule


def test_b08_a_byte_order_mark_at_the_start_is_passed_over() -> None:
    assert load_text("\ufeffversion: 1\napps: {}\n").apps == {}


@pytest.mark.parametrize("parser", PARSERS)
def test_b08_half_a_character_from_an_escape_is_refused(parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PARSER", PARSERS[parser])
    rules = [fault.rule for fault in faults_of('version: 1\napps: {a: {name: "\\ud800"}}\n')]
    assert any("escape" in rule or "surrogate" in rule for rule in rules)


def test_b09_a_file_over_64_mib_is_refused_unread() -> None:
    assert "at most 64 MiB" in only(b"\xff" * (MAX_BYTES + 1)).rule


def test_b09_more_than_100_000_apps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert events.MAX_ENTRIES == 100_000
    monkeypatch.setattr(events, "MAX_ENTRIES", 1000)
    apps = "".join(f" a{number}:\n" for number in range(1001))
    fault = only(f"version: 1\napps:\n{apps}")
    assert "at most 100,000 entries" in fault.rule
    assert fault.line == 1003


def test_b09_a_long_list_and_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_ENTRIES", 3)
    assert place(only("a: [b, c, d, e]")) == (1, 14, "a[2]")
    monkeypatch.setattr(events, "MAX_VALUES", 4)
    assert place(only("a: [[], [b]]")) == (1, 10, "a[1][0]")


def test_b09_a_string_over_8_kib_is_refused_and_not_shown() -> None:
    fault = faults_of(app(f"name: {'x' * 8193}, redirect_uris: ['https://a.example/cb']"))[0]
    assert place(fault) == (2, 18, "apps.a.name")
    assert "8,192" in fault.rule
    assert fault.found is None


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("NO", "the boolean false"),
        ("on", "the boolean true"),
        ("22:22", "the number 1342"),
        ("010", "the number 8"),
        ("0x1F", "the number 31"),
        ("1_000", "the number 1000"),
        ("1.20", "the number 1.2"),
        (".inf", "the number inf"),
        ("2024-01-01", "the date 2024-01-01"),
        ("2024-13-45", "a date"),
        ("1" * 50, "a number"),
        ("1" * 5000, "a number"),
        ("0b_", "a number"),
        ("12", "the number 12"),
        ("true", "the boolean true"),
        ("=", "a special value"),
    ],
)
def test_b10_a_plain_scalar_that_is_no_string_shows_what_yaml_made_of_it(text: str, reading: str) -> None:
    fault = only(app(f"name: {text}, redirect_uris: ['https://a.example/cb']"))
    assert place(fault) == (2, 18, "apps.a.name")
    assert fault.found == text
    assert fault.rule == f"This must be a string; YAML reads it as {reading}."
    assert fault.remedy.startswith(f'Write it in quotes: "{text[:70]}')


def test_b11_an_unknown_key_near_a_known_one_says_which() -> None:
    unknown = faults_of((CASES / "b11-unknown-keys.yaml").read_bytes())
    assert [fault.remedy for fault in unknown if "unknown" in fault.rule] == [
        'Did you mean "apps"?',
        'Did you mean "state"?',
        'Did you mean "redirect_uris"?',
        "Known here: name, redirect_uris, scopes, protect, rotate_after, sinks, sink_only.",
        'Did you mean "scopes"?',
    ]


def test_b12_the_version_is_required_and_a_newer_one_needs_a_newer_tool() -> None:
    assert "is required" in only("apps: {}").rule
    assert only("version: 2\napps: {}").remedy == "Use a newer provisioner."
    for version in ("0", "-1", "1.0", "true", "'1'", "01", "~", "[1]"):
        assert "must be the number 1" in only(f"version: {version}\napps: {{}}").rule


@pytest.mark.parametrize(("text", "what"), [("[a]", "a list"), ("", "null"), ("a", "a string"), ("1", "1")])
def test_b13_apps_must_be_a_mapping(text: str, what: str) -> None:
    fault = only(f"version: 1\napps: {text}\n")
    assert fault.path == "apps"
    assert fault.rule.startswith("This must be a mapping; YAML reads it as")
    assert what in fault.rule


def test_b14_keys_have_a_form_and_are_strings() -> None:
    assert {path for _, _, path in places("b14-keys")} == {
        "apps.1",
        "apps.null",
        'apps."a.b"',
        'apps."a/b"',
        'apps.""',
        f"apps.{'x' * 64}",
        "apps.Portal",
        "apps.NO",
        'apps."\\x1b[31m"',
    }
    assert load_text(f"version: 1\napps: {{{'x' * 63}: {{redirect_uris: ['https://a.example/cb']}}}}").apps


def test_b14_a_key_that_is_empty_or_no_scalar_is_refused() -> None:
    assert only("version: 1\napps: {}\n? [a, NO]\n: b\n").rule == "A key must be a string."
    (misread, unknown) = faults_of("version: 1\napps: {}\n? \n: b\n")
    assert misread.remedy == "Write a word before the colon."
    assert unknown.path == '""'


def test_b14_an_alias_as_a_key_is_refused_with_what_stands_under_it() -> None:
    assert place(only("version: 1\napps: {*x : {colour: blue}}\n")) == (2, 8, "apps")


# Variables


def test_b16_only_declared_variables_are_filled_in_and_only_once() -> None:
    assert {path for _, _, path in places("b16-variables")} == {
        "variables.unset",
        "variables.nested.default",
        "apps.portal.name",
        "apps.portal.redirect_uris[1]",
        "apps.portal.scopes[1]",
    }


DOMAIN = "version: 1\nvariables: {domain: {}}\napps: {a: {redirect_uris: ['https://${var.domain}/cb']}}\n"


def uri(manifest: Manifest) -> str:
    return manifest.apps[Address("a")].redirect_uris[0]


def test_b16_a_given_value_fills_in_a_variable_and_wins_over_its_default() -> None:
    given_one: VariableValues = {"domain": ("a.example", "--var")}
    assert uri(load_text(DOMAIN, given_one)) == "https://a.example/cb"
    defaulted = DOMAIN.replace("{domain: {}}", "{domain: {default: b.example}}")
    manifest = load_text(defaulted, given_one)
    assert (uri(manifest), manifest.variables) == ("https://a.example/cb", {"domain": "a.example"})
    assert uri(load_text(defaulted)) == "https://b.example/cb"


def test_b16_a_variable_without_a_value_is_said_once_with_the_three_ways_to_give_it() -> None:
    fault = only(DOMAIN)
    assert place(fault) == (2, 13, "variables.domain")
    for way in ("--var domain=", "--var-file", "PROVISIONER_VAR_domain", "default"):
        assert way in fault.remedy


def test_b16_a_value_that_looks_like_yaml_stays_text() -> None:
    manifest = load_text(
        "version: 1\nvariables: {x: {default: a}}\n"
        "apps: {a: {name: '${var.x}', redirect_uris: ['https://a.example/cb']}}\n",
        {"x": ("[b]: {c: NO}", "--var")},
    )
    assert manifest.apps[Address("a")].name == "[b]: {c: NO}"


@pytest.mark.parametrize("value", ["${var.domain}", "a${", "x" * 8193, KEY, "\udcff"])
def test_b16_a_given_value_is_checked_like_a_string_of_the_manifest_and_never_shown(value: str) -> None:
    fault = only(DOMAIN, {"domain": (value, "prod.yaml")})
    assert (fault.file, fault.line, fault.path, fault.found) == ("prod.yaml", 0, "var.domain", None)
    assert fault.render().startswith("prod.yaml: var.domain\n")


def test_b16_a_value_from_the_environment_may_be_for_another_manifest_and_others_may_not() -> None:
    ambient: VariableValues = {"other": ("x", "PROVISIONER_VAR_other")}
    assert load_text("version: 1\napps: {}", ambient).variables == {}
    assert only("version: 1\napps: {}", {"other": ("x", "--var")}).rule == (
        "The manifest declares no such variable."
    )
    faults = faults_of(DOMAIN, {"domian": ("x", "--var"), "domain": ("a.example", "--var")})
    assert [fault.remedy for fault in faults] == ['Did you mean "domain"?']


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"DOMAIN": ("x", "PROVISIONER_VAR_DOMAIN")}, ["var.DOMAIN"]),
        ({"DOMAIN": ("", "PROVISIONER_VAR_DOMAIN")}, ["var.DOMAIN"]),
        ({"DOMAIN": ("x", "PROVISIONER_VAR_DOMAIN"), "domain": ("y", "--var")}, []),
        ({"DOMAINS": ("x", "PROVISIONER_VAR_DOMAINS")}, []),
    ],
)
def test_b16_a_variable_of_the_environment_that_differs_in_case_alone_is_told_where_its_own_is_not_set(
    given: VariableValues, told: list[str]
) -> None:
    text = DOMAIN.replace("{domain: {}}", "{domain: {default: d.example}}")
    warnings = load_text(text, given).warnings
    assert [fault.path for fault in warnings] == told
    assert all("PROVISIONER_VAR_domain" in fault.remedy and fault.found is None for fault in warnings)


def test_b16_a_variable_given_as_the_empty_text_is_empty_and_names_no_file() -> None:
    text = DOMAIN.replace("{domain: {}}", "{domain: {default: d.example}}")
    given: VariableValues = {
        "domain": ("", "PROVISIONER_VAR_domain"), "FILE": ("", "PROVISIONER_VAR_FILE"),
    }  # fmt: skip
    assert only(text, given).path == "apps.a.redirect_uris[0]"  # https:///cb has no host


def test_b16_a_file_of_variables_named_in_the_environment_is_refused_and_not_passed_over() -> None:
    given: VariableValues = {"FILE": ("prod.yaml", "PROVISIONER_VAR_FILE")}
    assert "--var-file on the command line only" in only("version: 1\napps: {}", given).remedy
    declared = "version: 1\nvariables: {FILE: {}}\napps: {}"
    assert load_text(declared, given).variables == {"FILE": "prod.yaml"}


def test_b16_a_bad_default_is_refused_even_where_another_value_is_given() -> None:
    text = DOMAIN.replace("{domain: {}}", "{domain: {default: 'x${y'}}")
    assert only(text, {"domain": ("a.example", "--var")}).path == "variables.domain.default"


def test_b16_a_file_is_not_the_environment_whatever_its_name() -> None:
    assert only("version: 1\napps: {}", {"x": ("y", "PROVISIONER_VAR_x.yaml")}).path == "var.x"


def test_b16_a_dollar_twice_stands_for_the_braces_themselves() -> None:
    body = "name: '$${HOME} $ $x $$ $$${var.y}', redirect_uris: ['https://a.example/cb']"
    assert load_text(app(body)).apps[Address("a")].name == "${HOME} $ $x $$ $${var.y}"


def test_b16_keys_and_variables_themselves_are_left_as_they_are() -> None:
    text = "version: 1\nvariables: {x: {default: a, description: '${HOME}'}}\napps: {'${var.x}': {}}\n"
    assert {fault.path for fault in faults_of(text)} == {'apps."${var.x}"', 'apps."${var.x}".redirect_uris'}


def test_b16_an_undeclared_variable_says_to_declare_it() -> None:
    fault = only(app("name: '${var.x}', redirect_uris: ['https://a.example/cb']"))
    assert fault.remedy == 'Declare "x" under `variables`.'


def test_b16_what_filling_in_makes_too_long_is_refused() -> None:
    text = "version: 1\nvariables: {x: {default: " + "x" * 5000 + "}}\n"
    text += "apps: {a: {name: '${var.x}${var.x}', redirect_uris: ['https://a.example/cb']}}\n"
    assert "8,192" in only(text).rule


def test_b16_a_reference_inside_brackets_says_to_quote_it() -> None:
    assert rules("b16-a-reference-in-brackets") == {
        "Inside brackets, YAML takes ${ for the start of a mapping."
    }


def test_many_variables_are_not_all_listed() -> None:
    declared = ", ".join(f"v{number}: {{default: x}}" for number in range(30))
    text = f"version: 1\nvariables: {{{declared}}}\nstate: {{path: '${{var.nothing_like_it}}'}}\napps: {{}}\n"
    assert only(text).remedy.endswith(", v19, ….")


def test_a_file_of_variables_is_a_mapping_of_strings() -> None:
    assert variables_from(Source("prod.yaml", b'domain: example.com\nport: "8080"\n')) == {
        "domain": "example.com",
        "port": "8080",
    }


def test_every_fault_of_a_file_of_variables_is_said_at_once() -> None:
    with pytest.raises(ManifestError) as caught:
        variables_from(Source("prod.yaml", b"a: 1\nb: NO\nb: x\nc: [x]\nd: *x\ne: !x y\n"))
    assert [place(fault) for fault in caught.value.faults] == [
        (1, 4, "a"),
        (2, 4, "b"),
        (3, 1, "b"),
        (4, 4, "c"),
        (5, 4, "d"),
        (6, 4, "e"),
    ]
    assert caught.value.summary == "The file of variables has 6 faults"
    with pytest.raises(ManifestError, match="has 1 fault"):
        variables_from(Source("prod.yaml", b"- a"))


# Names, URIs, scopes


def two_files(one: str, two: str) -> tuple[Fault, ...]:
    with pytest.raises(ManifestError) as caught:
        load([Source("a.yaml", one.encode()), Source("b.yaml", two.encode())])
    return caught.value.faults


PORTAL = "version: 1\napps:\n  portal: {redirect_uris: ['https://a.example/cb']}\n"


def test_b20_names_that_are_equal_but_for_case_and_composition_collide() -> None:
    assert places("b20-names-that-collide")[0] == (4, 15, "apps.two.name")


def test_b21_a_name_given_twice_shows_both_places() -> None:
    faults = faults_of((CASES / "b21-one-name-twice.yaml").read_bytes())
    assert [place(fault) for fault in faults] == [(6, 3, "apps.billing.name"), (9, 11, "apps.third.name")]
    assert "oauth_app.portal has this name, at apps.yaml:4:11" in faults[0].rule


def test_b21_a_key_or_name_given_in_two_files_shows_both_places() -> None:
    (key,) = two_files(PORTAL, PORTAL)
    assert (key.file, *place(key)) == ("b.yaml", 3, 3, "apps.portal")
    assert "at a.yaml:3:3" in key.rule
    (name,) = two_files(PORTAL, PORTAL.replace("portal: {", "gate: {name: portal, "))
    assert (name.file, *place(name)) == ("b.yaml", 3, 16, "apps.gate.name")
    assert "at a.yaml:3:3" in name.rule


def test_b23_markup_in_a_name_is_accepted() -> None:
    manifest = load_text((CASES / "good-b23-markup-in-names.yaml").read_bytes())
    assert manifest.apps[Address("actions")].name == "::add-mask::x"


def test_b34_a_block_scalar_keeps_its_newline_and_is_refused() -> None:
    first = faults_of((CASES / "b34-block-scalar.yaml").read_bytes())[0]
    assert place(first) == (5, 9, "apps.portal.redirect_uris[0]")
    assert first.found == "https://portal.example.com/cb\n"


def test_b43_a_uri_given_twice_shows_both_positions_normalised_or_not() -> None:
    said = [
        fault for fault in faults_of((CASES / "b43-duplicate-uris.yaml").read_bytes()) if "list" in fault.rule
    ]
    assert [(fault.path[-3:], fault.rule.partition("as item ")[2]) for fault in said] == [
        ("[2]", "[0] at line 5."),
        ("[3]", "[1] at line 6."),
    ]


def test_b44_redirect_uris_are_a_list_of_1_to_50() -> None:
    assert len(places("b44-no-list")) == 4
    for count, good in ((50, True), (51, False)):
        uris = ", ".join(f"'https://a.example/{number}'" for number in range(count))
        text = app(f"redirect_uris: [{uris}]")
        assert (load_text(text).apps != {}) if good else ("at most 50 items; it has 51" in only(text).rule)


def test_b47_scopes_are_a_list_of_tokens() -> None:
    assert [line for line, _, _ in places("b47-scopes")] == [3, 5, 6, 7, 8]


def test_b49_duplicate_scopes_are_named_and_case_counts() -> None:
    faults = faults_of((CASES / "b49-duplicate-scopes.yaml").read_bytes())
    assert [(fault.path, fault.found) for fault in faults] == [
        ("defaults.scopes[2]", "a"),
        ("apps.portal.scopes[3]", "read"),
        ("apps.portal.scopes[4]", "read"),
    ]


def test_b50_no_scopes_omitted_scopes_and_null_are_three_things() -> None:
    apps = load_text((CASES / "good-full.yaml").read_bytes()).apps
    found = {address.key: (app.scopes, app.scopes_stated) for address, app in apps.items()}
    assert found == {
        "portal": (None, False),
        "none": ((), True),
        "unmanaged": (None, True),
        "own": (("write", "read"), True),
    }


def test_b50_null_is_invalid_elsewhere() -> None:
    assert len(places("b50-null-elsewhere")) == 6


# Secrets


def test_b56_a_private_key_is_refused_wherever_it_stands_and_never_shown() -> None:
    for text in (
        f"version: 1\nstate: {{recipients: [{KEY}]}}\napps: {{}}\n",
        f"version: 1\napps: {{{KEY}: {{}}}}\n",
        f"version: 1\nvariables: {{x: {{default: '${{{KEY}'}}}}\napps: {{}}\n",
        f"version: 1\nsinks: {{a: [{KEY.lower()}]}}\napps: {{}}\n",
        f"version: 1\napps: {{}}\n# {KEY}\n",
        f'version: 1\napps: {{}}\nx: "\\x41{KEY[1:]}"\n',
        "version: 1\napps: {}\nx: |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n",
        app(f"name: &{'a' * 4} {KEY}, redirect_uris: ['https://a.example/{KEY}']"),
    ):
        error = error_of(text)
        assert "private key" in error.detail or "\\x41" in text
        assert "Q" * 20 not in error.detail.upper()


def test_b56_a_private_key_as_a_variable_s_name_is_not_shown() -> None:
    assert only("version: 1\napps: {}", {KEY: ("x", "--var")}).path == "var.(not shown)"


def error_of(text: str) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load_text(text)
    return caught.value


def test_b56_words_about_private_keys_are_no_private_keys() -> None:
    assert load_text("version: 1 # never put an AGE-SECRET-KEY-1… here\napps: {}\n").apps == {}


def test_b56_recipients_are_checked_by_whoever_knows_them() -> None:
    text = "version: 1\nstate: {recipients: [good, bad]}\napps: {}\n"
    assert place(only(text)) == (2, 28, "state.recipients[1]")
    assert load([Source("a.yaml", text.encode())]).state.recipients == ("good", "bad")


def test_b56_an_empty_list_of_recipients_is_refused() -> None:
    assert "sealed to nobody" in only("version: 1\nstate: {recipients: []}\napps: {}\n").rule


@pytest.mark.parametrize("url", ["8080", "~", "[]", "''"])
def test_b59_the_base_url_is_a_string(url: str) -> None:
    assert only(f"version: 1\nprovider: {{base_url: {url}}}\napps: {{}}\n").path == "provider.base_url"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("ftp://nowhere/x y", True), ("http://api.example", True), ("https://api.example/", True),
        ("https://me:canary@api.example", False),
    ],
)  # fmt: skip
def test_b59_a_base_url_that_no_token_may_go_to_is_refused_with_its_line(url: str, found: bool) -> None:
    fault = only(f"version: 1\nprovider: {{base_url: '{url}'}}\napps: {{}}\n")
    assert place(fault) == (2, 22, "provider.base_url")
    assert fault.found == (url if found else None)
    assert fault.rule.startswith("This is not the base URL of an API: ")


def test_b60_a_token_in_the_manifest_is_refused_and_never_shown() -> None:
    error = error_of((CASES / "b60-secrets.yaml").read_text("utf-8"))
    assert "canary" not in repr(error.faults) + error.detail + str(error)
    assert {fault.path for fault in error.faults if "no secrets" in fault.rule} == {
        "provider.token",
        "provider.API-Key",
        "api_key",
        "variables.password",
        "variables.domain.client_secret",
        "apps.token.client_secret",
    }


def test_b60_an_app_may_be_called_token() -> None:
    text = "version: 1\napps: {token: {redirect_uris: ['https://a.example/cb']}}\n"
    assert list(load_text(text).apps) == [Address("token")]


@pytest.mark.parametrize("path", ["~/state", "~", "a\tb", "a\u202eb"])
def test_the_path_of_the_state_is_relative_to_its_file_and_readable(path: str) -> None:
    assert only(f"version: 1\nstate: {{path: {json.dumps(path)}}}\napps: {{}}\n").path == "state.path"


@pytest.mark.parametrize(
    "path", [".", "./", "..", "../..", "x/..", "x/../.././", "/", "//", "/..", "${var.up}"]
)
def test_the_folder_of_the_state_is_neither_the_manifests_nor_one_above(path: str) -> None:
    fault = only(f"version: 1\nvariables: {{up: {{default: ../}}}}\nstate:\n  path: '{path}'\napps: {{}}\n")
    assert (place(fault), fault.found) == ((4, 9, "state.path"), path.replace("${var.up}", "../"))
    assert "neither the manifest's own folder nor one above it" in fault.rule
    assert "a folder of its own, as in `state`" in fault.remedy


@pytest.mark.parametrize(
    "path", ["state", "./state/", "../state", "...", ".state", "x/../state", "/srv/state"]
)
def test_the_folder_of_the_state_may_be_any_other(path: str) -> None:
    state = load_text(f"version: 1\nstate: {{path: '{path}'}}\napps: {{}}\n").state
    assert (state.path, state.place) == (path, Place("apps.yaml", 2, 15))


# Several files


def test_several_files_make_one_manifest_and_need_the_version_once() -> None:
    manifest = load(
        [
            Source("teams/a.yaml", PORTAL.replace("a.example", "${var.host}").encode()),
            Source("shared.yaml", b"state: {path: ../state}\nvariables: {host: {default: b.example}}\n"),
            Source("c.yaml", b"provider: {base_url: 'https://api.example'}\ndefaults: {scopes: []}\n"),
        ]
    )
    assert (manifest.state.path, manifest.state.stated_in) == ("../state", "shared.yaml")
    assert manifest.provider.base_url == "https://api.example"
    assert manifest.default_scopes == ()
    assert manifest.apps[Address("portal")].redirect_uris == ("https://b.example/cb",)
    assert str(manifest.apps[Address("portal")].place) == "teams/a.yaml:3:3"


def test_a_state_that_nobody_states_stands_beside_the_first_file() -> None:
    manifest = load([Source("teams/a.yaml", PORTAL.encode()), Source("b.yaml", b"version: 1\n")])
    assert (manifest.state.path, manifest.state.stated_in) == ("state", "teams/a.yaml")
    assert manifest.state.recipients == ()


@pytest.mark.parametrize(
    "section", ["provider", "state", "recovery", "variables", "defaults", "sinks", "policy"]
)
def test_a_section_that_is_for_one_file_is_refused_in_a_second(section: str) -> None:
    (fault,) = two_files(f"version: 1\napps: {{}}\n{section}: {{}}\n", f"{section}: {{}}\n")
    assert (fault.file, *place(fault)) == ("b.yaml", 1, 1, section)
    assert fault.rule.startswith(f"Only one file of a manifest has {section}; it stands at a.yaml:3:1")


def test_settings_stand_in_one_file_only_and_the_fault_shows_both_places() -> None:
    (fault,) = two_files(PORTAL + "state: {path: a}\n", "version: 1\nstate: {path: b}\n")
    assert (fault.file, *place(fault)) == ("b.yaml", 2, 1, "state")
    assert "at a.yaml:4:1" in fault.rule


def test_each_file_that_states_a_version_states_the_right_one() -> None:
    (fault,) = two_files(PORTAL, "version: 2\n")
    assert (fault.file, fault.rule[:28]) == ("b.yaml", "The manifest is of version 2")


def test_faults_come_in_the_order_of_the_files_and_lines() -> None:
    with pytest.raises(ManifestError) as caught:
        load([Source("z.yaml", b"b: 1\na: 1\n"), Source("a.yaml", b"version: 1\napps: {}\nc: 1\n")])
    assert [(fault.file, fault.line) for fault in caught.value.faults] == [
        ("z.yaml", 1),
        ("z.yaml", 2),
        ("a.yaml", 3),
    ]


def test_a_file_that_is_not_yaml_hides_no_fault_of_another_file_s_yaml() -> None:
    assert [fault.file for fault in two_files("a: [", "version: 1\nx: *y\n")] == ["a.yaml", "b.yaml"]


def test_no_file_is_no_manifest() -> None:
    with pytest.raises(ManifestError, match="has 1 fault") as caught:
        load([])
    assert caught.value.detail.startswith("The manifest\n")


# The whole life of an app

LIFE = (CASES / "good-whole-life.yaml").read_text("utf-8")


def test_every_key_of_an_app_s_life_is_a_value_of_the_manifest() -> None:
    manifest = load_text(LIFE)
    assert manifest.default_protect is True
    assert {address.key: (app.protect, app.rotate_after) for address, app in manifest.apps.items()} == {
        "portal": (None, timedelta(days=90)),
        "billing": (False, timedelta(hours=12)),
        "crm": (None, None),
    }
    assert manifest.moved == {
        Address("gate"): Address("door"),
        Address("door"): Address("portal"),
        Address("wiki"): Address("notes"),
    }
    assert manifest.removed == {Address("notes"): False, Address("legacy"): True}
    assert manifest.imports == {Address("crm"): "app_1", Address("billing"): "app_7n42DGM5Tflk9n8mt7Fhc7"}
    assert (manifest.policy.allow, manifest.policy.max_deletes) == ({"replace", "rotate"}, 0)


def test_a_life_that_nobody_states_is_empty() -> None:
    manifest = load_text(app("redirect_uris: ['https://a.example/cb']"))
    assert (manifest.moved, manifest.removed, manifest.imports) == ({}, {}, {})
    assert (manifest.default_protect, manifest.apps[Address("a")].protect) == (False, None)
    assert (manifest.policy.allow, manifest.policy.max_deletes) == (frozenset(), 3)


def life(body: str) -> str:
    """A manifest with the apps `a` and `b`, and with `body` from line 5 on."""
    apps = "".join(f"  {key}: {{redirect_uris: ['https://a.example/cb']}}\n" for key in "ab")
    return f"version: 1\n\napps:\n{apps}{body}\n"


@pytest.mark.parametrize("period", ["0s", "000d", "0ms"])
def test_a_secret_is_not_rotated_after_no_time(period: str) -> None:
    fault = only(app(f"rotate_after: {period}, redirect_uris: ['https://a.example/cb']"))
    assert (fault.path, fault.found) == ("apps.a.rotate_after", period)
    assert "no time at all" in fault.rule


@pytest.mark.parametrize(("period", "warned"), [("59m", True), ("6m", True), ("1h", False), ("60m", False)])
def test_a_period_of_less_than_an_hour_is_taken_with_a_warning_since_m_is_no_month(
    period: str, warned: bool
) -> None:
    text = app(f"rotate_after: {period}, redirect_uris: ['https://a.example/cb']")
    warnings = load_text(text).warnings
    assert [(*place(fault), fault.found) for fault in warnings] == [
        (2, 26, "apps.a.rotate_after", period)
    ] * warned
    assert all(fault.warning and "180d" in fault.remedy for fault in warnings)


@pytest.mark.parametrize("period", ["1ms", "010s", "999999d"])
def test_every_other_period_is_good_for_loader_and_schema(period: str) -> None:
    text = app(f"rotate_after: {period}, redirect_uris: ['https://a.example/cb']")
    assert load_text(text).apps[Address("a")].rotate_after
    assert schema_accepts(text)


@pytest.mark.parametrize("number", ["-1", "1.5", "'3'", "true", "~", "010", "[3]", "three"])
def test_the_number_of_deletes_is_a_whole_one_and_no_version(number: str) -> None:
    text = f"version: 1\napps: {{}}\npolicy: {{max_deletes: {number}}}\n"
    fault = only(text)
    assert place(fault) == (3, 23, "policy.max_deletes")
    assert "version" not in fault.rule + fault.remedy
    assert number == "010" or not schema_accepts(text)  # other readers of YAML take 010 for 8


@pytest.mark.parametrize("word", ["yes", "'true'", "1", "~", "[true]", "TRUE"])
@pytest.mark.parametrize(
    "where",
    [
        "apps: {a: {protect: WORD, redirect_uris: ['https://a.example/cb']}}",
        "apps: {}\ndefaults: {protect: WORD}",
        "apps: {}\nremoved: [{app: x, destroy: WORD}]",
    ],
)
def test_only_true_and_false_are_true_and_false(where: str, word: str) -> None:
    fault = only(f"version: 1\n{where.replace('WORD', word)}\n")
    assert fault.rule == "This must be true or false, in these words and without quotes."
    assert fault.path.rpartition(".")[2] in ("protect", "destroy")


@pytest.mark.parametrize(
    "where",
    [
        "moved: [{from: WORD, to: a}]",
        "removed: [{app: WORD, destroy: true}]",
        "import: [{to: WORD, id: app_1}]",
    ],
)
@pytest.mark.parametrize("word", ["'oauth_app.'", "app.a", "OAUTH_APP.a", "oauth_app.oauth_app.a", "''", "1"])
def test_an_address_is_a_key_with_or_without_its_type(where: str, word: str) -> None:
    text = life(where.replace("WORD", word))
    fault = only(text)
    assert fault.path.startswith(where.partition(":")[0])
    assert not schema_accepts(text)


@pytest.mark.parametrize(
    "app_id", ["app_", "app_" + "x" * 65, "app_1/../2", "org_1", "' app_1'", '"app_1\\n"', "''"]
)
def test_an_id_to_import_is_one_that_may_stand_in_a_path(app_id: str) -> None:
    text = life(f"import: [{{to: a, id: {app_id}}}]")
    assert only(text).path == "import[0].id"
    assert "\\n" in app_id or not schema_accepts(
        text
    )  # Python's $ passes over a newline, that of JSON Schema not


def test_transitions_may_stand_in_every_file_and_are_held_against_all_of_them() -> None:
    sources = (
        life("moved: [{from: old, to: a}]\nimport: [{to: b, id: app_1}]"),
        "removed: [{app: new, destroy: true}]\nmoved: [{from: older, to: new}]\n",
        "import: [{to: c, id: app_3}]\napps: {c: {redirect_uris: ['https://c.example/cb']}}\n",
    )
    manifest = load([Source(f"{index}.yaml", text.encode()) for index, text in enumerate(sources)])
    assert len(manifest.moved) == len(manifest.imports) == 2
    assert manifest.removed == {Address("new"): True}


@pytest.mark.parametrize(
    ("one", "two", "found", "rule"),
    [
        ("moved: [{from: x, to: a}]", "moved: [{from: x, to: b}]", (1, 16), "at a.yaml:6:16."),
        ("moved: [{from: x, to: a}]", "moved: [{from: y, to: a}]", (1, 23), "at a.yaml:6:23."),
        ("moved: [{from: x, to: y}]", "moved: [{from: y, to: x}]", None, "in a circle: oauth_app.x -> "),
        ("", "moved: [{from: a, to: b}]", (1, 16), "still in the manifest, at a.yaml:4:3;"),
        ("", "removed: [{app: a, destroy: true}]", (1, 17), "still in the manifest, at a.yaml:4:3;"),
        ("moved: [{from: x, to: a}]", "removed: [{app: x, destroy: true}]", (1, 17), "at a.yaml:6:16,"),
        ("moved: [{from: x, to: a}]", "import: [{to: a, id: app_1}]", (1, 15), "at a.yaml:6:23."),
        ("import: [{to: b, id: app_1}]", "import: [{to: a, id: app_1}]", (1, 22), "at a.yaml:6:22."),
        ("import: [{to: a, id: app_2}]", "import: [{to: a, id: app_1}]", (1, 15), "at a.yaml:6:15."),
        ("", "import: [{to: c, id: app_1}]", (1, 15), "oauth_app.c is no app of the manifest."),
    ],
)
def test_what_two_files_say_of_one_app_is_one_fault_with_both_places(
    one: str, two: str, found: tuple[int, int] | None, rule: str
) -> None:
    (fault,) = two_files(life(one), two)
    assert (fault.file, fault.line, fault.column) == (("b.yaml", *found) if found else ("a.yaml", 6, 16))
    assert rule in fault.rule


@pytest.mark.parametrize("section", ["moved: [{from: x, to: a}]", "import: [{to: a, id: app_1}]"])
def test_an_entry_that_was_written_twice_is_one_fault(section: str) -> None:
    assert len(two_files(life(section), section)) == 1


@pytest.mark.parametrize("apps", ["", "apps: ~\n", "apps: *x\n", "apps: []\n"])
def test_apps_that_cannot_be_told_are_not_said_to_be_missing(apps: str) -> None:
    text = f"version: 1\n{apps}moved: [{{from: x, to: a}}]\nimport: [{{to: b, id: app_1}}]\n"
    assert only(text).path == "apps"


def test_what_is_malformed_in_one_entry_is_not_held_against_others() -> None:
    body = "moved: [{from: x, to: 1}, {from: y, to: x}, {to: z}, {from: z, to: NO}, 7, ~]"
    assert [fault.path for fault in faults_of(life(body))] == [
        "moved[0].to",
        "moved[2].from",
        "moved[3].to",
        "moved[4]",
        "moved[5]",
    ]


def test_a_near_key_is_offered_for_as_many_faults_as_are_shown() -> None:
    entries = "".join(f"  - {{to: aa{number}, id: app_{number}}}\n" for number in range(102))
    remedies = [fault.remedy for fault in faults_of(life(f"import:\n{entries}"))]
    assert set(remedies[:100]) == {"Known here: a, b."}
    assert set(remedies[100:]) == {"Add the app, or remove this entry."}
    assert only("version: 1\napps: {}\nimport: [{to: a, id: app_1}]\n").remedy == remedies[-1]


def test_a_long_circle_is_cut_and_one_that_others_lead_into_is_said_once() -> None:
    ring = "".join(f"  - {{from: r{number}, to: r{(number + 1) % 30}}}\n" for number in range(30))
    other, circle = faults_of(life(f"moved:\n  - {{from: in, to: r7}}\n{ring}"))
    assert place(circle) == (15, 12, "moved[8].from")
    assert circle.rule.count("->") == 9
    assert "oauth_app.r14 -> … -> oauth_app.r7." in circle.rule
    assert other.rule == "An app is moved to oauth_app.r7 already, at apps.yaml:7:20."


@pytest.mark.parametrize("section", [*json_schema()["properties"]])
def test_an_unknown_key_is_a_fault_in_every_section(section: str) -> None:
    for body in ("{x_y_z: 1}", "[{x_y_z: 1}]", "{k: {x_y_z: 1}}"):
        text = f"{section}: {body}\n"
        assert all(
            fault.path.startswith(section) or fault.path in ("version", "apps") for fault in faults_of(text)
        )


# Sinks

SINKS = (CASES / "good-sinks.yaml").read_text("utf-8")
RECIPIENTS = ["good"]
# The least that each type needs, and all of its options then.
LEAST: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "age": ({"path": "x", "recipients": RECIPIENTS}, {"format": "dotenv"}),
    "file": ({"path": "x", "plaintext": True}, {"format": "dotenv"}),
    "command": ({"command": ["x"]}, {"remove": [], "format": "json", "timeout": "30s", "env": []}),
    "vault": (
        {"path": "x"},
        {
            "mount": "secret",
            "namespace": "",
            "address": "",
            "auth": "token",
            "approle_mount": "approle",
            "ca_cert": "",
        },
    ),
    "kubernetes": (
        {},
        {"name": "{key}", "namespace": "default", "context": "", "manifest": "", "plaintext": False},
    ),
    "github-actions": ({"repository": "a/b"}, {"environment": ""}),
}


def sinks_text(sinks: object, apps: dict[str, list[str]] | None = None, **more: object) -> str:
    """A manifest with these sinks, on one line in JSON's form, and with apps that are delivered to them."""
    declared = {
        key: {"redirect_uris": ["https://a.example/cb"], "sinks": names}
        for key, names in (apps or {}).items()
    }
    return json.dumps({"version": 1, "sinks": sinks, "apps": declared, **more})


def one_sink(kind: str, **options: object) -> str:
    return sinks_text({"s": {"type": kind, **LEAST[kind][0], **options}})


@pytest.mark.parametrize("kind", LEAST)
def test_a_sink_has_every_option_of_its_type_stated_or_not(kind: str) -> None:
    needed, rest = LEAST[kind]
    common = {"prefix": "", "keys": {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}}
    (sink,) = load_text(one_sink(kind)).sinks.values()
    assert sink == DeclaredSink("s", kind, common | needed | rest, PurePath(), keep=False)
    assert json.loads(json.dumps(sink.options)) == sink.options


@pytest.mark.parametrize("kind", LEAST)
def test_what_a_sink_needs_is_asked_for_at_its_name(kind: str) -> None:
    for option in LEAST[kind][0]:
        sink = {"type": kind, **{name: value for name, value in LEAST[kind][0].items() if name != option}}
        text = sinks_text({"s": sink})
        fault = only(text)
        assert (fault.path, text[fault.column - 1 :][:5]) == (f"sinks.s.{option}", '"s": ')
        assert not schema_accepts(text)


def test_sinks_know_the_folder_of_the_file_that_states_them_and_what_their_variables_are() -> None:
    team = PORTAL.replace("portal", "gate").encode()
    manifest = load([Source("teams/one.yaml", team), Source("shared/sinks.yaml", SINKS.encode())])
    assert {sink.folder for sink in manifest.sinks.values()} == {PurePath("shared")}
    assert manifest.sinks["sealed-json"].keep
    assert manifest.sinks["sealed-json"].options["path"] == "./secrets/payments/{KEY}.age"
    assert manifest.sinks["tool-in-full"].options["timeout"] == "600s"
    assert manifest.default_sinks == ("sealed", "cluster", "tool")


def test_an_app_states_its_sinks_or_none_or_says_nothing() -> None:
    apps = load_text(SINKS).apps
    assert apps[Address("portal")].sinks is None
    assert apps[Address("no-copies")].sinks == ()
    assert apps[Address("crm")].sinks == ("environment", "sealed")
    assert {address.key for address, app in apps.items() if app.sink_only} == {"billing", "crm"}


def test_an_unknown_type_says_which_are_known_and_an_unknown_option_which_is_near() -> None:
    fault = only(sinks_text({"s": {"type": "github-action", "repository": "a/b"}}))
    assert all(kind in fault.rule for kind in LEAST)
    assert fault.remedy == 'Did you mean "github-actions"?'
    text = "version: 1\nsinks:\n  s:\n    type: vault\n    path: x\n    adress: x\napps: {}\n"
    fault = only(text)
    assert (place(fault), fault.remedy) == ((6, 5, "sinks.s.adress"), 'Did you mean "address"?')


@pytest.mark.parametrize("kind", LEAST)
@pytest.mark.parametrize("value", [None, 7, True, "", [], {}, ["x", 7], "\0"])
def test_no_value_of_any_option_is_a_surprise(kind: str, value: object) -> None:
    """Each is taken or is a fault of this option, and the schema takes what the loader takes."""
    for option in validator().schema["$defs"][MODELS[kind]]["properties"].keys() - {"type"}:
        text = one_sink(kind, **{option: value})
        try:
            load_text(text)
        except ManifestError as error:
            assert all(fault.path.startswith(f"sinks.s.{option}") for fault in error.faults)
        else:
            assert schema_accepts(text)


MODELS = {
    "age": "Age",
    "file": "File",
    "command": "Command",
    "vault": "Vault",
    "kubernetes": "Kubernetes",
    "github-actions": "GithubActions",
}


def test_b52_a_path_leads_to_a_file_below_the_manifest() -> None:
    sinks = [path.split(".")[1] for _, _, path in places("b52-sink-paths")]
    assert sinks == list(yaml.safe_load((CASES / "b52-sink-paths.yaml").read_bytes())["sinks"])


def test_b54_a_sink_is_neither_in_the_state_nor_the_manifest() -> None:
    path = CASES / "b54-places-of-the-manifest-and-state.yaml"
    with pytest.raises(ManifestError) as caught:
        load([Source(path.name, path.read_bytes())])
    assert [fault.path for fault in caught.value.faults] == [
        "sinks.in-the-state.path",
        "sinks.the-state.path",
        "sinks.in-capitals.path",
        "sinks.the-lock.manifest",
        "sinks.the-manifest.path",
        "apps.state.sinks[0]",
    ]


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("state/x", True),
        ("kept/state/x", False),
        ("kept/x", True),
        ("a.yaml", True),
        ("teams/a.yaml", False),
        ("shared.yaml", False),
    ],
)
def test_b54_paths_are_held_against_the_state_and_the_files_of_other_folders(path: str, good: bool) -> None:
    sources = [
        Source("teams/a.yaml", PORTAL.encode() + b"state: {path: ../kept/state}\n"),
        Source("shared.yaml", sinks_text({"s": {"type": "file", "path": path, "plaintext": True}}).encode()),
    ]
    if good:
        assert load(sources).sinks["s"].options["path"] == path
    else:
        with pytest.raises(ManifestError, match="has 1 fault"):
            load(sources)


@pytest.mark.parametrize("state", ["{path: 7}", "state", "{path: [x]}"])
def test_b54_a_state_that_cannot_be_told_is_no_place(state: str) -> None:
    sinks = "sinks: {s: {type: file, path: state/x, plaintext: true}}"
    assert only(f"version: 1\nstate: {state}\napps: {{}}\n{sinks}\n").path.startswith("state")


def test_b54_two_deliveries_to_one_place_show_both_and_say_what_to_change() -> None:
    faults = faults_of((CASES / "b54-two-in-one-place.yaml").read_bytes())
    assert place(faults[0]) == (21, 3, "apps.billing.sinks")
    assert "oauth_app.portal in sinks.sealed, at apps.yaml:20:3" in faults[0].rule
    assert faults[0].remedy == "Use {key} in sinks.sealed.path, at apps.yaml:3:23."


def test_b54_apps_of_two_files_are_held_against_each_other() -> None:
    sink = "sinks: {s: {type: kubernetes, name: x}}\ndefaults: {sinks: [s]}\n"
    (fault,) = two_files(PORTAL + sink, PORTAL.replace("portal", "gate"))
    assert (fault.file, *place(fault)) == ("b.yaml", 3, 3, "apps.gate.sinks")
    assert "oauth_app.portal in sinks.s, at a.yaml:3:3" in fault.rule


def test_b54_what_is_said_twice_of_one_app_is_no_collision() -> None:
    sink = "sinks: {s: {type: kubernetes, name: x}}\ndefaults: {sinks: [s]}\n"
    assert [fault.path for fault in two_files(PORTAL + sink, PORTAL + sink)] == [
        "apps.portal",
        "sinks",
        "defaults",
    ]
    assert only(sinks_text({"s": {"type": "kubernetes"}}, {"a": ["s", "s"]})).path == "apps.a.sinks[1]"


IDENTITIES: dict[str, Callable[[dict[str, str], str], set[tuple[str, ...]]]] = {
    "age": lambda texts, key: {("file", filled(texts["path"], key).lower())},
    "file": lambda texts, key: {("file", filled(texts["path"], key).lower())},
    "vault": lambda texts, key: {("vault", filled(texts["path"], key))},
    "kubernetes": lambda texts, key: {("k8s", filled(texts["name"], key))},
    "github-actions": lambda texts, key: {
        ("gh", filled(texts["prefix"], key) + name) for name in ("CLIENT_ID", "CLIENT_SECRET")
    },
    "command": lambda texts, key: set(),
}
PLACE = {
    "age": "path",
    "file": "path",
    "vault": "path",
    "kubernetes": "name",
    "github-actions": "prefix",
    "command": "command",
}


def filled(text: str, key: str) -> str:
    return text.replace("{key}", key).replace("{KEY}", key.upper().replace("-", "_"))


@settings(max_examples=100, deadline=None)
@given(
    sinks=st.lists(
        st.tuples(st.sampled_from(list(PLACE)), st.sampled_from(["x", "a", "A", "{key}", "{KEY}", "x{key}"])),
        max_size=4,
    ),
    apps=st.dictionaries(st.sampled_from(["a", "x", "a-b", "a_b", "xa"]), st.sets(st.integers(0, 3))),
)
def test_b54_every_two_deliveries_to_one_place_are_found_and_no_others(
    sinks: list[tuple[str, str]], apps: dict[str, set[int]]
) -> None:
    declared, texts = {}, {}
    for number, (kind, text) in enumerate(sinks):
        option = PLACE[kind]
        texts[f"s{number}"] = (kind, {option: text})
        declared[f"s{number}"] = {
            "type": kind,
            **LEAST[kind][0],
            option: [text] if option == "command" else text,
        }
    used = {
        key: [f"s{number}" for number in sorted(chosen) if number < len(sinks)]
        for key, chosen in apps.items()
    }
    taken: list[tuple[str, ...]] = []
    for key, names in used.items():
        for kind, stated in (texts[name] for name in names):
            taken += IDENTITIES[kind](stated, key)
    # What fits neither Kubernetes nor GitHub is a fault of another kind.
    unfit = any(
        (kind == "kubernetes" and ("A" in text or "{KEY}" in text))
        or (kind == "github-actions" and text not in ("A", "{KEY}"))
        for kind, text in sinks
    ) or any(
        "_" in key and kind == "kubernetes" and "{key}" in stated["name"]
        for key, names in used.items()
        for kind, stated in (texts[name] for name in names)
    )
    text = sinks_text(declared, used)
    if not unfit and len(set(taken)) == len(taken):
        assert len(load_text(text).sinks) == len(sinks)
    else:
        assert faults_of(text)


def test_b55_names_fit_the_place_that_they_go_to() -> None:
    names = yaml.safe_load((CASES / "b55-names.yaml").read_bytes())["sinks"]
    assert {path.split(".")[1] for _, _, path in places("b55-names")} == set(names)


@pytest.mark.parametrize("kind", LEAST)
@pytest.mark.parametrize("secret", ["hunter2 and more", "x/canary+", "Ünïcode"])
def test_b55_a_name_for_the_secret_that_may_be_the_secret_is_not_shown(kind: str, secret: str) -> None:
    error = error_of(one_sink(kind, keys={"client_secret": secret}))
    assert error.faults[0].path == "sinks.s.keys.client_secret"
    assert secret not in error.detail + repr(error.faults)


def test_b55_what_an_app_s_key_makes_of_a_name_is_a_fault_of_that_app_alone() -> None:
    sinks = {"s": {"type": "github-actions", "repository": "a/{key}", "prefix": "{KEY}_"}}
    fault = only(sinks_text(sinks, {"portal": ["s"], "9lives": ["s"], "github-2": []}))
    assert (fault.path, fault.found) == ("apps.9lives.sinks[0]", "s")
    assert '"9LIVES_CLIENT_ID"' in fault.rule
    assert only(sinks_text(sinks, {"github-2": ["s"]})).path == "apps.github-2.sinks[0]"


def test_b57_recipients_of_a_sink_are_checked_by_whoever_knows_them() -> None:
    text = one_sink("age", recipients=["good", "bad"])
    assert only(text).path == "sinks.s.recipients[1]"
    assert load([Source("a.yaml", text.encode())]).sinks["s"].options["recipients"] == ["good", "bad"]


def test_b60_what_a_sink_logs_in_with_is_refused_and_never_shown() -> None:
    error = error_of((CASES / "bad-sink-options.yaml").read_text("utf-8"))
    assert "canary" not in repr(error.faults) + error.detail + str(error)


@pytest.mark.parametrize(
    "word", ["{Key}", "{name}", "{ key }", "{{key}}", "${KEY}", "{key }", "{KEY_ID}", "{app.key}", "{0}"]
)
def test_a_word_in_braces_is_one_of_two(word: str) -> None:
    for kind, option in PLACE.items():
        if option in LEAST[kind][0]:
            text = f"x{word.replace('${', '$${')}y"
            fault = faults_of(one_sink(kind, **{option: [text] if option == "command" else text}))[0]
            assert fault.found == word
            assert "{key}" in fault.rule
            assert "{KEY}" in fault.rule


@pytest.mark.parametrize("word", ["{}", "{{.Names}}", '{"a": 1}', "{print $1}", "a{key}b{KEY}", "}{", "{é}"])
def test_braces_that_hold_no_word_may_stand_in_a_command(word: str) -> None:
    assert load_text(one_sink("command", command=["x", word])).sinks["s"].options["command"][1] == word


@pytest.mark.parametrize("unit", ["ms", "s", "m", "h", "d"])
@pytest.mark.parametrize(
    "number",
    [
        "0",
        "1",
        "01",
        "9",
        "10",
        "000010",
        "11",
        "59",
        "600",
        "601",
        "999",
        "1000",
        "0999",
        "600000",
        "600001",
    ],
)
def test_a_command_takes_from_1s_to_10m_for_loader_and_schema(number: str, unit: str) -> None:
    seconds = int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    text = one_sink("command", timeout=f"{number}{unit}")
    if 1 <= seconds <= 600:
        assert load_text(text).sinks["s"].options["timeout"] == f"{number}{unit}"
    else:
        assert only(text).path == "sinks.s.timeout"
    assert schema_accepts(text) == (1 <= seconds <= 600)


def test_a_secret_goes_into_a_file_in_clear_only_where_that_is_said() -> None:
    for kind, more in (("file", {}), ("kubernetes", {"manifest": "x.yaml"})):
        for plaintext in (True, False):
            text = one_sink(kind, **more, plaintext=plaintext)
            assert schema_accepts(text) == plaintext
            if plaintext:
                assert load_text(text).sinks["s"].options["plaintext"]
            else:
                assert "in clear" in only(text).rule
    assert load_text(one_sink("kubernetes", plaintext=False)).sinks


def test_kubernetes_takes_no_underscore_and_the_fault_says_to_give_a_name() -> None:
    fault = only(sinks_text({"s": {"type": "kubernetes"}}, {"a_b": ["s"], "a-b": ["s"]}))
    assert fault.path == "apps.a_b.sinks[0]"
    assert '"a_b"' in fault.rule
    assert "`name:`" in fault.remedy


def test_sinks_that_cannot_be_told_are_not_said_to_be_missing() -> None:
    for sinks in ("~", "[x]", "*x", "x"):
        text = app("sinks: [x], redirect_uris: ['https://a.example/cb']") + f"sinks: {sinks}\n"
        assert only(text).path == "sinks"
    for sink in ({"type": "x"}, {}, {"type": "age", "path": "/", "recipients": RECIPIENTS}):
        assert only(sinks_text({"s": sink}, {"a": ["s"], "b": ["s"]})).path.startswith("sinks.s.")


def test_a_near_sink_is_offered_for_as_many_faults_as_are_shown() -> None:
    apps = {f"a{number}": ["clustr"] for number in range(102)}
    remedies = [fault.remedy for fault in faults_of(sinks_text({"cluster": {"type": "kubernetes"}}, apps))]
    assert set(remedies[:100]) == {'Did you mean "cluster"?'}
    assert set(remedies[100:]) == {"Declare it under `sinks`."}


@pytest.mark.parametrize(
    ("body", "defaults", "good"),
    [
        ("sinks: []", "{sinks: [s]}", False),
        ("name: a", "{}", False),
        ("name: a", "{sinks: []}", False),
        ("name: a", "{sinks: [s]}", True),
        ("sinks: [s]", "{sinks: []}", True),
    ],
)
def test_the_only_copy_is_not_kept_nowhere(body: str, defaults: str, good: bool) -> None:
    text = app(f"{body}, sink_only: true, redirect_uris: ['https://a.example/cb']")
    text += f"sinks: {{s: {{type: kubernetes}}}}\ndefaults: {defaults}\n"
    if good:
        assert load_text(text).apps[Address("a")].sink_only
    else:
        assert only(text).path == "apps.a.sink_only"


def test_defaults_that_cannot_be_told_may_have_sinks() -> None:
    text = app("sink_only: true, redirect_uris: ['https://a.example/cb']")
    for defaults in ("~", "[]", "{sinks: ~}", "{sinks: x}"):
        assert only(f"{text}defaults: {defaults}\n").path.startswith("defaults")


def test_what_is_wrong_in_one_option_hides_nothing_of_another() -> None:
    sink = {"type": "age", "path": "/x", "recipients": ["bad"], "prefix": 7, "colour": "blue", "format": "x"}
    assert {fault.path for fault in faults_of(sinks_text({"s": sink}))} == {
        f"sinks.s.{option}" for option in ("path", "recipients[0]", "prefix", "colour", "format")
    }


def schema_accepts(text: str) -> bool:
    return validator().is_valid(stringly(yaml.safe_load(text)))


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


# Syntax


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("a:\n\tb: c", 2, "A tab stands"),
        ("a: b\n\tc: d", 2, "A tab stands"),
        ("\ta: b", 1, "A tab stands"),
        ("a: b\nc: @d", 2, "No value starts with this character"),
        ("a: `b`", 1, "No value starts with this character"),
        ("a: b: c", 1, "A colon stands"),
        ("a: x\nb: 'y\nc: z\n", 2, "never closed"),
        ("a: [x,\n", None, "in brackets is not complete"),
        ('a: "\\q"', 1, "an escape that YAML does not know"),
        ("a: b\nc\nd: e", 2, "no colon after it"),
        ("- a\nb: c", None, "does not continue"),
        ("a: *.example.com", 1, "Anchors and aliases"),
        ("a: !x!y z", 1, "Tags"),
        ("a: b\n...\nc", 3, "Something follows the end"),
        ("%YAML 2.0\n---\na: b", 1, 'its parser says "found incompatible YAML document'),
    ],
)
def test_what_is_not_yaml_is_said_in_words_with_its_line(
    parser: str, text: str, line: int | None, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PARSER", PARSERS[parser])
    fault = only(text)
    assert rule in fault.rule
    assert line in (fault.line, None)


@pytest.mark.parametrize("text", [f"%YAML {'9' * 5000}.1\n---\na: b", 'a: "\\UFFFFFFFF"'])
def test_errors_of_python_out_of_the_pure_parser_are_faults(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PARSER", yaml.SafeLoader)
    assert only(text).rule == "The file is not YAML."


# Errors as values


def test_an_error_counts_its_faults_and_shows_a_hundred() -> None:
    error = error_of("version: 1\napps: {}\n" + "".join(f"x{number}: 1\n" for number in range(1234)))
    assert error.summary == "The manifest has 1,234 faults"
    assert error.detail.count("This key is unknown.") == 100
    assert error.detail.endswith("\n… and 1,134 more.")


def test_warnings_beside_faults_are_shown_and_not_counted() -> None:
    error = error_of(app("name: NO, redirect_uris: ['http://localhost/cb']"))
    assert (error.summary, len(error.faults)) == ("The manifest has 1 fault", 2)
    assert "\nWarning: apps.yaml:2:" in error.detail


def test_warnings_alone_are_kept_in_the_manifest() -> None:
    (warning,) = load_text(app("redirect_uris: ['http://localhost/cb']")).warnings
    assert warning.warning


def test_a_fault_is_rendered_escaped_and_cut() -> None:
    fault = Fault("a\x1b.yaml", 1, 2, "apps.a", "x\x1b" + "y" * 100, "The rule.", "The way out.")
    lines = fault.render().splitlines()
    assert lines[0].startswith('a\\x1b.yaml:1:2: apps.a: "x\\x1by')
    assert len(lines[0]) < 120
    assert lines[1:] == ["  The rule.", "  The way out."]
    assert Fault("a.yaml", 1, 2, "", None, "The rule.").render() == "a.yaml:1:2\n  The rule."


# The example and the schema


def test_the_example_is_a_good_manifest() -> None:
    manifest = load([Source("apps.yaml", (EXAMPLES / "apps.yaml").read_bytes())])
    assert (len(manifest.apps), manifest.warnings, manifest.state.recipients) == (4, (), ())


@pytest.mark.parametrize("path", [*GOOD, EXAMPLES / "apps.yaml"], ids=lambda path: path.stem)
def test_the_schema_accepts_what_is_good(path: Path) -> None:
    validator().validate(yaml.safe_load(path.read_bytes()))


# What a schema cannot see: how the YAML is written, sums over several places, and the sense of strings.
BEYOND_A_SCHEMA = (
    "b01-",
    "b02-",
    "b03-",
    "b05-",
    "b06-",
    "b07-several",
    "b13-apps-is-missing",
    "b14-a-key",
    "b16-",
    "b20-",
    "b21-",
    "b54-",
    "b56-recipients",
    "b56-a-private",
    "targets-",
    "transitions-",
)


@pytest.mark.parametrize(
    "path", [path for path in BAD if not path.name.startswith(BEYOND_A_SCHEMA)], ids=lambda path: path.stem
)
def test_the_schema_refuses_what_it_can_see(path: Path) -> None:
    document = stringly(yaml.safe_load(path.read_bytes()))
    assert not validator().is_valid(document)


def stringly(node: Any) -> Any:
    """With string keys, as JSON has them."""
    if isinstance(node, dict):
        return {
            key if isinstance(key, str) else json.dumps(key): stringly(value) for key, value in node.items()
        }
    return node


def test_the_schema_is_one_and_describes_every_field() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "Manifest of provisioner, version 1"
    parts = [schema, *schema["$defs"].values()]
    for field in (field for part in parts for field in part["properties"].values()):
        assert "description" in field or "description" in schema["$defs"][field["$ref"].rpartition("/")[2]]
        assert "title" not in field


def test_reading_a_manifest_loads_neither_network_nor_sealing_nor_comparing() -> None:
    code = "import sys, provisioner.desired; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "provisioner.manifest" in done.stdout.split()
    # pydantic comes once a manifest is not of the usual form, or has sinks.
    assert not {"pydantic", "httpx", "deepdiff", "pyrage", "click", "rich"} & set(done.stdout.split())


# What holds for every input

TOKENS = [
    *("a", "b", "apps", "version", "variables", "name", "redirect_uris", "scopes", "state", "recipients"),
    *(
        "moved",
        "removed",
        "import",
        "policy",
        "recovery",
        "defaults",
        "from",
        "to",
        "id",
        "app",
        "allow",
        "protect",
        "sinks",
        "type",
        "age",
        "file",
        "kubernetes",
        "path",
        "keys",
        "client_id",
        "sink_only",
    ),
    *(
        ": ",
        ":",
        "- ",
        "? ",
        ", ",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        "\t",
        "#",
        "---\n",
        "...\n",
    ),
    *("&x ", "*x ", "!t ", "!!str ", "<<", "|\n", ">-\n", "'", '"', "\\", "\\ud800", "${", "${var.a}", "$${"),
    *("~", "NO", "1", "010", "22:22", "1.20", "2024-01-01", "=", "https://a.example/cb", "%YAML 1.1", "@"),
    *(
        "\ufeff",
        "\0",
        "\x85",
        "é",
        "𝄞",
        "\r\n",
        "\r",
        KEY,
        "%",
        "x" * 8193,
        "[" * 40,
        "{key}",
        "{KEY}",
        "{x}",
    ),
]


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=100, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(st.sampled_from(TOKENS), max_size=25).map(lambda tokens: "".join(tokens).encode()),
        st.lists(st.sampled_from(TOKENS), max_size=15).map(
            lambda tokens: ("version: 1\napps:\n  a:\n    name: " + "".join(tokens)).encode()
        ),
        st.lists(st.sampled_from(TOKENS), max_size=15).map(
            lambda tokens: (
                "version: 1\napps: {a: {sinks: [s]}}\nsinks:\n  s:\n    type: age\n    path: "
                + "".join(tokens)
            ).encode()
        ),
    )
)
def test_no_bytes_whatsoever_raise_anything_but_a_manifest_error(parser: str, data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "PARSER", PARSERS[parser])
        for read in READERS:
            try:
                read(Source("apps.yaml", data))
            except ManifestError as error:
                assert error.faults
                assert all(fault.line >= 1 and fault.column >= 1 for fault in error.faults)
                assert "Q" * 20 not in error.detail


READERS: tuple[Callable[[Source], object], ...] = (lambda source: load([source]), variables_from)


def leaves(document: Document) -> Iterator[tuple[str, int, int]]:
    """Every string of a tree with its line and column, from 0."""

    def walk(node: Node, loc: tuple[str | int, ...]) -> Iterator[tuple[str, int, int]]:
        if isinstance(node, Map | List):
            steps = node.items() if isinstance(node, Map) else enumerate(node)
            for step, value in steps:
                yield from walk(value, (*loc, step))
        elif isinstance(node, str):
            found = document.place(loc)
            yield node, found.line - 1, found.column - 1

    return walk(document.root, ())


WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\ufeff"), max_size=12
)
TREES = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=8
)


@settings(max_examples=60, deadline=None)
@given(tree=st.dictionaries(WORDS, TREES, max_size=4), flow=st.booleans())
def test_a_position_is_where_the_value_starts(tree: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(tree, allow_unicode=True, default_flow_style=flow, sort_keys=False, width=10_000)
    document, faults = events.read(Source("a.yaml", text.encode()))
    assert faults == []
    assert document is not None
    assert document.root == tree
    lines = text.split("\n")
    for value, line, column in leaves(document):
        rest = lines[line][column:]
        assert rest[0] in "'\"|>?" or rest.startswith(value[:5].partition("\n")[0])


WORD = st.text("abcxyz019", min_size=1, max_size=6)
URIS = st.lists(WORD.map("https://{0}.example/{0}".format), min_size=1, max_size=3, unique=True)
TOKEN = st.text([chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\$'], min_size=1, max_size=6)
SCOPES = st.none() | st.lists(TOKEN, max_size=3, unique=True)
APPS = st.dictionaries(
    WORD, st.fixed_dictionaries({"redirect_uris": URIS}, optional={"scopes": SCOPES}), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(apps=APPS, flow=st.booleans())
def test_a_random_valid_manifest_says_what_it_was_made_of(apps: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump({"version": 1, "apps": apps}, default_flow_style=flow, sort_keys=False)
    manifest = load_text(text)
    assert [address.key for address in manifest.apps] == list(apps)
    for address, found in manifest.apps.items():
        wanted = apps[address.key]
        assert list(found.redirect_uris) == wanted["redirect_uris"]
        assert found.scopes_stated == ("scopes" in wanted)
        assert found.scopes == (None if wanted.get("scopes") is None else tuple(wanted["scopes"]))
        line = text.splitlines()[found.place.line - 1][found.place.column - 1 :]
        assert line.lstrip("?' ").startswith(address.key)


# Policy


@pytest.mark.parametrize(
    ("uri", "pattern", "fits"),
    [
        ("https://a.example.com/cb", "*.example.com", True),
        ("https://a.b.example.com/cb", "*.example.com", True),
        ("https://example.com/cb", "*.example.com", False),
        ("https://example.com/cb", "example.com", True),
        ("https://EXAMPLE.com/cb", "example.com", True),
        ("https://a.example.com/cb", "example.com", False),
        ("https://badexample.com/cb", "*.example.com", False),
        ("https://example.com.evil.example/cb", "example.com", False),
        ("https://example.com@evil.example/cb", "example.com", False),
        ("https://evil.example/example.com", "example.com", False),
        ("http://[::1]:8080/cb", "[::1]", True),
        ("com.example.app:/cb", "com.example.app:", True),
        ("com.example.app:/cb", "com.example.app", False),
        ("com.example.app://example.com/cb", "com.example.app:", False),
        ("https://example.com/cb", "https:", False),
        ("no uri at all", "example.com", False),
    ],
)
def test_a_redirect_uri_leads_only_where_its_pattern_says(uri: str, pattern: str, fits: bool) -> None:
    from provisioner.manifest.policy import fits as leads

    assert leads(uri, pattern) is fits


def test_the_policy_of_one_file_holds_for_the_apps_of_another() -> None:
    policy = Source(
        "policy.yaml", b"version: 1\npolicy: {redirect_hosts: [a.example], require_protect: true}\n"
    )
    apps = Source("apps.yaml", b"version: 1\napps: {a: {redirect_uris: ['https://b.example/cb']}}\n")
    with pytest.raises(ManifestError) as caught:
        load([apps, policy], {}, None)
    assert "apps.yaml:2:8: apps.a" in caught.value.detail
    assert "policy.redirect_hosts does not allow this place" in caught.value.detail
    defaults = Source("defaults.yaml", b"version: 1\ndefaults: {protect: true}\n")
    with pytest.raises(ManifestError) as caught:
        load([apps, policy, defaults], {}, None)
    assert "require_protect" not in caught.value.detail


# The state as a branch


def test_a_state_in_git_has_a_remote_a_branch_and_a_lease() -> None:
    git = load_text((CASES / "good-state-in-git.yaml").read_text()).state.git
    assert git is not None
    assert (git.remote, git.branch, git.lease) == ("upstream", "teams/payments", timedelta(minutes=5))
    plain = load_text("version: 1\nstate: {git: {}}\napps: {}\n").state.git
    assert plain is not None
    assert (plain.remote, plain.branch, plain.lease) == ("origin", "provisioner-state", timedelta(minutes=10))
    assert load_text("version: 1\nstate: {path: x}\napps: {}\n").state.git is None


@pytest.mark.parametrize(
    "branch", ["", "/a", "a/", "a//b", "a b", "-a", "a.lock", "a.", "a..b", "a/.b", "ä", "@{-1}"]
)
def test_what_git_would_not_take_for_a_branch_is_refused(branch: str) -> None:
    text = f'version: 1\nstate: {{git: {{branch: "{branch}"}}}}\napps: {{}}\n'
    assert only(text).path == "state.git.branch"


def test_an_address_in_the_place_of_a_remote_is_not_shown() -> None:
    faults = faults_of((CASES / "state-in-git-and-wrong.yaml").read_bytes())
    assert "canary" not in "".join(fault.render() for fault in faults)
