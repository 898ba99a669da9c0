"""The JSON Schema of a manifest: what editors can tell before `validate` does."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from provisioner.manifest.document import Root

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one file of a manifest."""
    schema = Root.model_json_schema(schema_generator=_Plain)
    return {"$schema": DIALECT, **schema}


class _Plain(GenerateJsonSchema):
    """JSON Schema and nothing else, without a title on every field, which would only repeat its key."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def tagged_union_schema(self, schema: Any) -> JsonSchemaValue:
        union = super().tagged_union_schema(schema)
        union.pop("discriminator", None)  # a word of OpenAPI's; each type says by itself which it is
        return union
