"""Formats of the user's files, which the end of a name tells, in capitals or small letters."""

from __future__ import annotations

from collections.abc import Collection, Iterable

# Reader of each format, and what a text format may be compressed with, in the words of pyarrow.
READERS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".tsv": "csv"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
# Formats of documents, and of examples, which have columns.
DOCUMENTS = tuple(READERS)
EXAMPLES = tuple(suffix for suffix, reader in READERS.items() if reader != "text")


def split_suffixes(file: str) -> tuple[str, str]:
    """Return the suffix of a file's format and that of its compression, in small letters; empty for none."""
    name = file.lower().rpartition("/")[2]
    *_, before, last = "", "", *(f".{part}" for part in name.split(".")[1:])
    return (before, last) if last in COMPRESSIONS else (last, "")


def is_compressed(file: str) -> bool:
    """Return whether a file may hold more text than it has bytes."""
    suffix, compression = split_suffixes(file)
    return bool(compression) or suffix == ".parquet"


def reader_of(file: str) -> str:
    """Return the reader of a file of a known format."""
    return READERS[split_suffixes(file)[0]]


def fault(files: Iterable[str], known: Collection[str]) -> str | None:
    """Return what is wrong with the formats of some files, in one line; None if all have the same known one.

    Args:
        known: suffixes of the formats that are expected.
    """
    first: dict[str, str] = {}
    for file in files:
        suffix, compression = split_suffixes(file)
        reader = READERS.get(suffix)
        if suffix not in known or (reader == "parquet" and compression):
            ending = f"{suffix}{compression}"
            return (
                f"{file} ends in {ending or 'no suffix'}; expected one of {', '.join(known)}, and for text formats"
                f" maybe {' or '.join(COMPRESSIONS)} after it"
            )
        first.setdefault(reader, file)
    return (
        f"{' and '.join(list(first.values())[:2])} differ in format; expected the same for all"
        if len(first) > 1
        else None
    )
