"""Confidence intervals of means."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t


def mean_interval(values: pd.Series, level: float = 0.95) -> pd.Series:
    """Mean of replicates with Student's t interval; a single replicate has none.

    Returns:
        mean, low, high (NaN for one replicate), sd and n.
    """
    values = values.dropna()
    n, mean = len(values), values.mean()
    sd = values.std(ddof=1) if n > 1 else np.nan
    reach = t.ppf((1 + level) / 2, n - 1) * sd / np.sqrt(n) if n > 1 else np.nan
    return pd.Series({"mean": mean, "low": mean - reach, "high": mean + reach, "sd": sd, "n": n})


def summarise(
    table: pd.DataFrame, keys: list[str], value: str, averaged: tuple[str, ...] = (), counted: tuple[str, ...] = ()
) -> pd.DataFrame:
    """`mean_interval` of `value` in each group of `keys`, plain means of further columns, and counts of true ones.

    Returns:
        the keys, mean, low, high, sd, n, and the further columns: a row for each group, in order of appearance.
    """
    rows = [
        dict(zip(keys, names, strict=True))
        | mean_interval(group[value]).to_dict()
        | group[[*averaged]].mean().to_dict()
        | group[[*counted]].sum().astype(int).to_dict()
        for names, group in table.groupby(keys, sort=False, dropna=False)
    ]
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "sd", "n", *averaged, *counted])


def summarise_pooled(table: pd.DataFrame, keys: list[str], value: str, level: float = 0.95) -> pd.DataFrame:
    """Geometric mean of a positive `value` in each group of `keys`, its interval by the scatter pooled over groups.

    Two replicates hardly determine a standard deviation. It is therefore pooled over all groups, which assumes that
    all have the same one.

    Returns:
        the keys, mean, low, high (NaN where no group has two) and n: a row for each group, in order of appearance.
    """
    logs = table.dropna(subset=[value]).assign(**{value: lambda rows: np.log(rows[value])})
    groups = logs.groupby(keys, sort=False, dropna=False)[value]
    means = groups.agg(mean="mean", n="size").reset_index()
    freedom = len(logs) - len(means)
    sd = np.sqrt(((logs[value] - groups.transform("mean")) ** 2).sum() / freedom) if freedom else np.nan
    reach = t.ppf((1 + level) / 2, freedom) * sd / np.sqrt(means["n"]) if freedom else np.nan
    middle = means["mean"]
    return means.assign(mean=np.exp(middle), low=np.exp(middle - reach), high=np.exp(middle + reach))
