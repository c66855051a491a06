"""Scores of saved predictions, computed by `evaluate` with the metrics of this package.

Metrics of the hub would be downloaded when they are used, which compute nodes often cannot do, and their code could
change.
"""

from __future__ import annotations

import sys

import datasets
import numpy as np

# The evaluators of `evaluate`, which are not used here, would import transformers and torch, which takes seconds.
sys.modules.setdefault("transformers", None)
import evaluate  # noqa: E402

from gridlaw.tasks import kind, metric  # noqa: E402
from gridlaw.tasks.classes import Classes  # noqa: E402

if sys.modules["transformers"] is None:
    del sys.modules["transformers"]

# Number of groups of examples, of which the jackknife leaves out one at a time.
JACKKNIFE_GROUPS = 10


class Scores(evaluate.Metric):
    """Some metrics of a kind of task, as one metric of `evaluate`."""

    def __init__(self, task_kind: str, names: list[str], classes: Classes | None, **settings: object):
        self.classes = classes
        self.dtype = kind.find(task_kind).dtype
        self.metrics = {name: metric.find(name) for name in names}
        super().__init__(**settings)

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value(self.dtype)
        return evaluate.MetricInfo(
            description="; ".join(f"{name}: {metric.description}" for name, metric in self.metrics.items()),
            citation="",
            inputs_description="predictions and references: lists of class numbers or scores",
            features=datasets.Features({"predictions": value, "references": value}),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
        return {name: metric.compute(predictions, references, self.classes) for name, metric in self.metrics.items()}


def compute(
    task_kind: str, names: list[str], classes: Classes | None, predictions: np.ndarray, references: np.ndarray
) -> dict[str, float]:
    """Return metrics by name, for predictions and references of shape (examples,).

    Args:
        task_kind: its name in the catalogue.
        names: metrics of this kind.
        classes: of the task.
    """
    # The public `compute` gives the same values, but through an Arrow file under a lock, to support several processes.
    return Scores(task_kind, names, classes)._compute(predictions=predictions, references=references)


def positive(name: str, classes: Classes | None) -> str | None:
    """Return the label of the class that a metric is of, on one line; None for averages over classes, and others."""
    if classes is None or classes.positive is None or not metric.find(name).has_positive:
        return None
    return " ".join(str(classes.labels[classes.positive]).split())


def item_errors(
    task_kind: str, names: list[str], classes: Classes | None, predictions: np.ndarray, references: np.ndarray
) -> dict[str, float]:
    """Return the standard errors of metrics due to the sample of examples.

    They are computed by the jackknife over groups of examples (Efron & Tibshirani 1993, chapter 11).
    """
    groups = min(JACKKNIFE_GROUPS, len(predictions))
    if groups < 2:
        return dict.fromkeys(names, np.nan)
    group, scores = np.arange(len(predictions)) % groups, Scores(task_kind, names, classes)
    values = [
        scores._compute(predictions=predictions[group != g], references=references[group != g]) for g in range(groups)
    ]
    replicates = {name: np.array([value[name] for value in values], float) for name in names}
    return {name: float(np.sqrt((groups - 1) * replicates[name].var())) for name in names}
