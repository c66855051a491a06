"""Accuracy: the share of examples with the right class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridlaw.tasks.metric import Metric

if TYPE_CHECKING:
    import numpy as np

    from gridlaw.tasks.classes import Classes


def _compute(predictions: np.ndarray, references: np.ndarray, classes: Classes | None) -> float:
    # Imported here because the configuration is checked without scikit-learn.
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(references, predictions))


METRIC = Metric(kinds=("classification",), description="share of examples with the right class", compute=_compute)
