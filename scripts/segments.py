"""Set held-out documents aside, cut all documents into segments, and shuffle the segments of the rest once.

    python scripts/segments.py --recipe segments.json --documents documents.parquet --train train.parquet \
        --held-out held_out.parquet --manifest manifest.json --record record.json

Held out is by document: no document has text on both sides. The held-out text is the first `held_out_words` words
of its shuffled segments, the same for every model of the grid. The order of the training segments is the order of
training.
"""

from __future__ import annotations

import tempfile

import numpy as np
from datasets import Dataset, disable_progress_bars

from gridlaw import cli, io, record, text

# Segments of a row group, which is what memory holds.
ROWS = 8192


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--documents", required=True, help="the corpus, Parquet")
    parser.add_argument("--corpus", required=True, help="manifest of the corpus, JSON")
    parser.add_argument("--train", required=True, help="training segments to write, Parquet")
    parser.add_argument("--held-out", required=True, help="held-out segments to write, Parquet")
    parser.add_argument("--manifest", required=True, help="what the segments are, JSON to write")
    parser.add_argument("--record", required=True, help="how they were made, JSON to write")
    parser.add_argument("--threads", type=int, default=1, help="processes that cut")
    args = parser.parse_args()
    recipe = args.recipe
    disable_progress_bars()

    with tempfile.TemporaryDirectory(prefix="gridlaw-") as cache:
        documents = Dataset.from_parquet(args.documents, cache_dir=cache)
        train, held_out = split(documents, recipe["held_out_words"], recipe["seed"])

        def shuffled(indices: np.ndarray) -> Dataset:
            chosen = documents.select(indices)
            processes = max(1, min(args.threads, len(chosen) // 1000))
            cut = chosen.map(
                cut_batch,
                fn_kwargs={"limit": recipe["segment_words"]},
                batched=True,
                batch_size=100,
                remove_columns=chosen.column_names,
                num_proc=processes if processes > 1 else None,
            )
            return cut.shuffle(seed=recipe["seed"])

        train_segments, held_out_segments = shuffled(train), shuffled(held_out)
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
    record.write(args.record, recipe, [args.corpus], [args.train, args.held_out, args.manifest])


def split(documents: Dataset, words: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the documents to train on, and of those held out: random ones, until they hold `words` words.

    A corpus that brings its own held-out documents has them drawn from these.
    """
    lengths = np.asarray(documents["words"][:])
    marked = np.asarray(documents["held_out"][:])
    pool = np.flatnonzero(marked) if marked.any() else np.arange(len(lengths))
    order = np.random.default_rng(seed).permutation(pool)
    enough = int(np.searchsorted(np.cumsum(lengths[order]), words)) + 1
    if enough > len(order):
        raise cli.Failure(
            f"data.held_out_words: {words} is more than the {lengths[pool].sum()} words there are to hold out;"
            " right would be fewer"
        )
    held_out = np.sort(order[:enough])
    train = np.setdiff1d(np.flatnonzero(~marked), held_out)
    if lengths[train].sum() < words:
        raise cli.Failure(
            f"data.held_out_words: {words} takes {enough} of {len(lengths)} documents and leaves {lengths[train].sum()}"
            " words to train on; right would be fewer words, or a corpus of more documents"
        )
    return train, held_out


def cut_batch(batch: dict, limit: int) -> dict:
    """Segments of a batch of documents, with the document and the words of each."""
    cut = [
        (document, segment)
        for document, whole in zip(batch["document"], batch["text"], strict=True)
        for segment in text.segments(whole, limit)
    ]
    return {
        "document": [document for document, _ in cut],
        "text": [segment for _, segment in cut],
        "words": [len(segment.split()) for _, segment in cut],
    }


if __name__ == "__main__":
    cli.run(main)
