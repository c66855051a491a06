"""Held-out loss: of all models under the same mask, whatever they were trained with, with a standard error that is right."""

import numpy as np
import pytest
import torch
from conftest import configuration

from gridlaw import legacy
from gridlaw.data import masking, rows
from gridlaw.models import modeling
from gridlaw.models.masked import PredictMasked
from gridlaw.objectives.kinds import masked_lm
from gridlaw.training import pretraining
from gridlaw.workflow.kinds.training import PRETRAIN

ROWS, LENGTH = 120, 16


class Tokenizer:
    pad_token_id, cls_token_id, sep_token_id, mask_token_id = 0, 1, 2, 3
    all_special_ids = [0, 1, 2, 3]

    def __len__(self):
        return 60


@pytest.fixture
def held_out(tmp_path):
    """Rows of different lengths, padded."""
    random = np.random.default_rng(0)
    packer = rows.Packer(tmp_path / "rows.bin", LENGTH, whole=True, special=rows.Special(1, 2, 0), vocabulary=60)
    packer.add([random.integers(4, 60, random.integers(8, LENGTH - 1)).tolist() for _ in range(ROWS)])
    ends, _ = packer.close()
    manifest = {"end": int(ends[-1]), "pad": 0, "dtype": packer.dtype.name, "row_length": LENGTH}
    return rows.Slice(tmp_path / "rows.bin", manifest)


@pytest.fixture
def seen(monkeypatch):
    """Return the batches that models get, as a list."""
    batches, losses = [], PredictMasked.losses

    def spied(self, **batch):
        batches.append({name: tensor.tolist() for name, tensor in batch.items()})
        return losses(self, **batch)

    monkeypatch.setattr(PredictMasked, "losses", spied)
    return batches


def recipe_of(model, **rates):
    config = configuration({"pretrain": {"per_model": {name: {"mask_rate": rate} for name, rate in rates.items()}}})
    return PRETRAIN.recipe(config, model, "8k", 1, 1).values | {"precision": "fp32"}


def network(kind, seed=0):
    torch.manual_seed(seed)
    shape = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": LENGTH}
    entry = {"model_type": kind, "shape": shape, "config": {}, "initializer_range": 0.5}
    return modeling.masked_lm(entry, Tokenizer(), 0.0, "auto")


def test_models_of_different_mask_rates_predict_the_same_tokens(held_out, seen):
    recipe = {model: recipe_of(model, tiny=0.15, small=0.5) for model in ("tiny", "small")}
    assert [recipe[model]["mask_rate"] for model in recipe] == [0.15, 0.5]
    pretraining.held_out_loss(network("bert"), Tokenizer(), recipe["tiny"], held_out)
    of_tiny = seen.copy()
    seen.clear()
    pretraining.held_out_loss(network("electra"), Tokenizer(), recipe["small"], held_out)
    assert seen == of_tiny
    predicted, tokens = sum(len(batch["positions"]) for batch in seen), (held_out.take(np.arange(ROWS)) != 0).sum()
    assert predicted / tokens == pytest.approx(0.15, abs=0.02)


def test_the_measure_does_not_depend_on_mask_rates_of_training(held_out):
    before = recipe_of("tiny", tiny=0.15)
    assert recipe_of("tiny", tiny=0.15, small=0.5) == before
    model = network("bert")
    losses = [
        pretraining.held_out_loss(model, Tokenizer(), recipe_of("tiny", tiny=rate), held_out) for rate in (0.15, 0.5)
    ]
    assert losses[0] == losses[1]
    other = pretraining.held_out_loss(model, Tokenizer(), before | {"held_out_mask_rate": 0.5}, held_out)
    assert other["held_out_loss"] != losses[0]["held_out_loss"]


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.5])
def test_standard_error_is_that_of_the_jackknife_over_rows(held_out, rate):
    model, recipe = network("bert").eval(), recipe_of("tiny") | {"held_out_mask_rate": rate, "device_batch_size": 7}
    masker = masking.Masker(Tokenizer(), rate, masked_lm.HELD_OUT_SEED)
    sums, counts = [], []
    for row in range(ROWS):
        batch = masking.MaskedRows(held_out, masker, 0, ROWS).__getitems__([row])
        labels = torch.full((LENGTH,), -100)
        labels[batch["positions"]] = batch["labels"].long()
        mask = batch.get("attention_mask")
        with torch.no_grad():
            loss = model(input_ids=batch["input_ids"].long(), attention_mask=mask, labels=labels[None]).loss
        counts.append(len(batch["positions"]))
        sums.append(loss.item() * counts[-1])
    sums, counts = np.array(sums), np.array(counts)
    without = (sums.sum() - sums) / (counts.sum() - counts)
    jackknife = np.sqrt((ROWS - 1) / ROWS * ((without - without.mean()) ** 2).sum())
    measured = pretraining.held_out_loss(model, Tokenizer(), recipe, held_out)
    assert measured["held_out_loss"] == pytest.approx(sums.sum() / counts.sum(), rel=1e-5)
    assert measured["held_out_loss_se"] == pytest.approx(jackknife, rel=0.02)


@pytest.mark.parametrize(
    ("recipe", "rate"),
    [
        ({"mask_rate": 0.3}, 0.3),
        ({"mask_rate": 0.3, "held_out_mask_rate": 0.15}, 0.15),
        ({"held_out_mask_rate": 0.15}, 0.15),
    ],
)
def test_earlier_releases_measured_at_the_rate_of_training(recipe, rate):
    assert legacy.training({"recipe": recipe})["recipe"] == recipe | {"held_out_mask_rate": rate}
