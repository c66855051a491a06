"""Weights and FLOPs of a model from its configuration alone, for estimates; `gridlaw.flops` counts a built model's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gridlaw import families, files, io, layout, recipes

# What released checkpoints call the entries of their configuration.
NAMES = {
    "layers": ("num_hidden_layers", "n_layers"),
    "hidden": ("hidden_size", "dim"),
    "feed_forward": ("intermediate_size", "hidden_dim"),
    "positions": ("max_position_embeddings",),
    "vocabulary": ("vocab_size",),
}


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder's size.

    Args:
        products: matrices of a feed-forward layer: two, or three where one of them gates (ModernBERT).
        relative: attention's further terms of relative positions (DeBERTa has two).
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
        """Weights of layers, embeddings and head; biases and norms, a few thousandths, left out."""
        return self.body + self.hidden * (self.vocabulary + self.positions) + self.hidden**2

    def flops(self, row_length: int, rows: float, predicted: float) -> float:
        """Floating-point operations of training on some rows, forward and backward pass (see `flops.training_flops`).

        Args:
            row_length: positions of a row.
            rows: rows of the whole training, a row that is seen again counted again.
            predicted: positions whose token is predicted by the masked-LM head, over all these rows.
        """
        attention = (2 + self.relative) * self.layers * row_length * self.hidden
        head = self.hidden**2 + self.hidden * self.vocabulary
        return 6 * ((self.body + attention) * row_length * rows + head * predicted)


def encoder(config: dict, model: str) -> Encoder | None:
    """A model's size; None for a released one that has not been fetched yet."""
    entry = config["catalogue"]["models"][model]
    if "pretrained" in entry:
        folder = entry["pretrained"] if files.is_local(entry["pretrained"]) else f"resources/checkpoint/{model}"
        fields = io.find_json(Path(folder, "config.json"))
        if fields is None:
            return None
        kind = fields.get("model_type", "")
    else:
        shape, kind = entry["shape"], entry["model_type"]
        fields = {**shape, "intermediate_size": families.feed_forward(shape), "vocab_size": _vocabulary(config, model)}
    found = {name: next((fields[key] for key in keys if key in fields), None) for name, keys in NAMES.items()}
    if None in found.values():
        return None
    return Encoder(**found, products=3 if kind == "modernbert" else 2, relative=2 if kind == "deberta-v2" else 0)


def _vocabulary(config: dict, model: str) -> int:
    """Entries of a from-scratch model's tokenizer: as packed, else as many as it may have."""
    packed = io.find_json(f"{layout.pack_folder(config, model)}/manifest.json")
    if packed:
        return packed["vocabulary"]
    return config["catalogue"]["tokenizers"][recipes.tokenizer_of(config, model)]["vocab_size"]
