"""What tfcmt finds in our text. Its patterns are facts, from its parser of plans and applies (version 4)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.render.phrases import RESUMED

pytestmark = pytest.mark.unmeasured

CASES = sorted((Path(__file__).parent / "cases" / "plan").glob("*.yaml"))

# Of a whole text; the first line that passes or fails is the result.
PASS = re.compile(r"(?m)^(Plan: \d|No changes.)")
FAIL = re.compile(r"(?m)^([│|] )?(Error: )")
WARNING = re.compile(r"(?m)^([│|] )?(Warning: )")
HAS_DESTROY = re.compile(r"(?m)([1-9][0-9]* to destroy.)")  # these two of the result only
NO_CHANGES = re.compile(r"(?m)^(No changes.)")
APPLIED = re.compile(r"(?m)^(Apply complete!)")

# Of a line, in this order; the address is what they capture.
LINES = {
    "created": re.compile(r"^ *# (.*) will be created$"),
    "updated": re.compile(r"^ *# (.*) will be updated in-place$"),
    "deleted": re.compile(r"^ *# (.*) will be destroyed$"),
    "replaced": re.compile(r"^ *# (.*?)(?: is tainted, so)? must be replaced$"),
    "replaced as requested": re.compile(r"^ *# (.*?) will be replaced, as requested$"),
    "imported": re.compile(r"^ *# (.*?) will be imported$"),
    "moved": re.compile(r"^ *# (.*?) has moved to (.*?)$"),
}
MOVED_FROM = re.compile(r"^ *# \(moved from (.*?)\)$")  # right under a line of what is replaced


def loaded(path: Path) -> tuple[dict[str, Any], str]:
    case = yaml.load(path.read_text(), yaml.CSafeLoader)
    return json.loads(case["json"]), case["expect"]


PLANS = {path.stem: path for path in CASES if "\njson: " in path.read_text()}


def found(text: str) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = {name: [] for name in LINES}
    lines = text.splitlines()
    for number, line in enumerate(lines):
        name, match = next(
            ((name, match) for name, pattern in LINES.items() if (match := pattern.match(line))), ("", None)
        )
        if match:
            listed[name].append(" ".join(match.groups()))
        elif origin := MOVED_FROM.match(line):
            above = LINES["replaced"].match(lines[number - 1])
            listed["moved"] += [f"{origin[1]} {above[1]}"] if above else []
    return listed


def told(document: dict[str, Any]) -> dict[str, list[str]]:
    """The same from the plan's document."""
    listed: dict[str, list[str]] = {name: [] for name in LINES}
    names = {("create",): "created", ("delete",): "deleted", ("delete", "create"): "replaced"}
    other_words = {reason.name.lower() for reason in RESUMED}
    for entry in document["resource_changes"]:
        reason, actions = entry.get("action_reason"), tuple(entry["change"]["actions"])
        moved = f"{entry.get('previous_address')} {entry['address']}"
        if reason in other_words:
            continue
        if reason == "replace_by_request":
            listed["replaced as requested"].append(entry["address"])
        elif "importing" in entry["change"]:
            listed["imported"].append(entry["address"])
        elif actions in names:
            listed[names[actions]].append(entry["address"])
            if actions == ("delete", "create") and "previous_address" in entry:
                listed["moved"].append(moved)
        elif actions == ("no-op",) and "previous_address" in entry:
            listed["moved"].append(moved)
    return listed


@pytest.mark.parametrize("name", PLANS)
def test_tfcmt_finds_in_the_text_what_is_in_the_document(name: str) -> None:
    document, text = loaded(PLANS[name])
    listed = {kind: sorted(addresses) for kind, addresses in found(text).items()}
    assert listed == {kind: sorted(addresses) for kind, addresses in told(document).items()}


@pytest.mark.parametrize("name", PLANS)
def test_tfcmt_takes_the_summary_for_the_result(name: str) -> None:
    document, text = loaded(PLANS[name])
    conflicts = "".join(f"Error: {conflict['summary']}\n" for conflict in document["conflicts"])
    assert bool(FAIL.search(text + conflicts)) == document["errored"]
    result = next((line for line in text.splitlines() if PASS.match(line)), "")
    assert bool(result) != document["errored"]
    assert bool(HAS_DESTROY.search(result)) == (not document["errored"] and document["summary"]["remove"] > 0)
    nothing = not document["errored"] and not any(document["summary"].values())
    assert bool(NO_CHANGES.search(result)) == nothing
    assert len(WARNING.findall(text)) == len(document["notes"])


@pytest.mark.parametrize(
    ("planted", "missing"),
    [("Plan: 1 to add", "Plan - 1 to add"), ("will be created", "shall be created")],
)
def test_another_wording_would_be_noticed(planted: str, missing: str) -> None:
    document, text = loaded(PLANS["create-the-first-app"])
    changed = text.replace(planted, missing)
    assert changed != text
    assert not PASS.search(changed) or found(changed) != told(document)


def test_tfcmt_tells_an_apply_that_is_complete_from_one_that_is_not(provisioner, sandbox) -> None:
    provisioner("init")
    sandbox.add_fault("create:500")
    sandbox.add_fault("list@2x*:500")
    failed = provisioner("apply", "--auto-approve")
    assert failed.status == 3
    assert not APPLIED.search(failed.out)
    assert FAIL.search(failed.out + failed.err)
    sandbox.faults = type(sandbox.faults)(())
    done = provisioner("apply", "--auto-approve")
    assert done.status == 0, done.err
    assert APPLIED.search(done.out)
    assert not FAIL.search(done.out + done.err)
    nothing = provisioner("apply", "--auto-approve")
    assert PASS.search(nothing.out)
