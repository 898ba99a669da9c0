"""The plan's document before its schema, and before the programs that read Terraform's plans."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from provisioner.cli.schema import plan_schema
from provisioner.plan import Reason
from provisioner.render.terraform import as_terraform

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = "PROVISIONER_TEST_REQUIRE_TOOLS" in os.environ  # read before the environment is scrubbed
CHECKOV = Path(sys.prefix) / "checkov/bin/checkov"
POLICIES = ROOT / "examples" / "policy"
REGO = (POLICIES / "oauth_apps.rego").read_text()
SCHEMA: dict[str, Any] = json.loads(plan_schema())
CASES = {
    path.stem: path
    for path in sorted((ROOT / "tests/cases/plan").glob("*.yaml"))
    if "\njson: " in path.read_text()
}
MANIFEST = """version: 1
sinks: {files: {type: file, path: "secrets/{key}.env", format: dotenv, plaintext: true}}
apps:
  one: {redirect_uris: ['https://one.example.com/cb'], scopes: ['a:read']}
  two: {redirect_uris: ['https://two.example.com/cb'], sinks: [files]}
  three: {redirect_uris: ['https://three.example.com/cb'], protect: true}
"""


def without(tool: str, package: str) -> None:
    """Skip the test, or fail where nothing may be skipped."""
    if REQUIRED:
        pytest.fail(f"{tool} is not installed, and this run must not skip what needs it")
    pytest.skip(f"NOT TESTED: {tool} is not installed ({package})")


def case(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(yaml.load(CASES[name].read_text(), yaml.CSafeLoader)["json"])
    return document


def faults(document: Any, schema: dict[str, Any] = SCHEMA) -> list[str]:
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


@pytest.fixture
def planned(provisioner, sandbox) -> Any:
    """A plan, saved."""
    provisioner("init", "-f", "starter.yaml")
    Path("apps.yaml").write_text(MANIFEST)

    def plan(*arguments: str) -> dict[str, Any]:
        provisioner("plan", "--out", "plan.json", *arguments)
        document: dict[str, Any] = json.loads(Path("plan.json").read_text())
        return document

    return plan


def rich(provisioner, sandbox, planned) -> dict[str, Any]:
    """A saved plan with much in it."""
    assert provisioner("apply", "--auto-approve").status == 0
    by_name = {app.name: app for app in sandbox.world.apps()}
    sandbox.world.delete(by_name["one"].id)
    sandbox.world.rotate(by_name["three"].id)
    made = sandbox.world.create("four", ["https://four.example.com/cb"])
    Path("apps.yaml").write_text(
        MANIFEST.replace("two.example.com/cb", "two.example.com/new")
        + "  four: {redirect_uris: ['https://four.example.com/cb']}\n"
        + f"import: [{{to: four, id: {made.id}}}]\n"
    )
    document: dict[str, Any] = planned("--allow", "replace")
    return document


# The schema


def test_the_schema_is_one_and_is_printed(provisioner) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert provisioner("schema", "plan").out == plan_schema()
    assert plan_schema() == (ROOT / "provisioner/render/plan.schema.json").read_text()


@pytest.mark.parametrize("name", CASES)
def test_the_document_of_every_plan_validates(name: str) -> None:
    document = case(name)
    assert faults(document | as_terraform(document), SCHEMA | {"required": [*document]}) == []


@pytest.mark.parametrize("arguments", [(), ("--no-refresh",), ("--destroy",), ("--target", "one")])
def test_a_saved_plan_validates(planned, arguments: tuple[str, ...]) -> None:
    document = planned(*arguments)
    assert faults(document) == []
    assert {*document} == {*SCHEMA["properties"]}


def test_a_saved_plan_with_drift_imports_and_deliveries_validates(provisioner, sandbox, planned) -> None:
    document = rich(provisioner, sandbox, planned)
    assert faults(document) == []
    assert len(document["resource_drift"]) == 2
    assert [entry for entry in document["resource_changes"] if "deliveries" in entry]


def test_every_reason_is_in_the_schema_and_no_other() -> None:
    entry = SCHEMA["properties"]["resource_changes"]["items"]
    terraforms = {"delete_because_no_resource_config", "replace_because_cannot_update", "replace_by_request"}
    assert {*entry["properties"]["action_reason"]["enum"]} == terraforms | {
        reason.name.lower() for reason in Reason
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        return [path, *(found for name, item in value.items() for found in places(item, (*path, name)))]
    if isinstance(value, list) and value:
        return [found for index, item in enumerate(value) for found in places(item, (*path, index))]
    return [path]


@pytest.mark.unmeasured
def test_whatever_is_of_another_kind_or_not_foreseen_is_a_fault(provisioner, sandbox, planned) -> None:
    document = rich(provisioner, sandbox, planned)
    found = places(document)
    assert len(found) > 200
    for path in filter(None, found):
        planted = deepcopy(document)
        holder = planted
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = {"planted": 3.5}
        assert faults(planted), path
    assert faults(document | {"client_secret": "x"})


# Programs that read Terraform's plans


def test_terraform_compliance_gets_what_it_asks_a_plan_for(provisioner, planned) -> None:
    """Facts of its version 1.16: one line, a version of each list, and two parts that are not empty."""
    planned()
    (line,) = provisioner("show", "plan.json", "--json").out.splitlines()
    document = json.loads(line)
    assert document["format_version"] in ("0.1", "0.2", "1.0", "1.1", "1.2")
    assert re.match(r"(0\.1[2-5]|1\.\d+)\.", document["terraform_version"])
    assert document["planned_values"]
    assert document["configuration"]
    assert "values" not in document  # by which it knows a state


def test_what_is_planned_is_each_app_as_it_is_to_be(provisioner, sandbox, planned) -> None:
    document = rich(provisioner, sandbox, planned)
    resources = document["planned_values"]["root_module"]["resources"]
    assert [entry["address"] for entry in resources] == [
        entry["address"] for entry in document["resource_changes"] if entry["change"]["after"] is not None
    ]
    two = next(entry for entry in resources if entry["name"] == "two")
    assert two["values"]["redirect_uris"] == ["https://two.example.com/new"]
    assert "client_secret" not in two["values"]


@pytest.mark.unmeasured
def test_checkov_reads_a_plan_and_finds_what_a_policy_forbids(provisioner, sandbox, planned) -> None:
    if not CHECKOV.exists():
        without("checkov", "make counterparts")
    Path("apps.yaml").write_text(MANIFEST.replace("'a:read'", "'customers:write'"))
    planned()
    command = [str(CHECKOV), "--file", "plan.json", "--framework", "terraform_plan", "--output", "json"]
    command += ["--skip-download", "--external-checks-dir", str(POLICIES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert report["summary"]["parsing_errors"] == 0
    assert [found["resource"] for found in report["results"]["failed_checks"]] == ["oauth_app.one"]
    passed = {found["resource"] for found in report["results"]["passed_checks"]}
    assert passed == {"oauth_app.two", "oauth_app.three"}
    assert done.returncode == 1


# conftest is a program of Go's; its rules are Rego, which others run as well


def judged(document: Any, rule: str) -> list[str]:
    try:
        import regopy
    except ImportError:
        without("regopy", "make counterparts")
    interpreter = regopy.Interpreter()
    interpreter.add_module("oauth_apps", REGO)
    interpreter.set_input(document)
    (found,) = json.loads(str(interpreter.query(f"data.main.{rule}")))["expressions"]
    return sorted(found)


def test_the_policy_for_conftest_finds_what_it_forbids(provisioner, sandbox, planned) -> None:
    good = planned()
    assert judged(good, "deny") == judged(good, "warn") == []
    Path("apps.yaml").write_text(
        MANIFEST.replace("https://one.example.com/cb", "https://one.example.com.evil.example/cb")
        .replace("'https://two.example.com/cb'", "'https://example.com/cb', 'http://127.0.0.1/cb'")
        .replace("a:read", "a:write")
    )
    assert judged(planned(), "deny") == [
        "oauth_app.one may write, and is not protected",
        "oauth_app.one: one.example.com.evil.example is not a host of ours",
    ]
    assert judged(planned("--no-refresh"), "warn") == ["drift was not looked for"]


def test_the_policy_for_conftest_counts_what_is_cut_off(provisioner, planned) -> None:
    Path("apps.yaml").write_text(MANIFEST.replace("protect: true", "protect: false"))
    assert provisioner("apply", "--auto-approve").status == 0
    found = judged(planned("--destroy", "--allow", "delete"), "deny")
    assert found == ["3 apps are cut off, and 2 may be"]


def test_what_the_policies_name_is_in_the_schema() -> None:
    """Also where nothing can run them: a field that is misspelt is undefined to them, and forbids nothing."""
    entry = SCHEMA["properties"]["resource_changes"]["items"]["properties"]
    app = SCHEMA["$defs"]["app"]["properties"]
    assert {*re.findall(r"\binput\.(\w+)", REGO)} <= {*SCHEMA["properties"]}
    assert {*re.findall(r"\bchange\.(\w+)", REGO)} <= {*entry} | {*entry["change"]["properties"]}
    assert {*re.findall(r"\.(?:after|before)\.(\w+)", REGO)} <= {*app}
    checkov = yaml.safe_load((POLICIES / "checkov.yaml").read_text())
    rules = checkov["definition"]["or"]
    assert {rule["attribute"] for rule in rules} <= {*app}
    assert all(rule["resource_types"] == ["oauth_app"] for rule in rules)
