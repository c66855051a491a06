"""Matthews correlation of predicted and true classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridlaw.tasks.metric import Metric

if TYPE_CHECKING:
    import numpy as np

    from gridlaw.tasks.classes import Classes


def _compute(predictions: np.ndarray, references: np.ndarray, classes: Classes | None) -> float:
    # Imported here because the configuration is checked without scikit-learn.
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(references, predictions))


METRIC = Metric(
    kinds=("classification",),
    description="Matthews correlation of predicted and true classes",
    compute=_compute,
    lowest=-1.0,
)
