"""The mask of a row is a pure function of seed, row and pass."""

import numpy as np
import pytest

from gridlaw import masking


class Tokenizer:
    mask_token_id = 4
    all_special_ids = [0, 1, 2, 3, 4]

    def __len__(self):
        return 100


class Rows:
    pad = 0

    def __init__(self, count, length=40):
        self.ids = np.random.default_rng(0).integers(5, 100, (count, length))
        self.ids[:, 0], self.ids[:, 30:] = 1, 0

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return self.ids[index]


def test_fixed_count_of_ordinary_tokens():
    masker = masking.Masker(Tokenizer(), 0.2, seed=1)
    row = Rows(1)[0]
    for turn in range(20):
        masked, labels = masker(row, 0, turn)
        chosen = labels != masking.IGNORED
        assert chosen.sum() == round(0.2 * 29)
        assert (labels[chosen] == row[chosen]).all()
        assert (row[chosen] >= 5).all(), "special tokens are never predicted"
        assert (masked[~chosen] == row[~chosen]).all()


def test_eighty_ten_ten():
    masker = masking.Masker(Tokenizer(), 0.5, seed=1)
    row = np.random.default_rng(0).integers(5, 100, 2000)
    masked, labels = masker(row, 0, 0)
    chosen = labels != masking.IGNORED
    hidden = (masked[chosen] == 4).mean()
    kept = (masked[chosen] == row[chosen]).mean()
    assert hidden == pytest.approx(0.8, abs=0.05)
    assert kept == pytest.approx(0.1, abs=0.04)


def test_depends_on_seed_row_and_pass_only():
    row = Rows(1)[0]
    first = masking.Masker(Tokenizer(), 0.2, seed=1)
    reference = first(row, 3, 2)[1]
    first(row, 9, 9)
    assert (first(row, 3, 2)[1] == reference).all(), "what was masked before does not matter"
    assert (masking.Masker(Tokenizer(), 0.2, seed=1)(row, 3, 2)[1] == reference).all()
    for other in (masking.Masker(Tokenizer(), 0.2, seed=2)(row, 3, 2), first(row, 4, 2), first(row, 3, 1)):
        assert (other[1] != reference).any()


def test_first_pass_in_packed_order_and_every_pass_complete():
    rows = Rows(10)
    run = masking.MaskedRows(rows, masking.Masker(Tokenizer(), 0.2, 1), seed=1, length=30)
    orders = []
    for turn in range(3):
        read = []
        for position in range(10 * turn, 10 * turn + 10):
            example = run[position]
            original = np.where(example["labels"] == masking.IGNORED, example["input_ids"], example["labels"])
            read.append(int(np.flatnonzero((rows.ids == original).all(1))[0]))
        orders.append(read)
    assert orders[0] == list(range(10))
    assert sorted(orders[1]) == sorted(orders[2]) == orders[0]
    assert orders[1] != orders[2] != orders[0]
    assert (run[15]["input_ids"] == run[15]["input_ids"]).all()
