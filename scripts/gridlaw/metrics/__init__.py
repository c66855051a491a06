"""Metrics of saved predictions.

They come through `evaluate`, from the module beside this page: the hub's metric scripts are fetched when they are
used, which a compute node cannot do and a reader cannot check.
"""

from __future__ import annotations

from pathlib import Path

import evaluate
import numpy as np

from gridlaw.metrics import classification, regression

MODULES = {"classification": classification, "regression": regression}


def compute(kind: str, names: list[str], predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """Metrics by name, between predictions and references of shape (examples,).

    Args:
        kind: `classification` (class numbers) or `regression` (scores).
        names: metrics of the kind's module.
    """
    metric = evaluate.load(str(Path(MODULES[kind].__file__)))
    values = metric.compute(predictions=predictions.tolist(), references=references.tolist())
    return {name: values[name] for name in names}
