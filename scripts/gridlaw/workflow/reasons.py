"""Why a result is not that of the configuration any more, in the user's words: config keys, definitions, files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from gridlaw import io
from gridlaw.canonical_json import canonical
from gridlaw.config import grid
from gridlaw.words import join_and
from gridlaw.workflow import record
from gridlaw.workflow.steps import Step, identify

# Entries of recipes that count tokens or words; people write them as 64k or 1M.
COUNTS = ("warmup_tokens", "words", "size_tokens")
# Entries of recipes that tell what the user's files hold.
FILES = ("files", "held_out_files")
# Steps whose recipes list tasks, each with a metric and a split.
PANELS = ("figure_scores", "figure_seeds", "latex")
# Of a mapping that lacks the key.
UNSET = object()
# Of code whose digest has another form than those of this version.
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


def of(step: Step, made: dict) -> list[str]:
    """Differences between what a result was made from and what its step's would be, a line each; none if it is valid.

    Args:
        made: the result's record.
    """
    found = [*_of_recipe(step, made), *_of_code(step, made), *_of_inputs(step, made)]
    return found or list(_of_other_inputs(step, made))


def _of_recipe(step: Step, made: dict) -> list[str]:
    """Differences between the recipe that a result was made with and its step's; at least one if it is another."""
    before, now = (_comparable(step, recipe) for recipe in (made["recipe"], step.recipe))
    if _same(before, now):
        return []
    found = [
        step.resolved.key(path) + _change(path[-1], old, new)
        for path, old, new in _differences((), _named(step, before), _named(step, now))
        if path[0] not in FILES
    ]
    if any(before.get(name) != now.get(name) for name in FILES):
        found += _of_files(step, made["inputs"])
    # By their names, panels have no order; it is named as that of the list.
    return found or [
        step.resolved.key((name,)) + _change(name, old, now[name])
        for name, old in before.items()
        if not _same(old, now[name])
    ]


def of_training(before: dict, now: dict) -> list[str]:
    """Differences between the bases of two attempts at a training, a line each; none if the second can resume.

    Args:
        before: what the work folder holds.
        now: a `record.current_basis`.
    """
    basis = record.basis(before)
    entries = _differences((), basis["recipe"], now["recipe"])
    lines = [".".join(path) + _change(path[-1], old, new) for path, old, new in entries]
    if basis["code"] != now["code"]:
        lines += _of_definitions("the program", basis["definitions"], now["definitions"])
    # An absolute path of the same file is no difference.
    if list(basis["inputs"].values()) != list(now["inputs"].values()):
        others = [file for file, _ in basis["inputs"].items() ^ now["inputs"].items()]
        lines.append(f"inputs: {_listed(sorted(set(others))) if others else 'in another order'}")
    return [*lines, *of_libraries(before, now["libraries"])]


def of_libraries(before: dict, now: dict[str, str]) -> Iterator[str]:
    """Libraries of other versions than an unfinished training was computed with, a line each.

    Args:
        before: what the work folder holds.
        now: versions by library; one that is not known here is left out.
    """
    bases = [before, *(entry["basis"] for entry in before.get("accepted", []))]
    libraries = [basis.get("libraries", {}) for basis in bases]
    for library, version in now.items():
        known = [versions[library] for versions in libraries if library in versions]
        if version not in known:
            yield f"{library} {known[-1] if known else 'unknown'} → {version}"


def _of_code(step: Step, made: dict) -> Iterator[str]:
    """Differences between the program that made a result and its step's, a line for each definition.

    Args:
        made: the result's record.
    """
    if made["code"] == step.code:
        return
    if len(made["code"]) < len(step.code):
        yield EARLIER
        return
    yield from _of_definitions(f"scripts/{step.program.name}", made.get("definitions", {}), step.definitions)


def _of_definitions(script: str, before: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    """Differences between the definitions of two programs that differ, a line each."""
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
    """The name in a definition's label, `scripts/FILE: NAME`."""
    return label.partition(": ")[2]


def _of_inputs(step: Step, made: dict) -> Iterator[str]:
    """Differences between the results that a result was made from and its step's, a line for each axis of the grid.

    Args:
        made: the result's record.
    """
    if made["inputs"].keys() == dict.fromkeys(step.inputs).keys():
        return
    keys = {
        "corpus": "corpus",
        "tokenizer": "data.tokenizer" if step.rule == "slice" else f"tokenizer of {step.wildcards.get('model')}",
    }
    if step.rule == "score":
        keys = {"seed": "seeds.pretrain", "task": "tasks"}
    before, now = _axes(made["inputs"]), _axes(step.inputs)
    for axis, key in keys.items():
        if before[axis] != now[axis]:
            yield key + _change(axis, sorted(before[axis]), sorted(now[axis]))


def _of_other_inputs(step: Step, made: dict) -> Iterator[str]:
    """Differences between the results that a result was made from and its step's, by their paths.

    Args:
        made: the result's record.
    """
    # What the user's own files are called says nothing.
    before, now = (sorted(file for file in files if identify(file)) for files in (made["inputs"], step.inputs))
    if before != now:
        yield f"made from{_change('inputs', before, now)}"


def _differences(path: tuple[str, ...], old: object, new: object) -> Iterator[tuple[tuple[str, ...], object, object]]:
    """Innermost differences of two recipes: where, before, now."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _differences((*path, name), old.get(name, UNSET), new.get(name, UNSET))
    elif not _same(old, new):
        yield path, old, new


def _same(old: object, new: object) -> bool:
    """Return whether two recipe entries are equal; `UNSET` stands for a missing one."""
    return UNSET not in (old, new) and canonical(old) == canonical(new)


def _comparable(step: Step, recipe: dict) -> dict:
    """A recipe without what the user's files held, if none of them is there, as with an archive of results."""
    if recipe.keys().isdisjoint(FILES) or any(Path(file).exists() for file in step.inputs):
        return recipe
    return {name: value for name, value in recipe.items() if name not in FILES}


def _named(step: Step, recipe: dict) -> dict:
    """A recipe in which cells and panels go by their names; as it is where an earlier version wrote it otherwise."""
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
    """Values of the wildcards of the steps that make some files, by name."""
    found = defaultdict(set)
    for file in files:
        kind, values = identify(file) or (None, [])
        for name, value in zip(kind.wildcards if kind else (), values, strict=True):
            found[name].add(value)
    return found


def _of_files(step: Step, used: dict[str, str]) -> Iterator[str]:
    """Differences between the user's files that a result was made from and its step's.

    Args:
        used: digests of the earlier files.
    """
    there = [file for file in step.inputs if Path(file).exists()]
    what = {
        "changed": [file for file in there if file in used and io.sha256(file) != used[file]],
        "added": [file for file in there if file not in used],
        "removed": [file for file in used if file not in there],
    }
    if any(what.values()):
        yield f"{step.rule} files: {', '.join(f'{_listed(files)} {how}' for how, files in what.items() if files)}"
    else:
        yield f"{step.rule} files changed"


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
    return str(len(items)) if len(items) > 3 else join_and(items)


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
