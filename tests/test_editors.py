"""What an editor makes of a manifest: the schema that its first line names is there, and finds faults."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from provisioner.cli.schema import manifest_schema
from provisioner.render.manifest_text import SCHEMA_FILE, SCHEMA_LINE

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = "PROVISIONER_TEST_REQUIRE_TOOLS" in os.environ  # read before the environment is scrubbed
SERVER = Path(sys.prefix) / "node/counterparts/node_modules/yaml-language-server/bin/yaml-language-server"


def by_init(provisioner: Any, sandbox: Any) -> Path:
    assert provisioner("init").status == 0
    return Path("apps.yaml")


def by_import(provisioner: Any, sandbox: Any) -> Path:
    sandbox.world.create("Two: \u00e9", ["https://two.example/cb"], ["a:b"])
    ran = provisioner("import", "--generate")
    assert "  provisioner schema > provisioner.schema.json\n" in ran.err
    Path("apps.yaml").write_text(ran.out)
    Path(SCHEMA_FILE).write_text(provisioner("schema").out)
    assert "provisioner schema" not in provisioner("import", "--generate").err
    return Path("apps.yaml")


def by_us(provisioner: Any, sandbox: Any) -> Path:
    return ROOT / "examples" / "apps.yaml"


every_manifest = pytest.mark.parametrize("made", [by_init, by_import, by_us])


@every_manifest
def test_the_first_line_names_a_schema_beside_it_which_is_the_tools_own(provisioner, sandbox, made) -> None:
    manifest = made(provisioner, sandbox)
    first, *_ = manifest.read_text().splitlines()
    assert first == SCHEMA_LINE
    schema = manifest.parent / first.partition("$schema=")[2]
    same = schema.read_text() == provisioner("schema").out == manifest_schema()
    assert same, f"type: provisioner schema > {schema}"
    jsonschema.Draft202012Validator(json.loads(schema.read_text())).validate(
        yaml.safe_load(manifest.read_text())
    )
    assert provisioner("validate", "-f", str(manifest)).status == 0


@every_manifest
def test_fmt_has_nothing_to_change_and_the_line_stays_where_there_is(provisioner, sandbox, made) -> None:
    text = made(provisioner, sandbox).read_text()
    Path("copy.yaml").write_text(text)
    assert provisioner("fmt", "--check", "-f", "copy.yaml").status == 0
    Path("copy.yaml").write_text(text.replace("version: 1", "version:   1"))
    assert provisioner("fmt", "-f", "copy.yaml").status == 0
    assert Path("copy.yaml").read_text() == text
    Path("plain.yaml").write_text("version:   1\n")
    assert provisioner("fmt", "-f", "plain.yaml").status == 0
    assert Path("plain.yaml").read_text() == "version: 1\n"


def test_init_leaves_a_schema_that_is_there_and_says_how_to_renew_another_one(provisioner) -> None:
    said = provisioner("init", "-f", "a.yaml").out
    assert 'Wrote "provisioner.schema.json"' in said
    assert "provisioner plan -f a.yaml\n" in said
    assert "is there already" in provisioner("init", "-f", "b.yaml").out
    Path(SCHEMA_FILE).write_text("{}")
    assert "type: provisioner schema > provisioner.schema.json\n" in provisioner("init", "-f", "c.yaml").out
    assert Path(SCHEMA_FILE).read_text() == "{}"


def test_init_in_another_folder_puts_the_schema_there(provisioner) -> None:
    Path("a b").mkdir()
    assert provisioner("init", "-f", "a b/apps.yaml").status == 0
    assert sorted(path.name for path in Path("a b").iterdir()) == ["apps.yaml", SCHEMA_FILE]
    assert provisioner("validate", "-f", "a b").status == 0


# The server that editors run


class LanguageServer:
    """yaml-language-server on one file: LSP 3.17 over its standard streams."""

    def __init__(self, node: str, manifest: Path) -> None:
        self.uri, self._count = manifest.resolve().as_uri(), 0
        self.process = subprocess.Popen(
            [node, str(SERVER), "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        root = manifest.resolve().parent.as_uri()
        self.ask("initialize", {"processId": None, "rootUri": root, "capabilities": {}})
        self._send("initialized", {})
        document = {"uri": self.uri, "languageId": "yaml", "version": 1, "text": manifest.read_text()}
        self._send("textDocument/didOpen", {"textDocument": document})
        published = next(
            it for it in self._answers() if it.get("method") == "textDocument/publishDiagnostics"
        )
        self.faults = [fault["message"] for fault in published["params"]["diagnostics"]]

    def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        self._count += 1
        self._send(method, params, id=self._count)
        return next(it["result"] for it in self._answers() if it.get("id") == self._count and "result" in it)

    def completed(self, line: int, character: int) -> set[str]:
        position = {"line": line, "character": character}
        asked = {"textDocument": {"uri": self.uri}, "position": position}
        return {item["label"] for item in self.ask("textDocument/completion", asked)["items"]}

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _send(self, method: str, params: Any, **more: Any) -> None:
        self._write({"method": method, "params": params, **more})

    def _write(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()

    def _answers(self) -> Iterator[dict[str, Any]]:
        """What it says; where it asks how it is configured: it knows no catalogue of schemas."""
        stream = self.process.stdout
        assert stream is not None
        while True:
            length = 0
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            assert length, "the language server is gone"
            message = json.loads(stream.read(length))
            if "id" in message and "method" in message:
                sections = [item["section"] for item in message["params"].get("items", ())]
                settings = [{"schemaStore": {"enable": False}} if it == "yaml" else None for it in sections]
                self._write({"id": message["id"], "result": settings})
            yield message


@pytest.fixture
def language_server() -> Iterator[Any]:
    started: list[LanguageServer] = []

    def start(manifest: Path) -> LanguageServer:
        node = shutil.which("node")
        if (node is None or not SERVER.exists()) and REQUIRED:
            pytest.fail("yaml-language-server is not installed, and this run must not skip what needs it")
        if node is None or not SERVER.exists():
            pytest.skip("NOT TESTED: yaml-language-server is not installed (make counterparts)")
        started.append(LanguageServer(node, manifest))
        return started[-1]

    yield start
    for server in started:
        server.end()


@pytest.mark.unmeasured
@every_manifest
def test_the_language_server_finds_no_fault(provisioner, sandbox, language_server, made) -> None:
    assert language_server(made(provisioner, sandbox)).faults == []


@pytest.mark.unmeasured
def test_the_language_server_finds_what_is_wrong_and_completes_what_is_missing(
    provisioner, language_server
) -> None:
    provisioner("init")
    manifest = Path("apps.yaml")
    text = manifest.read_text()
    manifest.write_text(text.replace("redirect_uris:", "redirect_uri:"))
    assert "Property redirect_uri is not allowed." in language_server(manifest).faults
    manifest.write_text(text + "    \n")
    lines = len(text.splitlines())
    assert {"rotate_after", "protect", "scopes"} <= language_server(manifest).completed(lines, 4)


def test_without_its_schema_the_language_server_says_so(provisioner, language_server) -> None:
    """Which shows that the line is what it reads."""
    provisioner("init")
    Path(SCHEMA_FILE).unlink()
    (fault,) = language_server(Path("apps.yaml")).faults
    assert SCHEMA_FILE in fault
