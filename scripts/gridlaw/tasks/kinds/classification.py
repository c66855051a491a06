"""Classification: an example has one of some classes, and the head an output for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gridlaw.cli import Failure
from gridlaw.tasks.kind import TaskKind

if TYPE_CHECKING:
    from torch import Tensor


def _classes(labels: Iterable[list], column: str) -> list:
    classes = sorted({label for split in labels for label in split})
    if len(classes) < 2:
        raise Failure(f"label {column}: all examples have the label {classes[0]}; expected at least two classes")
    return classes


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in nats."""
    # Imported here because other steps than fine-tuning need no torch.
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits, labels, reduction="sum")


KIND = TaskKind(
    dtype="int64",
    problem_type="single_label_classification",
    read_labels=lambda labels, where: labels,
    find_classes=_classes,
    count_outputs=len,
    loss=_loss,
    predict=lambda outputs: outputs.argmax(1),
    # The majority class.
    guess=lambda labels: labels.mode().iloc[0],
)
