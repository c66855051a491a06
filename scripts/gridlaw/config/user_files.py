"""The user's own files: those of a corpus, a task or a local checkpoint, and a digest of their content."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import escape, glob
from pathlib import Path

from gridlaw import io
from gridlaw.models import released

# Cache of digests, by path; it may be deleted.
CACHE = Path(".snakemake/gridlaw/files.json")


def find_corpus_files(config: dict, corpus: str, key: str) -> list[str]:
    """Return the local files of a corpus, each once, sorted by name; an empty list if its source is not files.

    Args:
        key: `files` or `held_out_files`.
    """
    names = config["catalogue"]["corpora"][corpus].get(key, [])
    return sorted({file for name in names for file in find_matching(name)})


def find_task_files(config: dict, task: str) -> dict[str, str]:
    """Return the local file of each split that a task uses, the training split first; empty for other sources."""
    entry = config["catalogue"]["tasks"][task]
    splits = [entry["train"], *sorted(entry["validation"])] if "files" in entry else []
    return {split: find_task_file(config, task, split) for split in splits}


def find_task_file(config: dict, task: str, split: str) -> str:
    """Return the local file of a split of a task; its name is never a pattern."""
    return str(Path(config["catalogue"]["tasks"][task]["files"][split]))


def find_checkpoint_files(checkpoint: str) -> list[str]:
    """Return the files of a local checkpoint, sorted by name; an empty list for a repository on the hub."""
    if not is_local(checkpoint):
        return []
    return [f"{checkpoint}/{name}" for name in released.list_files(checkpoint)]


def is_local(checkpoint: str) -> bool:
    """Return whether a checkpoint of a completed configuration is a local folder, not a repository on the hub."""
    return checkpoint.startswith((".", "/"))


def name_checkpoint(checkpoint: str) -> str:
    """Return the name of a checkpoint, with ./ in front if it is a folder; as in transformers, a folder that is there
    is meant rather than a repository of its name.
    """
    return f"./{checkpoint}" if not is_local(checkpoint) and Path(checkpoint).is_dir() else checkpoint


def find_matching(name: str) -> list[str]:
    """Return the files that a configured name stands for; what it returns are names, no patterns any more.

    A name that exists is that file, whatever its characters. Any other one is a pattern, which never matches folders.
    """
    # Without ./ in front: a file has one name.
    name = str(Path(name))
    if os.path.lexists(name):
        return [name]
    return [file for file in _expand(Path(name).parts) if not Path(file).is_dir()]


def _expand(parts: tuple[str, ...]) -> Iterator[str]:
    """Yield what matches a pattern, given its parts, where ** is any number of folders."""
    if "**" not in parts:
        yield from glob(str(Path(*parts)))
        return
    place = parts.index("**")
    for root in glob(str(Path(*parts[:place]))) if place else ["."]:
        for folder in _find_folders(Path(root), frozenset()):
            yield from _expand((*Path(escape(str(folder))).parts, *(parts[place + 1 :] or "*")))


def _find_folders(root: Path, above: frozenset[Path]) -> Iterator[Path]:
    """Yield a folder and those in it at any depth, without hidden ones, and without links back to one above them.

    glob follows such links in all their combinations, which are too many to end.
    """
    if not root.is_dir() or (target := root.resolve()) in above:
        return
    yield root
    with suppress(OSError):
        for path in sorted(root.iterdir()):
            if not path.name.startswith("."):
                yield from _find_folders(path, above | {target})


def fault(file: str) -> str | None:
    """Return what is wrong with a file, in words that follow its name; None if it can be read."""
    path = Path(file)
    if "\n" in file:
        return "has a line break in its name; rename it"
    try:
        file.encode()
        status = path.stat()
    except UnicodeEncodeError:
        return "has bytes in its name that are not UTF-8; rename it"
    except ValueError:
        return "is no name that a file can have"
    except FileNotFoundError:
        if path.is_symlink():
            return f"is a link to nothing: {path.readlink()} does not exist"
        return "does not exist" if path.is_absolute() else f"does not exist in {Path.cwd()}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if stat.S_ISDIR(status.st_mode):
        return f"is a folder; expected a file, or for a corpus a pattern such as {file}/*"
    if not stat.S_ISREG(status.st_mode):
        return "is a device, a pipe or a socket; expected a file"
    if not os.access(path, os.R_OK):
        return "cannot be read: its permissions do not allow it"
    return None if status.st_size else "is empty"


def digest(files: Iterable[str]) -> str:
    """Return a digest (12 hex digits) of the content of some files, in order; the empty string if one cannot be read.

    Time stamps are not enough: a copy has new ones, and a replacement may have older ones. Yet large files are not read
    every time: a digest is cached until the file's size or one of its time stamps changes.
    """
    cache = io.find_json(CACHE) or {}
    before, total = dict(cache), hashlib.sha256()
    for file in files:
        try:
            status = Path(file).stat()
            stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            if cache.get(file, {}).get("stamp") != stamp:
                cache[file] = {"stamp": stamp, "sha256": io.sha256(file)}
        except OSError:
            return ""
        total.update(cache[file]["sha256"].encode())
        # A second write within the resolution of time stamps would go unnoticed.
        if time.time() - max(status.st_mtime, status.st_ctime) < 1:
            del cache[file]
    if cache != before:
        # Without a cache the digest is computed again.
        with suppress(OSError):
            io.write_json(CACHE, cache)
    return total.hexdigest()[:12]
