"""What was changed outside of provisioner, as text."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.plan import Drift
from provisioner.render.attributes import changed, line
from provisioner.text import quote

_MANAGED = ("name", "redirect_uris", "scopes", "is_active")


def drift_text(drift: tuple[Drift, ...], recorded: int) -> str:
    """What `drift` prints; `recorded` is how many apps were looked at."""
    if not drift:
        return f"No drift. Apps as they were recorded: {recorded}.\n"
    lines = [*drift_lines(drift), f"Drift: {len(drift)} of {recorded}."]
    if any(item.app is None or any(change.name in _MANAGED for change in item.changes) for item in drift):
        lines.append("`provisioner plan` shows what apply would do about it.")
    lines += [
        f"`provisioner rotate {item.address.key}` makes a new secret for {item.address}."
        for item in drift
        if any(change.name == "client_secret_hint" for change in item.changes)
    ]
    return "\n".join(lines) + "\n"


def drift_lines(drift: tuple[Drift, ...]) -> Iterator[str]:
    """A section of its own, apart from what is intended; none where there is nothing to tell."""
    if not drift:
        return
    yield "These were changed outside of provisioner since they were recorded:\n"
    for item in drift:
        yield f"  # {item.address} {_what(item)}"
        yield f'{_symbol(item):>3} resource "oauth_app" "{item.address.key}" {{'
        yield from _body(item)
        yield "    }\n"


def _symbol(item: Drift) -> str:
    return "-" if item.app is None else "~"


def _what(item: Drift) -> str:
    if item.app is None:
        return "has been deleted"
    names = {change.name for change in item.changes}
    return "had its secret rotated, likely" if names == {"client_secret_hint"} else "has changed"


def _body(item: Drift) -> Iterator[str]:
    if item.app is None:
        for name, value in (("client_id", item.before.client_id), ("id", item.before.id)):
            yield line("-", name, quote(value))
        return
    yield line(" ", "id", quote(item.before.id))
    for change in item.changes:
        yield from changed(change.name, change.before, change.after)
