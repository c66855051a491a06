"""Regression: an example has a score, and the head one output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridlaw.cli import Failure
from gridlaw.tasks.kind import TaskKind

if TYPE_CHECKING:
    from torch import Tensor


def _scores(labels: list, where: str) -> list[float]:
    try:
        return [float(label) for label in labels]
    except ValueError as error:
        raise Failure(f"{where}: expected numbers: {error}") from error


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Squared error."""
    # Imported here because other steps than fine-tuning need no torch.
    from torch.nn.functional import mse_loss

    return mse_loss(logits.squeeze(-1), labels.float(), reduction="sum")


KIND = TaskKind(
    dtype="float64",
    problem_type="regression",
    read_labels=_scores,
    find_classes=lambda labels, column: None,
    count_outputs=lambda classes: 1,
    loss=_loss,
    predict=lambda outputs: outputs[:, 0],
    guess=lambda labels: labels.mean(),
)
