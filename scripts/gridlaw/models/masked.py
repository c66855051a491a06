"""A masked language model that computes its head only at the positions that the loss reads.

The head and the softmax over the vocabulary are most of a small model's arithmetic, so they get the predicted positions
only. Their outputs equal those of the model's own forward pass.
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers import PreTrainedModel

from gridlaw.models import family
from gridlaw.models.sparse import LastLayer, gather


class PredictMasked(nn.Module):
    """A masked LM that returns the loss of its predicted tokens.

    Args:
        model: a masked LM of transformers; if its family names no head, its own forward pass runs at all positions.
    """

    # Trainer passes the number of predicted tokens of the whole optimizer step, over all ranks.
    accepts_loss_kwargs = True

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model, self.config = model, model.config
        self.head = family.find(model.config.model_type).head
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
