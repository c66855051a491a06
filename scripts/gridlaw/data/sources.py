"""Reading data sets, from the Hugging Face hub or from local files, through `datasets`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from gridlaw.cli import Failure

FORMATS = {".txt": "text", ".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".tsv": "csv"}


def commit(repository: str, revision: str, kind: str) -> str:
    """Return the commit that a revision of a hub repository refers to.

    Args:
        kind: `dataset` or `model`.
    """
    try:
        return HfApi().repo_info(repository, revision=revision, repo_type=kind).sha
    except (HfHubHTTPError, OSError) as error:
        raise Failure(f"{kind} {repository} at revision {revision} cannot be fetched: {_first_line(error)}") from error


def from_hub(dataset: str, config: str, split: str, revision: str) -> Dataset:
    """Return one split of a data set on the hub, at a commit."""
    try:
        return load_dataset(dataset, None if config == "default" else config, split=split, revision=revision)
    except (DatasetNotFoundError, DatasetGenerationError, HfHubHTTPError, OSError, ValueError, KeyError) as error:
        raise Failure(
            f"dataset {dataset} (config {config}, split {split}, revision {revision}): {_first_line(error)}"
        ) from error


@contextmanager
def from_files(files: list[str], documents: str = "line") -> Iterator[Dataset]:
    """Open local files of one format as a data set on disk, in the order of their names.

    Args:
        files: txt, jsonl, json, parquet, csv or tsv files; text formats may be compressed (.gz).
        documents: unit that becomes a row of the data set, for txt files: `file`, `paragraph` or `line`.
    """
    files = sorted(set(files))
    reader = _reader(files)
    options = {}
    if reader == "text":
        options = {"sample_by": {"file": "document"}.get(documents, documents), "keep_linebreaks": True}
    elif files[0].removesuffix(".gz").endswith(".tsv"):
        options = {"sep": "\t", "quoting": 3}
    with tempfile.TemporaryDirectory(prefix="gridlaw-") as cache:
        try:
            rows = load_dataset(reader, data_files=files, split="train", cache_dir=cache, **options)
        except (DatasetGenerationError, ValueError, OSError) as error:
            raise Failure(
                _encoding_problem(files, reader) or f"{', '.join(files)}: {_first_line(error.__cause__ or error)}"
            ) from error
        yield rows


def require_column(rows: Dataset, name: str, source: str) -> None:
    """Check that a data set has a column.

    Raises:
        Failure: the column is missing; the message names those that exist.
    """
    if name not in rows.column_names:
        raise Failure(f"{source}: no column {name}; expected one of {', '.join(rows.column_names)}")


def _reader(files: list[str]) -> str:
    for file in files:
        if not Path(file).is_file():
            raise Failure(f"{file}: no such file")
        if not os.access(file, os.R_OK):
            raise Failure(f"{file}: not readable")
        if Path(file).stat().st_size == 0:
            raise Failure(f"{file}: empty")
    suffixes = {Path(file.removesuffix(".gz")).suffix for file in files}
    readers = {FORMATS.get(suffix) for suffix in suffixes}
    if len(readers) != 1 or None in readers:
        raise Failure(
            f"files end in {', '.join(sorted(suffixes))}; expected one of {', '.join(FORMATS)}, the same for all"
        )
    return readers.pop()


def _encoding_problem(files: list[str], reader: str) -> str | None:
    """Return a line about the first file that is not UTF-8; None if all are."""
    if reader == "parquet":
        return None
    for file in files:
        if file.endswith(".gz"):
            continue
        try:
            with open(file, encoding="utf-8") as stream:
                while stream.read(1 << 24):
                    pass
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            return f"{file}: not UTF-8 (byte 0x{byte:02x}); convert it, for instance with iconv -f latin1 -t utf-8"
    return None


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
