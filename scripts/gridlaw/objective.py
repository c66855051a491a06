"""The objectives: masked language modelling and classification, computed only where the loss looks.

The head and the softmax over the vocabulary are most of a small model's arithmetic, so they see the predicted positions
alone. Outputs there are those of the model's own forward pass.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gridlaw.sparse import LastLayer, attend_from_first, gather

# Each family's masked-LM head, from hidden states of any shape (..., hidden) to logits (..., vocabulary).
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
        model: a masked LM of transformers; a family without an entry in `HEADS` runs its own whole forward pass.
    """

    # Trainer passes the number of predicted tokens of the whole update, over all ranks.
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
        """Cross-entropy in nats: the sum over predicted tokens, over the *global* number of them in the update.

        Normalising each rank by its own count would weigh tokens unequally, and differently for every number of ranks.

        Args:
            input_ids: shape (rows, row length).
            positions: where tokens are predicted, numbers into rows x row length; shape (predicted,).
            labels: the tokens there; shape (predicted,).
            attention_mask: 0 at padding, shape (rows, row length); None where there is none.
            num_items_in_batch: predicted tokens of the whole update; None takes those at hand.
        """
        losses = self.losses(input_ids, positions, labels, attention_mask)
        return {"loss": losses.sum() / (len(losses) if num_items_in_batch is None else num_items_in_batch)}

    def losses(
        self, input_ids: Tensor, positions: Tensor, labels: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Cross-entropy of each predicted token, shape (predicted,)."""
        if self.head is None:
            logits = gather(self.model(input_ids=input_ids, attention_mask=attention_mask).logits, positions)
        else:
            with self.last.only(positions):
                hidden = self.model.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            logits = self.head(self.model, self.last.at(hidden, positions))
        return nn.functional.cross_entropy(logits.float(), labels, reduction="none")


# Families whose classifier reads the first position and nothing else.
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
        """Outputs of the head, `logits` of shape (rows, classes), or (rows, 1) for a regression."""
        if self.last is None:
            return {"logits": self.model(input_ids=input_ids, **inputs).logits}
        rows, length = input_ids.shape
        first = torch.arange(0, rows * length, length, device=input_ids.device)[:, None]
        with self.last.only(first):
            return {"logits": self.model(input_ids=input_ids, **inputs).logits}


def classification_loss(
    outputs: dict[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Loss of a fine-tuning over the examples of the whole update, however it is split into micro-batches.

    Cross-entropy in nats for class numbers, squared error for scores.
    """
    logits = outputs["logits"].float()
    if labels.is_floating_point():
        total = nn.functional.mse_loss(logits.squeeze(-1), labels.float(), reduction="sum")
    else:
        total = nn.functional.cross_entropy(logits, labels, reduction="sum")
    return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)
