"""Pre-training objectives: how rows become a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridlaw import plugins

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from torch.utils.data import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from gridlaw.data.rows import Slice

DEFAULT = "masked_lm"


@dataclass(frozen=True)
class Objective:
    """An objective; a file of `objectives/kinds` defines one as `OBJECTIVE`.

    Args:
        unit: what one prediction is.
        build: gives a model with random weights, drawn from the global random state, for an entry of the catalogue, its
            tokenizer and the recipe.
        load: gives a released checkpoint, and whether it has the objective's head, for its folder and the recipe.
        with_loss: gives a module around a model. Its forward pass takes a batch, and `num_items_in_batch`, the number
            of predictions of the whole optimizer step, and returns their mean `loss`; its `losses` takes a batch and
            returns one loss for each prediction.
        training_batches: gives the sequences of a run, for a slice, the tokenizer, the recipe and the number of
            sequences over all epochs. A batch is a pure function of the recipe's seed and the positions in the run.
        held_out_batches: gives the held-out sequences, for these rows, the tokenizer and the recipe.
        predicted_share: gives the predictions for each token of a sequence, for the recipe.
    """

    unit: str
    build: Callable[[dict, PreTrainedTokenizerBase, dict], PreTrainedModel]
    load: Callable[[str | Path, dict], tuple[PreTrainedModel, bool]]
    with_loss: Callable[[PreTrainedModel], nn.Module]
    training_batches: Callable[[Slice, PreTrainedTokenizerBase, dict, int], Dataset]
    held_out_batches: Callable[[Slice, PreTrainedTokenizerBase, dict], Dataset]
    predicted_share: Callable[[dict], float]


def name_of(recipe: dict) -> str:
    """Name of the objective of a pre-training's recipe."""
    return recipe.get("objective", DEFAULT)


def find(recipe: dict) -> Objective:
    """Return the objective of a pre-training's recipe."""
    return plugins.load("objective", name_of(recipe)).OBJECTIVE
