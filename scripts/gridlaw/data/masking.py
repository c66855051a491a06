"""Masked language modelling (Devlin et al. 2019, section 3.1), reproducible from any point of a run.

The mask of a row is a pure function of the seed and of the row's position in the run, which means of (seed, row,
epoch), because the order of rows is itself a pure function of (seed, epoch). It does not depend on the rank that reads
the row, on the other rows of the batch, or on interruptions.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from gridlaw.data.rows import Slice


class Masker:
    """Chooses tokens of rows to predict, and masks them.

    The number of tokens chosen in a row is fixed, so that batches of full rows have one shape: `rate` times its tokens
    without padding, and at least one. Special tokens are never chosen. Of the chosen tokens, 80 % become [MASK], 10 %
    become a random token, and 10 % stay.
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
            positions: the rows' positions in the run, shape (rows,).

        Returns:
            masked token ids, shape (rows, row length); indices of the predicted tokens into rows x row length, and the
            tokens to predict, both of shape (predicted,).
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
        """Return three uniform random numbers for each token, shape (3, rows, row length).

        Each position of the run has its own interval of one random stream. Philox (Salmon et al. 2011) jumps to any
        interval at once; its counter counts blocks of four numbers.
        """
        counts = -(-3 * length // 4)
        uniform = np.empty((len(positions), 4 * counts))
        starts = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
        for start, end in zip(starts, [*starts[1:], len(positions)], strict=True):
            stream = np.random.Philox(key=self.seed, counter=int(positions[start]) * counts)
            uniform[start:end] = np.random.Generator(stream).random((end - start, 4 * counts))
        return uniform[:, : 3 * length].reshape(len(positions), 3, length).transpose(1, 0, 2)


class MaskedRows(Dataset):
    """The sequences of a run: rows in packed order, then in a new random order in each further epoch.

    Args:
        rows: the slice.
        masker: masks the tokens to predict.
        seed: for the order in further epochs.
        length: sequences that the run reads, over all epochs.
    """

    def __init__(self, rows: Slice, masker: Masker, seed: int, length: int):
        self.rows, self.masker, self.seed, self.length = rows, masker, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitems__(self, positions: list[int]) -> dict[str, torch.Tensor]:
        """Return a batch, with the arguments of `objective.PredictMasked`."""
        epochs, places = np.divmod(np.asarray(positions), len(self.rows))
        indices = places.copy()
        for epoch in np.unique(epochs[epochs > 0]):
            indices[epochs == epoch] = self._order(epoch)[places[epochs == epoch]]
        rows = self.rows.take(indices)
        masked, predicted, labels = self.masker(rows, np.asarray(positions))
        batch = {"input_ids": masked, "positions": predicted, "labels": labels}
        if (rows == self.rows.pad).any():
            batch["attention_mask"] = (rows != self.rows.pad).astype(np.int64)
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    # A batch at the end of an epoch needs two orders.
    @lru_cache(maxsize=2)  # noqa: B019
    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.rows))


def as_batch(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a batch as it is: the collate function for a data set that returns whole batches."""
    return batch
