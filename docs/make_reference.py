"""Write docs/reference/config.md: every key of the configuration and of a cluster's site file, from their schemas.

    python docs/make_reference.py

A test compares the page with the schemas, so that it cannot fall behind them.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference/config.md"
WIDTH = 120
INTRODUCTION = """\
# Configuration

<!-- Written by docs/make_reference.py from schemas/. Edit the schemas, then run the program again. -->

An experiment is `config.yaml` plus your overlays. An overlay holds only what differs: its lists replace those of
`config.yaml`, its mappings merge with them. Give it with `--configfile`
([Your own grid](../guides/own-grid.md)). An unknown key is an error.

In brackets stand what a key accepts and its value in `config.yaml` (*default grid*) or, where that file does not set
it, its default. A *size* is a number of tokens, such as `0`, `64k`, `1M`, `2.5B`, or `all`. A *name* consists of
letters, digits and `._+-`, and starts with a letter or digit. *One for each kind of model* is a mapping, whereas a
single value is for all models:

- `from_scratch`: the value for models from random weights.
- `released`: the value for released checkpoints.
"""
SITE = """\
## The site file

`profiles/slurm/site.yaml` describes a Slurm cluster ([On a Slurm cluster](../guides/cluster.md)). A key that is left
out has the default.
"""
# Keys of mappings whose names the user chooses.
NAMED = {
    "pretrain.per_model": "MODEL",
    "finetune.per_model": "MODEL",
    "finetune.per_task": "TASK",
    "catalogue.models": "NAME",
    "catalogue.tokenizers": "NAME",
    "catalogue.corpora": "NAME",
    "catalogue.tasks": "NAME",
}
TYPES = {
    "boolean": "true or false",
    "integer": "whole number",
    "null": "null",
    "number": "number",
    "object": "mapping",
    "string": "text",
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page, as Markdown."""
    schema, site = (read(name) for name in ("schemas/config.schema.yaml", "schemas/site.schema.yaml"))
    grid = read("config.yaml")
    parts = [INTRODUCTION, *sections(schema, grid), SITE, "\n".join(entries(site["properties"], site, None)) + "\n"]
    # At most one blank line.
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


def read(name: str) -> dict:
    """A YAML file of the repository."""
    return yaml.safe_load((ROOT / name).read_text())


def sections(schema: dict, grid: dict) -> Iterator[str]:
    """The axes of the grid together, and a section for each key that is a mapping."""
    plain = {name: node for name, node in schema["properties"].items() if not is_mapping(resolved(node, schema))}
    yield "\n".join(
        ["## The grid\n", "Every combination of model, size and gpus is a cell.\n", *entries(plain, schema, grid), ""]
    )
    for name, node in schema["properties"].items():
        if name not in plain:
            whole = resolved(node, schema)
            yield f"## `{name}`\n\n" + "\n".join(wrapped(sentence(whole["description"]), "")) + "\n"
            yield "\n".join(inside(name, whole, schema, grid.get(name))) + "\n"


def inside(path: str, node: dict, schema: dict, values: dict | None) -> Iterator[str]:
    """Describe a mapping: its entries, and a section for each mapping in it whose names the user chooses."""
    nodes = node["properties"]
    yield from entries({name: entry for name, entry in nodes.items() if f"{path}.{name}" not in NAMED}, schema, values)
    for name, entry in nodes.items():
        if f"{path}.{name}" in NAMED:
            yield f"\n### `{path}.{name}.{NAMED[f'{path}.{name}']}`\n"
            yield from wrapped(sentence(resolved(entry, schema)["description"]), "")
            yield ""
            yield from named(f"{path}.{name}", entry["additionalProperties"], schema)


def named(path: str, node: dict, schema: dict) -> Iterator[str]:
    """Describe an entry whose name the user chooses, or each kind of such entries."""
    options = {title: resolved(option, schema) for title, option in alternatives(node)}
    if path.rpartition(".")[2] in ("per_model", "per_task"):
        section = path.partition(".")[0]
        yield f"It takes the hyper-parameters among the keys of [`{section}`](#{section})."
    elif not options:
        whole = resolved(node, schema)
        yield from entries(whole["properties"], schema, None, set(whole.get("required", ())))
    else:
        first, *others = options.values()
        shared = {
            name: entry
            for name, entry in first["properties"].items()
            if all(other["properties"].get(name) == entry for other in others)
        }
        if shared:
            yield from entries(shared, schema, None, set(first.get("required", ())))
            yield ""
        for title, whole in options.items():
            own = {name: entry for name, entry in whole["properties"].items() if name not in shared}
            yield f"{title}:\n"
            yield from entries(own, schema, None, set(whole.get("required", ())))
            yield ""


