"""Reasons why a result is stale, in the user's words: configuration keys, definitions, files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from gridlaw import io
from gridlaw.canonical_json import canonical
from gridlaw.config import grid
from gridlaw.words import join_and, join_comma
from gridlaw.workflow import record
from gridlaw.workflow.steps import Step, identify

# Entries of recipes that count tokens or words; people write them as 64k or 1M.
COUNTS = ("warmup_tokens", "words", "size_tokens")
# Entries of recipes with digests of the user's files.
FILES = ("files", "held_out_files")
# Steps whose recipes list tasks, each with a metric and a split.
PANELS = ("figure_scores", "figure_seeds", "latex")
# Keys that lead to an entry of a recipe.
EntryPath = tuple[str, ...]
# Stands for the value of a missing key.
UNSET = object()
# Reason of a result whose digest of code has the form of an earlier version.
EARLIER = "made by an earlier version of gridlaw, see scripts/accept.py"


class DefinitionReason(str):
    """A changed definition as a reason, `scripts/FILE.py: NAME changed`, with its `file`, and the `change` in it."""

    __slots__ = ("change", "file")

    def __new__(cls, label: str, state: str) -> DefinitionReason:
        """Make the reason.

        Args:
            label: the definition, `scripts/FILE.py: NAME`.
            state: added, removed or changed.
        """
        reason = super().__new__(cls, f"{label} {state}")
        reason.file, _, name = label.partition(": ")
        reason.change = f"{name} {state}"
        return reason


def differences(step: Step, facts: dict) -> list[str]:
    """Return the differences between a result's record and what its step requires, a line each; none if it is valid.

    Args:
        facts: the result's record.
    """
    lines = [*_recipe_differences(step, facts), *_code_differences(step, facts), *_input_differences(step, facts)]
    return lines or list(_other_input_differences(step, facts))


def _recipe_differences(step: Step, facts: dict) -> list[str]:
    """Return the differences between the recipe of a result and that of its step; at least one if they differ."""
    before, now = (_comparable(step, recipe) for recipe in (facts["recipe"], step.recipe))
    if _same(before, now):
        return []
    lines = [
        step.resolved.key(path) + _change(path[-1], old, new)
        for path, old, new in _entry_differences((), _named(step, before), _named(step, now))
        if path[0] not in FILES
    ]
    if any(before.get(name) != now.get(name) for name in FILES):
        lines += _file_differences(step, facts["inputs"])
    # Named panels have no order, so a change of it is named as that of the whole list.
    return lines or [
        step.resolved.key((name,)) + _change(name, old, now[name])
        for name, old in before.items()
        if not _same(old, now[name])
    ]


def training_differences(before: dict, now: dict) -> list[str]:
    """Return the differences between the bases of two attempts at a training, a line each; none if it can resume.

    Args:
        before: the basis in the work folder.
        now: a `record.current_basis`.
    """
    basis = record.basis(before)
    entries = _entry_differences((), basis["recipe"], now["recipe"])
    lines = [".".join(path) + _change(path[-1], old, new) for path, old, new in entries]
    if basis["code"] != now["code"]:
        lines += _definition_differences("the program", basis["definitions"], now["definitions"])
    # An absolute path of the same file is no difference.
    if list(basis["inputs"].values()) != list(now["inputs"].values()):
        others = [file for file, _ in basis["inputs"].items() ^ now["inputs"].items()]
        lines.append(f"inputs: {_listed(sorted(set(others))) if others else 'in another order'}")
    return [*lines, *library_differences(before, now["libraries"])]


def library_differences(before: dict, now: dict[str, str]) -> Iterator[str]:
    """Yield a line for each library whose version differs from those of an unfinished training.

    Args:
        before: the basis in the work folder.
        now: versions by library, without those that are unknown here.
    """
    bases = [before, *(entry["basis"] for entry in before.get("accepted", []))]
    libraries = [basis.get("libraries", {}) for basis in bases]
    for library, version in now.items():
        known = [versions[library] for versions in libraries if library in versions]
        if version not in known:
            yield f"{library} {known[-1] if known else 'unknown'} → {version}"


def _code_differences(step: Step, facts: dict) -> Iterator[str]:
    """Yield the differences between the program of a result and that of its step, a line for each definition.

    Args:
        facts: the result's record.
    """
    if facts["code"] == step.code:
        return
    if len(facts["code"]) < len(step.code):
        yield EARLIER
        return
    yield from _definition_differences(f"scripts/{step.program.name}", facts.get("definitions", {}), step.definitions)


def _definition_differences(script: str, before: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    """Yield the differences between the definitions of two programs that differ, a line each."""
    # A definition that only moved to another file counts as the same.
    old, new = ({(_name(label), digest) for label, digest in some.items()} for some in (before, now))
    removed = [label for label in before.keys() - now.keys() if (_name(label), before[label]) not in new]
    added = [label for label in now.keys() - before.keys() if (_name(label), now[label]) not in old]
    changed = [label for label in before.keys() & now.keys() if before[label] != now[label]]
    if not before or not (removed or added or changed):
        yield f"{script} changed, or what it imports"
        return
    states = dict.fromkeys(removed, "removed") | dict.fromkeys(added, "added") | dict.fromkeys(changed, "changed")
    yield from (DefinitionReason(label, states[label]) for label in sorted(states))


def _name(label: str) -> str:
    """Return the name in a definition's label, `scripts/FILE: NAME`."""
    return label.partition(": ")[2]


