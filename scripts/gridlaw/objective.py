"""The masked-LM objective, computed only where something is predicted.

Nine out of ten positions of a row predict nothing; the head and the softmax over the vocabulary are most of a small
model's arithmetic, so they see the predicted positions alone. Outputs there are those of the model's own forward
pass.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from transformers import PreTrainedModel

from gridlaw.masking import IGNORED

# Each family's head, from hidden states of any shape (..., hidden) to logits (..., vocabulary).
HEADS: dict[str, Callable[[PreTrainedModel, Tensor], Tensor]] = {
    "bert": lambda model, hidden: model.cls(hidden),
    "roberta": lambda model, hidden: model.lm_head(hidden),
    "distilbert": lambda model, hidden: model.vocab_projector(
        model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    ),
    "electra": lambda model, hidden: model.generator_lm_head(model.generator_predictions(hidden)),
    "modernbert": lambda model, hidden: model.decoder(model.head(hidden)),
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

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> dict[str, Tensor]:
        """Cross-entropy in nats: the sum over predicted tokens, over the *global* number of them in the update.

        Normalising each rank by its own count would weigh tokens unequally, and differently for every number of ranks.

        Args:
            input_ids, attention_mask: shape (rows, row length).
            labels: token ids, or `IGNORED` where nothing is predicted; shape (rows, row length).
            num_items_in_batch: predicted tokens of the whole update; None takes those at hand.
        """
        losses = self.losses(input_ids, attention_mask, labels)
        return {"loss": losses.sum() / (len(losses) if num_items_in_batch is None else num_items_in_batch)}

    def losses(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of each predicted token, row by row, shape (predicted,)."""
        chosen = labels != IGNORED
        head = HEADS.get(self.config.model_type)
        if head:
            hidden = self.model.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            logits = head(self.model, hidden[chosen])
        else:
            logits = self.model(input_ids=input_ids, attention_mask=attention_mask).logits[chosen]
        return nn.functional.cross_entropy(logits.float(), labels[chosen], reduction="none")
