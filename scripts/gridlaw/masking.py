"""Masked language modelling (Devlin et al. 2019, section 3.1), reproducible from any point of a run.

The mask of a row is a pure function of the seed and of the row's position in the run, that is of (seed, row, pass): the
order of rows is itself a pure function of (seed, pass). It does not depend on the rank that reads the row, on the rows
beside it or on where a run was interrupted.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from gridlaw.rows import Slice


class Masker:
    """Chooses and hides the tokens of rows that are to be predicted.

    A fixed number of a row's ordinary tokens is chosen: `rate` of all its tokens but padding, and at least one, so that
    batches of full rows have one shape. Of the chosen, 80 % become [MASK], 10 % a random token, 10 % stay.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, rate: float, seed: int):
        self.mask, self.pad = tokenizer.mask_token_id, tokenizer.pad_token_id
        self.is_ordinary = np.ones(len(tokenizer), bool)
        self.is_ordinary[tokenizer.all_special_ids] = False
        self.ordinary = np.flatnonzero(self.is_ordinary)
        self.rate, self.seed = rate, seed

    def __call__(self, rows: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mask rows.

        Args:
            rows: token ids, shape (rows, row length).
            positions: of the rows in the run, shape (rows,).

        Returns:
            token ids with masks, shape (rows, row length); where tokens are predicted, numbers into rows x row length,
            and the tokens there, shape (predicted,) both.
        """
        order, fate, other = self._random(positions, rows.shape[1])
        ordinary = self.is_ordinary[rows]
        tokens = (rows != self.pad).sum(1)
        count = np.minimum(np.maximum(1, np.rint(self.rate * tokens)), ordinary.sum(1))
        ranked = np.where(ordinary, order, 2.0).argsort(1, kind="stable")
        chosen = np.zeros(rows.shape, bool)
        np.put_along_axis(chosen, ranked, np.arange(rows.shape[1]) < count[:, None], 1)
        places = np.flatnonzero(chosen)
        labels = rows.reshape(-1)[places]
        masked = rows.copy()
        fate, flat = fate.reshape(-1)[places], masked.reshape(-1)
        flat[places[fate < 0.8]] = self.mask
        replaced = places[(fate >= 0.8) & (fate < 0.9)]
        flat[replaced] = self.ordinary[(other.reshape(-1)[replaced] * len(self.ordinary)).astype(np.int64)]
        return masked, places, labels

    def _random(self, positions: np.ndarray, length: int) -> np.ndarray:
        """Three uniform numbers for each token, shape (3, rows, row length).

        Philox (Salmon et al. 2011) counts in fours: each position of the run has its own stretch of the one stream.
        """
        counts = -(-3 * length // 4)
        uniform = np.empty((len(positions), 4 * counts))
        starts = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
        for start, end in zip(starts, [*starts[1:], len(positions)], strict=True):
            stream = np.random.Philox(key=self.seed, counter=int(positions[start]) * counts)
            uniform[start:end] = np.random.Generator(stream).random((end - start, 4 * counts))
        return uniform[:, : 3 * length].reshape(len(positions), 3, length).transpose(1, 0, 2)


class MaskedRows(Dataset):
    """Positions of a run, as many as it reads rows; rows come in packed order, and in a new order on each further pass.

    Args:
        rows: the slice.
        masker: hides tokens.
        seed: of the order of further passes.
        length: rows the run reads, over all passes.
    """

    def __init__(self, rows: Slice, masker: Masker, seed: int, length: int):
        self.rows, self.masker, self.seed, self.length = rows, masker, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitems__(self, positions: list[int]) -> dict[str, torch.Tensor]:
        """A batch: what `objective.PredictMasked` takes."""
        turns, places = np.divmod(np.asarray(positions), len(self.rows))
        indices = places.copy()
        for turn in np.unique(turns[turns > 0]):
            indices[turns == turn] = self._order(turn)[places[turns == turn]]
        rows = self.rows.take(indices)
        masked, where, labels = self.masker(rows, np.asarray(positions))
        batch = {"input_ids": masked, "positions": where, "labels": labels}
        if (rows == self.rows.pad).any():
            batch["attention_mask"] = (rows != self.rows.pad).astype(np.int64)
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    # A batch at the end of a pass needs two.
    @lru_cache(maxsize=2)  # noqa: B019
    def _order(self, turn: int) -> np.ndarray:
        return np.random.default_rng([self.seed, turn]).permutation(len(self.rows))


def as_batch(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Collate function of a data set that makes whole batches."""
    return batch
