"""A plan as a page: held against a strict parser, what HTML allows, and its own policy."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.parsers.expat import ParserCreate

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provisioner.render.html import html
from provisioner.render.html_markup import element, void
from provisioner.render.html_script import SCRIPT
from provisioner.render.html_style import CSS, DARK, LIGHT
from provisioner.render.markdown import title
from provisioner.text import escape, quote

Document = dict[str, Any]
CASES = sorted((Path(__file__).parent / "cases" / "plan").glob("*.yaml"))
HOSTILE = [
    "<script>alert(1)</script>",
    "</title></style></script></pre></details><img src=x onerror=alert(1)>",
    "\"onmouseover='alert(1)' x=\"",
    "&lt;b&gt; &amp; &#0; &nbsp",
    "]]><!-- --><![CDATA[",
    "javascript:alert(1) https://evil.example/ [x](https://evil.example)",
    "\u202eevil\u2066 \u200b\ufeff\u3164\xa0",
    "\0\x1b[31m\r\t\x9b\ud800\ufffe",
    "👍🏽 שלום 製品 e\u0301",
    '`code` `` "q" \\ \' \\" `',
]
LONG = ["a" * 10_000, "<" * 10_000, '\\"`' * 3_333, "\u202e" * 10_000]


@dataclass
class Node:
    """An element as a parser sees it."""

    name: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def all(self, name: str, **attributes: str) -> list[Node]:
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}.items()
        return [node for node in self.walk() if node.name == name and wanted <= node.attributes.items()]

    def one(self, name: str, **attributes: str) -> Node:
        (found,) = self.all(name, **attributes)
        return found

    @property
    def elements(self) -> list[Node]:
        return [child for child in self.children if isinstance(child, Node)]

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


def parsed(page: str) -> Node:
    """By an XML parser, which forgives nothing: the pages are HTML and well-formed XML at once."""
    root = Node("", {})
    path = [root]
    parser = ParserCreate()
    parser.buffer_text = True

    def start(name: str, attributes: dict[str, str]) -> None:
        path.append(Node(name, attributes))
        path[-2].children.append(path[-1])

    def end(name: str) -> None:
        assert path.pop().name == name

    def words(text: str) -> None:
        path[-1].children.append(text)

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, words
    parser.Parse(page.encode(), True)
    return root.elements[0]


@cache
def case(name: str) -> tuple[Document, str]:
    content = yaml.safe_load((Path(__file__).parent / "cases" / "plan" / f"{name}.yaml").read_text("utf-8"))
    return json.loads(content["json"]), content["expect"]


WITH_A_DOCUMENT = [path.stem for path in CASES if "\njson: |" in path.read_text("utf-8")]


@cache
def page_of(name: str) -> Node:
    return changed_page(name)


def changed_page(name: str, **changed: Any) -> Node:
    document, text = case(name)
    return parsed(html({**document, **changed}, text, "2026-04-01T00:00:00Z"))


def texts(nodes: list[Node]) -> list[str]:
    return [node.text for node in nodes]


def section(page: Node, anchor: str) -> Node:
    return page.one("section", id=anchor)


def change(page: Node, address: str) -> Node:
    """The item of one address among the changes."""
    (item,) = (
        item
        for item in section(page, "changes").all("li")
        if item.elements[0].elements[0].all("code")[0].text == address
    )
    return item


def attribute(item: Node, name: str) -> list[str]:
    """The lines of one attribute."""
    found: dict[str, list[str]] = {}
    for row in item.one("dl").elements:
        if row.name == "dt":
            lines = found[row.text] = []
        else:
            lines.append(row.text)
    return found[name]


# Strictness beyond well-formedness: what HTML allows where, as far as the pages use it.

PHRASING = frozenset(
    {"a", "b", "bdi", "code", "del", "i", "input", "ins", "label", "small", "span", "strong"}
)
BLOCKS = {"details", "div", "dl", "fieldset", "footer", "h1", "h2", "h3", "header", "main", "nav", "p", "pre"}
FLOW = PHRASING | BLOCKS | {"section", "ul"}
NOTHING: frozenset[str] = frozenset()
CONTENT = {
    "html": {"head", "body"},
    "head": {"meta", "title", "style"},
    "body": {"div", "script"},
    "ul": {"li"},
    "dl": {"dt", "dd"},
    "fieldset": {"legend", "label"},
    "details": {"summary", "p", "dl", "ul", "pre"},
    **dict.fromkeys(("div", "footer", "header", "li", "main", "nav", "section"), FLOW),
    **dict.fromkeys(("input", "meta", "script", "style", "title"), NOTHING),
}
NO_TEXT = {"html", "head", "body", "ul", "dl", "details", "fieldset", "input", "meta"}
NO_TEXT |= {"div", "footer", "header", "main", "nav", "section"}
ATTRIBUTES = {
    "a": "href",
    "details": "open",
    "div": "class",
    "h2": "id",
    "html": "lang",
    "input": "type name value id checked",
    "li": "id class",
    "meta": "charset http-equiv name content",
    "nav": "aria-label",
    "p": "class",
    "section": "id aria-labelledby",
    "span": "class",
    "ul": "class",
}


def complaints(page: Node) -> Iterator[str]:
    for node in page.walk():
        inner = [child.name for child in node.elements]
        allowed = CONTENT.get(node.name, PHRASING)
        yield from (f"{name} in {node.name}" for name in inner if name not in allowed)
        unknown = node.attributes.keys() - ATTRIBUTES.get(node.name, "").split()
        yield from (f"{name} of {node.name}" for name in unknown)
        if node.name in NO_TEXT and any(isinstance(child, str) for child in node.children):
            yield f"text in {node.name}"
        if node.name == "details" and (inner[0] != "summary" or inner.count("summary") > 1):
            yield "details that do not begin with their summary"
        if node.name == "dl" and (inner[0] != "dt" or inner[-1] == "dt" or "dt dt" in " ".join(inner)):
            yield "a name without a value"
        if node.name == "a" and any(
            below.name in ("a", "input", "label") for below in node.walk() if below != node
        ):
            yield "a control in a link"
    yield from landmarks(page)


def landmarks(page: Node) -> Iterator[str]:
    ids = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    if len(ids) != len(set(ids)):
        yield "an id twice"
    ends = [node.attributes["href"].removeprefix("#") for node in page.all("a")]
    ends += [node.attributes["aria-labelledby"] for node in page.all("section")]
    yield from (f"nothing is {end}" for end in ends if end not in ids)
    for name in ("h1", "header", "nav", "main", "footer", "title"):
        if len(page.all(name)) != 1 or not page.one(name).text.strip():
            yield f"not one {name}"
    levels = [int(node.name[1]) for node in page.walk() if re.fullmatch("h[1-6]", node.name)]
    if any(after > before + 1 for before, after in pairwise(levels)):
        yield "a heading that skips a level"


@pytest.mark.parametrize("name", WITH_A_DOCUMENT)
def test_every_plan_is_a_strict_page_that_lists_each_change_and_counts_the_rest(name: str) -> None:
    document, text = case(name)
    page = page_of(name)
    assert list(complaints(page)) == []
    assert page.attributes == {"lang": "en"}
    assert page.one("h1").text == title(document)
    assert page.one("pre").text == text
    entries = [entry for entry in document["resource_changes"] if not is_unchanged(entry)]
    items = [item for item in page.all("li") if "id" in item.attributes]
    in_order = sorted(items, key=lambda item: int(item.attributes["id"][1:]))
    shown = [item.elements[0].elements[0].all("code")[0].text for item in in_order]
    assert shown == [entry["address"] for entry in entries]
    unchanged = len(document["resource_changes"]) - len(entries)
    assert (f"{unchanged} app" in page.one("main").text.partition("As text")[0]) is bool(unchanged)


def is_unchanged(entry: Document) -> bool:
    return entry["change"]["actions"] == ["no-op"] and not (
        "importing" in entry["change"] or "previous_address" in entry
    )


@pytest.mark.parametrize("name", WITH_A_DOCUMENT)
def test_the_page_and_the_text_agree_on_what_is_cut_off_rotated_and_drifted(name: str) -> None:
    document, text = case(name)
    page = page_of(name)
    if document["errored"]:
        assert texts(section(page, "conflicts").all("h3")) == [it["summary"] for it in document["conflicts"]]
        return  # the text has no figures then
    for anchor, word in (("cut", "Cut off"), ("rotations", "Rotated")):
        figure = re.search(rf"^{word}: (\d+)", text, re.MULTILINE)
        listed = [item for found in page.all("section", id=anchor) for item in found.all("li")]
        assert len(listed) == (int(figure[1]) if figure else 0)
    drifted = [item for found in page.all("section", id="drift") for item in found.all("li")]
    assert len(drifted) == len(document["resource_drift"])
    assert ("Nothing was changed outside" in page.one("header").text) is (
        document["refreshed"] and not document["resource_drift"]
    )


def test_what_stands_in_the_way_and_the_warnings_come_first() -> None:
    note = {"address": "oauth_app.one", "text": "it is inactive; `provisioner rotate one` is not"}
    page = changed_page("a-limit-of-zero", notes=[note])
    anchors = [found.attributes["id"] for found in page.all("section")]
    assert anchors == ["conflicts", "warnings", "cut", "changes", "text"]
    assert page.one("h1").text == "1 conflict: nothing can be applied"
    assert texts(section(page, "conflicts").all("p")) == [
        "0 destroyed for good, 1 replaced: each loses its client id, its tokens and its connected accounts.",
        "If that is meant, run it again with --max-deletes 1, or raise policy.max_deletes.",
    ]
    assert texts(section(page, "warnings").all("code")) == ["oauth_app.one", "provisioner rotate one"]
    assert "What would be done if nothing stood in the way." in section(page, "changes").text


def test_the_evidence_of_a_conflict_is_a_list_of_its_own() -> None:
    page = page_of("no-answer-and-made-long-after")
    items = section(page, "conflicts").all("p", class_="item")
    assert len(items) == 8
    assert items[0].text == "yes  it was not there before we asked"


def test_what_is_cut_off_is_named_with_its_client_id_and_leads_to_its_change() -> None:
    page = page_of("everything-in-one-plan")
    rows = section(page, "cut").all("li")
    assert texts(rows) == [
        'oauth_app.deleted destroyed for good; client id "cid_deleted"',
        'oauth_app.replaced replaced; client id "cid_replaced"',
    ]
    assert "1 replaced, 1 destroyed for good." in section(page, "cut").text
    anchor = rows[1].one("a").attributes["href"].removeprefix("#")
    item = page.one("li", id=anchor)
    assert item is change(page, "oauth_app.replaced")
    assert texts(item.all("b")) == ["cuts off", "drifted"]


def test_rotations_say_why() -> None:
    page = page_of("everything-in-one-plan")
    assert texts(section(page, "rotations").all("li")) == [
        "oauth_app.due because its secret is older than rotate_after allows",
        "oauth_app.rotating an earlier run rotated it and got no answer; it is rotated again",
    ]
    assert texts(change(page, "oauth_app.due").all("b")) == ["due"]
    assert texts(change(page, "oauth_app.rotating").all("b")) == ["open"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "rotated-elsewhere-and-rotations-are-allowed",
            "because its secret was rotated elsewhere: the sealed",
        ),
        ("a-rotation-that-came-late", "because an earlier rotation came through late"),
    ],
)
def test_a_rotation_that_nobody_asked_for_says_why(name: str, words: str) -> None:
    (row,) = section(page_of(name), "rotations").all("li")
    assert words in row.text


def test_drift_is_apart_from_what_is_intended_and_shows_what_differs() -> None:
    page = page_of("everything-in-one-plan")
    gone, replaced, rotated = section(page, "drift").all("li")
    assert "has been deleted" in gone.one("summary").text
    assert "has changed: redirect_uris" in replaced.one("summary").text
    assert texts(replaced.all("dt")) == ["id", "redirect_uris"]
    assert attribute(replaced, "redirect_uris") == [
        '+ "https://replaced.example/by-hand"',
        '"https://replaced.example/cb"',
    ]
    assert "had its secret rotated, likely" in rotated.one("summary").text
    assert attribute(rotated, "client_secret_hint") == ['- "older"', '+ "abcd"']
    of_the_flag = section(page_of("drift-of-the-active-flag"), "drift")
    assert attribute(of_the_flag.all("li")[0], "is_active") == ["- true", "+ false"]


def test_a_change_shows_what_goes_what_stays_and_what_comes() -> None:
    page = page_of("everything-in-one-plan")
    replaced = change(page, "oauth_app.replaced")
    assert replaced.one("summary").text.startswith("-/+ oauth_app.replaced must be replaced: redirect_uris")
    assert attribute(replaced, "name") == ['"replaced"']
    assert attribute(replaced, "client_id") == ['- "cid_replaced"', "+ (known after apply)"]
    assert attribute(replaced, "client_secret") == ["~ (sensitive value)"]
    assert attribute(replaced, "redirect_uris") == [
        '- "https://replaced.example/by-hand"',
        '"https://replaced.example/cb"',
        '+ "https://replaced.example/new"',
        "forces replacement",
    ]
    assert [node.name for node in replaced.walk() if node.text.startswith(("- ", "+ "))][:2] == ["dd", "del"]
    assert attribute(change(page, "oauth_app.created"), "client_secret") == ["+ (sensitive value)"]
    assert attribute(change(page, "oauth_app.kept"), "id") == ['. "app_kept"']
    assert attribute(change(page, "oauth_app.protected"), "protect") == ["- false", "+ true"]


@pytest.mark.parametrize(
    ("name", "address", "words"),
    [
        ("everything-in-one-plan", "protected", "will be protected"),
        ("everything-in-one-plan", "moved-here", "has moved from oauth_app.moved-away"),
        ("everything-in-one-plan", "imported", "will be imported"),
        ("everything-in-one-plan", "imported", 'from "app_imported"; nothing is changed in the API'),
        ("everything-in-one-plan", "kept", "because removed says so; the app stays in the API"),
        ("protect-is-lifted", "one", "will lose its protection"),
        ("an-answer-on-disk", "one", "will be recorded"),
        ("no-answer-and-no-sight", "one", "is left open"),
        ("an-open-delete-and-wanted-after-all", "one", "has an open operation, which will be closed"),
        ("replace-as-requested", "one", "will be replaced, as requested"),
        ("a-move-with-a-replacement", "new", "must be replaced, moved from oauth_app.old"),
        ("replace-for-scopes", "one", "Meteroid does not enforce scopes today"),
        ("an-open-rotation", "one", "the open operation: op_open, rotate"),
        ("deleted-outside-and-still-wanted", "one", "because it was deleted outside of provisioner"),
        ("delete-what-left-the-manifest", "two", "because oauth_app.two is not in the manifest"),
    ],
)  # fmt: skip
def test_a_change_says_what_it_is_and_why(name: str, address: str, words: str) -> None:
    item = change(page_of(name), f"oauth_app.{address}")
    assert any(words in told for told in texts([item.one("span", class_="what"), *item.all("p")]))


def test_a_set_that_is_to_be_empty_says_so_and_one_that_stays_empty_says_nothing() -> None:
    created = change(page_of("create-with-no-scopes"), "oauth_app.one")
    assert attribute(created, "scopes") == ["(none)"]
    replaced = change(page_of("replace-for-a-redirect-uri"), "oauth_app.one")
    assert "scopes" not in texts(replaced.all("dt"))


def test_a_secret_that_is_delivered_says_where_it_goes_and_which_copy_is_removed() -> None:
    document = deepcopy(case("protect-is-set")[0])
    entry = document["resource_changes"][0]
    entry["change"]["after"]["protect"] = entry["change"]["before"]["protect"]
    plain = parsed(html(document, ""))
    assert "will be updated" in change(plain, entry["address"]).text
    entry["deliveries"] = [
        {"sink": "prod", "type": "vault", "action": "deliver"},
        {"sink": "old", "type": "file", "action": "remove"},
    ]
    item = change(parsed(html(document, "")), entry["address"])
    assert "will have its secret delivered" in item.one("summary").text
    assert texts(item.all("p")) == ["its secret goes to prod (vault)", "its copy is removed from old (file)"]


def test_a_reason_that_is_not_known_is_told_in_its_own_words() -> None:
    document = deepcopy(case("create-the-first-app")[0])
    document["resource_changes"][0]["action_reason"] = "read_because_of_the_moon"
    assert "read because of the moon" in parsed(html(document, "")).one("main").text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"refreshed": False}, "Drift was not looked for. The API was not asked (--no-refresh)."),
        ({"refreshed": False}, "Nothing to do: the state has what the manifest says."),
        ({"complete": False}, "Only a part was planned. The rest is left out by --target or --exclude."),
        ({"complete": False}, "Nothing to do: the rest was left out on request."),
        ({"destruction": True}, "This is a plan to destroy."),
        ({"destruction": True}, "Nothing to do: the state is empty."),
        ({}, "Nothing was changed outside of provisioner."),
        ({}, "Nothing to do: the API has what the manifest says."),
        ({}, "provisioner plan, 2026-04-01T00:00:00Z"),
        ({}, "No changes"),
    ],
)
def test_what_holds_for_the_whole_plan_stands_at_the_top(changed: Document, words: str) -> None:
    header = changed_page("no-changes", **changed).one("header")
    assert any(words in node.text for node in header.elements)


def test_without_a_time_the_page_tells_none_and_the_same_plan_gives_the_same_page() -> None:
    document, text = case("everything-in-one-plan")
    page = html(document, text)
    assert parsed(page).one("header").elements[0].text == "provisioner plan"
    assert page == html(deepcopy(document), text)


def many(count: int, kind: str = "deleted", unchanged: int = 0) -> Document:
    document = deepcopy(case("everything-in-one-plan")[0])
    sample = {entry["name"]: entry for entry in document["resource_changes"]}
    names = [kind] * count + ["unchanged"] * unchanged
    document["resource_changes"] = [
        {**sample[name], "name": f"app-{at:05}", "address": f"oauth_app.app-{at:05}"}
        for at, name in enumerate(names)
    ]
    document["resource_drift"] = []
    return document


def test_a_short_plan_is_open_and_in_a_long_one_what_is_long_is_folded_away() -> None:
    short, long = parsed(html(many(12), "")), parsed(html(many(250), ""))
    assert len(short.all("details", open="open")) == 12
    assert long.all("details", open="open") == []
    assert section(long, "cut").one("summary").text == "All 250"
    assert len(long.all("ul", class_="list long")) == 1


def test_ten_thousand_unchanged_apps_are_one_sentence() -> None:
    few, lots = html(many(1, unchanged=1), ""), html(many(1, unchanged=9_999), "")
    assert "1 app is unchanged, and not listed." in few
    assert "9,999 apps are unchanged, and not listed." in lots
    assert len(lots) < len(few) + 100


@pytest.mark.parametrize("kind", ["created", "replaced"])
def test_the_size_grows_with_the_changes_and_each_takes_little(kind: str) -> None:
    empty, some, more = (len(html(many(count, kind), "")) for count in (210, 310, 410))
    assert abs((more - some) - (some - empty)) < 100
    assert (more - some) / 100 < 1_700


# Nothing that comes from elsewhere can become more than text.


def hostile(text: str) -> Document:
    """Every text of a document, at every place; the letters before it keep what is sorted in order."""
    document = deepcopy(case("everything-in-one-plan")[0])
    for entry in (*document["resource_changes"], *document["resource_drift"]):
        entry["address"] += text
        entry["name"] += text
        for end in filter(None, (entry["change"]["before"], entry["change"]["after"])):
            for name, value in end.items():
                if isinstance(value, str):
                    end[name] = value + text
                elif isinstance(value, list):
                    end[name] = [item + text for item in value]
        if "previous_address" in entry:
            entry["previous_address"] += text
        if "importing" in entry["change"]:
            entry["change"]["importing"]["id"] += text
        if "resuming" in entry:
            entry["resuming"] = {key: value + text for key, value in entry["resuming"].items()}
            entry["action_reason"] += text
        if entry["name"].startswith("due"):
            entry["deliveries"] = [{"sink": "x" + text, "type": "y" + text, "action": "deliver"}]
    a_line = text.replace("\n", " ")
    document["notes"] = [{"address": "oauth_app.x" + text, "text": "note " + text}]
    document["conflicts"] = [
        {"address": None, "summary": "s" + text, "detail": "d" + a_line, "hint": "h" + a_line}
    ]
    return document | {"errored": True}


def shape(node: Node) -> Any:
    """All but the text. `bdi` and `code`, which do nothing, are set around parts of a message."""
    inner = [below for child in node.elements for below in shape(child)]
    if node.name in ("bdi", "code") and not node.attributes:
        return inner
    return [(node.name, node.attributes, inner)]


@cache
def plain_shape() -> Any:
    return shape(parsed(html(hostile(""), "", "now")))


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=40) | st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join))
@example("".join(HOSTILE))
def test_b23_no_text_changes_what_a_page_is_made_of_and_all_of_it_can_be_seen(text: str) -> None:
    page = html(hostile(text), f"printed {text}", "now" + text)
    assert all(line.isprintable() for line in page.split("\n"))
    root = parsed(page)
    assert shape(root) == plain_shape()
    seen = root.one("body").text
    assert quote("replaced" + text) in seen
    assert escape("oauth_app.replaced" + text) in seen
    assert escape("now" + text) in root.one("header").text
    assert root.one("pre").text == "\n".join(map(escape, f"printed {text}".split("\n")))


@pytest.mark.parametrize("name", LONG, ids=["a", "markup", "quotes", "bidi"])
def test_b23_a_name_of_ten_thousand_characters_is_shown_whole(name: str) -> None:
    document = deepcopy(case("create-the-first-app")[0])
    document["resource_changes"][0]["change"]["after"]["name"] = name
    conflict = {"address": None, "summary": "s", "detail": f"The name {name}", "hint": f"Not {quote(name)}."}
    root = parsed(html(document | {"conflicts": [conflict], "errored": True}, name))
    assert quote(name) in root.one("dl").text
    assert root.one("pre").text == escape(name)


def test_b23_a_quoted_name_in_a_message_keeps_its_backticks() -> None:
    conflict = {
        "address": None,
        "summary": "s",
        "detail": "The name " + quote('`a` "`b`'),
        "hint": "Type `x`.",
    }
    page = changed_page("no-changes", conflicts=[conflict], errored=True)
    detail, hint = section(page, "conflicts").all("p")
    assert detail.text == r'The name "`a` \"`b`"'
    assert (detail.all("code"), texts(hint.all("code"))) == ([], ["x"])


def test_b23_an_attribute_keeps_what_it_is_given_within_its_quotes() -> None:
    text = "\"><b x='<&\u202e"
    node = parsed(element("p", void("input", value=text), class_=text))
    assert (node.attributes, node.one("input").attributes) == (
        {"class": escape(text)},
        {"value": escape(text)},
    )


def test_nothing_on_the_page_can_make_a_request() -> None:
    page = page_of("everything-in-one-plan")
    for node in page.walk():
        for name, value in node.attributes.items():
            assert name == "content" or ":" not in value
            assert name != "href" or value.startswith("#")
    assert not re.search(r"url\(|@import|@font-face|image-set|https?:|//", CSS)
    assert not re.search(
        r"https?:|fetch|import|XMLHttpRequest|innerHTML|eval|location|cookie|\bopen\(", SCRIPT
    )


def test_the_policy_lets_only_the_page_s_own_style_and_script_in() -> None:
    page = page_of("everything-in-one-plan")
    (policy,) = (
        node.attributes["content"]
        for node in page.all("meta")
        if node.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    hashes = [
        b64encode(sha256(page.one(name).text.encode()).digest()).decode() for name in ("style", "script")
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# What is read on what.
PAIRS = (
    *((name, "paper") for name in ("ink", "faint", "come", "go", "alter", "link")),
    *((name, "come-ground") for name in ("come", "faint")),
    *((name, "go-ground") for name in ("go", "faint")),
)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("pair", PAIRS, ids="-on-".join)
def test_every_text_has_the_contrast_that_wcag_asks_for(
    colours: Mapping[str, str], pair: tuple[str, str]
) -> None:
    darker, lighter = sorted(luminance(colours[name]) for name in pair)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_every_colour_that_is_used_is_given_for_both_schemes() -> None:
    assert set(re.findall(r"var\(--([\w-]+)\)", CSS)) == set(LIGHT) == set(DARK)
