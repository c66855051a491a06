"""Text that is read more than once: how many fresh tokens its passes are worth.

D' = U + U R* (1 - exp(-R / R*)) with U distinct tokens and R = D / U - 1 repetitions (Muennighoff et al. 2023).
R* says how fast a repetition loses its worth; for causal language models of English they found about 15. Masked
language models lose more by repetition (Cheng et al. 2024), so that it is always fitted here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gridlaw import powerlaw
from gridlaw.points import Points
from gridlaw.powerlaw import Array

# Values of R* that are tried; at either end the data say no more than that repetitions are worth nothing, or all.
TRIED = np.geomspace(0.3, 300, 31)
# A text read by so much more than once is read again.
ONCE = 1.01


def effective(corpus_tokens: Array, trained_tokens: Array, repetitions: float) -> Array:
    """Fresh tokens that some text is worth.

    Args:
        corpus_tokens, trained_tokens: U and D; the same shape.
        repetitions: R*.
    """
    repeated = np.maximum(trained_tokens / corpus_tokens - 1, 0)
    return corpus_tokens * (1 + repetitions * -np.expm1(-repeated / repetitions))


def fit(runs: pd.DataFrame, axes: list[str]) -> tuple[float, bool]:
    """R* under which the law over some axes fits best, and whether the runs determine it.

    Args:
        runs: with `corpus_tokens`, `trained_tokens`, `loss` and the other axes.
        axes: with `effective_tokens` among them.
    """
    objectives = []
    for repetitions in TRIED:
        points = Points.from_runs(worth(runs, repetitions), axes)
        objectives.append(float(powerlaw.fit(points.x, points.y).objective[0]))
    best = int(np.argmin(objectives))
    return float(TRIED[best]), 0 < best < len(TRIED) - 1


def worth(runs: pd.DataFrame, repetitions: float) -> pd.DataFrame:
    """Runs with the fresh tokens that their text is worth as `effective_tokens`."""
    counts = (runs[name].to_numpy(float) for name in ("corpus_tokens", "trained_tokens"))
    return runs.assign(effective_tokens=effective(*counts, repetitions))
