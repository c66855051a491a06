"""The corpus as rows of token ids on disk, all of one length, and slices, which are prefixes of it.

Each row starts with the tokenizer's [CLS]. The remaining positions of all rows, read in order, form the *stream* of
segments, each followed by [SEP]. A slice is the stream up to the end of a segment, so slices are nested.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gridlaw import io


@dataclass(frozen=True)
class Special:
    """Ids of the special tokens in rows."""

    cls: int
    sep: int
    pad: int


def place(lengths: np.ndarray, start: int, capacity: int, whole: bool) -> np.ndarray:
    """Return the positions in the stream at which segments begin.

    Args:
        lengths: tokens of each segment with its [SEP], shape (segments,).
        start: first free position of the stream.
        capacity: stream positions in a row.
        whole: begin a new row rather than split a segment that fits into one row.

    Returns:
        positions, shape (segments,).
    """
    if not whole:
        return start + np.cumsum(lengths) - lengths
    starts = np.empty(len(lengths), np.int64)
    for index, length in enumerate(lengths.tolist()):
        free = -start % capacity or capacity
        if free < length <= capacity:
            start += free
        starts[index] = start
        start += length
    return starts


class Packer:
    """Appends segments to a file of rows; only one batch is held in memory."""

    def __init__(self, file: str | Path, row_length: int, whole: bool, special: Special, vocabulary: int):
        self.file, self.special, self.whole = file, special, whole
        self.capacity = row_length - 1
        self.dtype = np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.uint32)
        self.ends: list[np.ndarray] = []
        self.tokens: list[np.ndarray] = []
        self._end = 0
        self._row = np.full(self.capacity, special.pad, self.dtype)
        Path(file).write_bytes(b"")

    def add(self, segments: list[list[int]]) -> None:
        """Append segments, each a list of token ids without special tokens."""
        tokens = np.array([len(segment) for segment in segments], np.int64)
        lengths = tokens + 1
        starts = place(lengths, self._end, self.capacity, self.whole)
        ends = starts + lengths
        base = self._end - self._end % self.capacity
        span = -(-(int(ends[-1]) - base) // self.capacity) * self.capacity
        stream = np.full(span, self.special.pad, self.dtype)
        stream[: self.capacity] = self._row
        flat = np.concatenate([np.asarray([*segment, self.special.sep], self.dtype) for segment in segments])
        within = np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        stream[np.repeat(starts - base, lengths) + within] = flat
        self._end = int(ends[-1])
        self.ends.append(ends)
        self.tokens.append(tokens)
        rows = stream.reshape(-1, self.capacity)
        full = self._end // self.capacity - base // self.capacity
        self._write(rows[:full])
        self._row = rows[full].copy() if full < len(rows) else np.full(self.capacity, self.special.pad, self.dtype)

    def close(self) -> tuple[np.ndarray, np.ndarray]:
        """Write the last, partly filled row.

        Returns:
            for each segment, the stream position after it and its number of tokens; both of shape (segments,).
        """
        if self._end % self.capacity:
            self._write(self._row[None])
        return np.concatenate(self.ends), np.concatenate(self.tokens)

    def _write(self, body: np.ndarray) -> None:
        rows = np.empty((len(body), self.capacity + 1), self.dtype)
        rows[:, 0] = self.special.cls
        rows[:, 1:] = body
        with open(self.file, "ab") as stream:
            rows.tofile(stream)


def read(file: str | Path, manifest: dict) -> np.memmap:
    """Return all rows of a packed corpus, shape (rows, row length), which are read from disk when they are used.

    Args:
        manifest: of the packed corpus: `dtype`, `row_length`.
    """
    return np.memmap(file, manifest["dtype"], mode="r").reshape(-1, manifest["row_length"])


class Slice:
    """The rows of a slice; the last one is padded after the end of the slice.

    Args:
        file: the packed rows.
        manifest: of the slice: `end`, `pad`, `dtype`, `row_length`.
    """

    def __init__(self, file: str | Path, manifest: dict):
        capacity = manifest["row_length"] - 1
        self.rows = read(file, manifest)[: -(-manifest["end"] // capacity)]
        self.pad = manifest["pad"]
        self._last = manifest["end"] % capacity or capacity

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return some rows of token ids, shape (indices, row length), int64."""
        rows = self.rows[indices].astype(np.int64)
        rows[indices == len(self) - 1, 1 + self._last :] = self.pad
        return rows

    def sha256(self) -> str:
        """Return the SHA-256 of the slice's rows as little-endian 32-bit integers."""
        digest = hashlib.sha256()
        for start in range(0, len(self) - 1, 1 << 14):
            digest.update(self.rows[start : min(start + (1 << 14), len(self) - 1)].astype("<u4").tobytes())
        digest.update(self.take(np.array([len(self) - 1])).astype("<u4").tobytes())
        return digest.hexdigest()


def open_slice(file: str | Path, manifest: str | Path) -> Slice:
    """Return the slice that a manifest file describes."""
    return Slice(file, io.read_json(manifest))
