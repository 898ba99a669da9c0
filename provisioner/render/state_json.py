"""The state as a document, in the form of `terraform show -json`; no secret in it, sealed or not."""

from __future__ import annotations

import json
from typing import Any

from provisioner.render.plan_json import FORMAT_VERSION, attributes, named
from provisioner.render.terraform import TERRAFORM_VERSION
from provisioner.state import AppRecord, State


def state_json(state: State) -> str:
    """One line, ending in a newline. Before the first apply there is the version of the form alone."""
    return json.dumps(_document(state), sort_keys=True) + "\n"


def _document(state: State) -> dict[str, Any]:
    if state.header is None:
        return {"format_version": FORMAT_VERSION}
    return {
        "format_version": FORMAT_VERSION,
        "terraform_version": TERRAFORM_VERSION,  # of the form: some programs take nothing without it
        "lineage": state.header.lineage,
        "base_url": state.header.base_url,
        "organization_id": state.header.organization_id,
        "open_operations": [
            {
                "address": str(entry.operation.address),
                "id": entry.operation.id,
                "kind": entry.operation.kind.value,
            }
            for entry in state.open
        ],
        "values": {
            "root_module": {
                "resources": [_resource(state.records[address]) for address in sorted(state.records)]
            }
        },
    }


def _resource(record: AppRecord) -> dict[str, Any]:
    """What is known of the secret stands in `secret list --json`."""
    more = {"created_at": record.app.created_at, "protect": record.protect}
    return {**named(record.address), "values": attributes(record.app) | more, "sensitive_values": {}}
