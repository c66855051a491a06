"""Measured cells with what they cost, and losses that they could as well have had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlaw.evidence import Group
from gridlaw.powerlaw import Array

DRAWS = 4000
SEED = 0
# What a cell costs: the column, and what it is in words.
COSTS = {"hours": "rank-hours", "seconds": "seconds of training", "memory_mb": "MB of memory"}


@dataclass(frozen=True)
class Cells:
    """The cells of a group.

    Args:
        table: a row for each, with `model`, `size`, `gpus`, `corpus_tokens`, `loss`, `seeds`, and the costs.
        draws: losses by what is known of their scatter; shape (draws, cells).
        noise: standard deviation of a run's log loss over pre-training seeds; NaN where no cell has several.
    """

    table: pd.DataFrame
    draws: Array
    noise: float

    @classmethod
    def from_runs(cls, group: Group, runs: pd.DataFrame) -> Cells:
        """Cells of a group.

        Args:
            runs: all of the grid, for cells of other gpus values, which hold the same models and cost something else.
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
        away = chosen.assign(log=np.log(chosen["loss"]))
        away = away["log"] - away.groupby(keys)["log"].transform("mean")
        free = len(away) - len(table)
        noise = float(np.sqrt((away**2).sum() / free)) if free > 0 else np.nan
        # Runs of one cell differ by seed; of one seed it is not known by how much, only how well it was measured.
        spread = noise / np.sqrt(table["seeds"]) if np.isfinite(noise) else table["held_out_se"] / table["loss"]
        random = np.random.default_rng(SEED)
        # Cells of one model and size are the same model.
        same = table.groupby(["model", "size"], sort=False).ngroup().to_numpy()
        moves = random.standard_normal((DRAWS, same.max() + 1))[:, same] if len(table) else np.empty((DRAWS, 0))
        return cls(table, np.exp(table["log"].to_numpy() + moves * spread.to_numpy()), noise)


def front(cells: Cells, cost: str) -> pd.DataFrame:
    """Which cells no other beats in loss without costing more: a row for each, with the share of draws that says so.

    With one seed that share would tell of the held-out text alone, and is missing.
    """
    price = cells.table[cost].to_numpy(float)
    table = cells.table[["model", "size", "gpus", cost, "loss"]]
    table = table.assign(
        probability=_on_front(price, cells.draws).mean(0) if np.isfinite(cells.noise) else np.nan,
        on_front=_on_front(price, table["loss"].to_numpy()[None])[0],
    )
    return table.iloc[np.lexsort((table["loss"], price))]


def _on_front(price: Array, losses: Array) -> NDArray[np.bool_]:
    """Where a loss is below all that cost less and above none that cost the same; shape of losses, (draws, cells)."""
    on, best = np.zeros(losses.shape, bool), np.full((len(losses), 1), np.inf)
    for value in np.unique(price[np.isfinite(price)]):
        same = price == value
        least = losses[:, same].min(1, keepdims=True)
        on[:, same] = (losses[:, same] < best) & (losses[:, same] <= least)
        best = np.minimum(best, least)
    return on
