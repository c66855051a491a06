"""Metrics of saved predictions.

They come through `evaluate`, from the modules beside this page: the hub's metric scripts are fetched when they are
used, which a compute node cannot do and a reader cannot check.
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np

# The evaluators of `evaluate`, which are not used here, would load transformers and torch: seconds in every job.
sys.modules.setdefault("transformers", None)
import evaluate  # noqa: E402

from gridlaw.metrics import classification, regression  # noqa: E402

if sys.modules["transformers"] is None:
    del sys.modules["transformers"]

# Groups of examples that are left out in turn.
JACKKNIFE_GROUPS = 10
METRICS = {"classification": classification.Classification, "regression": regression.Regression}


def compute(kind: str, names: list[str], predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """Metrics by name, between predictions and references of shape (examples,).

    Args:
        kind: `classification` (class numbers) or `regression` (scores).
        names: metrics of the kind's module.
    """
    # The public `compute` gives the same, by way of an Arrow file under a lock: it gathers predictions of processes.
    values = _metric(kind)._compute(predictions=predictions, references=references)
    return {name: values[name] for name in names}


def item_errors(kind: str, names: list[str], predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """Standard errors of metrics over the examples: other examples would have given other values.

    By the jackknife that leaves out a group of examples at a time (Efron & Tibshirani 1993, chapter 11).
    """
    groups = min(JACKKNIFE_GROUPS, len(predictions))
    if groups < 2:
        return dict.fromkeys(names, np.nan)
    group = np.arange(len(predictions)) % groups
    values = [compute(kind, names, predictions[group != g], references[group != g]) for g in range(groups)]
    of = {name: np.array([value[name] for value in values], float) for name in names}
    return {name: float(np.sqrt((groups - 1) * of[name].var())) for name in names}


@cache
def _metric(kind: str) -> evaluate.EvaluationModule:
    return METRICS[kind]()
