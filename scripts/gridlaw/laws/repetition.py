"""Data repetition: the number of fresh tokens that several epochs over the same text are worth.

D' = U + U R* (1 - exp(-R / R*)) with U unique tokens and R = D / U - 1 repetitions (Muennighoff et al. 2023). R* is the
number of repetitions after which text has lost most of its value; for causal language models of English they found
about 15. Masked language models lose more by repetition (Cheng et al. 2024), so R* is always fitted here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gridlaw.arrays import Array
from gridlaw.laws import powerlaw
from gridlaw.laws.points import Points

# Candidate values of R*. If the best is an end, the data only show that repetitions are worth nothing, or everything.
CANDIDATES = np.geomspace(0.3, 300, 31)
# Text counts as repeated if it is read more than this number of times.
ONCE = 1.01


def effective(corpus_tokens: Array, trained_tokens: Array, repetitions: float) -> Array:
    """The fresh tokens that some repeated text is worth.

    Args:
        corpus_tokens, trained_tokens: U and D; the same shape.
        repetitions: R*.
    """
    repeated = np.maximum(trained_tokens / corpus_tokens - 1, 0)
    return corpus_tokens * (1 + repetitions * -np.expm1(-repeated / repetitions))


def fit(runs: pd.DataFrame, axes: list[str]) -> tuple[float, bool]:
    """Fit R*; gives the value with which the law fits best, and whether the runs determine it.

    Args:
        runs: with `corpus_tokens`, `trained_tokens`, `loss` and the other axes.
        axes: with `effective_tokens` among them.
    """
    objectives = []
    for repetitions in CANDIDATES:
        points = Points.from_runs(with_effective_tokens(runs, repetitions), axes)
        objectives.append(float(powerlaw.fit(points.x, points.y).objective[0]))
    best = int(np.argmin(objectives))
    return float(CANDIDATES[best]), 0 < best < len(CANDIDATES) - 1


def with_effective_tokens(runs: pd.DataFrame, repetitions: float) -> pd.DataFrame:
    """Add the fresh tokens that each run's text is worth as the column `effective_tokens`."""
    counts = (runs[name].to_numpy(float) for name in ("corpus_tokens", "trained_tokens"))
    return runs.assign(effective_tokens=effective(*counts, repetitions))
