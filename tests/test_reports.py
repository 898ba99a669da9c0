"""One plan in many forms: events, markdown, a report, a summary; and a saved one, shown later."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from provisioner.render.gitlab import gitlab_report
from provisioner.render.markdown import LIMIT, markdown, title
from provisioner.render.saved_plan import saved
from provisioner.text import quote

CASES = sorted((Path(__file__).parent / "cases" / "plan").glob("*.yaml"))
BESIDE = ("text", "timestamp", "digest", "checksum")
MANIFEST = """version: 1
apps:
  one: {redirect_uris: ['https://one.example/cb']}
  two: {redirect_uris: ['https://two.example/cb']}
"""


@pytest.fixture
def world(provisioner, sandbox):
    """A manifest that nobody has applied yet."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)
    return sandbox


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def documents() -> list[tuple[str, dict[str, Any], str]]:
    loaded = ((path.stem, yaml.load(path.read_text(), yaml.CSafeLoader)) for path in CASES)
    return [(name, json.loads(case["json"]), case["expect"]) for name, case in loaded if "json" in case]


DOCUMENTS = documents()


def test_as_json_a_plan_is_a_stream_that_ends_in_its_figures(provisioner, world) -> None:
    ran = provisioner("plan", "--json")
    kinds = [event["type"] for event in events(ran.out)]
    assert kinds == ["version", "planned_change", "planned_change", "change_summary"]
    assert events(ran.out)[-1]["changes"]["add"] == 2
    assert events(ran.out)[1]["@message"] == "oauth_app.one: Plan to create"


def test_as_json_an_apply_tells_each_start_and_end(provisioner, world) -> None:
    ran = provisioner("apply", "--json", "--auto-approve")
    told = [event for event in events(ran.out) if event["type"].startswith("apply_")]
    assert [event["type"] for event in told].count("apply_complete") == 2
    ids = {event["hook"]["id_value"] for event in told if event["type"] == "apply_complete"}
    assert ids == {app.id for app in world.world.apps()}
    assert events(ran.out)[-1]["changes"] == {
        "import": 0, "add": 2, "change": 0, "remove": 0, "forget": 0, "move": 0, "operation": "apply",
    }  # fmt: skip


def test_as_json_what_failed_is_an_error_in_the_stream(provisioner, world) -> None:
    world.add_fault("create@1x*:lost-before")
    ran = provisioner("apply", "--json", "--auto-approve", "--parallelism", "1")
    assert ran.status == 3
    kinds = [event["type"] for event in events(ran.out)]
    assert "apply_errored" in kinds
    assert [event["@level"] for event in events(ran.out)].count("error") >= 2


def test_as_json_an_error_ends_the_stream_and_stands_on_standard_error_too(provisioner, world) -> None:
    ran = provisioner("plan", "--json", "--target", "nobody")
    assert ran.status == 1
    last = events(ran.out)[-1]
    assert (last["type"], last["diagnostic"]["severity"]) == ("diagnostic", "error")
    assert "--target names oauth_app.nobody" in ran.err


@pytest.mark.parametrize("command", [["apply"], ["destroy"], ["apply", "--destroy"]])
def test_as_json_nothing_can_be_asked(provisioner, world, command: list[str]) -> None:
    ran = provisioner(*command, "--json", answer="yes\n")
    assert ran.status == 1
    assert ran.err.startswith("Error: --json cannot ask")
    assert [event["type"] for event in events(ran.out)] == ["version", "diagnostic"]
    assert world.calls.total() == 0


@pytest.mark.parametrize("command", [["destroy"], ["apply", "--destroy"]])
def test_a_destruction_is_reported_in_every_form_whichever_command_it_is(
    provisioner, world, command: list[str]
) -> None:
    assert provisioner("apply", "--auto-approve").status == 0
    files = ["--markdown", "p.md", "--html", "p.html", "--gitlab-report", "p.gitlab"]
    ran = provisioner(*command, "--auto-approve", "--allow", "delete", "--json", *files)
    assert ran.status == 0, ran.err
    kinds = [event["type"] for event in events(ran.out)]
    assert [kinds.count(kind) for kind in ("planned_change", "apply_complete", "change_summary")] == [2, 2, 2]
    assert events(ran.out)[-1]["changes"]["remove"] == 2
    assert json.loads(Path("p.gitlab").read_text()) == {"create": 0, "update": 0, "delete": 2}
    assert "oauth_app.one" in Path("p.md").read_text()
    assert "oauth_app.one" in Path("p.html").read_text()


