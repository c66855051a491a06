"""Is one model better than another? Only where seeds say so."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from gridlaw.powerlaw import Array
from gridlaw.words import percent

LEVEL = 0.05


def holm(p: Array) -> Array:
    """P-values that may be compared with one level together (Holm 1979); NaN stays."""
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def pairs(values: pd.DataFrame, lower_is_better: bool) -> pd.DataFrame:
    """Every two models compared at every size, by Welch's t test over replicates.

    Args:
        values: a row for each replicate: `model`, `size`, `value`.

    Returns:
        a row for each pair: `size`, `a`, `b`, `difference` of means (a - b), `better` (a model, or null where they are
        not separable), `p` adjusted by Holm's method over all rows, `probability` that a is better, `verdict`.
    """
    rows = []
    for size, at in values.groupby("size", sort=False):
        of = {model: group["value"].to_numpy(float) for model, group in at.groupby("model", sort=False)}
        for a, b in combinations(of, 2):
            rows.append({"size": size, "a": a, "b": b, **_compared(of[a], of[b], lower_is_better)})
    columns = ["size", "a", "b", "difference", "seeds", "sd", "probability", "p"]
    table = pd.DataFrame(rows, columns=columns)
    table["p"] = holm(table["p"].to_numpy(float))
    verdicts = [_verdict(row, lower_is_better) for row in table.itertuples()]
    table["better"] = [better for better, _ in verdicts]
    table["verdict"] = [words for _, words in verdicts]
    return table


def _compared(a: Array, b: Array, lower_is_better: bool) -> dict:
    facts = {"difference": a.mean() - b.mean(), "seeds": min(len(a), len(b))}
    if facts["seeds"] < 2:
        return facts | {"sd": np.nan, "probability": np.nan, "p": np.nan}
    squares = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    error = np.sqrt(sum(squares))
    sd = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    if error == 0:
        same = facts["difference"] == 0
        first = (facts["difference"] < 0) == lower_is_better
        return facts | {"sd": 0.0, "p": 1.0 if same else 0.0, "probability": 0.5 if same else float(first)}
    free = sum(squares) ** 2 / sum(square**2 / (len(x) - 1) for square, x in zip(squares, (a, b), strict=True))
    t = facts["difference"] / error
    # The posterior of the difference under flat priors is Student's t as well.
    probability = stats.t.cdf(-t if lower_is_better else t, free)
    return facts | {"sd": sd, "probability": float(probability), "p": float(2 * stats.t.sf(abs(t), free))}


def _verdict(row, lower_is_better: bool) -> tuple[str | None, str]:
    if row.seeds < 2:
        return None, f"{row.a} and {row.b} at {row.size}: with one seed nothing can be said"
    if not row.p < LEVEL or abs(row.difference) < 2 * row.sd:
        return None, f"{row.a} and {row.b} at {row.size}: not separable, seeds differ as much"
    better, worse = (row.a, row.b) if (row.difference < 0) == lower_is_better else (row.b, row.a)
    sure = max(row.probability, 1 - row.probability)
    return better, f"{better} is better than {worse} at {row.size} ({percent(sure)} sure, {row.seeds} seeds)"
