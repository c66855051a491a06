"""Measured cells with their costs and the uncertainty of their losses, and the Pareto front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlaw.arrays import Array
from gridlaw.laws.selection import Group

DRAWS = 4000
SEED = 0
# Costs of a cell: the column, and its name in words.
COSTS = {"hours": "rank-hours", "seconds": "seconds of training", "memory_mb": "MB of memory"}


@dataclass(frozen=True)
class Cells:
    """The cells of a group.

    Args:
        table: a row for each cell, with `model`, `size`, `gpus`, `corpus_tokens`, `loss`, `seeds`, and the costs.
        draws: losses drawn from the distribution of each cell's mean; shape (draws, cells).
        noise: standard deviation of a run's log loss over pre-training seeds; NaN if no cell has several.
    """

    table: pd.DataFrame
    draws: Array
    noise: float

    @classmethod
    def from_runs(cls, group: Group, runs: pd.DataFrame) -> Cells:
        """The cells of a group.

        Args:
            runs: all runs of the grid, for cells with other gpus values: the same models at another cost.
        """
        chosen = runs[runs["model"].isin(group.runs["model"]) & runs["loss"].notna() & (runs["corpus_tokens"] > 0)]
        keys = ["model", "size", "gpus"]
        losses = chosen.assign(log=np.log(chosen["loss"])).groupby(keys, sort=False)
        table = losses.agg(
            corpus_tokens=("corpus_tokens", "median"), log=("log", "mean"), seeds=("seed", "nunique"),
            held_out_se=("held_out_loss_se", "mean"), hours=("hours", "mean"), seconds=("train_seconds", "mean"),
            memory_mb=("peak_memory_mb", "max"),
        ).reset_index()  # fmt: skip
        table["loss"] = np.exp(table["log"])
        logs = chosen.assign(log=np.log(chosen["loss"]))
        deviations = logs["log"] - logs.groupby(keys)["log"].transform("mean")
        freedom = len(deviations) - len(table)
        noise = float(np.sqrt((deviations**2).sum() / freedom)) if freedom > 0 else np.nan
        # With one seed the scatter over seeds is unknown; only the error of the measurement is known.
        spread = noise / np.sqrt(table["seeds"]) if np.isfinite(noise) else table["held_out_se"] / table["loss"]
        random = np.random.default_rng(SEED)
        # Cells of one model and size hold the same model and get the same draws.
        same = table.groupby(["model", "size"], sort=False).ngroup().to_numpy()
        moves = random.standard_normal((DRAWS, same.max() + 1))[:, same] if len(table) else np.empty((DRAWS, 0))
        return cls(table, np.exp(table["log"].to_numpy() + moves * spread.to_numpy()), noise)


def front(cells: Cells, cost: str) -> pd.DataFrame:
    """The Pareto front: cells of which no other has a lower loss without a higher cost.

    Returns:
        a row for each cell, with `on_front` and its `probability`, the share of draws in which the cell is on the
        front. With one seed the draws would show the error of the held-out text only, and the probability is missing.
    """
    price = cells.table[cost].to_numpy(float)
    table = cells.table[["model", "size", "gpus", cost, "loss"]]
    table = table.assign(
        probability=_on_front(price, cells.draws).mean(0) if np.isfinite(cells.noise) else np.nan,
        on_front=_on_front(price, table["loss"].to_numpy()[None])[0],
    )
    return table.iloc[np.lexsort((table["loss"], price))]


def _on_front(price: Array, losses: Array) -> NDArray[np.bool_]:
    """Mask of losses below all that cost less and not above any that costs the same; shape (draws, cells)."""
    is_on_front, best = np.zeros(losses.shape, bool), np.full((len(losses), 1), np.inf)
    for value in np.unique(price[np.isfinite(price)]):
        same = price == value
        least = losses[:, same].min(1, keepdims=True)
        is_on_front[:, same] = (losses[:, same] < best) & (losses[:, same] <= least)
        best = np.minimum(best, least)
    return is_on_front
