"""Fetch a corpus from the hub, local files or the embedded generator, and write it as one Parquet file of documents.

    python scripts/corpus.py --recipe corpus.json --documents documents.parquet --manifest manifest.json --record
    record.json

A row is a document: its number, its text, its number of words, and whether it is reserved for the held-out text.
Documents without words are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from gridlaw import cli, io
from gridlaw.data import language, segmentation
from gridlaw.workflow import program, record

SCHEMA = pa.schema({"document": pa.int32(), "text": pa.large_string(), "words": pa.int32(), "held_out": pa.bool_()})
ROW_GROUP_BYTES = 32 << 20


def main() -> None:
    args = program.parse("corpus", __doc__)

    recipe, facts = args.recipe, {}
    if recipe["source"] == "hub":
        from gridlaw.data import sources

        facts["commit"] = sources.commit(recipe["dataset"], recipe["revision"], "dataset")
        documents = hub_documents(recipe, facts["commit"])
    elif recipe["source"] == "files":
        documents = file_documents(recipe, args.files, args.held_out_files)
    else:
        documents = ((text, False) for text in language.documents(recipe["seed"], recipe["words"]))

    counts = write(documents, args.documents)
    if not counts["documents"]:
        raise cli.Failure("the corpus contains no text; expected at least one document with words")
    io.write_json(args.manifest, {**counts, **facts})
    record.write(args, **facts)


def hub_documents(recipe: dict, commit: str) -> Iterator[tuple[str, bool]]:
    """Yield the documents of a data set on the hub, and whether each is reserved for the held-out text."""
    from gridlaw.data import sources

    for split, held_out in ((recipe["split"], False), (recipe.get("held_out_split"), True)):
        if split:
            rows = sources.from_hub(recipe["dataset"], recipe["config"], split, commit)
            sources.require_column(rows, recipe["column"], f"dataset {recipe['dataset']}")
            for row in rows.select_columns(recipe["column"]):
                yield row[recipe["column"]], held_out


def file_documents(recipe: dict, files: list[str], held_out_files: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield the documents of local files, and whether each is reserved for the held-out text."""
    from gridlaw.data import sources

    for paths, held_out in ((files, False), (held_out_files, True)):
        if not paths:
            continue
        kind = recipe["documents"]
        if kind == "auto":
            kind = "file" if len(paths) > 1 else "paragraph"
        with sources.from_files(paths, kind) as rows:
            name = (
                "text"
                if sources.FORMATS.get("." + paths[0].removesuffix(".gz").rsplit(".", 1)[-1]) == "text"
                else recipe["column"]
            )
            sources.require_column(rows, name, paths[0])
            for row in rows.select_columns(name):
                yield row[name], held_out


def write(documents: Iterator[tuple[str, bool]], file: str) -> dict:
    """Write documents one after the other; only one row group is held in memory.

    Returns:
        numbers of documents, words and bytes, and the SHA-256 of the text (each document followed by a zero byte).
    """
    digest, counts = hashlib.sha256(), {"documents": 0, "words": 0, "bytes": 0}
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        rows, size = [], 0
        for text, held_out in documents:
            if not isinstance(text, str):
                raise cli.Failure(
                    f"document {counts['documents']} is {type(text).__name__}, not text; set column to another column"
                )
            words = segmentation.count_words(text)
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
    return {**counts, "sha256": digest.hexdigest()}


if __name__ == "__main__":
    cli.run(main)
