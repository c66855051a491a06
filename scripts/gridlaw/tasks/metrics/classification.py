"""Metrics of class predictions, as a module of `evaluate`."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score, matthews_corrcoef, precision_recall_fscore_support

DESCRIPTION = """
accuracy; precision, recall and f1 of class 1 of a two-class task (GLUE's convention), or their averages over the
classes of a task with more; f1_macro, the average of F1 over the classes; matthews_correlation. A ratio without a
denominator is 0.
"""


class Classification(evaluate.Metric):
    """Accuracy, precision, recall, F1 and Matthews correlation of class numbers, by scikit-learn."""

    def _info(self):
        number = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="Wang et al. 2019, GLUE: A Multi-Task Benchmark for Natural Language Understanding",
            inputs_description="predictions and references: lists of class numbers",
            features=datasets.Features({"predictions": number, "references": number}),
        )

    def _compute(self, predictions, references):
        two_classes = np.max([predictions, references]) <= 1
        average = "binary" if two_classes else "macro"
        precision, recall, f1, _ = precision_recall_fscore_support(
            references, predictions, average=average, zero_division=0
        )
        f1_macro = precision_recall_fscore_support(references, predictions, average="macro", zero_division=0)[2]
        return {
            "accuracy": float(accuracy_score(references, predictions)),
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "f1_macro": float(f1_macro),
            "matthews_correlation": float(matthews_corrcoef(references, predictions)),
        }
