"""Recall: share of examples of a class that are predicted as it; positive class of two, or average over all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridlaw.tasks.metric import Metric

if TYPE_CHECKING:
    import numpy as np

    from gridlaw.tasks.classes import Classes


def _compute(predictions: np.ndarray, references: np.ndarray, classes: Classes | None) -> float:
    # Imported here because the configuration is checked without scikit-learn.
    from sklearn.metrics import recall_score

    # A ratio without a denominator is 0.
    return float(recall_score(references, predictions, labels=classes.averaged, average="macro", zero_division=0))


METRIC = Metric(
    kinds=("classification",),
    description="share of examples of a class that are predicted as it; positive class of two, or average over all",
    compute=_compute,
    has_positive=True,
)
