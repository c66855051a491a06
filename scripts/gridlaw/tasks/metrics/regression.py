"""Metrics of predicted scores, as a module of `evaluate`."""

import datasets
import evaluate
import numpy as np
from scipy.stats import pearsonr, spearmanr

DESCRIPTION = """
pearson and spearman: correlation of predicted with true scores, and of their ranks. A constant has no correlation: 0.
"""


class Regression(evaluate.Metric):
    """Pearson and Spearman correlation of scores, by SciPy."""

    def _info(self):
        number = datasets.Value("float64")
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Cer et al. 2017, SemEval-2017 Task 1: Semantic Textual Similarity",
            inputs_description="predictions and references: lists of scores",
            features=datasets.Features({"predictions": number, "references": number}),
        )

    def _compute(self, predictions, references):
        if np.ptp(predictions) == 0 or np.ptp(references) == 0:
            return {"pearson": 0.0, "spearman": 0.0}
        return {
            "pearson": float(pearsonr(predictions, references).statistic),
            "spearman": float(spearmanr(predictions, references).statistic),
        }
