"""Metrics of saved predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridlaw import plugins
from gridlaw.tasks.classes import Classes

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Metric:
    """A metric; a file of `tasks/metrics` defines one as `METRIC`. A larger value is better, and 1 is the best.

    Args:
        kinds: kinds of tasks that it suits.
        description: what it measures.
        compute: gives its value for predictions and references of shape (examples,), and the task's classes, which are
            None for labels that are no classes.
        lowest: the lowest value that it may have.
        has_positive: whether it is that of the positive class where there are two classes.
    """

    kinds: tuple[str, ...]
    description: str
    compute: Callable[[np.ndarray, np.ndarray, Classes | None], float]
    lowest: float = 0.0
    has_positive: bool = False


def find(name: str) -> Metric:
    """Return a metric by its name in the catalogue."""
    return plugins.load("metric", name).METRIC
