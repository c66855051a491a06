"""The schemas of the configuration and of a site: where they are, and the defaults that they give."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from gridlaw import plugins

# The loader written in C is ten times as fast, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FOLDER = Path(__file__).resolve().parents[3] / "schemas"
CONFIG, SITE = FOLDER / "config.schema.yaml", FOLDER / "site.schema.yaml"


@cache
def read(file: Path) -> dict:
    """Return the content of a schema, which nobody may change; where it lists plug-ins, all that there are count."""
    schema = yaml.load(file.read_text(), LOADER)
    todo = [schema]
    while todo:
        node = todo.pop()
        if "x-plugins" in node:
            node["enum"] = list(plugins.names(node["x-plugins"]))
        todo += [value for value in node.values() if isinstance(value, dict)]
    return schema


def resolve(root: dict, schema: dict) -> dict:
    """Return the definition of a schema that a part of it refers to; the part itself if it refers to none."""
    return root["$defs"][schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema


def fill(root: dict, schema: dict, value: object) -> None:
    """Fill defaults into a value, in place, along the branches that the value takes.

    Args:
        root: the whole schema.
        schema: the part of it that describes the value.
    """
    if "$ref" in schema:
        fill(root, resolve(root, schema), value)
    for part in schema.get("allOf", []):
        fill(root, part, value)
    if "if" in schema:
        fits = Draft202012Validator({**schema["if"], "$defs": root["$defs"]}).is_valid(value)
        fill(root, schema.get("then" if fits else "else", {}), value)
    if isinstance(value, dict):
        for name, property_schema in schema.get("properties", {}).items():
            if "default" in property_schema:
                value.setdefault(name, deepcopy(property_schema["default"]))
            if name in value:
                fill(root, property_schema, value[name])
        rest = schema.get("additionalProperties")
        if isinstance(rest, dict):
            for name in value.keys() - schema.get("properties", {}).keys():
                fill(root, rest, value[name])
