"""What `--json` prints: one object a line, as `terraform plan -json` has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from provisioner.plan import Drift
from provisioner.render.plan_json import drifted

UI_VERSION = "1.2"  # of the stream's form, Terraform's


def version_event(version: str, time: str) -> str:
    """The first line."""
    said = f"provisioner {version}"
    return _line(time, said, "version", provisioner=version, ui=UI_VERSION)


def drift_events(drift: tuple[Drift, ...], time: str) -> Iterator[str]:
    """A line for each app, then their number."""
    for item in drift:
        entry = drifted(item)
        action = entry["change"]["actions"][0]
        resource = {"addr": entry["address"], "resource_type": entry["type"], "resource_name": entry["name"]}
        yield _line(
            time,
            f"{entry['address']}: Drift detected ({action})",
            "resource_drift",
            change={"resource": resource, "action": action, **entry["change"]},
        )
    yield _line(time, f"Drift: {len(drift)} apps", "drift_summary", drifted=len(drift))


def _line(time: str, message: str, kind: str, **fields: Any) -> str:
    head = {"@level": "info", "@message": message, "@module": "provisioner.ui", "@timestamp": time}
    return json.dumps({**head, "type": kind, **fields})
