"""Saved plans: what a plan was made from, written to a file, and held against the same of now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from provisioner import __version__
from provisioner.cli.clock import SystemClock
from provisioner.cli.options import Asked, is_folder, refuse_manifest
from provisioner.cli.workspace import Readers, Workspace, base_url
from provisioner.errors import UsageError
from provisioner.files import Files
from provisioner.frozen import dataclass
from provisioner.plan import Plan
from provisioner.reading import read_input, shown
from provisioner.render.saved_plan import (
    DIGEST,
    body,
    check_age,
    check_applicable,
    check_same,
    digest_of,
    digests,
    read_saved,
    refuse,
    saved,
)
from provisioner.state import State

_LISTS = ("allowed", "replaced", "targets", "excluded")  # of `Asked`, in its order
PLAN_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Promised:
    """What an apply was told to do: a saved plan, or the digest of one."""

    whole: Mapping[str, Any] | None = None
    digest: str | None = None

    def check(self, content: Mapping[str, Any]) -> None:
        """Refuse another plan than the promised one."""
        if self.whole is not None:
            check_same(self.whole, content)
        elif digest_of(content) != self.digest:
            raise UsageError(
                "The plan is not the one of --digest",
                f"Its digest is {digest_of(content)}. Nothing was done.",
                "Give what it was made with as well (-f, --var, --allow, --target and so on), or make the "
                "plan again, have it reviewed, and give the digest that it prints.",
            )


def content_of(
    plan: Plan, prior: State, workspace: Workspace, readers: Readers, asked: Asked, destroy: bool
) -> dict[str, Any]:
    """The plan's body with everything that it was made from."""
    header, recovery = prior.header, workspace.manifest.recovery
    made_from = {
        "provisioner_version": __version__,
        "base_url": base_url(workspace),
        "organization_id": header.organization_id if header else None,
        "lineage": header.lineage if header else None,
        "choices": {**asdict(asked), "destroy": destroy},
        "recipients": list(readers.recipients),
        "recovery": {"auto": recovery.auto, "settle": recovery.settle.total_seconds()},
        **digests(workspace.desired, workspace.manifest.variables),
    }
    return body(plan, made_from)


def save(path: str, content: Mapping[str, Any], text: str) -> str:
    """Write a plan to a file, whole or not at all; the digest that approves it."""
    Files().write(Path(path), saved(content, text, SystemClock().now()))
    return digest_of(content)


def promise(
    path: str | None, digest: str | None, max_age: float | None, asked: Asked, destroy: bool
) -> tuple[Promised | None, Asked, bool]:
    """What was promised, if anything, and the choices that count. `max_age` is in seconds."""
    if path is not None and digest is not None:
        raise UsageError("A saved plan has its digest in it", "", "Give the file or --digest, not both.")
    if path is None and max_age is not None:
        raise UsageError("--max-age is about a saved plan", "", "Name the file that `plan --out` made.")
    if digest is not None:
        return _by_digest(digest), asked, destroy
    if path is None:
        return None, asked, destroy
    if destroy or asked != Asked():
        raise UsageError(
            "A saved plan takes no other flags that choose what is done",
            f"Those of {shown(Path(path))} were reviewed with it.",
            "Leave them out, or give them to `provisioner plan --out` and have that reviewed.",
        )
    return _by_file(path, None if max_age is None else timedelta(seconds=max_age))


def read_plan(path: str, command: str) -> dict[str, Any]:
    """A saved plan, as `command` was given it. Raises UsageError where a manifest was meant."""
    data = b"" if is_folder(path) else read_input(Path(path), PLAN_LIMIT)
    if not data.startswith(b"{"):  # as every saved plan does, whatever its name
        refuse_manifest([path], command)
    return read_saved(data, path)


def _by_file(path: str, max_age: timedelta | None) -> tuple[Promised, Asked, bool]:
    whole = read_plan(path, "provisioner apply")
    check_applicable(whole, path)
    check_age(whole, SystemClock().now(), max_age)
    asked, destroy = _choices(whole, path)
    return Promised(whole), asked, destroy


def _by_digest(text: str) -> Promised:
    hexadecimal = text.removeprefix(DIGEST)
    if text == hexadecimal or len(hexadecimal) != 64 or not set(hexadecimal) <= set("0123456789abcdef"):
        raise UsageError("--digest is not a digest", f"It looks like {DIGEST} and 64 of 0-9 and a-f.")
    return Promised(digest=text)


def _choices(whole: Mapping[str, Any], path: str) -> tuple[Asked, bool]:
    """What the plan was asked to be, as `content_of` wrote it and nothing else."""
    inputs = whole.get("inputs")
    given = inputs.get("choices") if isinstance(inputs, dict) else None
    if not isinstance(given, dict) or not _are_choices(given):
        refuse(path, "its choices are not those of a plan")
    allowed, replaced, targets, excluded = (tuple(given[name]) for name in _LISTS)
    return Asked(allowed, replaced, targets, excluded, given["max_deletes"]), given["destroy"]


def _are_choices(given: dict[str, Any]) -> bool:
    limit = given.get("max_deletes")
    return (
        given.keys() == {*_LISTS, "max_deletes", "destroy"}
        and all(isinstance(given[name], list) for name in _LISTS)
        and all(isinstance(text, str) for name in _LISTS for text in given[name])
        and (limit is None or (type(limit) is int and limit >= 0))
        and isinstance(given["destroy"], bool)
    )
