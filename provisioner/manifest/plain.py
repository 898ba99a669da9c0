"""How the models become JSON Schema and nothing else."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from provisioner.manifest.document import Root

__all__ = ["Plain", "Root"]


class Plain(GenerateJsonSchema):
    """Without a title on every field, which would only repeat its key."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def tagged_union_schema(self, schema: Any) -> JsonSchemaValue:
        union = super().tagged_union_schema(schema)
        union.pop("discriminator", None)  # a word of OpenAPI's; each type says by itself which it is
        return union
