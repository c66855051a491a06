"""The last layer, computed only where its output is used.

In most rows nine of ten positions predict nothing, and a classifier reads a single position. Everything after the last
layer's attention treats each position separately, so it is skipped at all other positions; the outputs at the chosen
ones are unchanged. In a model of two layers this saves a third of the arithmetic.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from gridlaw.models import family


def gather(hidden: Tensor, positions: Tensor) -> Tensor:
    """Return the hidden states at some positions.

    Args:
        hidden: shape (rows, row length, width).
        positions: indices into rows x row length, of any shape.

    Returns:
        shape (*positions.shape, width).
    """
    # The backward pass of index_select is faster than that of indexing.
    return hidden.flatten(0, 1).index_select(0, positions.flatten()).view(*positions.shape, -1)


def attend_from_first(body: PreTrainedModel) -> None:
    """Compute the last layer's attention for the first query only, in a model whose other outputs are not used.

    The outputs at the other positions are then meaningless. A family that does not name its attention, or an
    attention with its own kernel, stays as it is.
    """
    part = family.find(body.config.model_type).attention
    if part and body.config._attn_implementation in ("eager", "sdpa"):
        AttentionInterface.register(_from_first.__name__, _from_first)
        attention = part(body)
        # All layers share one configuration; only the last one may change.
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
    """Return the attention of the first query, repeated at all positions, because the layer expects that shape.

    Args:
        query, key, value: shape (rows, heads, row length, head width).
        mask: booleans (true: attend), or 0 and large negative numbers; shape (rows, 1, queries or 1, keys).
        scaling: factor of the products of queries and keys.
        dropout: probability that a weight is dropped.
    """
    scores = query[:, :, :1] @ key.transpose(2, 3) * scaling
    if mask is not None:
        mask = mask[:, :, :1]
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = nn.functional.dropout(scores.softmax(-1), dropout, module.training)
    return (weights @ value).transpose(1, 2).expand(-1, query.shape[2], -1, -1), None


class LastLayer:
    """The last layer of an encoder; `restricted_to` limits its forward passes to some positions.

    Args:
        body: the encoder without a head; families that name no part of it are not restricted.
    """

    def __init__(self, body: PreTrainedModel):
        parts = family.find(body.config.model_type)
        self.positions: Tensor | None = None
        self.shape: tuple[int, ...] = ()
        # True if the encoder's output then holds only these positions.
        self.reduces = parts.tail is not None
        if parts.tail:
            parts.tail(body).register_forward_pre_hook(self._reduce)
        elif parts.block:
            block = parts.block(body)
            block.register_forward_pre_hook(self._reduce)
            block.register_forward_hook(self._spread)

    @contextmanager
    def restricted_to(self, positions: Tensor) -> Iterator[None]:
        """Compute the last layer at these positions only, in forward passes within the block."""
        self.positions = positions
        try:
            yield
        finally:
            self.positions = None

    def select(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """Return the encoder's output at the positions, given what it returned within `restricted_to`."""
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