def test_conflicts_and_warnings_are_diagnostics(provisioner, world) -> None:
    world.world.create("one", ["https://stranger.example/cb"])
    ran = provisioner("plan", "--json")
    assert ran.status == 1
    (diagnostic,) = (event["diagnostic"] for event in events(ran.out) if event["type"] == "diagnostic")
    assert diagnostic["address"] == "oauth_app.one"


def test_every_form_comes_from_one_run(provisioner, world) -> None:
    ran = provisioner(
        "plan", "--out", "p.json", "--markdown", "p.md", "--html", "p.html", "--gitlab-report", "p.gitlab"
    )
    assert ran.status == 0
    assert world.calls["list"] == 1
    assert Path("p.md").read_text().startswith("### provisioner plan: 2 to add, 0 to change, 0 to destroy\n")
    assert json.loads(Path("p.gitlab").read_text()) == {"create": 2, "update": 0, "delete": 0}
    assert "<html" in Path("p.html").read_text()


def test_a_saved_plan_is_shown_later_in_the_same_forms_without_the_api(provisioner, world) -> None:
    said = provisioner("plan", "--out", "p.json", "--markdown", "first.md").out
    listed = world.calls["list"]
    shown = provisioner("show", "p.json", "--markdown", "again.md", "--gitlab-report", "p.gitlab")
    assert said.startswith(shown.out)
    assert Path("again.md").read_text() == Path("first.md").read_text()
    assert json.loads(provisioner("show", "p.json", "--json").out) == json.loads(Path("p.json").read_text())
    assert world.calls["list"] == listed


@pytest.mark.parametrize("report", ["--markdown", "--html", "--gitlab-report"])
def test_a_report_of_a_plan_needs_a_saved_one_to_show(provisioner, world, report: str) -> None:
    ran = provisioner("show", report, "x", "--json")
    assert ran.status == 1
    assert "Name the file that `plan --out` made." in ran.err
    assert not Path("x").exists()


def test_a_workflow_gets_its_summary_and_its_outputs(provisioner, world, monkeypatch) -> None:
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.setenv(name, name.lower())
        Path(name.lower()).write_text("before\n")
    provisioner("plan")
    summary, outputs = Path("github_step_summary").read_text(), Path("github_output").read_text()
    assert summary.startswith("before\n### provisioner plan: 2 to add")
    assert "changes=true\nsummary=2 to add, 0 to change, 0 to destroy\n" in outputs
    assert all("=" in line for line in outputs.splitlines()[1:])


@pytest.mark.parametrize(("name", "document", "text"), DOCUMENTS, ids=[name for name, _, _ in DOCUMENTS])
def test_every_plan_fits_a_comment_and_says_whether_drift_was_looked_for(
    name: str, document: dict[str, Any], text: str
) -> None:
    written = markdown(document, text)
    assert len(written.encode()) <= LIMIT
    assert ("Drift was **not** looked for" in written) is not document["refreshed"]
    assert text.rstrip("\n") in written
    assert written.splitlines().count("</details>") == 1


def test_a_plan_that_is_too_long_is_cut_with_a_note_and_its_summary_whole() -> None:
    _, document, _ = DOCUMENTS[0]
    written = markdown(document, "ä line of a plan\n" * 20_000)
    assert LIMIT - 100 < len(written.encode()) <= LIMIT
    assert "cut here" in written
    assert written.startswith(f"### provisioner plan: {title(document)}")
    assert written.endswith("</details>\n")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="`~<>/details @#\n", max_size=200))
def test_no_text_gets_out_of_its_code_block(text: str) -> None:
    document = DOCUMENTS[0][1]
    lines = markdown(document, text).splitlines()
    fences = [line for line in lines if set(line.removesuffix("text")) == {"`"} and len(line) >= 3]
    longest = max(fences, key=lambda line: line.count("`")).removesuffix("text")
    assert sum(line in (longest, longest + "text") for line in lines) == 2


@pytest.mark.parametrize("option", ["--out", "--markdown", "--html", "--gitlab-report"])
@pytest.mark.parametrize("path", ["", ".", "/", "..", "state", "nosuch/file"])
def test_what_is_no_file_to_write_is_an_error_and_leaves_nothing_behind(
    provisioner, world, option: str, path: str
) -> None:
    Path("state").mkdir()
    before = sorted(Path().iterdir())
    ran = provisioner("plan", option, path)
    assert ran.status == 1
    folder = path == "state" or path in ("", ".", "/", "..")
    said = "is a folder, and a file would take its place" if folder else "Error: Could not write"
    assert said in ran.err
    assert sorted(Path().iterdir()) == before


