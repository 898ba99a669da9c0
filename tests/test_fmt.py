"""`fmt`: one form, whose comments and meaning are those of before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.manifest import Source
from provisioner.manifest.events import read
from provisioner.manifest.faults import ManifestError
from provisioner.manifest.formatting import formatted

ROOT = Path(__file__).parent.parent
UGLY = """version:   1
# of one
apps:
    one:   # beside it
        redirect_uris: [ "https://a.example/cb",'https://b.example/cb' ]
        scopes:
        - a     # why


        - b
    # before two
    two: {redirect_uris: [https://c.example/cb], scopes:  null}
"""
TIDY = """version: 1
# of one
apps:
  one:     # beside it
    redirect_uris: ["https://a.example/cb", 'https://b.example/cb']
    scopes:
      - a       # why

      - b
  # before two
  two: {redirect_uris: [https://c.example/cb], scopes: null}
"""


def tree(data: bytes) -> Any:
    document, faults = read(Source("a.yaml", data))
    assert document is not None
    assert faults == []
    return document.root


def test_a_file_is_put_in_form_and_keeps_its_comments(provisioner) -> None:
    path = Path("apps.yaml")
    path.write_text(UGLY)
    path.chmod(0o640)
    ran = provisioner("fmt")
    assert (ran.status, ran.out) == (0, "apps.yaml\n")
    assert path.read_text() == TIDY
    assert path.stat().st_mode & 0o777 == 0o640
    assert provisioner("fmt").out == ""


def test_check_changes_nothing_and_is_1_where_something_is_not_in_form(provisioner) -> None:
    Path("apps.yaml").write_text(UGLY)
    ran = provisioner("fmt", "--check")
    assert (ran.status, ran.out) == (1, "apps.yaml\n")
    assert Path("apps.yaml").read_text() == UGLY
    Path("apps.yaml").write_text(TIDY)
    assert provisioner("fmt", "-check").status == 0


def test_diff_shows_what_changes(provisioner) -> None:
    Path("apps.yaml").write_text(UGLY)
    ran = provisioner("fmt", "--check", "--diff")
    assert "-version:   1" in ran.out
    assert "+version: 1" in ran.out


def test_a_file_that_is_not_yaml_is_left_as_it_is(provisioner) -> None:
    for text in ("a: [", "a: 1\na: 2\n", "a: &x 1\nb: *x\n", ""):
        Path("apps.yaml").write_text(text)
        assert provisioner("fmt").status == 1
        assert Path("apps.yaml").read_text() == text


def test_a_link_stays_a_link(provisioner) -> None:
    Path("real.yaml").write_text(UGLY)
    Path("apps.yaml").symlink_to("real.yaml")
    assert provisioner("fmt").status == 0
    assert Path("apps.yaml").is_symlink()
    assert Path("real.yaml").read_text() == TIDY


@pytest.mark.parametrize(
    "path", [ROOT / "examples/apps.yaml", *sorted((ROOT / "tests/cases/manifest").glob("good-*.yaml"))],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_every_good_manifest_says_the_same_in_form_and_is_in_form_then(path: Path) -> None:
    data = path.read_bytes()
    once = formatted(Source(path.name, data))
    assert tree(once) == tree(data)
    assert formatted(Source(path.name, once)) == once
    comments = re.compile(rb"#[^\n]*")
    assert sorted(comments.findall(once)) == sorted(comments.findall(data))


def test_the_example_and_what_init_writes_are_in_form(provisioner) -> None:
    provisioner("init")
    assert provisioner("fmt", "--check").out == ""
    example = (ROOT / "examples/apps.yaml").read_bytes()
    assert formatted(Source("apps.yaml", example)) == example


def test_a_block_that_looks_like_a_comment_is_left_alone() -> None:
    text = (
        b"version: 1\nvariables:\n  a:\n    description: |\n      # one\n          # two\n\n\n\n      three\n"
    )
    assert tree(formatted(Source("a.yaml", text))) == tree(text)


@pytest.mark.parametrize("word", ["._", "-._", "2026-99-99", "1:99:._"])
def test_a_word_that_looks_like_a_number_and_is_none_says_the_same_or_is_refused(word: str) -> None:
    text = f"a: {word}\n".encode()
    document, faults = read(Source("a.yaml", text))
    assert document is not None
    assert not faults
    try:
        assert tree(formatted(Source("a.yaml", text))) == document.root
    except ManifestError as error:
        assert "cannot be put in form" in str(error.faults)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
TREES = st.recursive(
    WORDS | st.booleans() | st.none() | st.integers(0, 99),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(WORDS, TREES, min_size=1, max_size=4), st.booleans())
def test_whatever_a_file_says_it_says_the_same_in_form_or_is_refused(
    content: dict[str, Any], flow: bool
) -> None:
    text = yaml.safe_dump(content, allow_unicode=True, default_flow_style=flow, sort_keys=False).encode()
    document, faults = read(Source("a.yaml", text))
    if document is None or faults:
        return
    try:
        once = formatted(Source("a.yaml", text))
    except ManifestError:
        return
    assert tree(once) == document.root
    assert formatted(Source("a.yaml", once)) == once
