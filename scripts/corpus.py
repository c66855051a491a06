"""Fetch a corpus, from the hub, from local files or from the embedded generator, as one Parquet file of documents.

    python scripts/corpus.py --recipe corpus.json --documents documents.parquet --manifest manifest.json --record
    record.json

A row is a document: its number, its text, its words, and whether it may only be held out. Documents without a word
are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from gridlaw import cli, files, io, language, record

SCHEMA = pa.schema({"document": pa.int32(), "text": pa.large_string(), "words": pa.int32(), "held_out": pa.bool_()})
ROW_GROUP_BYTES = 32 << 20


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--files", nargs="*", default=[], help="files, or glob patterns, to train on (source: files)")
    parser.add_argument("--held-out-files", nargs="*", default=[], help="files to hold out documents from")
    parser.add_argument("--documents", required=True, help="Parquet file to write")
    parser.add_argument("--manifest", required=True, help="what the corpus is, JSON to write")
    parser.add_argument("--record", required=True, help="how it was made, JSON to write")
    args = parser.parse_args()

    recipe, facts = args.recipe, {}
    if recipe["source"] == "hub":
        from gridlaw import sources

        facts["commit"] = sources.commit(recipe["dataset"], recipe["revision"], "dataset")
        documents = hub_documents(recipe, facts["commit"])
    elif recipe["source"] == "files":
        documents = file_documents(recipe, files.matching(args.files), files.matching(args.held_out_files))
    else:
        documents = ((text, False) for text in language.documents(recipe["seed"], recipe["words"]))

    counts = write(documents, args.documents)
    if not counts["documents"]:
        raise cli.Failure("the corpus holds no text")
    io.write_json(args.manifest, {**counts, **facts})
    record.write(
        args.record,
        recipe,
        [*files.matching(args.files), *files.matching(args.held_out_files)],
        [args.documents, args.manifest],
        **facts,
    )


def hub_documents(recipe: dict, commit: str) -> Iterator[tuple[str, bool]]:
    """Documents of a data set on the hub, and whether each may only be held out."""
    from gridlaw import sources

    for split, held_out in ((recipe["split"], False), (recipe.get("held_out_split"), True)):
        if split:
            rows = sources.from_hub(recipe["dataset"], recipe["config"], split, commit)
            sources.column(rows, recipe["column"], f"dataset {recipe['dataset']}")
            for row in rows.select_columns(recipe["column"]):
                yield row[recipe["column"]], held_out


def file_documents(recipe: dict, files: list[str], held_out_files: list[str]) -> Iterator[tuple[str, bool]]:
    """Documents of local files, and whether each may only be held out."""
    from gridlaw import sources

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
            sources.column(rows, name, paths[0])
            for row in rows.select_columns(name):
                yield row[name], held_out


def write(documents: Iterator[tuple[str, bool]], file: str) -> dict:
    """Write documents as they come; memory holds one row group.

    Returns:
        documents, words, bytes and the SHA-256 of the text (each document followed by a zero byte).
    """
    digest, counts = hashlib.sha256(), {"documents": 0, "words": 0, "bytes": 0}
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        rows, held = [], 0
        for text, held_out in documents:
            if not isinstance(text, str):
                raise cli.Failure(
                    f"document {counts['documents']} is {type(text).__name__}, not text; name the column of the text"
                )
            words = len(text.split())
            if not words:
                continue
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(encoded + b"\0")
            rows.append({"document": counts["documents"], "text": text, "words": words, "held_out": held_out})
            counts["documents"] += 1
            counts["words"] += words
            counts["bytes"] += len(encoded)
            held += len(encoded)
            if held > ROW_GROUP_BYTES:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, SCHEMA))
                rows, held = [], 0
        writer.write_batch(pa.RecordBatch.from_pylist(rows, SCHEMA))
    return {**counts, "sha256": digest.hexdigest()}


if __name__ == "__main__":
    cli.run(main)