HOSTILE = [
    "[/x]", "[link=https://evil.example]x", "[x](https://evil.example)", "![x](https://evil.example/x.png)",
    "<https://evil.example>", "<img src=x onerror=alert(1)>", "</details></details>", "</summary>", "<!--",
    "```", "````text", "~~~", "`x`", "$`x`$", "::add-mask::x", "##[group]x", "@team", "#1", "| x |",
    "\n\n# x", "\r\n---\r\n", "&lt;b&gt;", "https://evil.example", "javascript:alert(1)", "\x1b[31m",
    "\u202e", "- [ ] x",
]  # fmt: skip


def rendered(text: str) -> list[Token]:
    """Every token of a comment, as a forge reads it: CommonMark and tables, HTML let through."""
    parser = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    flat: list[Token] = []
    for token in parser.parse(text):
        flat += [token, *(token.children or ())]
    return flat


def test_b23_hostile_names_are_inert_in_markdown(provisioner, world) -> None:
    made = [world.world.create(name, ["https://stranger.example/cb"]) for name in HOSTILE]
    apps = "".join(
        f"  app-{number}: {{redirect_uris: ['https://a.example/cb']}}\n" for number in range(len(made))
    )
    imports = [{"to": f"app-{number}", "id": app.id} for number, app in enumerate(made)]
    Path("apps.yaml").write_text(f"{MANIFEST}{apps}import: {json.dumps(imports)}\n")
    ran = provisioner("plan", "--markdown", "p.md")  # each as it is, and that it is not as it should be
    assert all(quote(name) in ran.err for name in HOSTILE)
    inert(Path("p.md").read_text())


def test_b23_even_in_a_forged_plan_hostile_texts_are_inert_wherever_they_stand(provisioner, world) -> None:
    provisioner("plan", "--out", "p.json")
    whole = json.loads(Path("p.json").read_text())
    change = whole["resource_changes"][0]["change"]
    forged = [{"address": name, "action_reason": name, "change": change} for name in HOSTILE]
    forged += [entry | {"change": change | {"replace_paths": [[entry["address"]]]}} for entry in forged]
    whole |= {"resource_changes": forged, "resource_drift": forged}
    for drifted in (forged[:15], forged[15:30]):  # of them only the first are named
        content = {key: value for key, value in whole.items() if key not in BESIDE}
        content["resource_drift"] = drifted
        Path("p.json").write_bytes(saved(content, "\n".join(HOSTILE), whole["timestamp"]))
        ran = provisioner("show", "p.json", "--markdown", "p.md")
        assert ran.status == 0
        assert all(line.isprintable() for line in ran.out.splitlines())
        inert(Path("p.md").read_text())


@pytest.mark.parametrize("figure", ["<b>", "1", [1], 1.5])
def test_b23_a_forged_figure_that_is_none_is_refused(provisioner, world, figure: Any) -> None:
    provisioner("plan", "--out", "p.json")
    whole = json.loads(Path("p.json").read_text())
    whole["summary"]["add"] = figure
    content = {key: value for key, value in whole.items() if key not in BESIDE}
    Path("p.json").write_bytes(saved(content, "text\n", whole["timestamp"]))
    assert provisioner("show", "p.json", "--markdown", "p.md").status == 1


def inert(text: str) -> None:
    """Nothing but a heading, sentences, a table, code, and our own two pieces of HTML."""
    tokens = rendered(text)
    markup = [token.content.strip() for token in tokens if token.type in ("html_block", "html_inline")]
    assert markup == ["<details><summary>Details</summary>", "</details>"]
    assert not {"link_open", "image", "bullet_list_open", "hr"} & {token.type for token in tokens}
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h3"]
    assert len([token for token in tokens if token.type == "fence"]) == 1
    plain = " ".join(token.content for token in tokens if token.type == "text")
    assert not re.search(r"[@#<\[]|::|://", plain)


def test_b23_that_check_finds_what_is_not_inert() -> None:
    for name in ("[x](https://evil.example)", "<b>", "@team", "# x", "</details>"):
        with pytest.raises(AssertionError):
            inert(markdown(DOCUMENTS[0][1], "text\n") + f"\n{name}\n")


@pytest.mark.parametrize(("name", "document", "text"), DOCUMENTS, ids=[name for name, _, _ in DOCUMENTS])
def test_gitlabs_report_is_three_integers_that_are_zero_only_where_nothing_changes(
    name: str, document: dict[str, Any], text: str
) -> None:
    report = json.loads(gitlab_report(document))
    assert report.keys() == {"create", "update", "delete"}
    assert all(type(value) is int for value in report.values())
    assert any(report.values()) == any(document["summary"].values())
