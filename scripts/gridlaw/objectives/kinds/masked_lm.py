"""Masked language modelling (Devlin et al. 2019, section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridlaw.objectives.objective import Objective

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from torch.utils.data import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from gridlaw.data.rows import Slice

# The held-out text is masked in the same way for every model and every seed.
HELD_OUT_SEED = 0


def _build(entry: dict, tokenizer: PreTrainedTokenizerBase, recipe: dict) -> PreTrainedModel:
    from gridlaw.models import modeling

    return modeling.masked_lm(entry, tokenizer, recipe["dropout"], recipe["attention"])


def _load(folder: str | Path, recipe: dict) -> tuple[PreTrainedModel, bool]:
    from gridlaw.models import modeling

    return modeling.released_masked_lm(folder, recipe["dropout"], recipe["attention"])


def _with_loss(model: PreTrainedModel) -> nn.Module:
    from gridlaw.models.masked import PredictMasked

    return PredictMasked(model)


def _batches(rows: Slice, tokenizer: PreTrainedTokenizerBase, rate: float, seed: int, length: int) -> Dataset:
    from gridlaw.data import masking

    return masking.MaskedRows(rows, masking.Masker(tokenizer, rate, seed), seed, length)


OBJECTIVE = Objective(
    unit="masked token",
    build=_build,
    load=_load,
    with_loss=_with_loss,
    training_batches=lambda rows, tokenizer, recipe, length: _batches(
        rows, tokenizer, recipe["mask_rate"], recipe["seed"], length
    ),
    held_out_batches=lambda rows, tokenizer, recipe: _batches(
        rows, tokenizer, recipe["held_out_mask_rate"], HELD_OUT_SEED, len(rows)
    ),
    predicted_share=lambda recipe: recipe["mask_rate"],
)
