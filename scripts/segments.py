"""Cut all documents into segments, hold some of the text out, and shuffle the training segments once.

    python scripts/segments.py --recipe segments.json --documents documents.parquet --train train.parquet \
        --held-out held_out.parquet --manifest manifest.json --record record.json

Whole documents are held out, so no document is partly trained on. Only a document of more words than the held-out text
is cut into blocks of successive segments, and the blocks are held out like documents: otherwise one file of a few large
ones would take much of the corpus away. The held-out text is the first `held_out_words` words of the shuffled segments
that were held out, and is the same for every model of the grid. Models read the training segments in their shuffled
order. The manifest says how many words are neither trained on nor in the held-out text.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from datasets import Dataset

from gridlaw import cli, io
from gridlaw.data import segmentation
from gridlaw.workflow import program, record

# Segments in a row group, the part that is held in memory.
ROWS = 8192
# Blocks of long documents that make up the held-out text, so that it is not all from one place.
BLOCKS = 10


def main() -> None:
    args = program.parse("segments", __doc__)
    recipe = args.recipe

    with tempfile.TemporaryDirectory(prefix="gridlaw-") as cache:
        # datasets takes a name for a pattern, and expands variables in it; also those of the working directory.
        link = Path(cache, "documents.parquet")
        link.symlink_to(Path(args.documents).absolute())
        documents = Dataset.from_parquet(str(link), cache_dir=cache)
        processes = max(1, min(args.threads, len(documents) // 1000))
        segments = documents.map(
            cut_batch,
            fn_kwargs={"limit": recipe["segment_words"]},
            batched=True,
            batch_size=100,
            remove_columns=documents.column_names,
            num_proc=processes if processes > 1 else None,
        )
        document, words = (np.asarray(segments[name][:]) for name in ("document", "words"))
        reserved = np.asarray(documents["document"][:])[np.asarray(documents["held_out"][:])]
        is_train, is_held_out = split(document, words, reserved, recipe["held_out_words"], recipe["seed"])
        train, held_out = (
            segments.select(np.flatnonzero(chosen)).shuffle(seed=recipe["seed"]) for chosen in (is_train, is_held_out)
        )
        total = np.cumsum(held_out["words"][:])
        held_out = held_out.select(range(int(np.searchsorted(total, recipe["held_out_words"])) + 1))
        for chosen, file in ((train, args.train), (held_out, args.held_out)):
            with open(file, "wb") as stream:
                chosen.to_parquet(stream, batch_size=ROWS)
        parts = {"train": train, "held_out": held_out}
        counts = {
            part: {
                "documents": len(set(chosen["document"][:])),
                "segments": len(chosen),
                "words": int(np.sum(chosen["words"][:])),
            }
            for part, chosen in parts.items()
        }
        cut = np.intersect1d(document[is_train], document[is_held_out])
    for part, file in (("train", args.train), ("held_out", args.held_out)):
        counts[part]["sha256"] = io.sha256(file)
    counts["cut_documents"] = len(cut)
    counts["unused_words"] = int(words.sum()) - sum(counts[part]["words"] for part in parts)
    io.write_json(args.manifest, counts)
    record.write(args)


def split(
    document: np.ndarray, words: np.ndarray, reserved: np.ndarray, held_out_words: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose segments to train on, and segments to hold out.

    Documents, or blocks of those that are longer than the held-out text, are held out at random until they have its
    number of words. If the corpus reserves documents for this, only they are drawn, and none is cut.

    Args:
        document: the document of each segment, shape (segments,); segments of a document stand together.
        words: number of words of each segment, shape (segments,).
        reserved: documents that are reserved for the held-out text.
        held_out_words: number of words of the held-out text.
        seed: of the choice.

    Returns:
        whether each segment is trained on, and whether it is held out; both of shape (segments,).
    """
    marked = np.isin(document, reserved)
    unit = number_units(document, words, float("inf") if len(reserved) else held_out_words)
    lengths = np.bincount(unit, words).astype(int)
    pool = np.unique(unit[marked]) if len(reserved) else np.arange(len(lengths))
    order = np.random.default_rng(seed).permutation(pool)
    count = int(np.searchsorted(np.cumsum(lengths[order]), held_out_words)) + 1
    if count > len(order):
        raise cli.Failure(
            f"data.held_out_words: {held_out_words} is more than the {lengths[pool].sum()} words that can be held out;"
            " use fewer"
        )
    is_held_out = np.isin(unit, order[:count])
    is_train = ~marked & ~is_held_out
    if words[is_train].sum() < held_out_words:
        raise cli.Failure(
            f"data.held_out_words: {held_out_words} leaves {words[is_train].sum()} of {words.sum()} words to train on;"
            " hold out fewer words, or use a larger corpus"
        )
    return is_train, is_held_out


def number_units(document: np.ndarray, words: np.ndarray, limit: float) -> np.ndarray:
    """Number what is held out as a whole: documents, and blocks of those of more than `limit` words.

    A block is the segments that begin within the same `limit / BLOCKS` words of a document.

    Args:
        document: the document of each segment, shape (segments,); segments of a document stand together.
        words: number of words of each segment, shape (segments,).

    Returns:
        the number of the unit of each segment, from 0, shape (segments,).
    """
    _, first, of_document = np.unique(document, return_index=True, return_inverse=True)
    begins = np.cumsum(words) - words
    begins -= begins[first][of_document]
    is_long = np.add.reduceat(words, first)[of_document] > limit
    block = np.where(is_long, begins // max(1, limit / BLOCKS), 0)
    is_first = np.ones(len(document), bool)
    is_first[1:] = (np.diff(document) != 0) | (np.diff(block) != 0)
    return np.cumsum(is_first) - 1


def cut_batch(batch: dict, limit: int) -> dict:
    """Return the segments of a batch of documents, each with its document and its number of words."""
    segments = [
        (document, *segment)
        for document, content in zip(batch["document"], batch["text"], strict=True)
        for segment in segmentation.segments(content, limit)
    ]
    return {name: [segment[place] for segment in segments] for place, name in enumerate(("document", "text", "words"))}


if __name__ == "__main__":
    cli.run(main)
