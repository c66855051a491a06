"""Measured losses, as fits take them: a point for each cell, and the scatter of replicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridlaw.arrays import Array


@dataclass(frozen=True)
class Points:
    """Cells with their losses.

    Args:
        x: parameters, tokens, or both; shape (points, axes).
        y: the loss, geometric mean over replicates; shape (points,).
        scale: size of a run in any unit, such as FLOPs; shape (points,).
        replicates: number of runs of each cell; shape (points,).
        scatter: deviations in log loss of runs from their cell's mean, for cells with several runs, multiplied by
            sqrt(n / (n - 1)) so that their mean square is the variance of a run; any shape.
    """

    x: Array
    y: Array
    scale: Array
    replicates: Array
    scatter: Array

    @classmethod
    def from_runs(cls, runs: pd.DataFrame, axes: list[str], loss: str = "loss", scale: str | None = None) -> Points:
        """Average a table of runs, without missing values, over replicates; points are in the order of their scale.

        Args:
            axes: columns of positive numbers.
            scale: column with the scale, of positive numbers; by default the product of the axes.
        """
        logs = runs.assign(_log=np.log(runs[loss].to_numpy(float)))
        logs["_scale"] = logs[scale].to_numpy(float) if scale else logs[axes].to_numpy(float).prod(1)
        groups = logs.groupby(axes)
        cells = groups.agg(_log=("_log", "mean"), _scale=("_scale", "mean"), n=("_log", "size")).reset_index()
        cells = cells.sort_values(["_scale", *axes], kind="stable")
        counts = groups["_log"].transform("size")
        has_several = counts > 1
        deviations = logs["_log"] - groups["_log"].transform("mean")
        scatter = (deviations * np.sqrt(counts / (counts - 1).where(has_several)))[has_several]
        return cls(
            cells[axes].to_numpy(float),
            np.exp(cells["_log"].to_numpy()),
            cells["_scale"].to_numpy(),
            cells["n"].to_numpy(float),
            np.sort(scatter.to_numpy()),
        )

    def __len__(self) -> int:
        return len(self.y)

    def select(self, chosen: Array) -> Points:
        """The chosen points, with the scatter of all."""
        return Points(self.x[chosen], self.y[chosen], self.scale[chosen], self.replicates[chosen], self.scatter)

    @property
    def noise(self) -> float:
        """Standard deviation of a run's log loss over replicates; NaN if no cell has several."""
        return float(np.sqrt(np.mean(self.scatter**2))) if len(self.scatter) else np.nan

    def distinct(self) -> list[int]:
        """The number of distinct values on each axis."""
        return [len(np.unique(column)) for column in self.x.T]
