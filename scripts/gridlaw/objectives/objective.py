"""The objectives: masked language modelling and classification, computed only at positions that the loss reads.

The head and the softmax over the vocabulary are most of a small model's arithmetic, so they get the predicted positions
only. Their outputs equal those of the model's own forward pass.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gridlaw.models.sparse import LastLayer, attend_from_first, gather

# Masked-LM head by family: from hidden states of shape (..., hidden) to logits of shape (..., vocabulary).
HEADS: dict[str, Callable[[PreTrainedModel, Tensor], Tensor]] = {
    "bert": lambda model, hidden: model.cls(hidden),
    "roberta": lambda model, hidden: model.lm_head(hidden),
    "distilbert": lambda model, hidden: model.vocab_projector(
        model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    ),
    "electra": lambda model, hidden: model.generator_lm_head(model.generator_predictions(hidden)),
    "modernbert": lambda model, hidden: model.decoder(model.head(hidden)),
    "deberta-v2": lambda model, hidden: model.cls(hidden),
}


class PredictMasked(nn.Module):
    """A masked LM that returns the loss of its predicted tokens.

    Args:
        model: a masked LM of transformers; without an entry in `HEADS`, its own forward pass runs at all positions.
    """

    # Trainer passes the number of predicted tokens of the whole optimizer step, over all ranks.
    accepts_loss_kwargs = True

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model, self.config = model, model.config
        self.head = HEADS.get(model.config.model_type)
        self.last = LastLayer(model.base_model)

    def forward(
        self,
        input_ids: Tensor,
        positions: Tensor,
        labels: Tensor,
        attention_mask: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> dict[str, Tensor]:
        """Return the cross-entropy in nats: summed over predicted tokens, over their *global* number in the step.

        If each rank divided by its own number, a token's weight would depend on its rank and on the number of ranks.

        Args:
            input_ids: shape (rows, row length).
            positions: indices of the predicted tokens into rows x row length; shape (predicted,).
            labels: the tokens to predict; shape (predicted,).
            attention_mask: 0 at padding, shape (rows, row length); None without padding.
            num_items_in_batch: predicted tokens of the whole optimizer step; None takes those of this batch.
        """
        losses = self.losses(input_ids, positions, labels, attention_mask)
        return {"loss": losses.sum() / (len(losses) if num_items_in_batch is None else num_items_in_batch)}

    def losses(
        self, input_ids: Tensor, positions: Tensor, labels: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Return the cross-entropy of each predicted token, shape (predicted,)."""
        if self.head is None:
            logits = gather(self.model(input_ids=input_ids, attention_mask=attention_mask).logits, positions)
        else:
            with self.last.restricted_to(positions):
                hidden = self.model.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            logits = self.head(self.model, self.last.select(hidden, positions))
        return nn.functional.cross_entropy(logits.float(), labels, reduction="none")


# Families whose classifier reads only the first position.
FIRST = {"bert", "roberta", "distilbert", "electra", "deberta-v2"}


class Classify(nn.Module):
    """A sequence classifier of transformers whose last layer is computed at the first position only."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model, self.config = model, model.config
        self.last = None
        if model.config.model_type in FIRST:
            self.last = LastLayer(model.base_model)
            attend_from_first(model.base_model)

    def forward(self, input_ids: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        """Return the `logits` of the head, shape (rows, classes), or (rows, 1) for a regression."""
        if self.last is None:
            return {"logits": self.model(input_ids=input_ids, **inputs).logits}
        rows, length = input_ids.shape
        first = torch.arange(0, rows * length, length, device=input_ids.device)[:, None]
        with self.last.restricted_to(first):
            return {"logits": self.model(input_ids=input_ids, **inputs).logits}


def classification_loss(
    outputs: dict[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Return the loss of fine-tuning, averaged over the whole optimizer step, however it is split into micro-batches.

    This is the cross-entropy in nats for class numbers, and the squared error for scores.
    """
    logits = outputs["logits"].float()
    if labels.is_floating_point():
        total = nn.functional.mse_loss(logits.squeeze(-1), labels.float(), reduction="sum")
    else:
        total = nn.functional.cross_entropy(logits, labels, reduction="sum")
    return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)
