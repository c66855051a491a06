"""Files of the user: which ones a corpus, a task or a checkpoint in a local folder consists of, and what is in them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from contextlib import suppress
from glob import glob
from pathlib import Path

from gridlaw import io

# What a released checkpoint is made of: weights in safetensors, configuration, tokenizer.
CHECKPOINT = [
    "config.json", "model*.safetensors", "model.safetensors.index.json", "tokenizer*", "special_tokens_map.json",
    "added_tokens.json", "vocab.*", "merges.txt", "spiece.model", "sentencepiece*",
]  # fmt: skip
# Digests of files as they were seen last, in the working directory; it may be lost.
SEEN = Path(".snakemake/gridlaw/files.json")


def of_corpus(config: dict, corpus: str, key: str) -> list[str]:
    """Local files of a corpus, in the order of their names; none for other sources.

    Args:
        key: `files` or `held_out_files`.
    """
    return matching(config["catalogue"]["corpora"][corpus].get(key, []))


def of_task(config: dict, task: str) -> dict[str, str]:
    """Local files of a task by split, as far as it uses them, the training split first; none for other sources."""
    entry = config["catalogue"]["tasks"][task]
    splits = [entry["train"], *sorted(entry["validation"])] if "files" in entry else []
    return {split: entry["files"][split] for split in splits}


def of_checkpoint(folder: str | Path) -> list[str]:
    """Files of a checkpoint in a local folder, in the order of their names; none for a repository on the hub."""
    return matching(f"{folder}/{pattern}" for pattern in CHECKPOINT) if is_local(folder) else []


def is_local(checkpoint: str | Path) -> bool:
    """Whether a checkpoint is a local folder, not a repository on the hub."""
    return str(checkpoint).startswith((".", "/"))


def matching(patterns: Iterable[str]) -> list[str]:
    """Files that match any of some patterns, in the order of their names."""
    return sorted({file for pattern in patterns for file in glob(pattern, recursive=True)})


def digest(files: Iterable[str]) -> str:
    """Digest (12 hex digits) of what some files hold, in their order; of nothing where one is missing.

    Time stamps alone would not do: a copy has new ones, and a file put in the place of another may have older ones. A
    large file is not read each time, though, only when its size or one of its time stamps is another than before.
    """
    seen = _seen()
    before, whole = dict(seen), hashlib.sha256()
    for file in files:
        try:
            about = Path(file).stat()
        except FileNotFoundError:
            return ""
        stamp = [about.st_size, about.st_mtime_ns, about.st_ctime_ns]
        if seen.get(file, {}).get("stamp") != stamp:
            seen[file] = {"stamp": stamp, "sha256": io.sha256(file)}
        whole.update(seen[file]["sha256"].encode())
        # It could be written to once more before its time stamps tell.
        if time.time() - max(about.st_mtime, about.st_ctime) < 1:
            del seen[file]
    if seen != before:
        # It can be worked out again.
        with suppress(OSError):
            io.write_json(SEEN, seen)
    return whole.hexdigest()[:12]


def _seen() -> dict[str, dict]:
    try:
        return json.loads(SEEN.read_text())
    except (OSError, ValueError):
        return {}
