"""Regression: an example has a score, and the head one output."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gridlaw.tasks.kind import TaskKind

if TYPE_CHECKING:
    from torch import Tensor

# Largest 32-bit number; labels of this size meet the loss as such.
LARGEST = 3.4e38


def _score(label: object) -> float:
    """Return a number, which may come as text."""
    try:
        if isinstance(label, bool):
            raise ValueError
        score = float(label)
    except (TypeError, ValueError):
        shown = repr(label) if isinstance(label, str) else f"a {type(label).__name__}"
        raise ValueError(f"is not a number ({shown:.60}); expected a number, such as 2.5") from None
    if not math.isfinite(score):
        raise ValueError(f"is not a number ({score}); expected a finite number, such as 2.5")
    if abs(score) > LARGEST:
        raise ValueError(f"is too large ({score:g}); expected a number below {LARGEST:g}")
    return score


def _check(labels: list) -> None:
    if len(set(labels)) < 2:
        raise ValueError(f"all examples have the label {labels[0]:g}; expected labels that differ")


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Squared error."""
    # Imported here because other steps than fine-tuning need no torch.
    from torch.nn.functional import mse_loss

    return mse_loss(logits.squeeze(-1), labels.float(), reduction="sum")


KIND = TaskKind(
    dtype="float64",
    problem_type="regression",
    read_label=_score,
    find_classes=_check,
    count_outputs=lambda classes: 1,
    loss=_loss,
    predict=lambda outputs: outputs[:, 0],
    guess=lambda labels: labels.mean(),
)
