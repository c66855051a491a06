"""Tokenize segments and pack them, in order, into rows of one length in a memory-mapped file.

    python scripts/pack.py --recipe pack.json --train train.parquet --held-out held_out.parquet --tokenizer tokenizer/ \
        --rows rows.bin --index index.parquet --held-out-rows held_out.bin --manifest manifest.json --record record.json

The corpus is read as a stream, and the tokenizer uses all cores. The index has a row for each training segment: its
document, words, bytes, tokens (without special tokens), and the stream position after it (see gridlaw.rows). The
manifest has the share of the text that the tokenizer does not know; if that is most of it, nothing is packed.
"""

from __future__ import annotations

import os
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gridlaw import cli, io
from gridlaw.data import coverage, rows
from gridlaw.data.coverage import Coverage
from gridlaw.workflow import program, record

BATCH = 8192
REMEDY = "use algorithm: bpe, a larger vocab_size, or a checkpoint for this language"


def main() -> None:
    args = program.parse("pack", __doc__)
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    if None in (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id):
        raise cli.Failure(f"{args.tokenizer}: not a masked-LM tokenizer; expected cls, sep, pad and mask tokens")
    train, frequencies, dtype = pack(args.train, args.rows, args.index, tokenizer, args.recipe)
    held_out, held_out_frequencies, _ = pack(args.held_out, args.held_out_rows, None, tokenizer, args.recipe)
    folder = Path(args.tokenizer)
    key = f"catalogue.{'models' if folder.parent.name == 'checkpoint' else 'tokenizers'}.{folder.name}"
    notes = []
    for name, part in (("the training text", train), ("the held-out text", held_out)):
        if not part["tokens"]:
            raise cli.Failure(f"{key}: {name} has no tokens; expected other text than what the tokenizer removes")
        notes += coverage.judge(part["unknown"]["characters"], key, name, REMEDY)
    for line in notes:
        print(f"warning: {line}", file=sys.stderr)
    manifest = {
        "row_length": args.recipe["row_length"],
        "pad": tokenizer.pad_token_id,
        "vocabulary": len(tokenizer),
        "dtype": dtype,
        "train": train,
        "held_out": held_out | {"unigram_loss": unigram_loss(frequencies, held_out_frequencies)},
    }
    outputs = {"rows": args.rows, "index": args.index, "held_out_rows": args.held_out_rows}
    manifest["sha256"] = {name: io.sha256(file) for name, file in outputs.items()}
    io.write_json(args.manifest, manifest)
    record.write(args, notes=notes)


def pack(
    segments: str, file: str, index: str | None, tokenizer, recipe: dict
) -> tuple[dict[str, object], np.ndarray, str]:
    """Tokenize and pack one file of segments.

    Returns:
        numbers of segments and tokens, the stream position after the last segment, and the unknown shares of the text;
        the frequency of each token, shape (vocabulary,), 0 for special tokens; the dtype of the rows.
    """
    special = rows.Special(tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    packer = rows.Packer(file, recipe["row_length"], recipe["packing"] == "whole", special, len(tokenizer))
    frequencies = np.zeros(len(tokenizer), np.int64)
    columns: dict[str, list] = {"document": [], "words": [], "bytes": []}
    known = Coverage(tokenizer)
    for batch in pq.ParquetFile(segments).iter_batches(BATCH):
        texts = batch.column("text").to_pylist()
        encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
        known.add(texts, encoded)
        ids = encoded["input_ids"]
        packer.add(ids)
        frequencies += np.bincount(np.fromiter(chain.from_iterable(ids), np.int64), minlength=len(tokenizer))
        columns["document"].append(batch.column("document").to_numpy())
        columns["words"].append(batch.column("words").to_numpy())
        columns["bytes"].append(np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts]))
    ends, tokens = packer.close()
    if index:
        table = {name: np.concatenate(parts) for name, parts in columns.items()} | {"tokens": tokens, "end": ends}
        pq.write_table(pa.table(table), index)
    frequencies[tokenizer.all_special_ids] = 0
    counts = {"segments": len(ends), "tokens": int(tokens.sum()), "end": int(ends[-1])}
    return counts | {"unknown": known.shares()}, frequencies, packer.dtype.name


def unigram_loss(train: np.ndarray, held_out: np.ndarray) -> float:
    """Return the held-out loss, in nats, of the unigram baseline with add-one smoothing.

    A masked LM that is no better than this has learned nothing about the order of words.
    """
    probability = (train + 1) / (train + 1).sum()
    return float(-(held_out * np.log(probability)).sum() / held_out.sum())


if __name__ == "__main__":
    cli.run(main)
