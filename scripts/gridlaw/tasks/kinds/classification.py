"""Classification: an example has one of some classes, and the head an output for each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gridlaw.tasks.kind import TaskKind

if TYPE_CHECKING:
    from torch import Tensor


EXPECTED = "expected a class, text or a whole number"


def _class(label: object) -> str | int | bool:
    """Return text, whole numbers, true and false as they are; a whole number may come as a float."""
    if isinstance(label, float):
        if not math.isfinite(label):
            raise ValueError(f"is not a number ({label}); {EXPECTED}")
        if label % 1:
            raise ValueError(f"has a fraction ({label:g}); {EXPECTED}, or kind: regression")
        return int(label)
    if not isinstance(label, (str, int)):
        raise ValueError(f"is a {type(label).__name__} ({label!r:.60}); {EXPECTED}")
    if isinstance(label, str) and not label.strip():
        raise ValueError(f"is empty; {EXPECTED}")
    return label


def _classes(labels: list) -> list:
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise ValueError(f"all examples have the label {classes[0]}; expected at least two classes")
    return classes


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in nats."""
    # Imported here because other steps than fine-tuning need no torch.
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits, labels, reduction="sum")


KIND = TaskKind(
    dtype="int64",
    problem_type="single_label_classification",
    read_label=_class,
    find_classes=_classes,
    count_outputs=len,
    loss=_loss,
    predict=lambda outputs: outputs.argmax(1),
    # The majority class.
    guess=lambda labels: labels.mode().iloc[0],
)
