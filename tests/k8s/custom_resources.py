"""Holds custom resources against the definitions that their operators publish.

An API server drops fields that it does not know; here they are errors, since they are misspelt.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.k8s.manifests import Object, yaml

Schemas = dict[tuple[str, str], Any]


def definitions(folder: Path) -> Schemas:
    """Schemas by apiVersion and kind, from every CustomResourceDefinition in the folder."""
    found: Schemas = {}
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document and document["kind"] == "CustomResourceDefinition":
                spec = document["spec"]
                for version in spec["versions"]:
                    key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    found[key] = closed(version["schema"]["openAPIV3Schema"])
    return found


def closed(schema: Any) -> Any:
    """A copy that allows no field but those it describes, and text or number where it says so."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    copy = {key: closed(value) for key, value in schema.items()}
    # "properties" may also be the name of a field, whose value is then a schema with a type
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        open_to_more = schema.get("x-kubernetes-preserve-unknown-fields")
        copy.setdefault("additionalProperties", bool(open_to_more))
    return copy


def problems_of(custom: Object, known: Schemas) -> Iterator[str]:
    """What the definition refuses, one line each; a missing definition is a problem too."""
    name = f"{custom['kind']} {custom['metadata']['name']}"
    schema = known.get((custom["apiVersion"], custom["kind"]))
    if schema is None:
        yield f"{name}: there is no definition of {custom['apiVersion']}"
        return
    # by name, since only the tools' own environment has it; draft 4 is what OpenAPI 3.0 is based on
    validator = importlib.import_module("jsonschema").Draft4Validator(schema)
    for error in validator.iter_errors(custom):
        yield f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