def alternatives(node: dict) -> Iterator[tuple[str, dict]]:
    """The kinds of a named entry, and what tells them apart."""
    if "if" in node:
        yield "A released checkpoint, which has `pretrained`", node["then"]
        yield "A model from random weights", node["else"]
    for option in node.get("allOf", ()):
        if "if" in option:
            yield f"With `source: {option['if']['properties']['source']['const']}`", option["then"]


def entries(
    nodes: dict, schema: dict, values: dict | None, required: set[str] = frozenset(), indent: str = ""
) -> Iterator[str]:
    """A list item for each key, with a list in it for the keys of a mapping."""
    for name, node in nodes.items():
        whole = resolved(node, schema)
        held = whole.get("items", whole) if whole.get("type") == "array" else whole
        nested = held.get("properties", {})
        value = values.get(name) if values else None
        facts = [accepted(whole, schema)]
        facts += [] if nested and isinstance(value, dict) else default(name, whole, values, required)
        item = f"{indent}- `{name}` ({'; '.join(facts)}): {ended(whole['description'])}"
        yield from wrapped(item, f"{indent}  ")
        inner = value if isinstance(value, dict) else None
        yield from entries(nested, schema, inner, set(held.get("required", ())), f"{indent}  ")


def default(name: str, node: dict, values: dict | None, required: set[str]) -> list[str]:
    """Return the value of a key that nothing sets."""
    if values and name in values:
        return [f"default grid: `{shown(values[name])}`"]
    if "default" in node:
        return [f"default: `{shown(node['default'])}`"]
    return ["required"] if name in required else []


def accepted(node: dict, schema: dict) -> str:
    """The values that a key accepts, in words."""
    if "anyOf" in node:
        return f"{accepted(resolved(node['anyOf'][0], schema), schema)}, or one for each kind of model"
    if "oneOf" in node:
        return " or ".join(accepted(resolved(option, schema), schema) for option in node["oneOf"])
    if "const" in node:
        return f"`{shown(node['const'])}`"
    if "enum" in node:
        return ", ".join(f"`{shown(value)}`" for value in node["enum"])
    if node.get("refers_to") in ("name", "size"):
        return node["refers_to"]
    types = [node["type"]] if isinstance(node["type"], str) else node["type"]
    words = [type_words(name, node, schema) for name in types if not (name == "integer" and "number" in types)]
    return " or ".join(words)


def type_words(name: str, node: dict, schema: dict) -> str:
    """Values of one type, in words."""
    if name == "array":
        item = resolved(node["items"], schema)
        return f"list, each {accepted(item, schema)}"
    if name == "string" and node.get("pattern") == "^all$":
        return "`all`"
    return TYPES[name] + (limits(node) if name in ("integer", "number") else "")


def limits(node: dict) -> str:
    """The range of a number, in words."""
    words = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "up to"}
    skipped = {"minimum"} if "exclusiveMinimum" in node else set()
    return "".join(f" {word} {node[key]}" for key, word in words.items() if key in node and key not in skipped)


def resolved(node: dict, schema: dict) -> dict:
    """A node with what it refers to; its own words win."""
    whole: dict = {}
    parts = [*(part for part in node.get("allOf", ()) if "if" not in part), node]
    if "$ref" in node:
        parts.insert(0, resolved(schema["$defs"][node["$ref"].rsplit("/", 1)[-1]], schema))
    for part in parts:
        part = resolved(part, schema) if part is not node else part
        own = {key: value for key, value in part.items() if key not in ("$ref", "allOf")}
        if part is node and "$ref" in node:
            own["refers_to"] = node["$ref"].rsplit("/", 1)[-1]
        properties = {**whole.get("properties", {}), **own.get("properties", {})}
        required = [*whole.get("required", []), *own.get("required", [])]
        whole |= own | ({"properties": properties} if properties else {}) | ({"required": required} if required else {})
    return whole


def is_mapping(node: dict) -> bool:
    """Return whether a key contains other keys."""
    return node.get("type") == "object" and bool(node.get("properties") or node.get("additionalProperties"))


def shown(value: object) -> str:
    """A value as YAML has it, on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False).replace('"', "")


def sentence(text: str) -> str:
    """A description as a sentence of its own."""
    return ended(text[0].upper() + text[1:])


def ended(text: str) -> str:
    """A description with its full stop."""
    return text if text.endswith(".") else f"{text}."


def wrapped(text: str, indent: str) -> list[str]:
    """A paragraph in lines."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
