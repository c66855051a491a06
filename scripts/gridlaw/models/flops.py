"""Model FLOPs of training: the arithmetic of the model's matrix products, whatever a program really computes.

Recomputed activations, and a head at positions that predict nothing, do not count. Positions that a program skips do.
"""

from __future__ import annotations

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel


def training_flops(model: PreTrainedModel, row_length: int, rows: int, predicted: int) -> dict[str, int]:
    """Count the floating-point operations of forward and backward passes (Kaplan et al. 2020, section 2.1).

    Each weight costs one multiplication and one addition per position in the forward pass, and twice as much in the
    backward pass: for the gradient of the weight and for that of its input. The input of the first layer needs a
    gradient because the embeddings are trained. As usual, embedding look-ups, biases, normalization, activations,
    softmax and the optimizer are left out.

    The count assumes that each `nn.Linear` sees each position once. This is true for the common families, but too low
    for layers with shared weights (ALBERT) and for convolutions (ConvBERT, SqueezeBERT).

    Args:
        model: a masked LM.
        row_length: positions of a sequence.
        rows: sequences of the whole training, over all epochs.
        predicted: predicted positions in all these sequences.

    Returns:
        `flops` of body and head; `flops_without_embeddings` of the body only, because the decoder of the head has the
        same weights as the embedding table.
    """
    body = {module for module in model.base_model.modules() if isinstance(module, nn.Linear)}
    head = {module for module in model.modules() if isinstance(module, nn.Linear)} - body
    positions = rows * row_length
    inside = (6 * _weights(body) + _attention(model.config, row_length)) * positions
    outside = _weights(head)
    table = model.get_input_embeddings().weight
    # Some heads have no decoder module; they multiply by the embedding table.
    if all(len(module.weight) != len(table) for module in head):
        outside += table.numel()
    return {"flops": inside + 6 * outside * predicted, "flops_without_embeddings": inside}


def _attention(config: PretrainedConfig, row_length: int) -> int:
    """Return the FLOPs of the attention products for one position, over all layers (Chowdhery et al. 2022, appendix B).

    Each position is multiplied with the whole sequence in the scores and in the weighted sum, and in DeBERTa once more
    for each relative term (transformers multiplies with the whole table of relative positions, which is projected once
    per batch, and then selects). The local layers of ModernBERT count as global ones.
    """
    relative = len(config.pos_att_type or ()) if getattr(config, "relative_attention", False) else 0
    return 6 * (2 + relative) * config.num_hidden_layers * row_length * config.hidden_size


def _weights(modules: set[nn.Module]) -> int:
    return sum(module.weight.numel() for module in modules)