def _input_differences(step: Step, facts: dict) -> Iterator[str]:
    """Yield the differences between the inputs of a result and those of its step, a line for each axis of the grid.

    Args:
        facts: the result's record.
    """
    if facts["inputs"].keys() == dict.fromkeys(step.inputs).keys():
        return
    keys = {
        "corpus": "corpus",
        "tokenizer": "data.tokenizer" if step.rule == "slice" else f"tokenizer of {step.wildcards.get('model')}",
    }
    if step.rule == "score":
        keys = {"seed": "seeds.pretrain", "task": "tasks"}
    before, now = _axes(facts["inputs"]), _axes(step.inputs)
    for axis, key in keys.items():
        if before[axis] != now[axis]:
            yield key + _change(axis, sorted(before[axis]), sorted(now[axis]))


def _other_input_differences(step: Step, facts: dict) -> Iterator[str]:
    """Yield the differences between the inputs of a result and those of its step, by their paths.

    Args:
        facts: the result's record.
    """
    # The names of the user's files do not matter.
    before, now = (sorted(file for file in files if identify(file)) for files in (facts["inputs"], step.inputs))
    if before != now:
        yield f"made from{_change('inputs', before, now)}"


def _entry_differences(path: EntryPath, old: object, new: object) -> Iterator[tuple[EntryPath, object, object]]:
    """Yield the innermost differences of two recipes: path, old value, new value."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _entry_differences((*path, name), old.get(name, UNSET), new.get(name, UNSET))
    elif not _same(old, new):
        yield path, old, new


def _same(old: object, new: object) -> bool:
    """Return whether two recipe entries are equal; `UNSET` stands for a missing one."""
    return UNSET not in (old, new) and canonical(old) == canonical(new)


def _comparable(step: Step, recipe: dict) -> dict:
    """Return a recipe, without the digests of the user's files if all are missing, as in an archive of results."""
    if recipe.keys().isdisjoint(FILES) or any(Path(file).exists() for file in step.inputs):
        return recipe
    return {name: value for name, value in recipe.items() if name not in FILES}


def _named(step: Step, recipe: dict) -> dict:
    """Return a recipe with cells and panels by name; unchanged if an earlier version wrote it in another form."""
    with suppress(AttributeError, KeyError, TypeError, ValueError):
        if step.rule in PANELS:
            panels = {task: {"metrics": [metric], "validation": [split]} for task, metric, split in recipe["tasks"]}
            return recipe | {"tasks": panels}
        if step.rule == "aggregate":
            rows = [
                f"{model} {size} {gpus}" + (f" with the scores of gpus {scored_at}" if str(scored_at) != gpus else "")
                for model, sizes in recipe["cells"].items()
                for size, ranks in sizes.items()
                for gpus, scored_at in ranks.items()
            ]
            return recipe | {"cells": sorted(rows)}
    return recipe


def _axes(files: Iterable[str]) -> dict[str, set[str]]:
    """Return the values of the wildcards of the steps that write some files, by name."""
    axes = defaultdict(set)
    for file in files:
        kind, values = identify(file) or (None, [])
        for name, value in zip(kind.wildcards if kind else (), values, strict=True):
            axes[name].add(value)
    return axes


def _file_differences(step: Step, used: dict[str, str]) -> Iterator[str]:
    """Yield the differences between the user's files that a result was made from and those of its step.

    Args:
        used: digests of the earlier files.
    """
    existing = [file for file in step.inputs if Path(file).exists()]
    changes = {
        "changed": [file for file in existing if file in used and io.sha256(file) != used[file]],
        "added": [file for file in existing if file not in used],
        "removed": [file for file in used if file not in existing],
    }
    if any(changes.values()):
        parts = [f"{_listed(files)} {change}" for change, files in changes.items() if files]
        yield f"{step.rule} files: {join_comma(parts)}"
    else:
        yield f"{step.rule} files changed"


def _change(name: str, old: object, new: object) -> str:
    """Return the change of an entry, to follow its key: ` 3 → 5`, `: 4 added`."""
    if isinstance(old, dict) != isinstance(new, dict) and UNSET in (old, new):
        return f": {name} {'added' if old is UNSET else 'removed'}"
    if isinstance(old, list) and isinstance(new, list) and not len(old) == len(new) == 1:
        added, removed = [item for item in new if item not in old], [item for item in old if item not in new]
        parts = [f"{_listed(items)} {change}" for items, change in ((added, "added"), (removed, "removed")) if items]
        return ": " + ", ".join(parts or ["in another order"])
    return f" {_text(name, old)} → {_text(name, new)}"


def _listed(items: list) -> str:
    """Return a few items in words, or the number of many."""
    return str(len(items)) if len(items) > 3 else join_and(items)


def _text(name: str, value: object) -> str:
    """Return a value as a person would write it in YAML."""
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
