"""Precision: share of examples predicted as a class that have it; of class 1 of two, or the average over more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridlaw.tasks.metric import Metric, class_average

if TYPE_CHECKING:
    import numpy as np


def _compute(predictions: np.ndarray, references: np.ndarray) -> float:
    # Imported here because the configuration is checked without scikit-learn.
    from sklearn.metrics import precision_score

    average = class_average(predictions, references)
    # A ratio without a denominator is 0.
    return float(precision_score(references, predictions, average=average, zero_division=0))


METRIC = Metric(
    kinds=("classification",),
    description="share of examples predicted as a class that have it; of class 1 of two, or the average over more",
    compute=_compute,
)
