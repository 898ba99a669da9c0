"""Scopes against the grammar of RFC 6749."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.scope import check

CASES = Path(__file__).parent / "cases" / "scope"
REFUSED = yaml.safe_load((CASES / "refused.yaml").read_text(encoding="utf-8"))
ACCEPTED = yaml.safe_load((CASES / "accepted.yaml").read_text(encoding="utf-8"))
# RFC 6749 §3.3, written out: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
TOKEN_CHARACTERS = {0x21, *range(0x23, 0x5B + 1), *range(0x5D, 0x7E + 1)}


def cases(start: str) -> pytest.MarkDecorator:
    found = [case for case in REFUSED if case["id"].startswith(start + "-")]
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in found])


def has_its_problems(case: dict[str, Any]) -> None:
    problems = check(case["scope"])
    assert len(problems) == len(case["expect"]), problems
    for problem, part in zip(problems, case["expect"], strict=True):
        assert part in problem.rule
        assert not problem.warning
    assert case.get("remedy", "") in problems[0].remedy


@cases("b47")
def test_b47_an_empty_scope_or_several_in_one_string_are_refused(case: dict[str, Any]) -> None:
    has_its_problems(case)


@cases("b48")
def test_b48_a_character_outside_the_grammar_is_refused_with_its_place(case: dict[str, Any]) -> None:
    has_its_problems(case)


@pytest.mark.parametrize("scope", ACCEPTED)
def test_an_ordinary_scope_has_no_problem(scope: str) -> None:
    assert check(scope) == ()


@settings(max_examples=200)
@given(st.text() | st.text(st.characters(max_codepoint=0x7F)))
def test_b48_a_scope_is_accepted_exactly_where_the_grammar_has_it(token: str) -> None:
    is_token = token != "" and {ord(char) for char in token} <= TOKEN_CHARACTERS
    assert (check(token) == ()) is is_token


@given(st.text())
def test_problems_of_a_scope_are_sentences_that_are_safe_to_print(token: str) -> None:
    for problem in check(token):
        assert problem.rule.endswith(".")
        assert problem.remedy.endswith(".")
        assert (problem.rule + problem.remedy).isprintable()


@given(st.lists(st.text("abc:", min_size=1), min_size=2, max_size=5))
def test_b47_every_word_of_the_suggested_list_is_a_scope(words: list[str]) -> None:
    (problem,) = check(" ".join(words))
    assert yaml.safe_load(problem.remedy.removeprefix("Write ").removesuffix(".")) == words
    assert all(check(word) == () for word in words)
