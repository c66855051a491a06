"""Choose held-out documents, cut all documents into segments, and shuffle the training segments once.

    python scripts/segments.py --recipe segments.json --documents documents.parquet --train train.parquet \
        --held-out held_out.parquet --manifest manifest.json --record record.json

Whole documents are held out, so no document is partly trained on. The held-out text is the first `held_out_words` words
of their shuffled segments, and is the same for every model of the grid. Models read the training segments in their
shuffled order.
"""

from __future__ import annotations

import tempfile

import numpy as np
from datasets import Dataset, disable_progress_bars

from gridlaw import cli, io
from gridlaw.data import segmentation
from gridlaw.workflow import program, record

# Segments in a row group, the part that is held in memory.
ROWS = 8192


def main() -> None:
    args = program.parse("segments", __doc__)
    recipe = args.recipe
    disable_progress_bars()

    with tempfile.TemporaryDirectory(prefix="gridlaw-") as cache:
        documents = Dataset.from_parquet(args.documents, cache_dir=cache)
        train, held_out = split(documents, recipe["held_out_words"], recipe["seed"])

        def cut_and_shuffle(indices: np.ndarray) -> Dataset:
            chosen = documents.select(indices)
            processes = max(1, min(args.threads, len(chosen) // 1000))
            segments = chosen.map(
                cut_batch,
                fn_kwargs={"limit": recipe["segment_words"]},
                batched=True,
                batch_size=100,
                remove_columns=chosen.column_names,
                num_proc=processes if processes > 1 else None,
            )
            return segments.shuffle(seed=recipe["seed"])

        train_segments, held_out_segments = cut_and_shuffle(train), cut_and_shuffle(held_out)
        words = np.cumsum(held_out_segments["words"][:])
        held_out_segments = held_out_segments.select(range(int(np.searchsorted(words, recipe["held_out_words"])) + 1))
        train_segments.to_parquet(args.train, batch_size=ROWS)
        held_out_segments.to_parquet(args.held_out, batch_size=ROWS)
        counts = {
            "train": {"documents": len(train), "segments": len(train_segments)},
            "held_out": {"documents": len(held_out), "segments": len(held_out_segments)},
        }
    for part, file in (("train", args.train), ("held_out", args.held_out)):
        counts[part]["sha256"] = io.sha256(file)
    io.write_json(args.manifest, counts)
    record.write(args)


def split(documents: Dataset, words: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the training documents, and of the held-out documents.

    Documents are held out at random until they have `words` words. If the corpus reserves documents for this, only they
    are drawn.
    """
    lengths = np.asarray(documents["words"][:])
    marked = np.asarray(documents["held_out"][:])
    pool = np.flatnonzero(marked) if marked.any() else np.arange(len(lengths))
    order = np.random.default_rng(seed).permutation(pool)
    count = int(np.searchsorted(np.cumsum(lengths[order]), words)) + 1
    if count > len(order):
        raise cli.Failure(
            f"data.held_out_words: {words} is more than the {lengths[pool].sum()} words that can be held out; use fewer"
        )
    held_out = np.sort(order[:count])
    train = np.setdiff1d(np.flatnonzero(~marked), held_out)
    if lengths[train].sum() < words:
        raise cli.Failure(
            f"data.held_out_words: {words} takes {count} of {len(lengths)} documents and leaves {lengths[train].sum()}"
            " words to train on; hold out fewer words, or use a corpus with more documents"
        )
    return train, held_out


def cut_batch(batch: dict, limit: int) -> dict:
    """Return the segments of a batch of documents, each with its document and its number of words."""
    segments = [
        (document, segment)
        for document, content in zip(batch["document"], batch["text"], strict=True)
        for segment in segmentation.segments(content, limit)
    ]
    return {
        "document": [document for document, _ in segments],
        "text": [segment for _, segment in segments],
        "words": [len(segment.split()) for _, segment in segments],
    }


if __name__ == "__main__":
    cli.run(main)
