"""The last layer computed only where its output is used.

Nine out of ten positions of a masked row predict nothing, and a classifier reads one position. What follows the last
layer's attention works on each position by itself, so it can be left out elsewhere; the outputs at the chosen positions
are unchanged. In a model of two layers this is a third of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import PreTrainedModel

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
