"""A saved plan: the plan document, what it was made from, and digests of both. A promise, not an instruction.

It is never carried out as it is: `apply` makes the plan again and compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NoReturn

from provisioner.desired import DesiredState
from provisioner.documents import parse
from provisioner.errors import PlanError
from provisioner.plan import Plan
from provisioner.render.lengths import length
from provisioner.render.plan_json import FORMAT_VERSION, document
from provisioner.render.terraform import as_terraform
from provisioner.reply import is_moment
from provisioner.text import escape, quote

DIGEST = "sha256:"
_FLAGS = ("refreshed", "errored", "complete", "applyable", "destruction")
_BESIDE = ("text", "timestamp", "digest", "checksum")  # what the digest does not cover: it tells the time
_SKEW = timedelta(minutes=5)  # of two machines' clocks


def digests(desired: DesiredState, variables: Mapping[str, str]) -> dict[str, Any]:
    """Of what the manifest says, in parts, so that a difference can be named."""
    return {
        "manifest": _digest(_canonical(desired)),
        "sinks": {
            name: _digest({"type": sink.type, "options": dict(sink.options), "keep": sink.keep})
            for name, sink in sorted(desired.declared_sinks.items())
        },
        "variables": {name: _digest(value) for name, value in sorted(variables.items())},
    }


def body(plan: Plan, made_from: Mapping[str, Any]) -> dict[str, Any]:
    """What two runs must agree on."""
    told = document(plan)
    return {**told, **as_terraform(told), "inputs": dict(made_from)}


def digest_of(content: Mapping[str, Any]) -> str:
    """Of a plan's body; the same in every run that comes to the same plan."""
    return _digest({name: value for name, value in content.items() if name not in _BESIDE})


def saved(content: Mapping[str, Any], text: str, timestamp: str) -> bytes:
    """The file of `plan --out`, one value a line. `text` is the plan as people read it."""
    whole = {**content, "text": text, "timestamp": timestamp, "digest": digest_of(content)}
    whole["checksum"] = _digest(whole)
    return json.dumps(whole, indent=2, sort_keys=True).encode() + b"\n"


def read_saved(data: bytes, where: str) -> dict[str, Any]:
    """The other way. Raises PlanError, with the check that failed, where it is not as it was written."""
    whole, check = parse(data)
    check = check or _damage(whole)
    if check:
        refuse(where, check)
    content: dict[str, Any] = whole
    return content


def check_applicable(whole: Mapping[str, Any], where: str) -> None:
    """Refuse a plan that was only ever to be looked at."""
    if not whole["refreshed"]:
        refuse(where, "it was made with --no-refresh, so nobody knows what it would do")
    if whole["errored"]:
        refuse(where, "it has conflicts, and nothing is applied while there is one")


def refuse(where: str, check: str) -> NoReturn:
    """Raise the PlanError that names the check that failed."""
    raise PlanError(
        f"{quote(where, 200)} is not a plan that can be applied",
        f"It was refused because {check}.",
        "Make it again with `provisioner plan --out FILE`, and have it reviewed again.",
    )


def check_age(whole: Mapping[str, Any], now: str, limit: timedelta | None) -> None:
    """Refuse a plan that is older than `limit`, or from the future."""
    age = datetime.fromisoformat(now) - datetime.fromisoformat(whole["timestamp"])
    if age < -_SKEW:
        raise PlanError(
            "The saved plan is from the future", f"It says that it was made at {whole['timestamp']}."
        )
    if limit is not None and age > limit:
        raise PlanError(
            f"The saved plan is {length(age)} old, and --max-age is {length(limit)}",
            "Nothing was done.",
            "Make it again with `provisioner plan --out FILE`, and have it reviewed again.",
        )


def check_same(whole: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Refuse to go on where the plan is another one now, with the first thing that differs."""
    before = {name: value for name, value in whole.items() if name not in _BESIDE}
    if _digest(before) == digest_of(content):
        return
    first = next(_differences(before, json.loads(json.dumps(content)), ""), ("", "", ""))
    given = "Give the -f, --var and --var-file that the plan was made with. If that is what you did:\n"
    raise PlanError(
        "Saved plan is stale",
        f"What differs first is {first[0]}: in the saved plan {first[1]}, now {first[2]}. Nothing was done.",
        (given if _is_of_the_manifest(first[0]) else "")
        + "Make it again with `provisioner plan --out FILE`, and have it reviewed again.",
    )


def _is_of_the_manifest(path: str) -> bool:
    """Whether another manifest, or the same with other variables, may be why the plans differ there."""
    return path.startswith("inputs.") and path != "inputs.provisioner_version"


def _damage(whole: Any) -> str:
    if not isinstance(whole, dict) or "format_version" not in whole:
        return "it is no plan document"
    if whole["format_version"] != FORMAT_VERSION:
        return "another version of provisioner wrote it"
    if not all(isinstance(whole.get(name), str) for name in _BESIDE):
        return "it is a plan that was printed, not saved with --out"
    if not all(isinstance(whole.get(name), bool) for name in _FLAGS):
        return "it lacks what every plan says"
    if not is_moment(whole["timestamp"]):
        return "it does not say when it was made"
    rest = {name: value for name, value in whole.items() if name != "checksum"}
    if _digest(rest) != whole["checksum"] or digest_of(whole) != whole["digest"]:
        return "its digest does not match: it was edited, or damaged"
    return ""


def _differences(before: Any, after: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Where two documents differ: what they were made from first, and last what says a thing again."""
    if isinstance(before, dict) and isinstance(after, dict):
        order = {"inputs": -1, "planned_values": 1}
        for name in sorted({*before, *after}, key=lambda name: (order.get(name, 0), name)):
            yield from _differences(before.get(name), after.get(name), f"{path}.{name}".removeprefix("."))
    elif isinstance(before, list) and isinstance(after, list) and path in _LISTS:
        yield from _by_address(before, after, path)
    elif before != after:
        yield path, _short(before), _short(after)


_LISTS = ("resource_changes", "resource_drift", "notes", "conflicts")


def _by_address(before: list[Any], after: list[Any], path: str) -> Iterator[tuple[str, str, str]]:
    """Two lists of entries that have an address each."""
    one, other = ({item.get("address"): item for item in items} for items in (before, after))
    for address in sorted({*one, *other}, key=str):
        yield from _differences(one.get(address), other.get(address), f"{path}[{address}]")


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return quote(value, 200)
    return escape(json.dumps(value, ensure_ascii=False, sort_keys=True), 200)


def _digest(value: Any) -> str:
    return DIGEST + sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _canonical(desired: DesiredState) -> dict[str, Any]:
    """What the manifest says, whatever its order and its comments."""
    return {
        "apps": {
            address.key: {
                "name": spec.name,
                "redirect_uris": sorted(spec.redirect_uris),
                "scopes": None if spec.scopes is None else sorted(spec.scopes),
            }
            for address, spec in desired.apps.items()
        },
        "lifecycles": {
            address.key: {name: str(value) for name, value in asdict(lifecycle).items()}
            for address, lifecycle in desired.lifecycles.items()
        },
        "moved": {old.key: new.key for old, new in desired.moved.items()},
        "forgotten": sorted(address.key for address in desired.forgotten),
        "imports": {address.key: app_id for address, app_id in desired.imports.items()},
        "policy": {"allow": sorted(desired.policy.allow), "max_deletes": desired.policy.max_deletes},
        "targets": {
            address.key: [target.fingerprint for target in targets]
            for address, targets in desired.sinks.items()
        },
    }
