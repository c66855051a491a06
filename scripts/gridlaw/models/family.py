"""Model families: settings of transformers' encoders beyond their shape, and the parts that gridlaw needs by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from gridlaw import plugins

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

# Dropouts of the layers in most families.
LAYERS = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True)
class Family:
    """A family of encoders; a file of `models/families` defines one as `FAMILY`.

    Parts of a model that are not given are not restricted: the whole model runs at all positions.

    Args:
        tokenizer: algorithm that it was published with, `wordpiece` or `bpe`.
        dropouts: all fields of its configuration class that are probabilities of dropout or LayerDrop.
        has_fused_attention: whether transformers has fused attention for it.
        configuration: gives further arguments of its configuration class, for a shape of the catalogue and the ids of
            special tokens by transformers' names (`pad_token_id`, ...).
        head: masked-LM head, from hidden states of shape (..., hidden) to logits of shape (..., vocabulary).
        tail: module after the last layer's attention. Its inputs, and all that follows, may be reduced to the positions
            that are read.
        block: last feed-forward block, in a family that adds its output to the residual stream of all positions.
        attention: last layer's self-attention, in a family in which transformers' interface can replace its function.
        classifies_first: whether its classifier reads the first position only.
        feed_forward_products: matrices in a feed-forward layer; three with a gate.
        relative_terms: additional attention terms for relative positions.
    """

    tokenizer: str = "bpe"
    dropouts: tuple[str, ...] = ()
    has_fused_attention: bool = True
    configuration: Callable[[dict, dict[str, int]], dict] = lambda shape, special: {}
    head: Callable[[PreTrainedModel, Tensor], Tensor] | None = None
    tail: Callable[[PreTrainedModel], nn.Module] | None = None
    block: Callable[[PreTrainedModel], nn.Module] | None = None
    attention: Callable[[PreTrainedModel], nn.Module] | None = None
    classifies_first: bool = False
    feed_forward_products: int = 2
    relative_terms: int = 0


@cache
def find(model_type: str) -> Family:
    """Return a family by transformers' name of it."""
    name = plugins.name_for("family", model_type)
    module = plugins.load("family", name)
    return module.describe(model_type) if name == plugins.OTHER else module.FAMILY


def dropouts(model_type: str, dropout: float) -> dict[str, float]:
    """Return the values of a family's dropout fields; LayerDrop (Fan et al. 2020), which skips layers, stays off."""
    return {name: 0.0 if "layerdrop" in name else dropout for name in find(model_type).dropouts}


def unnamed_dropouts(model_type: str, fields: dict[str, object]) -> dict[str, float]:
    """Return the dropout fields of a configuration, with their values, that its family does not list."""
    named = find(model_type).dropouts
    # A boolean, such as esm's token_dropout, is not a probability.
    return {
        name: value
        for name, value in fields.items()
        if "drop" in name and name not in named and value and not isinstance(value, bool)
    }


def has_masked_lm(model_type: str) -> bool:
    """Return whether transformers has a masked language model of a family."""
    if model_type in plugins.names("family"):
        return True
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as KNOWN

    return model_type in KNOWN


def problems(model: dict) -> Iterator[str]:
    """Yield a line for each mistake in a from-scratch model of the catalogue, with keys relative to the model's."""
    shape = model["shape"]
    hidden, heads = shape["hidden_size"], shape["num_attention_heads"]
    if hidden % heads:
        nearest = [size for size in (hidden - hidden % heads, hidden + heads - hidden % heads) if size]
        yield (
            f"shape.hidden_size: {hidden} is not divisible by num_attention_heads: {heads};"
            f" use {' or '.join(map(str, nearest))}"
        )
    if model["model_type"] not in plugins.names("family") or model["config"]:
        yield from _unknown_to_transformers(model)


def _unknown_to_transformers(model: dict) -> Iterator[str]:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as KNOWN

    if model["model_type"] not in KNOWN:
        yield (
            f"model_type: transformers has no encoder with a masked-LM head called {model['model_type']};"
            f" expected one of {', '.join(sorted(KNOWN))}"
        )
        return
    fields = vars(CONFIG_MAPPING[model["model_type"]]())
    for name in model["config"]:
        if name not in fields:
            yield f"config.{name}: {CONFIG_MAPPING[model['model_type']].__name__} has no such field"
        elif name in find(model["model_type"]).dropouts:
            yield f"config.{name}: expected pretrain.dropout and finetune.dropout instead"
    for name, value in unnamed_dropouts(model["model_type"], fields | model["config"]).items():
        yield f"config.{name}: {value}, but the key dropout does not control it in {model['model_type']}; expected 0"


def feed_forward(shape: dict) -> int:
    """Return the width of the feed-forward layers; four times the hidden size by default, as in published encoders."""
    return shape.get("intermediate_size", 4 * shape["hidden_size"])


def configuration(model: dict, vocabulary: int, special: dict[str, int]) -> dict:
    """Return the keyword arguments of the family's configuration class in transformers.

    Args:
        model: a from-scratch model of the catalogue.
        vocabulary: number of entries of its tokenizer.
        special: token ids, by transformers' names (`pad_token_id`, ...).
    """
    shape = model["shape"]
    fields = {
        "vocab_size": vocabulary,
        "num_hidden_layers": shape["num_hidden_layers"],
        "hidden_size": shape["hidden_size"],
        "num_attention_heads": shape["num_attention_heads"],
        "intermediate_size": feed_forward(shape),
        "max_position_embeddings": shape["max_position_embeddings"],
        "initializer_range": model["initializer_range"],
        **special,
    }
    return fields | find(model["model_type"]).configuration(shape, special) | model["config"]
