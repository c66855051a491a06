"""Weights and FLOPs of a model, estimated from its configuration; `gridlaw.flops` counts those of a built model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gridlaw import io
from gridlaw.config import hyperparameters, user_files
from gridlaw.models import family
from gridlaw.workflow.kinds.data import pack_of

# Names of the entries in the configurations of released checkpoints.
NAMES = {
    "layers": ("num_hidden_layers", "n_layers"),
    "hidden": ("hidden_size", "dim"),
    "feed_forward": ("intermediate_size", "hidden_dim"),
    "positions": ("max_position_embeddings",),
    "vocabulary": ("vocab_size",),
}


@dataclass(frozen=True, slots=True)
class Encoder:
    """The size of an encoder.

    Args:
        products: matrices in a feed-forward layer: two, or three with a gate (ModernBERT).
        relative: additional attention terms for relative positions (two in DeBERTa).
    """

    layers: int
    hidden: int
    feed_forward: int
    positions: int
    vocabulary: int
    products: int = 2
    relative: int = 0

    @property
    def body(self) -> int:
        """Weights of the layers."""
        return self.layers * (4 * self.hidden**2 + self.products * self.hidden * self.feed_forward)

    @property
    def parameters(self) -> int:
        """Weights of layers, embeddings and head, without biases and norms, which are a few thousandths."""
        return self.body + self.hidden * (self.vocabulary + self.positions) + self.hidden**2

    def flops(self, row_length: int, rows: float, predicted: float) -> float:
        """Return the FLOPs of training, forward and backward passes (see `flops.training_flops`).

        Args:
            row_length: positions of a sequence.
            rows: sequences of the whole training, over all epochs.
            predicted: positions that the masked-LM head predicts, in all these sequences.
        """
        attention = (2 + self.relative) * self.layers * row_length * self.hidden
        head = self.hidden**2 + self.hidden * self.vocabulary
        return 6 * ((self.body + attention) * row_length * rows + head * predicted)


def encoder(config: dict, model: str) -> Encoder | None:
    """Return the size of a model; None for a released model that has not been fetched yet."""
    entry = config["catalogue"]["models"][model]
    if "pretrained" in entry:
        folder = entry["pretrained"] if user_files.is_local(entry["pretrained"]) else f"resources/checkpoint/{model}"
        fields = io.find_json(Path(folder, "config.json"))
        if fields is None:
            return None
        kind = fields.get("model_type", "")
    else:
        shape, kind = entry["shape"], entry["model_type"]
        fields = {**shape, "intermediate_size": family.feed_forward(shape), "vocab_size": _vocabulary(config, model)}
    sizes = {name: next((fields[key] for key in keys if key in fields), None) for name, keys in NAMES.items()}
    if None in sizes.values():
        return None
    parts = family.find(kind)
    return Encoder(**sizes, products=parts.feed_forward_products, relative=parts.relative_terms)


def _vocabulary(config: dict, model: str) -> int:
    """Return the vocabulary size of a from-scratch model: of the packed corpus, else the configured one."""
    packed = io.find_json(pack_of(config, model))
    if packed:
        return packed["vocabulary"]
    return config["catalogue"]["tokenizers"][hyperparameters.tokenizer_of(config, model)]["vocab_size"]
