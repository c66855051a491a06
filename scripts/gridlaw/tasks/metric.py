"""Metrics of saved predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridlaw import plugins

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Metric:
    """A metric; a file of `tasks/metrics` defines one as `METRIC`. A larger value is better, and 1 is the best.

    Args:
        kinds: kinds of tasks that it suits.
        description: what it measures.
        compute: gives its value for predictions and references of shape (examples,).
        lowest: the lowest value that it may have.
    """

    kinds: tuple[str, ...]
    description: str
    compute: Callable[[np.ndarray, np.ndarray], float]
    lowest: float = 0.0


def find(name: str) -> Metric:
    """Return a metric by its name in the catalogue."""
    return plugins.load("metric", name).METRIC


def class_average(predictions: np.ndarray, references: np.ndarray) -> str:
    """Name of scikit-learn's average over classes: class 1 of two (GLUE's convention), all classes of more."""
    # Imported here because the configuration is checked without NumPy.
    import numpy as np

    return "binary" if np.max([predictions, references]) <= 1 else "macro"
