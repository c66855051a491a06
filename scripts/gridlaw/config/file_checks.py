"""Mistakes in the user's files of a corpus or a task that can be seen before anything starts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path

from gridlaw import words
from gridlaw.config import user_files
from gridlaw.data import formats


class MissingFile(str):
    """A mistake: a file of the user is missing."""

    __slots__ = ()


def find_corpus_mistakes(config: dict, corpus: str) -> Iterator[str]:
    """Yield a line for each mistake in the files of a corpus; none if its source is not files."""
    entry, key, listed = config["catalogue"]["corpora"][corpus], f"catalogue.corpora.{corpus}", {}
    for option in ("files", "held_out_files"):
        matches = {name: user_files.find_matching(name) for name in entry.get(option, [])}
        yield from (
            MissingFile(f"{key}.{option}: nothing matches {name}{_where(name)}")
            for name, files in matches.items()
            if not files
        )
        listed[option] = set(chain(*matches.values()))
        yield from _faults(f"{key}.{option}", sorted(listed[option]), formats.DOCUMENTS)
    if both := sorted(listed["files"] & listed["held_out_files"]):
        yield f"{key}.held_out_files: {_first(both)} in files too; expected files that no model is trained on"


def find_task_mistakes(config: dict, task: str) -> Iterator[str]:
    """Yield a line for each mistake in the files of a task; none if its source is not files."""
    entry, key = config["catalogue"]["tasks"][task], f"catalogue.tasks.{task}.files"
    if entry["source"] != "files":
        return
    for split in dict.fromkeys([entry["train"], *entry["validation"]]):
        if split in entry["files"]:
            yield from _faults(f"{key}.{split}", [user_files.find_task_file(config, task, split)], formats.EXAMPLES)
        else:
            yield f"{key}: no file for the split {split}; expected {split}: PATH"


def _faults(key: str, files: Collection[str], known: Collection[str]) -> Iterator[str]:
    """Yield a line about the first file that cannot be read, or whose format is not as expected."""
    faults = {file: fault for file in files if (fault := user_files.fault(file))}
    if faults:
        file, fault = next(iter(faults.items()))
        others = f" ({words.count(len(faults) - 1, 'other file')} cannot be read either)" if len(faults) > 1 else ""
        line = f"{key}: {_shown(file)} {fault}{others}"
        yield line if Path(file).exists() else MissingFile(line)
    elif fault := formats.fault(files, known):
        yield f"{key}: {fault}"


def _where(name: str) -> str:
    """Return where a pattern was looked for."""
    place = "" if name.startswith("/") else f" in {Path.cwd()}"
    is_of_shell = name.startswith(("~", "$")) or "{" in name
    return f"{place}; ~, $ and braces stand for themselves" if is_of_shell else place


def _first(files: list[str]) -> str:
    """Return the first file and the number of others as the subject of a sentence, with its verb."""
    others = f" and {words.count(len(files) - 1, 'other file')} are" if len(files) > 1 else " is"
    return f"{_shown(files[0])}{others}"


def _shown(file: str) -> str:
    return file if file.isprintable() else ascii(file)
