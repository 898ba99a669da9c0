"""The JSON Schema of a manifest: what editors can tell before `validate` does."""

from __future__ import annotations

from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one file of a manifest."""
    from provisioner.manifest.plain import Plain, Root  # noqa: PLC0415  # pydantic is slow to import

    return {"$schema": DIALECT, **Root.model_json_schema(schema_generator=Plain)}
