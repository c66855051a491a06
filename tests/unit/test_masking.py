"""The mask of a row is a pure function of seed, row and pass."""

import numpy as np
import pytest
import torch

from gridlaw.data import masking


class Tokenizer:
    mask_token_id, pad_token_id = 4, 0
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

    def take(self, indices):
        return self.ids[indices]


def masker(rate=0.2, seed=1):
    return masking.Masker(Tokenizer(), rate, seed)


def test_fixed_count_of_ordinary_tokens():
    rows = np.repeat(Rows(1).ids, 20, 0)
    masked, places, labels = masker()(rows, np.arange(20))
    assert (np.bincount(places // 40) == round(0.2 * 30)).all()
    assert (labels == rows.reshape(-1)[places]).all()
    assert (labels >= 5).all(), "special tokens are never predicted"
    kept = np.ones(rows.size, bool)
    kept[places] = False
    assert (masked.reshape(-1)[kept] == rows.reshape(-1)[kept]).all()


def test_full_rows_have_one_shape():
    rows = np.random.default_rng(0).integers(0, 100, (50, 40))
    rows[rows == 0] = 1
    _, places, _ = masker()(rows, np.arange(50))
    assert (np.bincount(places // 40) == 8).all(), "however many special tokens are among them"


def test_eighty_ten_ten():
    rows = np.random.default_rng(0).integers(5, 100, (4, 2000))
    masked, places, labels = masker(0.5)(rows, np.arange(4))
    read = masked.reshape(-1)[places]
    assert (read == 4).mean() == pytest.approx(0.8, abs=0.03)
    assert (read == labels).mean() == pytest.approx(0.1, abs=0.02)
    assert ((read != 4) & (read != labels)).mean() == pytest.approx(0.1, abs=0.02)
    assert np.bincount(places % 2000 // 500) / len(places) == pytest.approx([0.25] * 4, abs=0.02)


def test_at_least_one_token_is_predicted_and_no_more_than_there_are():
    rows = np.full((2, 8), 0)
    rows[0, 3], rows[1, :2] = 50, [60, 61]
    _, places, labels = masker(0.01)(rows, np.arange(2))
    assert labels.tolist()[0] == 50
    assert len(labels) == 2


def test_depends_on_seed_and_position_only():
    row = Rows(1).ids
    reference = masker()(row, np.array([7]))[1]
    together = masker()(np.repeat(row, 5, 0), np.array([3, 7, 8, 9, 2]))[1]
    assert (together[together // 40 == 1] - 40 == reference).all(), "the rows beside it do not matter"
    assert (masker()(row, np.array([8]))[1] != reference).any()
    assert (masker(seed=2)(row, np.array([7]))[1] != reference).any()


def original(batch):
    ids = batch["input_ids"].numpy().copy()
    ids.reshape(-1)[batch["positions"]] = batch["labels"]
    return ids


def test_first_pass_in_packed_order_and_every_pass_complete():
    rows = Rows(10)
    run = masking.MaskedRows(rows, masker(), seed=1, length=30)
    read = np.concatenate([original(run.__getitems__(list(range(start, start + 6)))) for start in range(0, 30, 6)])
    order = [int(np.flatnonzero((rows.ids == row).all(1))[0]) for row in read]
    assert order[:10] == list(range(10))
    assert sorted(order[10:20]) == sorted(order[20:]) == order[:10]
    assert order[10:20] != order[20:] != order[:10]


def test_a_batch_is_the_same_whatever_it_is_cut_from():
    rows = Rows(10)
    whole = masking.MaskedRows(rows, masker(), 1, 30).__getitems__(list(range(8, 16)))
    run = masking.MaskedRows(rows, masker(), 1, 30)
    parts = [run.__getitems__([12, 13, 14, 15]), run.__getitems__([8, 9, 10, 11])]
    assert (torch.cat([parts[1]["input_ids"], parts[0]["input_ids"]]) == whole["input_ids"]).all()


def test_padding_is_attended_to_nowhere():
    rows = Rows(4)
    batch = masking.MaskedRows(rows, masker(), 1, 4).__getitems__([0, 1])
    assert (batch["attention_mask"] == torch.from_numpy((rows.ids[:2] != 0).astype(int))).all()
    rows.ids[:, 30:] = 9
    assert "attention_mask" not in masking.MaskedRows(rows, masker(), 1, 4).__getitems__([0, 1])
