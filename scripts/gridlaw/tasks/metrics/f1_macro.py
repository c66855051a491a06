"""Macro F1: the average of F1 over the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridlaw.tasks.metric import Metric

if TYPE_CHECKING:
    import numpy as np

    from gridlaw.tasks.classes import Classes


def _compute(predictions: np.ndarray, references: np.ndarray, classes: Classes | None) -> float:
    # Imported here because the configuration is checked without scikit-learn.
    from sklearn.metrics import f1_score

    # A ratio without a denominator is 0.
    return float(f1_score(references, predictions, labels=classes.all, average="macro", zero_division=0))


METRIC = Metric(kinds=("classification",), description="average of F1 over the classes", compute=_compute)
