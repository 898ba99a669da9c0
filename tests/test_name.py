"""Names of apps: what they may hold, when two collide, when two look alike."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provisioner.name import MAX_LENGTH, check, fold, lookalike, skeleton

CASES = Path(__file__).parent / "cases" / "name"
ANY_TEXT = (
    st.text()
    | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Mn", "Zs", "Lo", "Lm"]))
    | st.text("e\u0301\u0345 ")
)


def load(file: str, start: str = "") -> pytest.MarkDecorator:
    found = yaml.safe_load((CASES / file).read_text(encoding="utf-8"))
    found = [pytest.param(case, id=case["id"]) for case in found if case["id"].startswith(start)]
    return pytest.mark.parametrize("case", found)


def has_its_problems(case: dict[str, Any]) -> None:
    problems = check(case["name"])
    assert len(problems) == len(case["expect"]), problems
    for problem, part in zip(problems, case["expect"], strict=True):
        assert part in problem.rule
        assert not problem.warning
    assert case.get("remedy", "") in problems[0].remedy


@load("refused.yaml", "b17-")
def test_b17_a_name_without_a_visible_character_or_with_outer_spaces_is_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@load("refused.yaml", "b18-")
def test_b18_a_control_character_is_refused_with_its_place(case: dict[str, Any]) -> None:
    has_its_problems(case)


@load("refused.yaml", "b19-")
def test_b19_an_invisible_character_is_named_with_its_place(case: dict[str, Any]) -> None:
    has_its_problems(case)


def test_b19_an_unpaired_surrogate_is_refused() -> None:
    (problem,) = check("Portal\ud800")
    assert problem.rule == "A name cannot hold the unpaired surrogate U+D800 at 7."


@load("refused.yaml", "b20-")
def test_b20_a_name_that_is_not_composed_is_refused_with_its_composed_form(case: dict[str, Any]) -> None:
    has_its_problems(case)
    assert unicodedata.normalize("NFC", case["name"]) in check(case["name"])[0].remedy


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Portal", "PORTAL"),
        ("Caf\u00e9", "cafe\u0301"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u1fb3", "\u0391\u0399"),
        ("\u03a3", "\u03c2"),
    ],
)
def test_b20_names_that_differ_in_case_or_composition_alone_collide(one: str, two: str) -> None:
    assert fold(one) == fold(two)


@pytest.mark.parametrize(
    ("one", "two"), [("Portal", "Portal 2"), ("Noel", "No\u00ebl"), ("Portal", "P\u043ertal")]
)
def test_b20_other_names_do_not_collide(one: str, two: str) -> None:
    assert fold(one) != fold(two)


@given(ANY_TEXT)
def test_b20_folding_twice_is_folding_once_and_forgets_composition(name: str) -> None:
    folded = fold(name)
    assert fold(folded) == folded
    assert fold(unicodedata.normalize("NFC", name)) == folded
    assert fold(unicodedata.normalize("NFD", name)) == folded


@pytest.mark.parametrize("char", ["a", "\u00e9", "\u30dd", "\U0001f680"])
def test_b22_a_name_has_at_most_128_characters_and_512_bytes(char: str) -> None:
    longest = char * MAX_LENGTH
    assert check(longest) == ()
    assert len(longest.encode()) <= 512
    (problem,) = check(longest + char)
    assert problem.rule == "A name has at most 128 characters; this one has 129."


@load("accepted.yaml", "b23-")
def test_b23_markup_is_allowed_in_a_name(case: dict[str, Any]) -> None:
    assert check(case["name"]) == ()


@load("accepted.yaml")
def test_an_ordinary_name_has_no_problem(case: dict[str, Any]) -> None:
    assert check(case["name"]) == ()


@load("lookalikes.yaml")
def test_b24_a_lookalike_gets_a_warning_with_the_character_that_differs(case: dict[str, Any]) -> None:
    problem = lookalike(case["name"], case["other"])
    assert problem is not None
    assert problem.warning
    assert case["expect"] in problem.rule


@load("distinct.yaml")
def test_b24_names_that_look_different_get_no_warning(case: dict[str, Any]) -> None:
    assert lookalike(case["name"], case["other"]) is None


@given(ANY_TEXT)
@example("\u0345")
@example("\u03f4\u0394")
def test_b24_the_skeleton_of_a_skeleton_is_itself(name: str) -> None:
    assert skeleton(skeleton(name)) == skeleton(name)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E)))
def test_b24_ascii_names_look_alike_only_where_their_case_differs(name: str) -> None:
    assert skeleton(name) == name.lower()


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_b24_fullwidth_letters_look_like_their_ascii_twins(name: str) -> None:
    wide = "".join(chr(ord(char) - 0x21 + 0xFF01) for char in name)
    problem = lookalike(wide, name)
    assert problem is not None
    assert f"U+{ord(wide[0]):04X}" in problem.rule


@given(ANY_TEXT, ANY_TEXT)
def test_b24_looking_alike_is_mutual(name: str, other: str) -> None:
    assert (lookalike(name, other) is None) is (lookalike(other, name) is None)


@settings(max_examples=200)
@given(ANY_TEXT)
def test_no_text_makes_a_check_raise_and_every_problem_is_safe_to_print(name: str) -> None:
    for problem in check(name):
        assert problem.rule.endswith(".")
        assert problem.remedy.endswith(".")
        assert (problem.rule + problem.remedy).isprintable()
        assert not problem.warning


@settings(max_examples=200)
@given(ANY_TEXT)
def test_what_is_accepted_is_visible_composed_trimmed_and_short(name: str) -> None:
    if check(name):
        return
    assert name.isprintable()
    assert name == name.strip() != ""
    assert unicodedata.is_normalized("NFC", name)
    assert len(name.encode()) <= 512
