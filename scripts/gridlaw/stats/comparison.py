"""Comparison of models over seeds: one rule for every table, figure and sentence.

Two models are *different* if Welch's t test (1947) is significant after Holm's correction (1979) for all pairs, and the
95 % interval of their difference contains no difference smaller than the smallest of interest. They are *equivalent* if
the whole interval is smaller than that (two one-sided tests; Schuirmann 1987), and *not separable* otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from gridlaw.arrays import Array
from gridlaw.words import percent

LEVEL = 0.05
DIFFERENT, EQUIVALENT, NOT_SEPARABLE, ONE_SEED = "different", "equivalent", "not separable", "one seed"
COLUMNS = ["size", "a", "b", "difference", "low", "high", "seeds", "probability", "p"]


def holm(p: Array) -> Array:
    """P-values corrected for multiple tests (Holm 1979); NaN stays NaN."""
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def pairs(values: pd.DataFrame, lower_is_better: bool, smallest: float = 0.0) -> pd.DataFrame:
    """Compare every two models at every size, over replicates.

    Args:
        values: a row for each replicate: `model`, `size`, `value`, which may be missing.
        smallest: smallest difference of interest, in the unit of the values; 0 if every difference counts.

    Returns:
        a row for each pair: `size`, `a`, `b`, `difference` of means (a - b) and its 95 % interval from `low` to `high`,
        `seeds` of the model with fewer, `probability` that a is better, `p` adjusted by Holm's method over all rows,
        `conclusion`, `better` (a model, or null where they do not differ), `verdict`.
    """
    rows = []
    for size, runs in values.dropna(subset="value").groupby("size", sort=False):
        samples = {model: group["value"].to_numpy(float) for model, group in runs.groupby("model", sort=False)}
        rows += [
            {"size": size, "a": a, "b": b, **_compare(samples[a], samples[b], lower_is_better)}
            for a, b in combinations(samples, 2)
        ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["p"] = holm(table["p"].to_numpy(float))
    table["conclusion"] = [_conclusion(row, smallest) for row in table.itertuples()]
    first = np.where((table["difference"] < 0) == lower_is_better, table["a"], table["b"])
    table["better"] = pd.Series(first, dtype=object).where(table["conclusion"] == DIFFERENT, None)
    table["verdict"] = [_verdict(row, smallest) for row in table.itertuples()]
    return table


def best(compared: Iterable[dict], size: str, models: Iterable[str]) -> str | None:
    """The model that is better than every other at a size; None if no model is, or if it is the only one.

    Args:
        compared: rows of `pairs`, possibly from several groups of runs.
    """
    better = {}
    for pair in compared:
        if pair["size"] == size:
            better.setdefault(frozenset((pair["a"], pair["b"])), set()).add(pair["better"])
    models = list(models)
    for model in models:
        others = [frozenset((model, other)) for other in models if other != model]
        if others and all(better.get(pair) == {model} for pair in others):
            return model
    return None


def _compare(a: Array, b: Array, lower_is_better: bool) -> dict:
    difference = a.mean() - b.mean()
    facts = {"difference": difference, "seeds": min(len(a), len(b))}
    if facts["seeds"] < 2:
        return facts
    # Without any scatter the t statistic is 0 / 0.
    if np.ptp(a) == np.ptp(b) == 0:
        is_same = difference == 0
        is_better = (difference < 0) == lower_is_better
        certain = {"probability": 0.5 if is_same else float(is_better), "p": float(is_same)}
        return facts | {"low": difference, "high": difference} | certain
    test = stats.ttest_ind(a, b, equal_var=False)
    interval = test.confidence_interval(1 - LEVEL)
    # Under flat priors the posterior of the difference is Student's t too.
    probability = stats.t.cdf(-test.statistic if lower_is_better else test.statistic, test.df)
    return facts | {
        "low": float(interval.low),
        "high": float(interval.high),
        "probability": float(probability),
        "p": float(test.pvalue),
    }


def _conclusion(row, smallest: float) -> str:
    if row.seeds < 2:
        return ONE_SEED
    if row.p < LEVEL and max(row.low, -row.high) >= smallest:
        return DIFFERENT
    return EQUIVALENT if max(-row.low, row.high) < smallest else NOT_SEPARABLE


def _verdict(row, smallest: float) -> str:
    both = f"{row.a} and {row.b} at {row.size}"
    if row.conclusion == ONE_SEED:
        return f"{both}: with one seed nothing can be said"
    if row.conclusion == EQUIVALENT:
        return f"{both}: equivalent, they differ by less than {smallest:g}"
    if row.conclusion == NOT_SEPARABLE:
        return f"{both}: not separable by {row.seeds} seeds"
    worse = row.b if row.better == row.a else row.a
    probability = max(row.probability, 1 - row.probability)
    least, most = sorted((abs(row.low), abs(row.high)))
    size = f"{abs(row.difference):.3g} ({least:.3g} to {most:.3g})"
    return (
        f"{row.better} is better than {worse} at {row.size} by {size}, {percent(probability)} sure, {row.seeds} seeds"
    )
