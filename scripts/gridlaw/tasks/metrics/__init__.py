"""Metrics of saved predictions.

These are local modules for `evaluate`. Metrics of the hub would be downloaded when they are used, which compute nodes
often cannot do, and their code could change.
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np

# The evaluators of `evaluate`, which are not used here, would import transformers and torch, which takes seconds.
sys.modules.setdefault("transformers", None)
import evaluate  # noqa: E402

from gridlaw.tasks.metrics import classification, regression  # noqa: E402

if sys.modules["transformers"] is None:
    del sys.modules["transformers"]

# Number of groups of examples, of which the jackknife leaves out one at a time.
JACKKNIFE_GROUPS = 10
METRICS = {"classification": classification.Classification, "regression": regression.Regression}


def compute(kind: str, names: list[str], predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """Return metrics by name, for predictions and references of shape (examples,).

    Args:
        kind: `classification` (class numbers) or `regression` (scores).
        names: metrics of this kind.
    """
    # The public `compute` gives the same values, but through an Arrow file under a lock, to support several processes.
    values = _metric(kind)._compute(predictions=predictions, references=references)
    return {name: values[name] for name in names}


def item_errors(kind: str, names: list[str], predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """Return the standard errors of metrics due to the sample of examples.

    They are computed by the jackknife over groups of examples (Efron & Tibshirani 1993, chapter 11).
    """
    groups = min(JACKKNIFE_GROUPS, len(predictions))
    if groups < 2:
        return dict.fromkeys(names, np.nan)
    group = np.arange(len(predictions)) % groups
    values = [compute(kind, names, predictions[group != g], references[group != g]) for g in range(groups)]
    replicates = {name: np.array([value[name] for value in values], float) for name in names}
    return {name: float(np.sqrt((groups - 1) * replicates[name].var())) for name in names}


@cache
def _metric(kind: str) -> evaluate.EvaluationModule:
    return METRICS[kind]()
