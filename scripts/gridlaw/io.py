"""Files: written whole or not at all, read in one call, and identified by a digest of their content."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Suffixes of a folder that is being filled, and of the one that it replaces.
COMING, GOING = ".coming", ".going"


def write_atomically(file: str | Path, content: str | bytes) -> None:
    """Write a file so that it appears complete or not at all, even if the process is killed meanwhile.

    Args:
        file: the destination; missing folders are made.
        content: text is written as UTF-8.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    partial.replace(file)


@contextmanager
def replaced_folder(folder: str | Path) -> Iterator[Path]:
    """Fill a folder aside, then put it in the place of an earlier one; missing folders above it are made.

    The folder then holds what the block wrote and nothing else. After a kill it is the earlier one, or missing, but
    never a mixture.
    """
    folder = Path(folder)
    coming, going = temporary_folders(folder)
    for left in (coming, going):
        shutil.rmtree(left, ignore_errors=True)
    coming.mkdir(parents=True)
    try:
        yield coming
    except BaseException:
        shutil.rmtree(coming, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(going)
    coming.rename(folder)
    shutil.rmtree(going, ignore_errors=True)


def temporary_folders(folder: Path) -> list[Path]:
    """Return the folders, beside a folder, of the content that comes and of that which goes."""
    return [folder.with_name(f".{folder.name}{suffix}") for suffix in (COMING, GOING)]


def write_json(file: str | Path, content: dict) -> None:
    """Write readable JSON atomically; numbers that are not finite, which JSON lacks, become null."""
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(content), indent=2, ensure_ascii=False)
    write_atomically(file, text + "\n")


def _finite(value: object) -> object:
    """Return a JSON value with null for each number that is not finite."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(file: str | Path) -> dict:
    """Read a JSON file that must exist, such as a manifest or a record."""
    return json.loads(Path(file).read_bytes())


def find_json(file: str | Path) -> dict | None:
    """Read a JSON object; return None if the file is missing, damaged, or holds something else."""
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def read_tail(file: str | Path, size: int) -> str:
    """Return the last `size` bytes of a text file; the empty string if it cannot be read."""
    try:
        with open(file, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - size))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""


def sha256(file: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(file: str | Path) -> str | None:
    """Return the SHA-256 of a file's content; None if the file cannot be read."""
    try:
        return sha256(file)
    except OSError:
        return None
