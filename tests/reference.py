"""The content of docs/reference/files.md: the files, and their columns and keys."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = (ROOT / "docs/reference/files.md").read_text()
# What stands at these keys is named by the user, by a program or by Python, and not by the reference.
FREE = {
    "recipe", "definitions", "inputs", "outputs", "environment", "hardware", "left_out", "parameters", "draws", "profile",
    "range", "pareto", "rms_error", "baselines", "differences", "needs", "hold_out", "residuals", "trial", "forecast",
    "cells", "measured", "curve", "energy", "attempts", "runs", "second_seed", "accepted", "adopted", "files", "splits",
    "smallest_difference", "texts",
}  # fmt: skip


def names(text: str) -> list[str]:
    """The first cells of the rows of a text's tables."""
    return re.findall(r"^\| `([^`|]+)` \|", text, re.M)


def sections() -> dict[str, str]:
    """The sections on one file or folder, by their titles."""
    found = re.split(r"^#+ (.*)\n", FILES, flags=re.M)
    return {title.strip("`"): text for title, text in zip(found[1::2], found[2::2], strict=True)}


def paths() -> set[str]:
    """The paths that the reference names; words in capitals in them stand for any name."""
    return set(re.findall(r"`((?:results|resources)/[^`]*)`", FILES))


def matches(path: str, file: str) -> bool:
    """Return whether a path of the reference is that of a file."""
    return bool(re.fullmatch(re.sub(r"\b[A-Z]+\b", "[^/]+", re.escape(path)), file))


def is_known(file: str) -> bool:
    """Return whether the reference names a file, or for a manifest or a record another file of its folder."""
    folder, _, last = file.rpartition("/")
    folders = {path.rpartition("/")[0] for path in paths()}
    beside = last in ("record.json", "manifest.json") and any(matches(path, folder) for path in folders)
    return beside or any(matches(path, file) for path in paths())


def says_of(file: str) -> str:
    """The section on a file.

    Raises:
        KeyError: there is none.
    """
    for title, text in sections().items():
        if matches(title, file):
            return text
    raise KeyError(file)


def keys(content: object) -> Iterator[str]:
    """The keys of a JSON file, at any depth, but those that are data."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            if key not in FREE:
                yield from keys(value)
    elif isinstance(content, list):
        for value in content:
            yield from keys(value)


def unknown(content: object) -> set[str]:
    """The keys of a JSON file that the reference does not name."""
    return set(keys(content)) - set(re.findall(r"`(\w+)`", FILES))
