"""The JSON Schema of deployment files: what editors complete and check, and what the reference is made of.

It says which keys and types there are. Contradictions between keys are found by `shadow validate` alone.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from shadow_deployment.config.deployment import Deployment

SCHEMA_FILE: Final = Path(__file__).with_name("deployment.schema.json")  # in the wheel; `make reference` writes it


class _WithoutFieldTitles(GenerateJsonSchema):
    """A field is called by its key: a title would only repeat it."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 (of no field)
        return False


@cache
def deployment_schema() -> dict[str, Any]:
    """Return the schema as plain data: draft 2020-12, with a description of every key."""
    schema = Deployment.model_json_schema(schema_generator=_WithoutFieldTitles)
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": "Deployment file of shadow-deployment"}
    return head | {key: value for key, value in schema.items() if key != "title"}


def schema_text() -> str:
    """Return the schema as its file holds it."""
    return json.dumps(deployment_schema(), indent=2, ensure_ascii=False) + "\n"
