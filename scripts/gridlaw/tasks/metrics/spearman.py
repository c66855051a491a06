"""Spearman's correlation of the ranks of predicted and true scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridlaw.tasks.metric import Metric

if TYPE_CHECKING:
    import numpy as np

    from gridlaw.tasks.classes import Classes


def _compute(predictions: np.ndarray, references: np.ndarray, classes: Classes | None) -> float:
    # Imported here because the configuration is checked without SciPy.
    import numpy as np
    from scipy.stats import spearmanr

    # A constant has no correlation.
    if np.ptp(predictions) == 0 or np.ptp(references) == 0:
        return 0.0
    return float(spearmanr(predictions, references).statistic)


METRIC = Metric(
    kinds=("regression",),
    description="correlation of the ranks of predicted and true scores",
    compute=_compute,
    lowest=-1.0,
)
