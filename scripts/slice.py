"""Describe a slice of the corpus: the first segments that contain its size in tokens of the grid's tokenizer.

    python scripts/slice.py --recipe slice.json --grid-index index.parquet --index index.parquet --rows rows.bin \
        --pack manifest.json --manifest slice.json --record record.json

A model with another tokenizer gets the same segments, so every model reads the same text. A slice is a prefix of the
rows and needs no disk space; its manifest says where it ends.
"""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq

from gridlaw import cli, io
from gridlaw.data import rows
from gridlaw.workflow import program, record


def main() -> None:
    args = program.parse("slice", __doc__)

    total = np.cumsum(pq.read_table(args.grid_index, columns=["tokens"])["tokens"].to_numpy())
    count = count_segments(total, args.recipe["size_tokens"])
    index = pq.read_table(args.index).slice(0, count)
    pack = io.read_json(args.pack)
    manifest = {
        "segments": count,
        "documents": len(np.unique(index["document"].to_numpy())),
        "words": int(index["words"].to_numpy().sum()),
        "bytes": int(index["bytes"].to_numpy().sum()),
        "size_tokens": int(total[count - 1]),
        "corpus_tokens": int(index["tokens"].to_numpy().sum()),
        "end": int(index["end"][-1].as_py()),
        **{name: pack[name] for name in ("row_length", "pad", "dtype")},
    }
    manifest["rows"] = -(-manifest["end"] // (manifest["row_length"] - 1))
    manifest["sha256"] = rows.Slice(args.rows, manifest).sha256()
    io.write_json(args.manifest, manifest)
    record.write(args)


def count_segments(total: np.ndarray, tokens: int | None) -> int:
    """Return the number of segments that contain `tokens` tokens; of all segments if it is None.

    Args:
        total: cumulative number of tokens after each segment, shape (segments,).
    """
    if tokens is None:
        return len(total)
    if tokens > total[-1]:
        raise cli.Failure(
            f"sizes: {tokens} is more than the {total[-1]} tokens of the corpus; use all, or a smaller size"
        )
    return int(np.searchsorted(total, tokens)) + 1


if __name__ == "__main__":
    cli.run(main)
