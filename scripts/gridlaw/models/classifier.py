"""A sequence classifier that computes its last layer only at the position that its head reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gridlaw.models import family
from gridlaw.models.sparse import LastLayer, attend_from_first


class Classify(nn.Module):
    """A sequence classifier of transformers whose last layer is computed at the first position only."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model, self.config = model, model.config
        self.last = None
        if family.find(model.config.model_type).classifies_first:
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
