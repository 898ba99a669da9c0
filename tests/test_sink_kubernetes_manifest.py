"""The YAML of a Secret in a file: what kubectl would apply, and the rules that hold for any file in clear."""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import secrets
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.delivery import Credentials, DeclaredSink, Target
from provisioner.errors import SinkError
from provisioner.model import Address, Secret
from provisioner.ports import SecretSink
from provisioner.sinks import make
from provisioner.sinks.kubernetes_manifest import _content, _form

Tool = Callable[[str], str]
PAGE = Path(__file__).resolve().parent.parent / "docs" / "sinks" / "kubernetes.md"
CANARY = "canary-" + secrets.token_hex(12)


def declared(folder: Path, manifest: str = "k8s/{key}.yaml", **options: Any) -> DeclaredSink:
    """A sink as the manifest hands it over, defaults filled in."""
    filled = {
        "name": "{key}",
        "namespace": "default",
        "context": "",
        "manifest": manifest,
        "plaintext": True,
        "prefix": "",
        "keys": {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"},
    }
    return DeclaredSink("cluster", "kubernetes", {**filled, **options}, folder)


def made(
    folder: Path, manifest: str = "k8s/{key}.yaml", key: str = "portal", **options: Any
) -> tuple[SecretSink, Target]:
    declaration = declared(folder, manifest, **options)
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    return make(declaration, environment), Target(declaration, Address(key))


def credentials(value: str = CANARY) -> Credentials:
    return Credentials(Address("portal"), "id", Secret(value.encode()))


def encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def everything_in(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield from (repr(error), repr(error.args), repr(vars(error)))
        error = error.__cause__ or error.__context__


def refused(call: Callable[[], object], canary: str = CANARY) -> SinkError:
    with pytest.raises(SinkError) as caught:
        call()
    shown = "".join(everything_in(caught.value))
    assert canary not in shown
    assert encoded(canary)[:-4] not in shown
    return caught.value


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_text() for path in found if path.name != ".gitignore"}


def test_the_file_is_the_secret_that_would_be_applied(tmp_path: Path) -> None:
    sink, target = made(tmp_path, namespace="team", prefix="{KEY}_")
    sink.probe(target)
    assert files(tmp_path) == {}
    sink.deliver(target, credentials("s3cret"))
    assert yaml.safe_load(files(tmp_path)["k8s/portal.yaml"]) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "portal",
            "namespace": "team",
            "labels": {"app.kubernetes.io/managed-by": "provisioner"},
            "annotations": {"provisioner/oauth-app": "oauth_app.portal"},
        },
        "type": "Opaque",
        "data": {"PORTAL_CLIENT_ID": encoded("id"), "PORTAL_CLIENT_SECRET": encoded("s3cret")},
    }
    path = tmp_path / "k8s" / "portal.yaml"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]


def test_kubectl_takes_it(tool: Tool, tmp_path: Path) -> None:
    sink, target = made(tmp_path)
    sink.deliver(target, credentials("s3cret"))
    command = [
        tool("kubectl"),
        "label",
        "--local",
        "-f",
        str(tmp_path / "k8s/portal.yaml"),
        "-o",
        "json",
        "a=b",
    ]
    done = subprocess.run(
        command, env={"HOME": os.environ["HOME"]}, check=True, capture_output=True, timeout=20
    )
    found = json.loads(done.stdout)
    assert found["data"] == {"CLIENT_ID": encoded("id"), "CLIENT_SECRET": encoded("s3cret")}
    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "provisioner", "a": "b"}


def test_it_is_probed_delivered_again_and_taken_away(tmp_path: Path) -> None:
    sink, target = made(tmp_path)
    for secret in ("first", "first", "second"):
        sink.deliver(target, credentials(secret))
        sink.probe(target)
        (content,) = files(tmp_path).values()
        assert yaml.safe_load(content)["data"]["CLIENT_SECRET"] == encoded(secret)
    for _ in range(2):
        sink.remove(target)
        assert files(tmp_path) == {}


def test_its_place_is_named_without_a_look_at_it(tmp_path: Path) -> None:
    sink, target = made(tmp_path / "gone")
    assert sink.place(target) == 'kubernetes manifest "k8s/portal.yaml"'


def test_other_names_take_the_place_of_an_earlier_delivery(tmp_path: Path) -> None:
    for options in (
        {},
        {"name": "x.y"},
        {"namespace": "team"},
        {"keys": {"client_id": "a", "client_secret": "b.c-_"}},
    ):
        sink, target = made(tmp_path, "app.yaml", **options)
        sink.probe(target)
        sink.deliver(target, credentials())
    sink.remove(target)
    assert files(tmp_path) == {}


def test_a_file_that_is_another_apps_by_now_is_not_taken_away(tmp_path: Path) -> None:
    first, target = made(tmp_path, "app.yaml", key="portal")
    other, its = made(tmp_path, "app.yaml", key="portal2")
    first.deliver(target, credentials())
    other.probe(its)
    other.deliver(its, credentials("another-secret"))
    first.remove(target)
    assert "oauth_app.portal2" in files(tmp_path)["app.yaml"]
    other.remove(its)
    assert files(tmp_path) == {}


