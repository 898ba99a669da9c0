"""What pipelines are given: each file before its own linter, and each script run as a runner runs it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from provisioner.sandbox.faults import Faults
from provisioner.sealing import generate_identity

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = "PROVISIONER_TEST_REQUIRE_TOOLS" in os.environ  # read before the environment is scrubbed
SLOW = pytest.mark.slow  # whole stories of a forge: `make pipelines`; a short one of each is in `make test`
BESIDE = Path(sys.executable).parent
TOKEN = "ghs_canary" + secrets.token_hex(12)
REPOSITORY = "acme/apps"
OURS = "github-actions[bot]"
PINNED = "OWNER/provisioner@" + "0123456789abcdef" * 2 + "01234567"
WORKFLOWS = sorted((ROOT / "examples" / "workflows").glob("*.yml"))
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "ci" / "gitlab-ci.yml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
PAGE = (ROOT / "docs" / "pipelines.md").read_text()
EVIL = "$(touch pwned)`touch pwned`;touch pwned"


def program(name: str, package: str = "") -> str:
    """Where it is: beside this Python, or on PATH. Without it the test is skipped, or fails in CI."""
    path = shutil.which(name, path=f"{BESIDE}{os.pathsep}{os.environ['PATH']}")
    if path is None and REQUIRED:
        pytest.fail(f"{name} is not installed, and this run must not skip what needs it")
    if path is None:
        pytest.skip(f"NOT TESTED: {name} is not installed ({package or name})")
    return path


# Each file before its own linter


def schema(kind: str) -> list[str]:
    return ["check-jsonschema", "--builtin-schema", f"vendor.{kind}"]


ZIZMOR = ["zizmor", "--offline", "--no-config", "--no-progress", "--persona", "pedantic", "--quiet"]
STYLE = """{extends: default, rules: {line-length: disable, document-start: disable,
 truthy: {check-keys: false}, comments: {min-spaces-from-content: 1}}}"""
YAMLLINT = ["yamllint", "--strict", "-d", STYLE]
WORKFLOW, DRIFT = "examples/workflows/provisioner.yml", "examples/workflows/drift.yml"

# The linter, the file, and a fault that it must find: what is put in the place of what, once for each linter.
LINTED = {
    "the action's schema": (schema("github-actions"), "action.yml", None),
    "the action's safety": (ZIZMOR, "action.yml", ('cd -- "$INPUT_WORKING', "cd ${{ github.head_ref }} #")),
    "the workflow's schema": (schema("github-workflows"), WORKFLOW, None),
    "the workflow's safety": (ZIZMOR, WORKFLOW, ("pull_request:", "pull_request_target:")),
    "drift's schema": (schema("github-workflows"), DRIFT, None),
    "drift's safety": (ZIZMOR, DRIFT, None),
    "GitLab's schema": (schema("gitlab-ci"), "ci/gitlab-ci.yml", ("script:", "scripts:")),
    "GitLab's YAML": (YAMLLINT, "ci/gitlab-ci.yml", ("stage: deploy", "stage: deploy\n  stage: test")),
    "the hooks": (
        ["pre-commit", "validate-manifest"],
        ".pre-commit-hooks.yaml",
        ("language: python", "languages: python"),
    ),
    "the image": (["hadolint", "--no-color"], "Dockerfile", ("USER 10001\n", "USER 10001\nRUN cd /\n")),
    "the state's script": (["shellcheck"], "ci/state.sh", ('"$remote" "HEAD', '$remote "HEAD')),
    "GitHub's script": (["shellcheck"], "ci/github.sh", None),
}


def lint(command: list[str], name: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The linter's word on a text, as the file of that name."""
    place = folder / (".github/workflows" if name.startswith("examples/workflows") else ".") / Path(name).name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text.replace("OWNER/provisioner@COMMIT", PINNED))
    path = program(command[0])
    return subprocess.run(
        [path, *command[1:], str(place)], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(("command", "name", "fault"), LINTED.values(), ids=LINTED)
def test_every_file_passes_its_linter_and_a_planted_fault_does_not(
    command: list[str], name: str, fault: tuple[str, str] | None, tmp_path: Path
) -> None:
    text = (ROOT / name).read_text()
    done = lint(command, name, text, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    if fault is not None:
        assert fault[0] in text
        assert lint(command, name, text.replace(*fault), tmp_path).returncode != 0


def action_steps() -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in ACTION["runs"]["steps"]}


def gitlab_jobs() -> dict[str, dict[str, Any]]:
    return {name: job for name, job in GITLAB.items() if name.startswith("oauth-apps:")}


def inline_scripts() -> dict[str, str]:
    found = {name: step["run"] for name, step in action_steps().items()}
    for name, job in gitlab_jobs().items():
        lines = [*GITLAB[".oauth-apps"]["before_script"], *job["script"], *job.get("after_script", [])]
        found[name] = "\n".join(line for line in lines if line != 'exit "$status"')
    return found


@pytest.mark.parametrize("name", inline_scripts())
def test_a_script_inside_of_yaml_passes_shellcheck(name: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/usr/bin/env bash\nset -e\n" + inline_scripts()[name] + "\n")
    done = subprocess.run(
        [program("shellcheck"), "script"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [ROOT / "action.yml", *WORKFLOWS], ids=lambda path: path.name)
def test_no_expression_is_part_of_a_script_and_what_is_used_is_pinned(path: Path) -> None:
    loaded = yaml.safe_load(path.read_text())
    jobs = [loaded["runs"]] if "runs" in loaded else loaded["jobs"].values()
    steps = [step for job in jobs for step in job["steps"]]
    assert not [step for step in steps if "${{" in step.get("run", "")]
    used = [step["uses"].replace("OWNER/provisioner@COMMIT", PINNED) for step in steps if "uses" in step]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name) for name in used), used


def test_no_workflow_runs_what_a_fork_wrote_with_secrets() -> None:
    for path in WORKFLOWS:
        loaded = yaml.safe_load(path.read_text())
        assert not {"pull_request_target", "workflow_run"} & set(loaded[True])  # `on` is YAML 1.1's true
        assert loaded["permissions"] == {}
        assert all(set(job["permissions"].values()) <= {"read", "write"} for job in loaded["jobs"].values())


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_runs_a_command_that_there_is(hook: dict[str, Any], provisioner) -> None:
    name, command, *_ = hook["entry"].split()
    assert name == "provisioner"
    assert provisioner(command, "--help").status == 0


def test_the_image_is_not_roots_and_takes_nothing_but_what_is_locked() -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    assert re.findall(r"^USER (.*)", text, re.MULTILINE) == ["10001"]
    installs = re.findall(r"-m pip (?:--\S+ \S+ )?install [^&\n]*", text)
    assert len(installs) == 2
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert all("/" not in name.split(":")[0] for name in re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.*) \S+$", text, re.MULTILINE)
    assert let_in == {name for names in copied for name in names.split()}
    assert all((ROOT / name).exists() for name in let_in)


# A world: the sandbox's API, a repository, and a forge that answers like GitHub's

MANIFEST = """version: 1
state: {recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]}
apps:
  one: {redirect_uris: ['https://one.example/cb']}
"""
TWO = MANIFEST + "  two: {redirect_uris: ['https://two.example/cb']}\n"


@dataclass
class Forge:
    """GitHub, as far as it is asked."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    credentials: list[list[str]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        parts = urlsplit(path)
        page = int(parse_qs(parts.query).get("page", ["1"])[0])
        window = slice((page - 1) * 100, page * 100)
        route = parts.path.removeprefix(f"/repos/{REPOSITORY}/")
        match method, route.split("/"):
            case "GET", ["issues", "7", "comments"]:
                return 200, self.comments[window]
            case "POST", ["issues", number, "comments"]:
                entry = {"id": len(self.comments) + 1, "user": {"login": OURS}, "on": int(number), **body}
                self.comments.append(entry)
                return 201, entry
            case "PATCH", ["issues", "comments", number]:
                self.comments[int(number) - 1] |= body
                return 200, self.comments[int(number) - 1]
            case "GET", ["issues"]:
                return 200, [issue for issue in self.issues if issue["state"] == "open"][window]
            case "POST", ["issues"]:
                self.issues.append(
                    {"number": len(self.issues) + 1, "user": {"login": OURS}, "state": "open", **body}
                )
                return 201, self.issues[-1]
            case "PATCH", ["issues", number]:
                self.issues[int(number) - 1] |= body
                return 200, self.issues[int(number) - 1]
            case "GET", ["commits", _, "pulls"]:
                return 200, self.pulls
        return 404, {"message": "Not Found"}


def serve(forge: Forge) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            forge.asked.append(f"{self.command} {self.path}")
            forge.credentials.append(self.headers.get_all("Authorization") or [])
            known = forge.credentials[-1] == [f"Bearer {TOKEN}"]
            body = json.loads(data) if data else None
            status, answer = forge.answer(self.command, self.path, body) if known else (401, {})
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = respond  # noqa: N815  (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def forge() -> Iterator[Forge]:
    found = Forge()
    server = serve(found)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": "somebody@example"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


@dataclass
class Repository:
    """A bare repository, as a forge keeps it, and what is done to it by clones."""

    folder: Path
    clones: int = 0

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [program("git"), *arguments],
            cwd=cwd or self.folder / "origin",
            env={**os.environ, **GIT},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def clone(self, branch: str = "main") -> Path:
        """As a runner has it: shallow, in a folder of its own."""
        self.clones += 1
        place = self.folder / f"clone-{self.clones}"
        url = f"file://{self.folder / 'origin'}"
        self.git("clone", "--quiet", "--depth=1", f"--branch={branch}", url, str(place))
        return place

    def commit(self, name: str, text: str, branch: str = "main") -> str:
        """A commit on the branch, by somebody; its hash."""
        place = self.clone(branch)
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
        self.git("add", "--all", "--force", cwd=place)
        self.git("commit", "--quiet", "--message=x", cwd=place)
        self.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}", cwd=place)
        return self.git("rev-parse", branch)

    def names(self, branch: str = "main") -> set[str]:
        return set(self.git("ls-tree", "-r", "--name-only", f"refs/heads/{branch}").splitlines())

    def branches(self) -> set[str]:
        return set(self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    (tmp_path / "origin").mkdir()
    made.git("init", "--quiet", "--bare", "--initial-branch=main")
    first = tmp_path / "first"
    made.git("clone", "--quiet", str(tmp_path / "origin"), str(first))
    (first / "apps.yaml").write_text(MANIFEST)
    made.git("add", "--all", cwd=first)
    made.git("commit", "--quiet", "--message=first", cwd=first)
    made.git("push", "--quiet", "origin", "HEAD:refs/heads/main", cwd=first)
    return made


@dataclass(frozen=True)
class Ended:
    """How a job ended, with what it left."""

    status: int
    log: str
    outputs: Mapping[str, str]
    summary: str
    clone: Path


Act = Callable[..., Ended]


def filled(text: Any, inputs: Mapping[str, str]) -> str:
    """An expression of action.yml; it has inputs and nothing else."""
    return re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: inputs[match[1]], str(text))


def shell(script: str, cwd: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """As a runner's `shell: bash` has it."""
    command = [program("bash"), "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
    done = subprocess.run(
        command, cwd=cwd, env=environment, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture
def act(forge: Forge, repository: Repository, tmp_path: Path, sandbox) -> Act:
    """action.yml's steps after the installation, in a fresh clone, as GitHub's runner takes them."""
    for name in ("curl", "jq"):
        program(name)

    def run(
        command: str, event: Mapping[str, Any] | None = None, clone: Path | None = None, key: bool = True,
        ref: str = "main", path: str = "", **given: str,
    ) -> Ended:  # fmt: skip
        place = clone or repository.clone(ref)
        work = Path(tempfile.mkdtemp(prefix="runner-", dir=tmp_path))
        (work / "event").write_text(json.dumps(event or {}))
        (work / "output").touch()
        (work / "summary").touch()
        inputs = {name: row.get("default", "") for name, row in ACTION["inputs"].items()}
        inputs |= {
            "command": command,
            "token": TOKEN,
            **{name.replace("_", "-"): value for name, value in given.items()},
        }
        environment = {**os.environ, **GIT, "GITHUB_ACTION_PATH": str(ROOT)}
        environment |= {
            "PATH": f"{path}{BESIDE}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(work), "GITHUB_EVENT_PATH": str(work / "event"),
            "GITHUB_OUTPUT": str(work / "output"), "GITHUB_STEP_SUMMARY": str(work / "summary"),
            "GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_REF_NAME": ref,
            "GITHUB_SHA": repository.git("rev-parse", f"refs/heads/{ref}"), "GITHUB_RUN_ID": "42",
            "GITHUB_RUN_ATTEMPT": "1", "GITHUB_REF_TYPE": "branch",
        }  # fmt: skip
        if not key:
            environment.pop("METEROID_API_KEY")
        status, log = 0, ""
        for step in ACTION["runs"]["steps"][1:]:
            if "if" in step:
                assert step["if"] == "${{ always() && inputs.command == 'apply' && inputs.save != '' }}"
            if "if" in step and (command != "apply" or not inputs["save"]):
                continue
            own = {name: filled(value, inputs) for name, value in step["env"].items()}
            code, said = shell(step["run"], place, {**environment, **own})
            status, log = status or code, log + said
        outputs = dict(line.split("=", 1) for line in (work / "output").read_text().splitlines())
        assert not list(tmp_path.rglob("pwned"))
        assert TOKEN not in log
        return Ended(status, log, outputs, (work / "summary").read_text(), place)

    return run


PULL = {"pull_request": {"number": 7, "head": {"sha": "ab" * 20, "ref": EVIL}, "title": EVIL, "body": EVIL}}


def digests(text: str) -> list[str]:
    return re.findall(r"sha256:[0-9a-f]{64}", text)


def merged(forge: Forge, repository: Repository, name: str = "apps.yaml", text: str = TWO) -> None:
    """The pull request that the plan was for is merged."""
    commit = repository.commit(name, text)
    forge.pulls[:] = [
        {"number": 6, "merged_at": None, "merge_commit_sha": commit},
        {"number": 7, "merged_at": "2026-01-02T03:04:05Z", "merge_commit_sha": commit},
    ]


# Pull requests


def test_a_plan_is_commented_once_and_then_updated(act, forge, repository) -> None:
    noise = {"user": {"login": "somebody"}, "body": "fine"}
    forge.comments += [{"id": number, **noise} for number in range(1, 131)]
    first = act("plan", PULL)
    assert first.status == 0, first.log
    assert first.outputs["summary"] == "1 to add, 0 to change, 0 to destroy"
    (comment,) = forge.comments[130:]
    assert "\n### provisioner plan: 1 to add" in comment["body"]
    assert digests(comment["body"]) == [first.outputs["digest"]] * 2
    repository.commit("apps.yaml", TWO)
    second = act("plan", PULL)
    assert len(forge.comments) == 131
    assert "\n### provisioner plan: 2 to add" in comment["body"]
    assert set(digests(comment["body"])) == {second.outputs["digest"]} != {first.outputs["digest"]}


@SLOW
def test_two_manifests_have_a_comment_each(act, forge, repository) -> None:
    repository.commit("other/apps.yaml", TWO)
    act("plan", PULL)
    act("plan", PULL, working_directory="other")
    act("plan", PULL, working_directory="other")
    assert [digests(comment["body"]) != [] for comment in forge.comments] == [True, True]


def test_from_a_fork_there_is_a_plan_without_secrets_and_without_a_comment(act, forge, sandbox) -> None:
    ran = act("plan", PULL, key=False)
    assert ran.status == 0, ran.log
    assert "Drift was **not** looked for" in ran.summary
    assert ran.outputs["digest"] == ""
    assert forge.asked == []
    assert sandbox.calls["list"] == 0


def test_a_plan_that_cannot_be_made_takes_the_place_of_the_last_one(act, forge, repository) -> None:
    act("plan", PULL)
    repository.commit("apps.yaml", "version: 1\napps: {one: {colour: red}}\n")
    ran = act("plan", PULL)
    assert ran.status == 1
    (comment,) = forge.comments
    assert "there is none" in comment["body"]
    assert digests(comment["body"]) == []


def test_a_plan_with_conflicts_is_shown_and_has_no_digest(act, forge, sandbox) -> None:
    sandbox.world.create("one", ["https://stranger.example/cb"])
    ran = act("plan", PULL)
    assert ran.status == 1
    assert "1 conflict: nothing can be applied" in forge.comments[0]["body"]
    assert digests(forge.comments[0]["body"]) == []


def test_the_longest_plan_fits_a_comment_and_what_it_opened_is_closed(act, forge, repository) -> None:
    uris = ", ".join(f"'https://one.example/{'x' * 60}/{number}'" for number in range(10))
    apps = "".join(f"  app-{number}: {{redirect_uris: [{uris}]}}\n" for number in range(80))
    repository.commit("apps.yaml", MANIFEST + apps)
    ran = act("plan", PULL)
    assert ran.status == 0, ran.log
    body = forge.comments[0]["body"]
    assert 60_000 < len(body) <= 65_536
    assert body.count("```") == 2
    assert body.count("<details>") == body.count("</details>") == 1
    assert digests(body.splitlines()[-1]) == [ran.outputs["digest"]]


# Merges


def test_what_was_reviewed_is_applied_and_the_state_is_on_the_branch(act, forge, repository, sandbox) -> None:
    repository.git("branch", "change", "main")
    repository.commit("apps.yaml", TWO, "change")
    act("plan", PULL, ref="change")
    merged(forge, repository)
    ran = act("apply")
    assert ran.status == 0, ran.log
    assert {app.name for app in sandbox.world.apps()} == {"one", "two"}
    assert {"state/state.json", "state/apps/one.json", "state/apps/two.json"} <= repository.names()
    assert not [name for name in repository.names() if ".journal" in name or ".lock" in name]
    assert (
        repository.git("log", "-1", "--format=%an %s")
        == "somebody@example Record what provisioner applied [skip ci]"
    )
    again = act("apply")
    assert (again.status, again.outputs["changes"]) == (0, "false")
    assert sandbox.calls["create"] == 2
    assert act("drift").outputs["drift"] == "false"
    act("plan", PULL)
    (comment,) = forge.comments
    assert "\n### provisioner plan: No changes" in comment["body"]


def test_with_the_state_in_git_an_apply_adds_nothing_to_the_branch(act, forge, repository, sandbox) -> None:
    in_git = TWO.replace("state: {", "state: {git: {}, ")
    assert in_git != TWO
    repository.git("branch", "change", "main")
    repository.commit("apps.yaml", in_git, "change")
    act("plan", PULL, ref="change")
    merged(forge, repository, text=in_git)
    before = repository.git("rev-parse", "main")
    ran = act("apply", save="")
    assert ran.status == 0, ran.log
    assert repository.git("rev-parse", "main") == before
    assert {"state.json", "apps/one.json", "apps/two.json"} == repository.names("provisioner-state")
    assert repository.branches() == {"main", "change", "provisioner-state"}
    assert act("apply", save="").outputs["changes"] == "false"
    assert sandbox.calls["create"] == 2


@SLOW
def test_another_plan_than_the_reviewed_one_is_refused_until_somebody_says_its_digest(
    act, forge, repository, sandbox
) -> None:
    act("plan", PULL)
    merged(forge, repository)
    refused = act("apply")
    assert refused.status == 1
    assert sandbox.calls["create"] == 0
    assert "The plan is not the one that was reviewed." in refused.log
    assert refused.outputs["digest"] in digests(refused.summary)
    assert refused.outputs["changes"] == "true"
    assert "state" not in "".join(repository.names())
    assert act("apply", digest="sha256:" + "0" * 64).status == 1
    assert act("apply", digest=refused.outputs["digest"]).status == 0
    assert sandbox.calls["create"] == 2


@SLOW
def test_a_strangers_copy_of_our_comment_is_no_review_and_is_left_alone(
    act, forge, repository, sandbox
) -> None:
    act("plan", PULL)
    forge.comments[0]["user"]["login"] = "stranger"
    before = forge.comments[0]["body"]
    merged(forge, repository, "README.md", "x")
    ran = act("apply")
    assert ran.status == 1
    assert "No plan that was made for a pull request" in ran.log
    assert sandbox.calls["create"] == 0
    act("plan", PULL)
    assert forge.comments[0]["body"] == before
    assert len(forge.comments) == 2


def test_a_push_that_no_pull_request_made_is_refused(act, forge, sandbox) -> None:
    assert act("apply").status == 1
    assert sandbox.calls["create"] == 0


def test_a_forge_that_cannot_be_asked_is_no_consent(act, forge, sandbox) -> None:
    forge.answer = lambda *_: (403, {})  # type: ignore[method-assign]  # a forge that refuses
    assert act("apply").status != 0
    assert sandbox.calls["create"] == 0


def leave_open(sandbox) -> None:
    """Let an app be made whose secret nobody got."""
    sandbox.add_fault("create:lost-after")
    sandbox.add_fault("rotate@1x*:lost-before")


@SLOW
def test_what_an_apply_left_open_reaches_the_next_runner(act, repository, sandbox) -> None:
    repository.commit("apps.yaml", TWO)
    leave_open(sandbox)
    ran = act("apply", digest="any")
    assert ran.status == 3, ran.log
    assert [name for name in repository.names() if name.startswith("state/.journal/op_")]
    sandbox.faults = Faults(())
    again = act("apply", digest="any")
    assert again.status == 0, again.log
    assert {app.name for app in sandbox.world.apps()} == {"one", "two"}
    assert not [name for name in repository.names() if ".journal" in name]
    assert {"state/apps/one.json", "state/apps/two.json"} <= repository.names()


@SLOW
def test_an_apply_works_on_the_branch_as_it_is_now(act, repository, sandbox) -> None:
    stale = repository.clone()
    assert act("apply", digest="any").status == 0
    assert act("apply", digest="any", clone=stale).status == 0
    assert sandbox.calls["create"] == 1


# The state's way back


def save(repository: Repository, clone: Path, *folders: str, **more: str) -> tuple[int, str]:
    script = f'bash {ROOT / "ci" / "state.sh"} save "$BRANCH" "$@"'
    environment = {**os.environ, **GIT, "BRANCH": "main", "RUN": "42", **more}
    environment["PATH"] = f"{BESIDE}{os.pathsep}{os.environ['PATH']}"
    command = [program("bash"), "-c", script, "bash", *folders]
    done = subprocess.run(command, cwd=clone, env=environment, text=True, check=False, capture_output=True)
    return done.returncode, done.stdout + done.stderr


def recorded(clone: Path, name: str, text: str = "{}") -> None:
    (clone / name).parent.mkdir(parents=True, exist_ok=True)
    (clone / name).write_text(text)


def test_what_others_push_meanwhile_stays_and_the_state_comes_on_top(repository) -> None:
    clone = repository.clone()
    recorded(clone, "state/apps/one.json")
    recorded(clone, "stray.txt")
    repository.commit("README.md", "theirs")
    assert save(repository, clone, "state") == (0, "")
    assert repository.names() == {"README.md", "apps.yaml", "state/apps/one.json"}
    assert save(repository, clone, "state") == (0, "")
    assert repository.git("rev-list", "--count", "main") == "3"


def test_of_the_journal_its_entries_are_saved_and_not_what_is_hidden_beside_them(repository) -> None:
    clone = repository.clone()
    recorded(clone, "state/.gitignore", ".journal/\n.*.tmp\n")
    recorded(clone, "state/.journal/.op_0.op.tmp", "\0" * 10)
    assert save(repository, clone, "state") == (0, "")
    assert repository.names() == {"apps.yaml", "state/.gitignore"}
    recorded(clone, "state/.journal/op_1.op")
    recorded(clone, "state/.journal/run_1.sight")
    assert save(repository, clone, "state") == (0, "")
    journal = {"state/.journal/op_1.op", "state/.journal/run_1.sight"}
    assert repository.names() == {"apps.yaml", "state/.gitignore", *journal}
    for name in journal:
        (clone / name).unlink()
    assert save(repository, clone, "state") == (0, "")
    assert repository.names() == {"apps.yaml", "state/.gitignore"}


def test_a_state_that_somebody_else_changed_goes_to_a_branch_of_its_own(repository) -> None:
    clone = repository.clone()
    recorded(clone, "state/apps/one.json", "ours")
    repository.commit("state/apps/two.json", "theirs")
    status, said = save(repository, clone, "state")
    assert status == 1
    assert "It is on the branch provisioner-state-42 instead" in said
    assert "state/apps/one.json" in repository.names("provisioner-state-42")
    assert "state/apps/one.json" not in repository.names()


def test_a_branch_that_takes_no_pushes_does_not_lose_the_state(repository) -> None:
    hook = repository.folder / "origin" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" != refs/heads/main ]\n')
    hook.chmod(0o755)
    clone = repository.clone()
    recorded(clone, "state/apps/one.json")
    assert save(repository, clone, "state")[0] == 1
    assert repository.branches() == {"main", "provisioner-state-42"}


def test_where_nothing_can_be_pushed_it_says_so(repository) -> None:
    clone = repository.clone()
    recorded(clone, "state/apps/one.json")
    shutil.rmtree(repository.folder / "origin")
    status, said = save(repository, clone, "state")
    assert status == 1
    assert "Keep this runner's disk." in said


def test_a_folder_with_a_secret_in_clear_is_left_out_and_the_state_is_saved(repository) -> None:
    clone = repository.clone()
    recorded(clone, "state/apps/one.json")
    recorded(clone, "secrets/one.env", "CLIENT_ID='a'\nCLIENT_SECRET='b-canary'\n")
    status, said = save(repository, clone, "state", "secrets")
    assert status == 1
    assert "secrets/one.env:2: a client secret" in said
    assert "canary" not in said
    assert repository.names() == {"apps.yaml", "state/apps/one.json"}


def test_a_state_that_is_gone_is_not_taken_from_the_branch(repository) -> None:
    repository.commit("state/apps/one.json", "{}")
    clone = repository.clone()
    shutil.rmtree(clone / "state")
    assert save(repository, clone, "state")[0] == 1
    assert "state/apps/one.json" in repository.names()


def test_nothing_recorded_is_nothing_to_push(repository) -> None:
    assert save(repository, repository.clone(), "state") == (0, "")
    assert repository.git("rev-list", "--count", "main") == "1"


def test_the_token_goes_in_one_header_whatever_the_clone_was_given(repository, forge) -> None:
    clone = repository.clone()
    url = forge.url.replace("//", "//gitlab-ci-token:stale@")
    repository.git("remote", "set-url", "origin", f"{url}/acme/apps.git", cwd=clone)
    repository.git("config", f"http.{forge.url}/.extraheader", "Authorization: basic c3RhbGU=", cwd=clone)
    recorded(clone, "state/apps/one.json")
    assert save(repository, clone, "state", GIT_TOKEN=TOKEN)[0] == 1
    expected = "Basic " + b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    assert {tuple(found) for found in forge.credentials} == {(expected,)}


@pytest.mark.parametrize("arguments", [[], ["save"], ["save", "main"], ["steal", "main", "state"]])
def test_a_wrong_call_does_nothing(repository, arguments: list[str]) -> None:
    command = [program("bash"), str(ROOT / "ci" / "state.sh"), *arguments]
    done = subprocess.run(
        command, cwd=repository.clone(), env={**os.environ, **GIT}, capture_output=True, check=False
    )
    assert done.returncode == 1


# Drift


@SLOW
def test_drift_opens_one_issue_keeps_it_up_to_date_and_closes_it(act, forge, repository, sandbox) -> None:
    forge.issues += [
        {"number": 1, "state": "open", "user": {"login": OURS}, "body": None, "pull_request": {}}
    ]
    repository.commit("apps.yaml", TWO)
    assert act("apply", digest="any").status == 0
    assert act("drift").outputs["drift"] == "false"
    assert len(forge.issues) == 1
    one, two = sorted(sandbox.world.apps(), key=lambda app: app.name)
    sandbox.world.delete(one.id)
    found = act("drift")
    assert (found.status, found.outputs["drift"]) == (0, "true")
    assert "oauth_app.one has been deleted" in forge.issues[1]["body"]
    assert "oauth_app.one has been deleted" in found.summary
    sandbox.world.rotate(two.id)
    act("drift")
    assert len(forge.issues) == 2
    assert "oauth_app.two had its secret rotated" in forge.issues[1]["body"]
    assert act("apply", digest="any", allow="rotate").status == 0
    act("drift")
    assert [issue["state"] for issue in forge.issues] == ["open", "closed"]
    assert [(comment["on"], comment["body"]) for comment in forge.comments] == [
        (2, "Nothing is different any more.")
    ]
    asked = len(forge.asked)
    act("drift", comment="false")
    assert len(forge.asked) == asked


@SLOW
def test_drift_that_cannot_be_looked_for_changes_no_issue(act, forge, sandbox) -> None:
    sandbox.add_fault("list@1x*:500")
    assert act("drift").status == 1
    assert forge.asked == []


# What others wrote stays text


@SLOW
def test_names_and_branches_are_never_run_nor_commands_to_the_runner(act, forge, repository, sandbox) -> None:
    name = "##[add-mask]x ```` </details> " + EVIL
    manifest = MANIFEST.replace("{redirect", f"{{name: {json.dumps(name)}, redirect")
    branch = "$(touch${IFS}pwned)`touch${IFS}pwned`;touch${IFS}pwned"
    repository.git("branch", branch, "main")
    repository.commit("apps.yaml", manifest, branch)
    repository.commit("$(touch pwned).yaml", manifest, branch)
    ran = act("plan", PULL, ref=branch, files="\n$(touch pwned).yaml\n")
    assert ran.status == 0, ran.log
    stops = re.findall(r"^::stop-commands::([0-9a-f]{32})$", ran.log, re.MULTILINE)
    (word,) = stops
    inside = ran.log.split(f"::stop-commands::{word}\n")[1].split(f"\n::{word}::\n")[0]
    assert ran.log.count("##[add-mask]") == inside.count("##[add-mask]") > 0
    assert re.search(r"^`{5}text$", forge.comments[0]["body"], re.MULTILINE)
    assert act("apply", ref=branch, digest="any", files="$(touch pwned).yaml").status == 0
    assert "state/apps/one.json" in repository.names(branch)
    sandbox.world.delete(next(iter(sandbox.world.apps())).id)
    assert act("drift", ref=branch, files="$(touch pwned).yaml").status == 0
    assert "one has been deleted" in forge.issues[0]["body"]


@pytest.mark.parametrize("allow", [EVIL, "delete --auto-approve"])
def test_an_input_is_a_value_and_no_further_option(act, sandbox, allow: str) -> None:
    assert act("apply", digest="any", allow=allow).status == 1
    assert sandbox.calls["create"] == 0


@pytest.mark.parametrize("digest", ["", "any --auto-approve"])
def test_a_digest_that_is_none_applies_nothing(act, sandbox, digest: str) -> None:
    assert act("apply", digest=digest).status == 1
    assert sandbox.calls["create"] == 0


@SLOW
def test_no_token_is_on_a_command_line(act, forge, repository, tmp_path) -> None:
    beside = tmp_path / "watched"
    beside.mkdir()
    for name in ("curl", "jq", "git", "provisioner", "xargs", "bash"):
        watch = beside / name
        watch.write_text(
            f'#!/bin/bash\nprintf "%s\\n" {name} "$@" >>{beside}/log\nexec {program(name)} "$@"\n'
        )
        watch.chmod(0o755)
    assert act("plan", PULL, path=f"{beside}{os.pathsep}").status == 0
    assert act("apply", digest="any", path=f"{beside}{os.pathsep}").status == 0
    logged = (beside / "log").read_text()
    assert {"curl", "jq", "git", "provisioner"} <= set(logged.splitlines())
    assert TOKEN not in logged
    assert b64encode(TOKEN.encode()).decode()[:20] not in logged


def test_what_is_installed_is_locked_and_stands_beside_the_action(tmp_path: Path) -> None:
    for folder in ("bin", "temp/provisioner-home/bin"):
        (tmp_path / folder).mkdir(parents=True)
        python = tmp_path / folder / ("python" if "home" in folder else "python3")
        python.write_text('#!/bin/sh\nprintf "%s " "$@" >>"$RUNNER_TEMP/log"; echo >>"$RUNNER_TEMP/log"\n')
        python.chmod(0o755)
    environment = {**os.environ, "RUNNER_TEMP": str(tmp_path / "temp"), "GITHUB_ACTION_PATH": str(ROOT)}
    environment["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    status, said = shell(action_steps()["Install provisioner"]["run"], tmp_path, environment)
    assert status == 0, said
    *_, libraries, ourselves = (tmp_path / "temp" / "log").read_text().splitlines()
    assert f"--only-binary :all: --require-hashes -r {ROOT}/requirements/run.txt" in libraries
    assert ourselves.endswith(f"--no-deps --no-build-isolation {ROOT} ")


# GitLab


@pytest.fixture
def job(repository: Repository, tmp_path: Path, sandbox) -> Callable[..., tuple[int, str]]:
    """A job of the template, as its runner runs it in the image: before_script and script in one shell."""
    beside = tmp_path / "image"
    beside.mkdir()
    shutil.copy(ROOT / "ci" / "state.sh", beside / "provisioner-state")
    (beside / "provisioner-state").chmod(0o755)

    def run(name: str, clone: Path, key: bool = True, **more: str) -> tuple[int, str]:
        environment = {
            **os.environ,
            **GIT,
            "CI_PROJECT_DIR": str(clone),
            "CI_COMMIT_BRANCH": "main",
            "CI_JOB_ID": "9",
        }
        environment |= {name: str(value) for name, value in GITLAB["variables"].items()} | more
        environment["PATH"] = os.pathsep.join([str(beside), str(BESIDE), os.environ["PATH"]])
        if not key:
            environment.pop("METEROID_API_KEY")
        lines = [*GITLAB[".oauth-apps"]["before_script"], *GITLAB[f"oauth-apps:{name}"]["script"]]
        status, said = shell("\n".join(lines), clone, environment)
        after = GITLAB[f"oauth-apps:{name}"].get("after_script", [])
        if after:  # a shell of its own, whose end does not count
            shell("\n".join(after), clone, environment)
        assert not list(tmp_path.rglob("pwned"))
        return status, said

    return run


def test_in_gitlab_a_merge_request_has_its_report_and_without_a_key_too(job, repository, sandbox) -> None:
    clone = repository.clone()
    assert job("plan", clone, key=False, CI_COMMIT_REF_NAME=EVIL, CI_MERGE_REQUEST_TITLE=EVIL)[0] == 0
    assert json.loads((clone / "plan.gitlab.json").read_text()) == {"create": 1, "update": 0, "delete": 0}
    assert not (clone / "plan.json").exists()
    assert sandbox.calls["list"] == 0
    assert job("plan", clone)[0] == 0
    assert (clone / "plan.json").exists()
    assert GITLAB["oauth-apps:plan"]["artifacts"]["reports"] == {"terraform": "plan.gitlab.json"}


@SLOW
def test_in_gitlab_the_plan_that_was_looked_at_is_applied_and_no_other(job, repository, sandbox) -> None:
    clone = repository.clone()
    assert job("review", clone)[0] == 0
    status, said = job("apply", clone)
    assert status == 0, said
    assert "state/apps/one.json" in repository.names()
    assert job("apply", clone)[0] == 1
    assert job("review", clone)[0] == 0
    repository.commit("apps.yaml", TWO)
    status, said = job("apply", clone)
    assert status == 1
    assert "Saved plan is stale" in said
    assert sandbox.calls["create"] == 1


def test_in_gitlab_what_sinks_wrote_is_saved_where_its_folders_are_named(job, repository, sandbox) -> None:
    _, reader = generate_identity()
    types = "".join(
        f"  {name}: {{type: age, path: '{name}/{{key}}.env.age', recipients: [{reader}]}}\n" for name in "ab"
    )
    with_sinks = MANIFEST.replace("apps:", f"sinks:\n{types}apps:").replace("cb']", "cb'], sinks: [a, b]")
    repository.commit("apps.yaml", with_sinks)
    clone = repository.clone()
    assert job("review", clone)[0] == 0
    status, said = job("apply", clone, OAUTH_APPS_ALSO_SAVE="a\n\nb\nnever-made\n")
    assert status == 0, said
    assert {"state/apps/one.json", "a/one.env.age", "b/one.env.age"} <= repository.names()


@SLOW
def test_in_gitlab_a_state_in_git_needs_no_folder_to_be_saved(job, repository, sandbox) -> None:
    repository.commit("apps.yaml", MANIFEST.replace("state: {", "state: {git: {}, "))
    clone = repository.clone()
    assert job("review", clone, OAUTH_APPS_STATE="")[0] == 0
    status, said = job("apply", clone, OAUTH_APPS_STATE="")
    assert status == 0, said
    assert "apps/one.json" in repository.names("provisioner-state")
    assert repository.names() == {"apps.yaml"}


def test_in_gitlab_an_apply_that_failed_half_way_is_saved_with_its_journal(job, repository, sandbox) -> None:
    clone = repository.clone()
    job("review", clone)
    leave_open(sandbox)
    assert job("apply", clone)[0] == 3
    assert [name for name in repository.names() if name.startswith("state/.journal/op_")]
    sandbox.faults = Faults(())
    other = repository.clone()
    assert job("review", other)[0] == 0
    assert job("apply", other)[0] == 0
    assert "state/apps/one.json" in repository.names()
    assert not [name for name in repository.names() if ".journal" in name]


def test_in_gitlab_a_state_that_cannot_be_saved_fails_the_job(job, repository) -> None:
    clone = repository.clone()
    job("review", clone)
    hook = repository.folder / "origin" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" != refs/heads/main ]\n')
    hook.chmod(0o755)
    assert job("apply", clone)[0] == 1
    assert "state/apps/one.json" in repository.names("provisioner-state-9")


def test_in_gitlab_drift_fails_its_job(job, repository, sandbox) -> None:
    clone = repository.clone()
    job("review", clone)
    job("apply", clone)
    assert job("drift", clone)[0] == 0
    sandbox.world.delete(next(iter(sandbox.world.apps())).id)
    assert job("drift", clone)[0] == 2


# The page


def test_the_page_names_files_and_inputs_that_there_are() -> None:
    named = re.findall(r"\]\(\.\./([^)#]+)\)", PAGE)
    assert {"action.yml", "ci/gitlab-ci.yml", "Dockerfile", ".pre-commit-hooks.yaml"} <= set(named)
    assert all((ROOT / name).exists() for name in named)
    table = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert table == list(ACTION["inputs"])
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert blocks
    assert all(yaml.safe_load(block) for block in blocks)
