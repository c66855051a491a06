"""Why a result is not that of the configuration any more, in the user's words: config keys, definitions, files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator

from gridlaw import code, grid
from gridlaw.steps import WILDCARDS, Step, maker

# Entries of recipes that count tokens or words; people write them as 64k or 1M.
COUNTS = ("warmup_tokens", "words", "tokens")
# Of a mapping that lacks the key.
UNSET = object()


def of_recipe(config: dict, step: Step, made: dict) -> Iterator[str]:
    """Differences between the recipe that a result was made with and its step's, a line each.

    Args:
        config: a completed configuration; lines begin with its keys.
        made: the earlier recipe.
    """
    if made == step.recipe:
        return
    now = step.recipe
    if step.rule == "figure_scores":
        made, now = map(_by_task, (made, now))
    for path, old, new in _differences((), made, now):
        yield _key(config, step, path) + _change(path[-1], old, new)


def of_code(step: Step, made: dict) -> Iterator[str]:
    """Differences between the program that made a result and its step's, a line for each definition.

    Args:
        made: the result's record.
    """
    if made["code"] == code.digest(step.program):
        return
    if "definitions" not in made:
        yield f"scripts/{step.program.name} changed, or what it imports"
        return
    before, now = made["definitions"], code.definitions(step.program)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{name} {'added' if name not in before else 'removed' if name not in now else 'changed'}"


def of_inputs(config: dict, step: Step, made: Iterable[str]) -> Iterator[str]:
    """Differences between the files that a result was made from and its step's, a line for each axis of the grid.

    Args:
        config: a completed configuration; lines begin with its keys.
        made: paths of the earlier inputs.
    """
    keys = {
        "corpus": "corpus",
        "tokenizer": "data.tokenizer" if step.rule == "slice" else f"tokenizer of {step.wildcards.get('model')}",
        "seed": "seeds.pretrain",
        "task": "tasks",
        "files": f"{step.rule} files",
    }
    before, now = _axes(made), _axes(step.inputs)
    for axis, key in keys.items():
        if before[axis] != now[axis]:
            yield key + _change(axis, sorted(before[axis]), sorted(now[axis]))


def _differences(path: tuple[str, ...], old: object, new: object) -> Iterator[tuple[tuple[str, ...], object, object]]:
    """Innermost differences of two recipes: where, before, now."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _differences((*path, name), old.get(name, UNSET), new.get(name, UNSET))
    elif old != new:
        yield path, old, new


def _by_task(recipe: dict) -> dict:
    """A recipe of `figure_scores` in which panels have names."""
    return recipe | {
        "tasks": {task: {"metrics": [metric], "validation": [split]} for task, metric, split in recipe["tasks"]}
    }


def _key(config: dict, step: Step, path: tuple[str, ...]) -> str:
    """The configuration's key that decides an entry of a step's recipe."""
    name, of = path[0], step.wildcards
    match step.rule:
        case "corpus":
            parts = "catalogue", "corpora", of["corpus"], *path
        case "tokenizer":
            parts = "catalogue", "tokenizers", of["tokenizer"], *path
        case "checkpoint":
            parts = "catalogue", "models", of["model"], *path
        case "segments" | "pack":
            parts = "data", *path
        case "slice":
            parts = ("sizes",)
        case "task" if name == "seed":
            parts = "data", name
        case "task" | "baseline":
            parts = "catalogue", "tasks", of["task"], *(("seed",) if name == "generator_seed" else path)
        case "trunk" | "pretrain" if name == "model":
            parts = "catalogue", "models", of["model"], *path[1:]
        case "trunk" | "pretrain":
            parts = "pretrain", *_override(config["pretrain"], {"per_model": of["model"]}, name), *path
        case "finetune" if name == "seeds":
            parts = "seeds", "finetune"
        case "finetune" if name in ("text", "label", "kind", "train", "validation"):
            parts = "catalogue", "tasks", of["task"], *path
        case "finetune":
            overrides = {"per_task": of["task"], "per_model": of["model"]}
            parts = "finetune", *_override(config["finetune"], overrides, name), *path
        case "aggregate" if name == "seeds":
            parts = "seeds", "pretrain"
        case "aggregate" if name == "tokenizers":
            parts = "catalogue", "models", path[-1], "tokenizer"
        case "score":
            parts = ("catalogue", "tasks", *path) if len(path) > 1 else ("tasks",)
        case "aggregate" | "figure_scores" if name == "tasks":
            parts = ("catalogue", *path) if len(path) > 2 else ("tasks",)
        case _:
            parts = path
    return ".".join(parts)


def _override(section: dict, candidates: dict[str, str], name: str) -> tuple[str, ...]:
    """Where in a section a hyper-parameter is set: an override for a task or a model, or the section itself."""
    return next(((kind, own) for kind, own in candidates.items() if name in section[kind].get(own, {})), ())


def _axes(files: Iterable[str]) -> dict[str, set[str]]:
    """Values of the wildcards of the steps that make some files, by name, and under `files` those of the user."""
    found = defaultdict(set)
    for file in files:
        rule, values = maker(file) or (None, [file])
        for name, value in zip(WILDCARDS[rule] if rule else ["files"], values, strict=True):
            found[name].add(value)
    return found


def _change(name: str, old: object, new: object) -> str:
    """A change of an entry, after its key: ` 3 → 5`, `: 4 added`."""
    if isinstance(old, dict) != isinstance(new, dict) and UNSET in (old, new):
        return f": {name} {'added' if old is UNSET else 'removed'}"
    if isinstance(old, list) and isinstance(new, list) and not len(old) == len(new) == 1:
        added, removed = [item for item in new if item not in old], [item for item in old if item not in new]
        parts = [f"{_listed(items)} {what}" for items, what in ((added, "added"), (removed, "removed")) if items]
        return ": " + ", ".join(parts or ["in another order"])
    return f" {_text(name, old)} → {_text(name, new)}"


def _listed(items: list) -> str:
    """A few items, or how many."""
    if len(items) > 3 or any(isinstance(item, list) for item in items):
        return str(len(items))
    return " and ".join(", ".join(map(str, items)).rsplit(", ", 1))


def _text(name: str, value: object) -> str:
    """A value as a person would write it in YAML."""
    if value is UNSET:
        return "unset"
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_text(name, item) for item in value)
    if name in COUNTS and isinstance(value, int):
        return grid.size_name(value)
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        digits, exponent = f"{value:e}".split("e")
        return f"{float(digits):g}e{int(exponent)}"
    return json.dumps(value)
