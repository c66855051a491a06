"""Fetch a corpus from the hub, local files or the embedded generator, and write it as one Parquet file of documents.

    python scripts/corpus.py --recipe corpus.json --documents documents.parquet --manifest manifest.json --record
    record.json

A row is a document: its number, its text, its number of words, and whether it is reserved for the held-out text.
Documents without words are left out.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gridlaw import cli, io
from gridlaw.data import formats, language, segmentation
from gridlaw.data.columns import MissingColumn
from gridlaw.words import count
from gridlaw.workflow import program, record

SCHEMA = pa.schema({"document": pa.int32(), "text": pa.large_string(), "words": pa.int32(), "held_out": pa.bool_()})
ROW_GROUP_BYTES = 32 << 20


def main() -> None:
    args = program.parse("corpus", __doc__)

    recipe, facts = args.recipe, {}
    key = f"catalogue.corpora.{Path(args.documents).parent.name}"
    if recipe["source"] == "hub":
        from gridlaw.data import hub

        facts["commit"] = hub.commit(recipe["dataset"], recipe["revision"], "dataset", key)
        documents = hub_documents(recipe, facts["commit"], key)
    elif recipe["source"] == "files":
        documents = file_documents(recipe, args.files, args.held_out_files)
    else:
        documents = ((text, False) for text in language.documents(recipe["seed"], recipe["words"]))

    try:
        counts = write(documents, args.documents)
    except MissingColumn as error:
        raise cli.Failure(f"{key}.column: {error}") from error
    if not counts["documents"]:
        has_columns = "column" in recipe and not (args.files and formats.reader_of(args.files[0]) == "text")
        place = f".column: {recipe['column']} contains no text" if has_columns else ": the corpus contains no text"
        raise cli.Failure(f"{key}{place}; expected at least one document with words")
    io.write_json(args.manifest, {**counts, **facts})
    record.write(args, **facts)


def hub_documents(recipe: dict, commit: str, key: str) -> Iterator[tuple[str | None, bool]]:
    """Yield the documents of a data set on the hub, and whether each is reserved for the held-out text.

    Args:
        commit: of the data set.
        key: the configuration key of the corpus.
    """
    from gridlaw.data import hub, sources

    for split, held_out in ((recipe["split"], False), (recipe.get("held_out_split"), True)):
        if split:
            rows = hub.read_split(recipe["dataset"], recipe["config"], split, commit, key)
            sources.require_column(rows, recipe["column"], f"dataset {recipe['dataset']}")
            place = f"dataset {recipe['dataset']}, split {split}"
            for number, row in enumerate(rows.select_columns(recipe["column"]), 1):
                yield sources.to_text(row[recipe["column"]], place, number, recipe["column"]), held_out


def file_documents(recipe: dict, files: list[str], held_out_files: list[str]) -> Iterator[tuple[str | None, bool]]:
    """Yield the documents of local files, and whether each is reserved for the held-out text."""
    from gridlaw.data import sources

    for names, held_out in ((files, False), (held_out_files, True)):
        for text in sources.documents(names, recipe["documents"], recipe["column"]):
            yield text, held_out


def write(documents: Iterator[tuple[str | None, bool]], file: str) -> dict:
    """Write documents one after the other, without those that have no words; only one row group is held in memory.

    Returns:
        numbers of documents, words and bytes, and the SHA-256 of the text (each document followed by a zero byte).
    """
    digest, counts, missing = hashlib.sha256(), {"documents": 0, "words": 0, "bytes": 0}, 0
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        rows, size = [], 0
        for text, held_out in documents:
            missing += text is None
            words = segmentation.count_words(text or "")
            if not words:
                continue
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(encoded + b"\0")
            rows.append({"document": counts["documents"], "text": text, "words": words, "held_out": held_out})
            counts["documents"] += 1
            counts["words"] += words
            counts["bytes"] += len(encoded)
            size += len(encoded)
            if size > ROW_GROUP_BYTES:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, SCHEMA))
                rows, size = [], 0
        writer.write_batch(pa.RecordBatch.from_pylist(rows, SCHEMA))
    if missing:
        print(f"note: {count(missing, 'row')} without text left out", file=sys.stderr)
    return {**counts, "sha256": digest.hexdigest()}


if __name__ == "__main__":
    cli.run(main)