def test_what_is_edited_by_hand_is_not_taken_away_and_that_is_said(tmp_path: Path) -> None:
    sink, target = made(tmp_path, "app.yaml")
    sink.deliver(target, credentials())
    path = tmp_path / "app.yaml"
    path.write_text("# mine\n" + path.read_text())
    for call in (lambda: sink.probe(target), lambda: sink.deliver(target, credentials())):
        assert "was not written by provisioner" in refused(call).summary
    assert "was changed since it was delivered" in refused(lambda: sink.remove(target)).summary


@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_without_the_word_plaintext_nothing_is_written_in_clear(tmp_path: Path, value: object) -> None:
    error = refused(lambda: made(tmp_path, plaintext=value))
    assert error.summary == 'The sink "cluster" would write secrets in clear'
    assert "plaintext: true" in error.hint


def test_the_sink_does_not_show_the_environment(tmp_path: Path) -> None:
    assert "canary" not in repr(make(declared(tmp_path), {"METEROID_API_KEY": "canary"}))


@pytest.mark.parametrize("path", ["../app.yaml", "/app.yaml", "~/app.yaml", "a//b", "a\nb", "a\0b"])
def test_b52_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    sink, target = made(tmp_path, path)
    for call in (
        lambda: sink.probe(target),
        lambda: sink.deliver(target, credentials()),
        lambda: sink.remove(target),
    ):
        assert refused(call).summary.startswith("Not a path for a secret: ")


@pytest.mark.parametrize("option", ["name", "namespace"])
def test_b52_a_name_that_kubernetes_would_not_take_is_refused(tmp_path: Path, option: str) -> None:
    sink, target = made(tmp_path, **{option: 'a"\nkind: Pod'})
    for call in (lambda: sink.probe(target), lambda: sink.deliver(target, credentials())):
        assert "is not a name in Kubernetes" in refused(call).summary
    assert files(tmp_path) == {}


@pytest.mark.parametrize("loose", [0o644, 0o606])
def test_b53_a_file_that_others_may_read_is_refused_and_left_as_it_is(tmp_path: Path, loose: int) -> None:
    sink, target = made(tmp_path, "app.yaml")
    sink.deliver(target, credentials("old"))
    before = files(tmp_path)
    (tmp_path / "app.yaml").chmod(loose)
    for call in (lambda: sink.probe(target), lambda: sink.deliver(target, credentials())):
        assert "is not private" in refused(call).summary
    assert files(tmp_path) == before


@pytest.mark.parametrize("secret", ["", "canary\n", "canary-é"])
def test_b55_a_value_that_is_not_printable_ascii_is_refused(tmp_path: Path, secret: str) -> None:
    sink, target = made(tmp_path)
    with pytest.raises(SinkError, match="cannot be delivered") as caught:
        sink.deliver(target, credentials(secret))
    assert "canary" not in "".join(everything_in(caught.value))
    assert files(tmp_path) == {}


def test_b54_a_file_that_git_would_take_up_is_refused_until_it_is_ignored(tool: Tool, tmp_path: Path) -> None:
    subprocess.run([tool("git"), "init", "--quiet", tmp_path], check=True)
    sink, target = made(tmp_path)
    for call in (lambda: sink.probe(target), lambda: sink.deliver(target, credentials())):
        assert refused(call).summary == f'Git would take up the secret in "{tmp_path}/k8s/portal.yaml"'
    assert files(tmp_path) == {}
    (tmp_path / ".gitignore").write_text("/k8s/\n")
    sink.probe(target)
    sink.deliver(target, credentials())
    assert list(files(tmp_path)) == ["k8s/portal.yaml"]


@pytest.mark.parametrize("call", ["pwrite", "fsync", "rename"])
def test_f34_a_delivery_that_fails_half_way_leaves_the_old_one_and_the_next_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    sink, target = made(tmp_path, "app.yaml")
    sink.deliver(target, credentials("old"))
    before = files(tmp_path)

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing)
        assert refused(lambda: sink.deliver(target, credentials())).detail == "No space left on device."
    assert files(tmp_path) == before
    sink.deliver(target, credentials())
    assert encoded(CANARY) in files(tmp_path)["app.yaml"]


def test_the_manifests_of_the_page_are_manifests(provisioner: Callable[..., Any], tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(version: 1\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / "apps.yaml").write_text(block)
        assert provisioner("validate").status == 0


def test_a_moved_apps_file_of_a_fixed_name_is_removed_after_another_delivery(tmp_path: Path) -> None:
    sink, target = made(tmp_path, "k8s/fixed.yaml", name="fixed")
    sink.deliver(target, credentials())
    sink.deliver(Target(target.sink, Address("moved"), formerly=target.address), credentials("another"))
    assert encoded("another") in files(tmp_path)["k8s/fixed.yaml"]
    sink.remove(target)  # as its receipt has it: by the mark
    assert files(tmp_path) == {}


PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60)
NAME = st.from_regex(r"[A-Za-z0-9_.-]{1,30}", fullmatch=True)


@settings(max_examples=100, deadline=None)
@given(PRINTABLE, NAME, NAME)
def test_every_value_and_name_is_read_back_and_known_again(secret: str, first: str, second: str) -> None:
    keys = {"client_id": f"a{first}", "client_secret": f"b{second}"}
    target = Target(declared(Path(), keys=keys), Address("portal"))
    content = _content(target, credentials(secret))
    assert yaml.safe_load(content)["data"] == {f"a{first}": encoded("id"), f"b{second}": encoded(secret)}
    assert _form(None)(content)
    assert _form(Address("portal"))(content)
    assert not _form(Address("other"))(content)
