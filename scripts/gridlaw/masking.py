"""Masked language modelling (Devlin et al. 2019, section 3.1), reproducible from any point of a run.

The mask of a row is a pure function of (seed, row, pass). It does not depend on the rank that reads the row, on the
rows beside it or on where a run was interrupted.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from gridlaw.rows import Slice

IGNORED = -100


class Masker:
    """Chooses and hides the tokens of a row that are to be predicted.

    A fixed number of a row's ordinary tokens is chosen, `rate` of them and at least one; of the chosen, 80 % become
    [MASK], 10 % a random token, 10 % stay.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, rate: float, seed: int):
        self.mask = tokenizer.mask_token_id
        self.is_ordinary = np.ones(len(tokenizer), bool)
        self.is_ordinary[tokenizer.all_special_ids] = False
        self.ordinary = np.flatnonzero(self.is_ordinary)
        self.rate, self.seed = rate, seed

    def __call__(self, row: np.ndarray, index: int, turn: int) -> tuple[np.ndarray, np.ndarray]:
        """Mask one row.

        Args:
            row: token ids, shape (row length,).
            index: the row's number in the corpus.
            turn: how often the row was read before.

        Returns:
            token ids with masks, and labels (`IGNORED` where nothing is predicted); shape (row length,) both.
        """
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, turn, index]))
        candidates = np.flatnonzero(self.is_ordinary[row])
        count = min(max(1, round(self.rate * len(candidates))), len(candidates))
        chosen = random.permutation(candidates)[:count]
        labels = np.full(len(row), IGNORED)
        labels[chosen] = row[chosen]
        masked = row.copy()
        fate = random.random(count)
        masked[chosen[fate < 0.8]] = self.mask
        replaced = chosen[(fate >= 0.8) & (fate < 0.9)]
        masked[replaced] = random.choice(self.ordinary, len(replaced))
        return masked, labels


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
        self._turn, self._order = -1, np.arange(0)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> dict[str, torch.Tensor]:
        turn, place = divmod(position, len(self.rows))
        index = int(self._order_of(turn)[place])
        row = self.rows[index]
        masked, labels = self.masker(row, index, turn)
        return {
            "input_ids": torch.from_numpy(masked),
            "attention_mask": torch.from_numpy((row != self.rows.pad).astype(np.int64)),
            "labels": torch.from_numpy(labels),
        }

    def _order_of(self, turn: int) -> np.ndarray:
        if turn != self._turn:
            rows = len(self.rows)
            self._order = np.random.default_rng([self.seed, turn]).permutation(rows) if turn else np.arange(rows)
            self._turn = turn
        return self._order
