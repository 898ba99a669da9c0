"""The command as a user runs it, against the sandbox."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provisioner import __version__
from provisioner.cli import run
from provisioner.cli.apply import _at_once
from provisioner.manifest import Source, load
from provisioner.sandbox.application import Sandbox
from provisioner.sandbox.faults import Faults
from provisioner.sandbox.world import utc_now

ONE = "version: 1\napps:\n  one:\n    redirect_uris: [https://one.example/cb]\n"
TWO = ONE + "  two:\n    redirect_uris: [https://two.example/cb]\n"
COMMAND = [sys.executable, "-m", "provisioner"]


@pytest.fixture
def manifest(provisioner: Callable[..., Any], tmp_path: Path) -> Callable[[str], None]:
    """Write apps.yaml; an identity exists, as after `init`."""
    assert provisioner("init", "-f", "starter.yaml").status == 0

    def write(text: str) -> None:
        (tmp_path / "apps.yaml").write_text(text)

    write(ONE)
    return write


def works(sandbox: Sandbox, provisioner: Callable[..., Any], key: str) -> bool:
    """Whether the sealed secret is the one that the server takes."""
    record = json.loads(Path(f"state/apps/{key}.json").read_bytes())
    got = provisioner("secret", "get", key)
    assert got.status == 0, got.err
    return sandbox.world.confirms(record["object"]["client_id"], got.out)


def test_the_first_day_init_plan_apply_plan_and_the_secret_works(provisioner, sandbox, tmp_path) -> None:
    assert provisioner("init").status == 0
    assert provisioner("validate").out == "Success! The manifest is valid: 1 app.\n"
    planned = provisioner("plan")
    assert planned.status == 0
    assert "  # oauth_app.my-app will be created\n" in planned.out
    assert "\nPlan: 1 to add, 0 to change, 0 to destroy.\n" in planned.out
    applied = provisioner("apply", answer="yes\n")
    assert applied.status == 0, applied.err
    assert "oauth_app.my-app: Creating...\n" in applied.out
    assert "oauth_app.my-app: Creation complete after 0s [id=app_" in applied.out
    assert "\nApply complete! Resources: 1 added, 0 changed, 0 destroyed.\n" in applied.out
    assert provisioner("plan").out.startswith("No changes.")
    assert works(sandbox, provisioner, "my-app")


def test_plan_writes_nothing(provisioner, manifest, sandbox, tmp_path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert provisioner("plan").status == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_plan_and_an_approved_apply_make_one_list_call_each(provisioner, manifest, sandbox) -> None:
    manifest(TWO)
    provisioner("plan")
    assert sandbox.calls == {"list": 1}
    provisioner("apply", "--auto-approve")
    assert sandbox.calls == {"list": 2, "create": 2}


def test_plan_without_refresh_needs_no_token_and_no_network(provisioner, manifest) -> None:
    planned = provisioner("plan", "--no-refresh")
    assert planned.status == 0
    assert planned.out.startswith("Drift was not looked for")


def test_detailed_exitcode_is_2_with_changes_and_0_without(provisioner, manifest, sandbox) -> None:
    assert provisioner("plan", "--detailed-exitcode").status == 2
    provisioner("apply", "--auto-approve")
    assert provisioner("plan", "--detailed-exitcode").status == 0


@pytest.mark.parametrize("answer", ["no\n", "\n", "y\n", "YES\n", "yes please\n", "no"])
def test_anything_but_yes_declines_and_nothing_is_done(provisioner, manifest, sandbox, answer: str) -> None:
    declined = provisioner("apply", answer=answer)
    assert declined.status == 1
    assert "Apply cancelled. Nothing was done." in declined.out
    assert sandbox.calls["create"] == 0


OR_SAVE = "; or save the plan with `provisioner plan {}--out FILE`, and apply that.\n"
UNANSWERED = {
    "create": (ONE, "apply", "Give --auto-approve" + OR_SAVE.format("")),
    "replace": (
        ONE.replace("/cb", "/other"), "apply",
        "Give --auto-approve --allow replace:one" + OR_SAVE.format(""),
    ),
    "destroy": (ONE, "destroy", "Give --auto-approve --allow delete:one" + OR_SAVE.format("--destroy ")),
    "apply --destroy": (
        ONE, "apply --destroy", "Give --auto-approve --allow delete:one" + OR_SAVE.format("--destroy "),
    ),
    "rotate": (ONE, "rotate one", "Give --auto-approve.\n"),
}  # fmt: skip


@pytest.mark.parametrize("way", UNANSWERED)
def test_where_nobody_can_answer_it_is_an_error_that_says_what_to_give(
    provisioner, manifest, sandbox, way: str
) -> None:
    text, typed, hint = UNANSWERED[way]
    if way != "create":
        assert provisioner("apply", "--auto-approve").status == 0
    manifest(text)
    before, sandbox.calls["list"] = sandbox.calls.total() - sandbox.calls["list"], 0
    ran = provisioner(*typed.split(), answer="")
    assert ran.status == 1
    assert ran.err == (
        "Error: There is no answer\n\nStandard input is at its end. Nothing was done.\n" + hint
    )
    assert ran.out.endswith("  Enter a value: \n")
    assert sandbox.calls.total() - sandbox.calls["list"] == before
    if way == "create":
        return
    given = hint.partition("Give ")[2].partition(";")[0].rstrip(".\n").split()
    assert provisioner(*typed.split(), *given).status == 0


def test_the_files_are_for_their_owner_only_whatever_the_umask(provisioner, manifest, sandbox) -> None:
    old = os.umask(0)
    try:
        provisioner("apply", "--auto-approve")
    finally:
        os.umask(old)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [Path("state"), *Path("state").rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_a_replacement_needs_consent_under_auto_approve(provisioner, manifest, sandbox) -> None:
    provisioner("apply", "--auto-approve")
    manifest(ONE.replace("/cb", "/other"))
    refused = provisioner("apply", "--auto-approve")
    assert refused.status == 1
    assert "--allow replace:one" in refused.err
    assert sandbox.calls["delete"] == 0
    allowed = provisioner("apply", "--auto-approve", "--allow", "replace:one")
    assert allowed.status == 0
    assert "Apply complete! Resources: 1 added, 0 changed, 1 destroyed." in allowed.out
    assert works(sandbox, provisioner, "one")


@pytest.mark.parametrize("allow", ["replace", "replace:one", "delete:one", "recreate-all"])
def test_a_delete_is_not_done_by_another_consent(provisioner, manifest, sandbox, allow: str) -> None:
    manifest(TWO)
    provisioner("apply", "--auto-approve")
    manifest(ONE)
    assert provisioner("apply", "--auto-approve", "--allow", allow).status == 1
    assert len(sandbox.world.apps()) == 2
    assert provisioner("apply", "--auto-approve", "--allow", "delete:oauth_app.two").status == 0
    assert len(sandbox.world.apps()) == 1


def test_the_prompt_is_consent_and_names_what_is_cut_off(provisioner, manifest, sandbox) -> None:
    provisioner("apply", "--auto-approve")
    manifest("version: 1\napps: {}\n")
    ran = provisioner("apply", answer="yes\n")
    assert ran.status == 0
    assert "The client ids and tokens of oauth_app.one stop working, for good." in ran.out
    assert sandbox.world.apps() == ()


@pytest.mark.parametrize("allow", ["everything", "delete:Not A Key", "delete:", ""])
def test_a_consent_that_is_not_understood_stops_the_run(provisioner, manifest, sandbox, allow: str) -> None:
    assert provisioner("apply", "--auto-approve", "--allow", allow).status == 1
    assert sandbox.calls == {}


def test_a_held_lock_is_exit_4_and_names_its_holder(provisioner, manifest, sandbox) -> None:
    from provisioner.stores.directory import DirectoryStore

    with DirectoryStore(Path("state")).lock("apply"):
        held = provisioner("apply", "--auto-approve")
    assert held.status == 4
    assert f"process {os.getpid()}" in held.err
    assert sandbox.calls == {}


def test_a_world_that_changes_during_the_prompt_is_not_applied_to(
    provisioner, manifest, sandbox, monkeypatch
) -> None:
    class Slow:
        def readline(self) -> str:
            sandbox.world.create("one", ["https://elsewhere.example/cb"], None)
            return "yes\n"

    monkeypatch.setattr(io, "TextIOWrapper", lambda _: Slow())  # what the fixture makes standard input of
    ran = provisioner("apply")
    assert ran.status == 1
    assert "The plan is not the one you approved any more" in ran.err
    assert sandbox.calls["create"] == 0


def test_a_name_that_exists_remotely_stops_plan_and_apply_with_the_import_command(
    provisioner, manifest, sandbox
) -> None:
    foreign = sandbox.world.create("one", ["https://elsewhere.example/cb"], None)
    for arguments in (["plan"], ["apply", "--auto-approve"]):
        ran = provisioner(*arguments)
        assert ran.status == 1
        assert f"provisioner import oauth_app.one {foreign.id}" in ran.err
    assert sandbox.calls["create"] == 0


def test_a_partial_failure_is_exit_3_and_the_next_apply_goes_on(provisioner, manifest, sandbox) -> None:
    manifest(TWO)
    sandbox.add_fault("create:422")
    first = provisioner("apply", "--auto-approve", "--parallelism", "1")
    assert first.status == 3
    assert "1 of 2 changes are not finished" in first.err
    assert provisioner("apply", "--auto-approve").status == 0
    assert len(sandbox.world.apps()) == 2


BEFORE = [
    "create:500-before",
    "create:lost-before",
    "create:503",
    "create:reset-before",
    "create:html-before",
]
AFTER = ["create:500-after", "create:lost-after", "create:truncated", "create:gzip-garbage",
         "create:html-after", "create:truncated-no-length", "create:without=client_secret",
         "create:with=client_secret=3",
         "create:without=app.id", "create:307-after"]  # fmt: skip


@pytest.mark.parametrize("fault", BEFORE)
def test_f12_what_was_lost_before_the_commit_is_asked_for_again(
    provisioner, manifest, sandbox, fault
) -> None:
    sandbox.add_fault(fault)
    assert provisioner("apply", "--auto-approve").status == 0
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (2, 0)
    assert works(sandbox, provisioner, "one")


@pytest.mark.parametrize("fault", AFTER)
def test_f14_to_f18_what_was_lost_after_the_commit_is_taken_over_with_a_new_secret(
    provisioner, manifest, sandbox, fault
) -> None:
    sandbox.add_fault(fault)
    assert provisioner("apply", "--auto-approve").status == 0
    assert (sandbox.calls["create"], sandbox.calls["rotate"]) == (1, 1)
    assert provisioner("plan").out.startswith("No changes.")
    assert works(sandbox, provisioner, "one")


@pytest.mark.parametrize("fault", [*BEFORE, *AFTER])
def test_a_lost_answer_and_a_failing_list_converge_in_the_next_run(
    provisioner, manifest, sandbox, fault
) -> None:
    sandbox.add_fault(fault)
    sandbox.add_fault("list@2x*:422")
    first = provisioner("apply", "--auto-approve")
    assert first.status == 3
    assert "left open" in first.out
    with running_again(sandbox):
        assert "an earlier run" in provisioner("plan").out
        assert provisioner("apply", "--auto-approve").status == 0
        assert provisioner("plan").out.startswith("No changes.")
        assert works(sandbox, provisioner, "one")
    assert len(sandbox.world.apps()) == 1


@contextlib.contextmanager
def running_again(sandbox: Sandbox) -> Iterator[None]:
    """The same server, without the faults that were asked for."""
    faults, sandbox.faults = sandbox.faults, Faults(())
    yield
    sandbox.faults = faults


@pytest.mark.parametrize("fault", AFTER)
def test_with_recovery_ask_nothing_is_taken_over_and_the_evidence_is_shown(
    provisioner, manifest, sandbox, fault
) -> None:
    manifest("recovery: {mode: ask}\n" + ONE)
    sandbox.add_fault(fault)
    assert provisioner("apply", "--auto-approve").status == 3
    for _ in range(2):
        again = provisioner("apply", "--auto-approve")
        assert again.status == 1
        assert "yes  it was not there before we asked" in again.err
    assert sandbox.calls["rotate"] == 0
    manifest(ONE)
    assert provisioner("apply", "--auto-approve").status == 0
    assert works(sandbox, provisioner, "one")


def test_f21_a_409_without_an_ambiguous_try_is_somebody_elses(provisioner, manifest, sandbox) -> None:
    sandbox.add_fault("create:409")
    assert provisioner("apply", "--auto-approve").status == 3
    assert sandbox.calls["rotate"] == 0
    assert list(Path("state/.journal").iterdir()) == []


def test_a_take_over_can_be_approved_at_the_prompt_though_time_passes(provisioner, manifest, sandbox) -> None:
    manifest("recovery: {mode: ask}\n" + ONE)
    sandbox.add_fault("create:lost-after")
    provisioner("apply", "--auto-approve")
    manifest(ONE)
    looks = count()
    sandbox.world.now = lambda: utc_now() + timedelta(seconds=next(looks))
    ran = provisioner("apply", answer="yes\n")
    assert ran.status == 0, ran.err
    assert works(sandbox, provisioner, "one")


def test_f26_a_replacement_whose_rotate_answer_is_lost_converges(provisioner, manifest, sandbox) -> None:
    provisioner("apply", "--auto-approve")
    manifest(ONE.replace("/cb", "/other"))
    sandbox.add_fault("create:lost-after")
    sandbox.add_fault("rotate:lost-after")
    assert provisioner("apply", "--auto-approve", "--allow", "replace").status == 0
    assert works(sandbox, provisioner, "one")
    assert len(sandbox.world.apps()) == 1


def test_f28_a_rotate_that_comes_late_is_noticed_and_rotated_without_asking(
    provisioner, manifest, sandbox
) -> None:
    sandbox.add_fault("create:lost-after")
    sandbox.add_fault("rotate:late=60s")
    assert provisioner("apply", "--auto-approve").status == 0
    assert works(sandbox, provisioner, "one")
    sandbox.settle()
    assert not works(sandbox, provisioner, "one")
    planned = provisioner("plan")
    assert "because an earlier rotation came through late" in planned.out
    assert provisioner("apply", "--auto-approve").status == 0
    assert works(sandbox, provisioner, "one")


def test_f29_a_delete_whose_answer_is_lost_is_asked_about_and_sent_again(
    provisioner, manifest, sandbox
) -> None:
    manifest(TWO)
    provisioner("apply", "--auto-approve")
    manifest(ONE)
    sandbox.add_fault("delete:lost-before")
    assert provisioner("apply", "--auto-approve", "--allow", "delete").status == 0
    assert (sandbox.calls["delete"], sandbox.calls["get"]) == (2, 1)
    assert provisioner("plan").out.startswith("No changes.")


def test_f30_a_replacement_that_stops_between_its_halves_rolls_forward(
    provisioner, manifest, sandbox
) -> None:
    provisioner("apply", "--auto-approve")
    manifest(ONE.replace("/cb", "/other"))
    sandbox.add_fault("create:422")
    half = provisioner("apply", "--auto-approve", "--allow", "replace")
    assert half.status == 3
    assert "the old one is gone" in half.err
    assert "1 destroyed" in half.err
    assert provisioner("secret", "get", "one").status == 1  # the old secret is dead, and is not handed out
    assert "# oauth_app.one will be created\n" in provisioner("plan").out
    assert provisioner("apply", "--auto-approve").status == 0
    assert works(sandbox, provisioner, "one")


def test_a_429_is_waited_out(provisioner, manifest, sandbox) -> None:
    sandbox.add_fault("create:429=0")
    assert provisioner("apply", "--auto-approve").status == 0
    assert sandbox.calls["create"] == 2


def test_an_empty_list_against_a_state_with_records_is_refused_unless_allowed(
    provisioner, manifest, sandbox
) -> None:
    provisioner("apply", "--auto-approve")
    for held in sandbox.world.apps():
        sandbox.world.delete(held.id)
    refused = provisioner("apply", "--auto-approve")
    assert refused.status == 1
    assert "--allow recreate-all" in refused.err
    assert sandbox.calls["create"] == 1
    assert provisioner("apply", "--auto-approve", "--allow", "recreate-all").status == 0
    assert works(sandbox, provisioner, "one")


def test_a_token_for_another_organization_is_refused(provisioner, manifest, sandbox) -> None:
    provisioner("apply", "--auto-approve")
    header = Path("state/state.json")
    document = json.loads(header.read_bytes())
    document["provider"]["organization_id"] = "org_another"
    header.write_text(json.dumps(document))
    ran = provisioner("plan")
    assert ran.status == 1
    assert "The token is for another organization" in ran.err


def test_a_manifest_for_another_organization_than_the_state_is_refused(
    provisioner, manifest, sandbox
) -> None:
    provisioner("apply", "--auto-approve")
    manifest("provider: {organization_id: org_another}\n" + ONE)
    assert "The manifest is for another organization" in provisioner("plan").err


def test_a_state_made_for_another_host_is_refused(provisioner, manifest, sandbox, monkeypatch) -> None:
    provisioner("apply", "--auto-approve")
    monkeypatch.setenv("METEROID_BASE_URL", "http://127.0.0.1:9")
    ran = provisioner("plan")
    assert ran.status == 1
    assert "The state was made for another API" in ran.err


def test_b59_a_manifest_cannot_send_the_token_to_another_host(provisioner, manifest, sandbox) -> None:
    manifest("provider: {base_url: https://evil.example}\n" + ONE)
    ran = provisioner("plan")
    assert ran.status == 1
    assert "evil.example" in ran.err
    assert sandbox.calls == {}


@pytest.mark.parametrize(
    "url",
    ["http://api.meteroid.com", "https://u:p@api.meteroid.com", "https://api.meteroid.com/v2",
     "https://api.meteroid.com x", "ftp://127.0.0.1", "api.meteroid.com", "https://"],
)  # fmt: skip
def test_b59_a_base_url_that_could_leak_the_token_is_refused(
    provisioner, manifest, monkeypatch, url: str
) -> None:
    monkeypatch.setenv("METEROID_BASE_URL", url)
    monkeypatch.setenv("METEROID_API_KEY", "token")
    ran = provisioner("plan")
    assert ran.status == 1
    assert ran.err.startswith("Error: ")
    assert ":p@" not in ran.err


@pytest.mark.parametrize("token", ["with\nline", '"quoted"', " spaced", "naïve"])
def test_b60_a_token_that_would_break_the_header_is_refused_and_not_shown(
    provisioner, manifest, sandbox, monkeypatch, token: str
) -> None:
    monkeypatch.setenv("METEROID_API_KEY", token)
    ran = provisioner("plan")
    assert ran.status == 1
    assert token not in ran.err
    assert sandbox.calls == {}


def test_b60_without_a_token_the_two_ways_to_give_one_are_named(provisioner, manifest) -> None:
    ran = provisioner("plan")
    assert ran.status == 1
    assert "METEROID_API_KEY" in ran.err
    assert "METEROID_API_KEY_FILE" in ran.err


def test_b60_the_token_may_come_from_a_file(provisioner, manifest, sandbox, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("METEROID_API_KEY")
    (tmp_path / "token").write_text(sandbox.api_key + "\n")
    monkeypatch.setenv("METEROID_API_KEY_FILE", str(tmp_path / "token"))
    assert provisioner("plan").status == 0


def test_b60_there_is_no_flag_for_a_token(provisioner, manifest) -> None:
    for flag in ("--token", "--api-key"):
        assert provisioner("plan", flag, "x").status == 1


def test_b61_a_proxy_in_use_is_shown_without_its_password(provisioner, manifest, monkeypatch) -> None:
    monkeypatch.setenv("METEROID_API_KEY", "token")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:9")
    ran = provisioner("plan")
    assert ran.status == 1
    assert "the proxy http://127.0.0.1:9" in ran.err
    assert "hunter2" not in ran.err


def test_b61_an_authority_file_that_is_missing_is_refused_before_a_request(
    provisioner, manifest, sandbox, monkeypatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "absent.pem")
    ran = provisioner("plan")
    assert ran.status == 1
    assert "SSL_CERT_FILE" in ran.err
    assert sandbox.calls == {}


def test_b61_there_is_no_switch_for_insecure_tls(provisioner, manifest) -> None:
    assert provisioner("plan", "--insecure").status == 1
    manifest("provider: {verify: false}\n" + ONE)
    assert provisioner("validate").status == 1


def test_a_wrong_token_is_an_error_that_names_the_variable(
    provisioner, manifest, sandbox, monkeypatch
) -> None:
    monkeypatch.setenv("METEROID_API_KEY", "wrong")
    ran = provisioner("plan")
    assert ran.status == 1
    assert "METEROID_API_KEY" in ran.err


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _unreadable(path: Path) -> None:
    path.write_text(ONE)
    path.chmod(0)


@pytest.mark.parametrize(
    "make", [Path.mkdir, _fifo, _loop], ids=["an empty folder", "a FIFO", "a loop of links"]
)
def test_b15_a_manifest_that_is_no_file_is_an_error_without_a_hang(provisioner, tmp_path, make) -> None:
    make(tmp_path / "odd.yaml")
    ran = provisioner("validate", "-f", "odd.yaml")
    assert ran.status == 1
    assert "odd.yaml" in ran.err


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/proc/self/environ", "absent.yaml"])
def test_b15_a_manifest_of_the_systems_is_an_error_that_shows_nothing_of_it(provisioner, path: str) -> None:
    ran = provisioner("validate", "-f", path)
    assert ran.status == 1
    assert path in ran.err
    assert "HOME=" not in ran.err


def test_a_manifest_that_is_checked_for_a_program_says_nothing_beside_the_document(
    provisioner, tmp_path
) -> None:
    (tmp_path / "apps.yaml").write_text(ONE + "    rotate_after: 30m\n")
    ran = provisioner("validate", "-json")
    assert (ran.status, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert (document["valid"], document["error_count"], document["warning_count"]) == (True, 0, 1)
    (tmp_path / "apps.yaml").write_text("version: 1\napps: {one: {redirect_uris: []}}\n")
    ran = provisioner("validate", "--json")
    assert (ran.status, ran.err) == (1, "")
    (found,) = json.loads(ran.out)["diagnostics"]
    assert found["severity"] == "error"
    assert found["range"]["filename"] == "apps.yaml"
    assert found["range"]["start"] == {"line": 2, "column": 29}
    assert found["detail"].startswith("apps.one.redirect_uris")


def test_what_is_wrong_in_no_line_has_no_range(provisioner, tmp_path) -> None:
    (tmp_path / "apps.yaml").write_text(ONE)
    for arguments in (["-f", "absent.yaml"], ["--var", "no=such"]):
        ran = provisioner("validate", "--json", *arguments)
        assert (ran.status, ran.err) == (1, "")
        document = json.loads(ran.out)
        assert document["valid"] is False
        assert [item for item in document["diagnostics"] if "range" in item] == []
    assert document["diagnostics"][0]["detail"].startswith("--var: var.no\n")
    assert document["error_count"] == 1


def test_without_a_manifest_the_way_to_one_is_named(provisioner) -> None:
    ran = provisioner("plan")
    assert ran.status == 1
    assert "provisioner init" in ran.err


def test_a_folder_of_files_is_one_manifest(provisioner, tmp_path) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "a.yaml").write_text(ONE)
    (tmp_path / "apps" / "b.yml").write_text(ONE.replace("one", "two"))
    assert provisioner("validate").out == "Success! The manifest is valid: 2 apps.\n"


def test_variables_come_from_flags_then_files_then_the_environment(
    provisioner, tmp_path, monkeypatch
) -> None:
    (tmp_path / "apps.yaml").write_text(
        "version: 1\nvariables: {host: {default: default.example}}\n"
        "apps: {one: {redirect_uris: ['https://${var.host}/cb']}}\n"
    )
    (tmp_path / "vars.yaml").write_text("host: file.example\n")

    def host(*arguments: str) -> str:
        return provisioner("plan", "--no-refresh", *arguments).out.split("https://")[1].split("/")[0]

    assert host() == "default.example"
    monkeypatch.setenv("PROVISIONER_VAR_host", "environment.example")
    assert host() == "environment.example"
    assert host("--var-file", "vars.yaml") == "file.example"
    assert host("--var-file", "vars.yaml", "--var", "host=flag.example") == "flag.example"
    assert provisioner("plan", "--no-refresh", "--var", "host").status == 1
    assert provisioner("plan", "--no-refresh", "--var", "unknown=x").status == 1


@pytest.mark.parametrize(
    "arguments",
    [["nope"], ["plan", "--nope"], ["plan", "extra"], ["plan", "--refresh=false"], ["-x"], [],
     ["apply", "--parallelism", "0"], ["apply", "--parallelism", "x"], ["init", "-f"],
     ["state"], ["state", "nope"], ["state", "show"],
     ["secret"], ["secret", "get"], ["secret", "get", "NOT/A/KEY"], ["completion"], ["completion", "tcsh"],
     ["sandbox", "--port", "70000"], ["sandbox", "--latency", "soon"], ["sandbox", "--fault", "nope"]],
    ids=" ".join,
)  # fmt: skip
def test_a_command_line_that_is_not_understood_is_exit_1_and_says_what_to_type(
    provisioner, arguments
) -> None:
    ran = provisioner(*arguments)
    assert ran.status == 1
    assert "Traceback" not in ran.err
    assert ran.err


@pytest.mark.parametrize(
    "command", [[], ["plan"], ["apply"], ["state", "list"], ["secret", "get"], ["sandbox"]]
)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_exit_0(provisioner, command: list[str], flag: str) -> None:
    assert provisioner(*command, flag).status == 0


def test_version_is_the_same_in_all_its_forms(provisioner) -> None:
    line = f"provisioner v{__version__}\n"
    assert provisioner("--version").out == line
    assert provisioner("version").out == line
    assert json.loads(provisioner("version", "--json").out)["version"] == __version__


def modules(*arguments: str) -> set[str]:
    """The modules that a command line imports, in a process of its own."""
    code = (
        "import sys; from provisioner.cli import run; status = run(sys.argv[1:]);"
        "sys.stderr.write(' '.join(sys.modules)); sys.exit(status)"
    )
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(ran.stderr.split())


HEAVY = {"httpcore", "httpx", "pydantic", "deepdiff", "pyrage", "rich", "yaml", "starlette"}


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["apply", "--help"], ["version"]])
def test_help_imports_none_of_the_heavy_libraries(arguments: list[str]) -> None:
    assert not modules(*arguments) & HEAVY


def test_version_is_answered_before_click_is_imported() -> None:
    assert "click" not in modules("--version")


def test_a_plan_without_refresh_imports_no_http_client(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "apps.yaml").write_text(ONE)
    assert not modules("plan", "--no-refresh") & {"httpcore", "httpx", "deepdiff", "rich", "starlette"}


def test_the_schema_is_json_and_knows_the_manifest(provisioner) -> None:
    schema = json.loads(provisioner("schema").out)
    assert "apps" in schema["properties"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(provisioner, shell: str) -> None:
    assert "_PROVISIONER_COMPLETE" in provisioner("completion", shell).out


@pytest.mark.parametrize(
    ("shell", "words", "found"),
    [
        ("bash", "provisioner pl", "plain,plan"),
        ("zsh", "provisioner pl", "plan"),
        ("fish", "provisioner pl", "plain,plan"),
        ("bash", "provisioner plan --mark", "plain,--markdown"),
        ("zsh", "provisioner secret rek", "rekey"),
        ("fish", "provisioner completion z", "plain,zsh"),
    ],
)
def test_completion_completes_commands_options_and_choices(shell: str, words: str, found: str) -> None:
    *_, last = words.split()
    environment = os.environ | {
        "_PROVISIONER_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": last if shell == "fish" else str(len(words.split()) - 1),
    }
    ran = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=True)
    assert found in re.split(r"\s+", ran.stdout), ran.stdout


def test_the_script_for_bash_is_taken_by_bash_and_completes(tmp_path, provisioner, tool) -> None:
    (tmp_path / "completion").write_text(provisioner("completion", "bash").out)
    line = (
        "COMP_WORDS=(provisioner pl); COMP_CWORD=1; _provisioner_completion provisioner; echo ${COMPREPLY[@]}"
    )
    command = [tool("bash"), "--norc", "-c", f". ./completion && {line}"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command, env=os.environ | {"PATH": path}, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "plan\n"


def test_a_completion_request_that_is_not_understood_is_not_exit_2() -> None:
    for instruction in ("nonsense", "bash_nonsense"):
        environment = os.environ | {"_PROVISIONER_COMPLETE": instruction}
        assert subprocess.run(COMMAND, env=environment, capture_output=True, check=False).returncode in (0, 1)


def test_the_state_commands_show_everything_but_secrets(provisioner, manifest, sandbox) -> None:
    assert provisioner("show").out == "The state is empty: nothing has been applied yet.\n"
    provisioner("apply", "--auto-approve")
    assert provisioner("state", "list").out == "oauth_app.one\n"
    shown = provisioner("state", "show", "one")
    assert 'resource "oauth_app" "one" {' in shown.out
    assert "(sensitive value)" in shown.out
    assert "AGE ENCRYPTED" not in shown.out
    assert shown.out in provisioner("show", "--state", "state").out
    assert provisioner("state", "show", "two").status == 1
    assert provisioner("secret", "get", "two").status == 1


def test_the_state_as_a_document_is_one_line_in_terraforms_form(provisioner, manifest, sandbox) -> None:
    assert provisioner("show", "--json").out == '{"format_version": "1.0"}\n'
    provisioner("apply", "--auto-approve")
    sandbox.add_fault("rotate@1x*:lost-before")
    assert provisioner("rotate", "one", "--auto-approve").status != 0
    (line,) = provisioner("show", "-json").out.splitlines()
    assert "AGE ENCRYPTED" not in line
    (app,) = sandbox.world.apps()
    document = json.loads(line)
    (resource,) = document["values"]["root_module"]["resources"]
    assert (resource["address"], resource["mode"], resource["type"], resource["name"]) == (
        "oauth_app.one", "managed", "oauth_app", "one",
    )  # fmt: skip
    assert resource["values"] == {
        "client_id": app.client_id,
        "client_secret_hint": app.client_secret_hint,
        "created_at": app.created_at,
        "id": app.id,
        "is_active": True,
        "name": app.name,
        "protect": False,
        "redirect_uris": sorted(app.redirect_uris),
        "scopes": sorted(app.scopes),
    }
    assert resource["sensitive_values"] == {}
    assert document["organization_id"] == app.organization_id
    assert document["base_url"] == sandbox.url
    (operation,) = document["open_operations"]
    assert (operation["address"], operation["kind"]) == ("oauth_app.one", "rotate")
    assert list(Path("state/.journal").glob(f"{operation['id']}.op"))


def test_secret_get_without_an_identity_says_where_one_is_looked_for(
    provisioner, manifest, sandbox, clean_environment
) -> None:
    provisioner("apply", "--auto-approve")
    (clean_environment / ".config/provisioner/identity.txt").unlink()
    ran = provisioner("secret", "get", "one")
    assert ran.status == 1
    assert "PROVISIONER_AGE_KEY_FILE" in ran.err
    assert ran.out == ""


def test_apply_without_any_reader_is_refused_before_a_request(provisioner, tmp_path, sandbox) -> None:
    (tmp_path / "apps.yaml").write_text(ONE)
    ran = provisioner("apply", "--auto-approve")
    assert ran.status == 1
    assert "Nobody could read the secrets" in ran.err
    assert sandbox.calls["create"] == 0


def test_the_plan_says_who_could_read_and_who_said_so(provisioner, manifest, sandbox, monkeypatch) -> None:
    assert "(your own identity)" in provisioner("plan").out
    public = provisioner("plan").out.split("can be read by:\n  ")[1].split()[0]
    monkeypatch.setenv("SOPS_AGE_RECIPIENTS", public)
    assert f"  {public} (SOPS_AGE_RECIPIENTS)\n" in provisioner("plan").out
    manifest(f"state: {{recipients: [{public}]}}\n" + ONE)
    assert f"  {public} (the manifest)\n" in provisioner("plan").out


def test_init_leaves_what_exists_as_it_is(provisioner, tmp_path) -> None:
    (tmp_path / "apps.yaml").write_text("mine")
    assert provisioner("init").status == 1
    assert (tmp_path / "apps.yaml").read_text() == "mine"


def test_init_makes_one_identity_for_its_owner_alone_and_uses_it_again(
    provisioner, clean_environment
) -> None:
    provisioner("init", "-f", "a.yaml")
    identity = clean_environment / ".config/provisioner/identity.txt"
    first = identity.read_bytes()
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600
    provisioner("init", "-f", "b.yaml")
    assert identity.read_bytes() == first
    assert Path("a.yaml").read_bytes() == Path("b.yaml").read_bytes()


def test_init_refuses_an_identity_file_without_an_age_identity(provisioner, monkeypatch, tmp_path) -> None:
    (tmp_path / "keys").write_text("# nothing here\n")
    monkeypatch.setenv("PROVISIONER_AGE_KEY_FILE", str(tmp_path / "keys"))
    assert provisioner("init").status == 1
    assert not (tmp_path / "apps.yaml").exists()


def test_colours_only_on_a_terminal_or_by_force(provisioner, manifest, sandbox, monkeypatch) -> None:
    assert "\x1b" not in provisioner("plan").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in provisioner("plan").out
    assert "\x1b" not in provisioner("plan", "--no-color").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in provisioner("plan").out


def test_the_log_has_a_line_a_request_in_the_file_that_was_named(
    provisioner, manifest, sandbox, monkeypatch
) -> None:
    monkeypatch.setenv("PROVISIONER_LOG", "debug")
    monkeypatch.setenv("PROVISIONER_LOG_PATH", "run.log")
    provisioner("plan")
    assert "GET /api/v1/oauth-apps: 200" in Path("run.log").read_text()
    assert stat.S_IMODE(Path("run.log").stat().st_mode) == 0o600
    monkeypatch.setenv("PROVISIONER_LOG", "loud")
    assert provisioner("plan").status == 1


def slow_apply(sandbox: Sandbox, **more: object) -> subprocess.Popen[str]:
    """An apply in a process of its own, one create after the other."""
    return subprocess.Popen(
        [*COMMAND, "apply", "--auto-approve", "--parallelism", "1"], text=True, stderr=subprocess.PIPE, **more
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def many(count: int) -> str:
    apps = "".join(
        f"  a{number}: {{redirect_uris: ['https://a.example/{number}']}}\n" for number in range(count)
    )
    return "version: 1\napps:\n" + apps


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_records_what_is_in_flight_and_starts_nothing_new(
    provisioner, manifest, sandbox, number: signal.Signals
) -> None:
    manifest(many(8))
    sandbox.latency = 0.1
    with slow_apply(sandbox, stdout=subprocess.PIPE) as process:
        wait_for(lambda: sandbox.calls["create"] >= 2)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Interrupted before everything was done" in err
    sandbox.latency = 0
    made = len(sandbox.world.apps())
    assert 0 < made < 8
    assert len(list(Path("state/apps").iterdir())) == made
    assert list(Path("state/.journal").iterdir()) == []
    assert provisioner("apply", "--auto-approve").status == 0
    assert len(sandbox.world.apps()) == 8


def test_a_reader_that_goes_away_does_not_stop_an_apply(provisioner, manifest, sandbox) -> None:
    manifest(many(8))
    sandbox.latency = 0.02
    reading, writing = os.pipe()
    with slow_apply(sandbox, stdout=writing) as process:
        os.close(writing)
        os.close(reading)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert len(list(Path("state/apps").iterdir())) == 8


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run the command with a pseudo-terminal as its standard output."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, *arguments], stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # EIO is how a pseudo-terminal says that nobody is there any more
            while chunk := os.read(ours, 65536):
                shown += chunk
        os.close(ours)
        process.communicate(timeout=20)
    return process.returncode, shown.decode()


def test_f42_ctrl_c_at_the_prompt_cancels_and_nothing_is_done(provisioner, manifest, sandbox) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "apply"], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        shown = b""
        while b"Enter a value" not in shown:
            shown += os.read(process.stdout.fileno(), 65536)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 130
    assert b"Interrupted: nothing more was done." in err
    assert not Path("state").exists()
    assert sandbox.calls["create"] == 0


def test_many_changes_on_a_terminal_show_a_bar_and_only_the_failures(provisioner, manifest, sandbox) -> None:
    manifest(many(30))
    sandbox.add_fault("create@3:422")
    status, shown = on_a_terminal("apply", "--auto-approve")
    assert status == 3
    assert "30/30" in shown
    assert shown.count("Creation failed") == 1
    assert "Creating..." not in shown


def test_few_changes_on_a_terminal_are_lines_and_the_plan_is_in_colours(
    provisioner, manifest, sandbox
) -> None:
    status, shown = on_a_terminal("apply", "--auto-approve")
    assert status == 0
    assert "oauth_app.one: Creating..." in shown
    assert "\x1b[32m" in shown


def test_nothing_to_apply_is_said_and_is_exit_0(provisioner, manifest, sandbox) -> None:
    manifest("version: 1\napps: {}\n")
    ran = provisioner("apply", "--auto-approve")
    assert ran.status == 0
    assert ran.out.startswith("No changes.")
    assert "Apply complete! Resources: 0 added, 0 changed, 0 destroyed." in ran.out


def test_the_command_can_be_run_as_a_module() -> None:
    ran = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"provisioner v{__version__}\n"


def test_an_interrupt_outside_an_apply_is_exit_130(monkeypatch) -> None:
    from provisioner.cli import root

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(root.root, "main", interrupted)
    assert run(["plan"]) == 130


def test_the_sandbox_command_prints_what_to_export_and_stops_cleanly(
    provisioner, manifest, monkeypatch
) -> None:
    with subprocess.Popen(
        [*COMMAND, "sandbox"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        for _ in range(2):
            name, _, value = server.stdout.readline().removeprefix("export ").strip().partition("=")
            monkeypatch.setenv(name, value)
        assert provisioner("apply", "--auto-approve").status == 0
        assert provisioner("plan").out.startswith("No changes.")
        server.terminate()
        _, err = server.communicate(timeout=20)
    assert server.returncode == 0
    assert "not Meteroid" in err


@pytest.mark.parametrize(
    ("state", "typed", "taken"), [("path: state", "50", 50), ("git: {}", "50", 20), ("git: {}", "10", 10)]
)
def test_no_more_is_asked_for_at_once_than_a_state_in_git_has_room_for(
    state: str, typed: str, taken: int
) -> None:
    text = f"version: 1\nstate: {{{state}}}\napps: {{}}\n".encode()
    workspace = SimpleNamespace(manifest=load([Source("apps.yaml", text)]))
    assert _at_once(SimpleNamespace(workspace=workspace, parallelism=int(typed))) == taken
