"""The last layer computed only where its output is used.

Nine out of ten positions of a masked row predict nothing, and a classifier reads one position. What follows the last
layer's attention works on each position by itself, so it can be left out elsewhere; the outputs at the chosen positions
are unchanged. In a model of two layers this is a third of the arithmetic.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

# The module behind the last layer's attention, whose inputs and everything after it may be reduced to the positions.
TAIL: dict[str, Callable[[PreTrainedModel], nn.Module]] = {
    "bert": lambda body: body.encoder.layer[-1].attention.output,
    "roberta": lambda body: body.encoder.layer[-1].attention.output,
    "electra": lambda body: body.encoder.layer[-1].attention.output,
    "deberta-v2": lambda body: body.encoder.layer[-1].attention.output,
    "distilbert": lambda body: body.transformer.layer[-1].sa_layer_norm,
}

# The last feed-forward block of families that add it to a residual stream of all positions.
BLOCK: dict[str, Callable[[PreTrainedModel], nn.Module]] = {
    "modernbert": lambda body: body.layers[-1].mlp,
}

# The last layer's self-attention of families that take another function for it through transformers' interface.
ATTENTION: dict[str, Callable[[PreTrainedModel], nn.Module]] = {
    "bert": lambda body: body.encoder.layer[-1].attention.self,
    "roberta": lambda body: body.encoder.layer[-1].attention.self,
    "electra": lambda body: body.encoder.layer[-1].attention.self,
    "distilbert": lambda body: body.transformer.layer[-1].attention,
}


def gather(hidden: Tensor, positions: Tensor) -> Tensor:
    """Hidden states at some positions.

    Args:
        hidden: shape (rows, row length, width).
        positions: numbers into rows x row length, any shape.

    Returns:
        shape (*positions.shape, width).
    """
    # index_select, whose gradient is cheaper than that of indexing.
    return hidden.flatten(0, 1).index_select(0, positions.flatten()).view(*positions.shape, -1)


def attend_from_first(body: PreTrainedModel) -> None:
    """Let the last layer attend from the first position alone, for a model of whose output nothing else is read.

    Outputs at the other positions are then meaningless. A family without an entry in `ATTENTION`, and an attention that
    brings its own kernel, stay as they are.
    """
    if body.config.model_type in ATTENTION and body.config._attn_implementation in ("eager", "sdpa"):
        AttentionInterface.register(_from_first.__name__, _from_first)
        attention = ATTENTION[body.config.model_type](body)
        # Layers share one configuration.
        attention.config = copy.copy(body.config)
        attention.config._attn_implementation = _from_first.__name__


def _from_first(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention of the first position, repeated at all of them, as their shape is what the layer goes on with.

    Args:
        query, key, value: shape (rows, heads, row length, head width).
        mask: what may be looked at, booleans or 0 and large negative numbers; shape (rows, 1, queries or 1, keys).
        scaling: of the products of queries and keys.
        dropout: probability with which a weight is dropped.
    """
    scores = query[:, :, :1] @ key.transpose(2, 3) * scaling
    if mask is not None:
        mask = mask[:, :, :1]
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = nn.functional.dropout(scores.softmax(-1), dropout, module.training)
    return (weights @ value).transpose(1, 2).expand(-1, query.shape[2], -1, -1), None


class LastLayer:
    """The last layer of a model's encoder; `only` restricts it for a forward pass.

    Args:
        body: the encoder without a head; one of another family than those above stays as it is.
    """

    def __init__(self, body: PreTrainedModel):
        kind = body.config.model_type
        self.positions: Tensor | None = None
        self.shape: tuple[int, ...] = ()
        # Whether the encoder returns hidden states of the positions alone.
        self.reduces = kind in TAIL
        if self.reduces:
            TAIL[kind](body).register_forward_pre_hook(self._reduce)
        elif kind in BLOCK:
            block = BLOCK[kind](body)
            block.register_forward_pre_hook(self._reduce)
            block.register_forward_hook(self._spread)

    @contextmanager
    def only(self, positions: Tensor) -> Iterator[None]:
        """Within this block forward passes compute the last layer at these positions only."""
        self.positions = positions
        try:
            yield
        finally:
            self.positions = None

    def at(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """The encoder's output at the positions, from what it returned inside `only`."""
        return hidden if self.reduces else gather(hidden, positions)

    def _reduce(self, _: nn.Module, hidden: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self.positions is None:
            return None
        self.shape = hidden[0].shape
        return tuple(gather(states, self.positions) for states in hidden)

    def _spread(self, _: nn.Module, __: tuple[Tensor, ...], hidden: Tensor) -> Tensor:
        if self.positions is None:
            return hidden
        flat = hidden.new_zeros(self.shape[0] * self.shape[1], self.shape[2])
        return flat.index_copy(0, self.positions.flatten(), hidden.flatten(0, -2)).view(self.shape)
