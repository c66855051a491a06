"""Model FLOPs of training: the arithmetic that a model's matrix products ask for, whatever a machine makes of it.

Activations computed again and a head run where nothing is predicted are no arithmetic of the model, and positions that
a program manages to skip still are.
"""

from __future__ import annotations

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel


def training_flops(model: PreTrainedModel, row_length: int, rows: int, predicted: int) -> dict[str, int]:
    """Floating-point operations of the forward and backward pass of a masked LM (Kaplan et al. 2020, section 2.1).

    A weight costs a multiplication and an addition for each position, and twice that again in the backward pass: one
    product for the gradient of the weight, one for that of its input. The first layer's input has a gradient too, for
    the embeddings are trained; looking those up costs no multiplication. Left out, as usual: biases, normalisation,
    activations, softmax, optimiser.

    Each `nn.Linear` is taken to see every position once, which holds for the familiar families: layers that share
    their weights (ALBERT) and convolutions (ConvBERT, SqueezeBERT) are not counted as often as they run.

    Args:
        model: a masked LM.
        row_length: positions of a row.
        rows: rows of the whole training, a row that is seen again counted again.
        predicted: predicted positions over all these rows.

    Returns:
        `flops` of body and head; `flops_without_embeddings` of the body alone, without the head, whose decoder is the
        embedding table once more.
    """
    body = {module for module in model.base_model.modules() if isinstance(module, nn.Linear)}
    head = {module for module in model.modules() if isinstance(module, nn.Linear)} - body
    positions = rows * row_length
    inside = (6 * _weights(body) + _attention(model.config, row_length)) * positions
    outside = _weights(head)
    table = model.get_input_embeddings().weight
    # Some heads have no decoder of their own, they multiply by the embedding table.
    if all(len(module.weight) != len(table) for module in head):
        outside += table.numel()
    return {"flops": inside + 6 * outside * predicted, "flops_without_embeddings": inside}


def _attention(config: PretrainedConfig, row_length: int) -> int:
    """FLOPs of attention's own products for a position, over all layers (Chowdhery et al. 2022, appendix B).

    Every position meets the whole row in the scores and in the weighted sum, and in DeBERTa once more for each of its
    relative terms (transformers multiplies by the whole table of relative positions, once projected for a batch, and
    picks the row's). The local layers of ModernBERT are counted as if they were global.
    """
    relative = len(config.pos_att_type or ()) if getattr(config, "relative_attention", False) else 0
    return 6 * (2 + relative) * config.num_hidden_layers * row_length * config.hidden_size


def _weights(modules: set[nn.Module]) -> int:
    return sum(module.weight.numel() for module in modules)
