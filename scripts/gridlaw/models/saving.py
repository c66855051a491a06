"""The folder of a model, which transformers loads: its configuration, its weights in one file, and its tokenizer.

A model that began as a released checkpoint keeps every weight of it, also those that a masked language model has no
place for: BERT's pooler, and heads for other tasks. Fine-tuning begins with them, as it does from the checkpoint.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gridlaw.models import released


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save a model that began with random weights."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def copy_released(checkpoint: Path, folder: Path) -> None:
    """Save a released checkpoint as it is, with its shards in one file."""
    weights = released.list_weights(checkpoint)
    for name in released.list_files(checkpoint):
        if name not in (*weights, released.INDEX):
            shutil.copyfile(checkpoint / name, folder / name)
    if weights == [released.WEIGHTS]:
        shutil.copyfile(checkpoint / released.WEIGHTS, folder / released.WEIGHTS)
    else:
        _write(_read(checkpoint), folder)


def save_trained(model: PreTrainedModel, checkpoint: Path, folder: Path) -> None:
    """Save a model that was trained further, with the weights of its checkpoint that it does not contain."""
    model.save_pretrained(folder)
    trained = load_file(folder / released.WEIGHTS)
    # The second name of a tied weight is in the model only, and an old name of a weight in its file only.
    names = trained.keys() | model.state_dict().keys()
    prefix = f"{model.base_model_prefix}."
    stored = _read(checkpoint)
    is_body = not any(name.startswith(prefix) for name in stored)
    carried = {
        f"{prefix}{name}" if is_body else name: weight
        for name, weight in stored.items()
        if names.isdisjoint((name, prefix + name, name.removeprefix(prefix)))
    }
    if carried:
        _write(trained | carried, folder)
    for name in released.list_files(checkpoint):
        if released.is_of_tokenizer(name):
            shutil.copyfile(checkpoint / name, folder / name)


def _read(checkpoint: Path) -> dict[str, Tensor]:
    return {
        name: weight
        for file in released.list_weights(checkpoint)
        for name, weight in load_file(checkpoint / file).items()
    }


def _write(weights: dict[str, Tensor], folder: Path) -> None:
    save_file(weights, folder / released.WEIGHTS, metadata={"format": "pt"})
