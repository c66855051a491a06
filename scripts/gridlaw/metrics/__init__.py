"""Metrics of saved predictions.

They come through `evaluate`, from the module beside this page: the hub's metric scripts are fetched when they are
used, which a compute node cannot do and a reader cannot check.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

# The evaluators of `evaluate`, which are not used here, would load transformers and torch: seconds in every job.
sys.modules.setdefault("transformers", None)
import evaluate  # noqa: E402

from gridlaw.metrics import classification, regression  # noqa: E402

if sys.modules["transformers"] is None:
    del sys.modules["transformers"]

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
