"""What readers of Terraform's plans look for besides the changes: checkov and terraform-compliance do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# By its being there they tell a plan from other JSON. It names the form, which Terraform 1.0 settled.
TERRAFORM_VERSION = "1.0.0"


def as_terraform(document: Mapping[str, Any]) -> dict[str, Any]:
    """Those parts, for a plan's document: each app as it is to be, with what is known of it.

    Of the configuration nothing is said, but terraform-compliance takes no plan without it.
    """
    resources = [_planned(entry) for entry in document["resource_changes"] if entry["change"]["after"]]
    return {
        "terraform_version": TERRAFORM_VERSION,
        "planned_values": {"root_module": {"resources": resources}},
        "configuration": {"root_module": {}},
    }


def _planned(entry: Mapping[str, Any]) -> dict[str, Any]:
    change = entry["change"]
    named = {name: entry[name] for name in ("address", "mode", "type", "name")}
    return {**named, "values": change["after"], "sensitive_values": change["after_sensitive"]}
