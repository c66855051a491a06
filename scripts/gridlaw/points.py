"""Measured losses as a fit wants them: a point for each cell, and how far replicates are from one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridlaw.powerlaw import Array


@dataclass(frozen=True)
class Points:
    """Cells with a loss.

    Args:
        x: what the loss is a law of, parameters or tokens or both; shape (points, axes).
        y: the loss, geometric mean over replicates; shape (points,).
        scale: how large a run is, in any unit: x itself, or FLOPs; shape (points,).
        replicates: runs of each cell; shape (points,).
        scatter: how far the runs of cells with several are from the cell's mean, in log loss, widened by
            sqrt(n / (n - 1)) so that their square has the variance of a run; any shape.
    """

    x: Array
    y: Array
    scale: Array
    replicates: Array
    scatter: Array

    @classmethod
    def from_runs(cls, runs: pd.DataFrame, axes: list[str], loss: str = "loss", scale: str | None = None) -> Points:
        """The points of a table of runs without gaps, in the order of their scale.

        Args:
            axes: columns of positive numbers.
            scale: a column likewise; without one it is the product of the axes.
        """
        logs = runs.assign(_log=np.log(runs[loss].to_numpy(float)))
        logs["_scale"] = logs[scale].to_numpy(float) if scale else logs[axes].to_numpy(float).prod(1)
        groups = logs.groupby(axes)
        cells = groups.agg(_log=("_log", "mean"), _scale=("_scale", "mean"), n=("_log", "size")).reset_index()
        cells = cells.sort_values(["_scale", *axes], kind="stable")
        counts = groups["_log"].transform("size")
        several = counts > 1
        away = logs["_log"] - groups["_log"].transform("mean")
        scatter = (away * np.sqrt(counts / (counts - 1).where(several)))[several]
        return cls(
            cells[axes].to_numpy(float),
            np.exp(cells["_log"].to_numpy()),
            cells["_scale"].to_numpy(),
            cells["n"].to_numpy(float),
            np.sort(scatter.to_numpy()),
        )

    def __len__(self) -> int:
        return len(self.y)

    def where(self, chosen: Array) -> Points:
        """Some of the points; the scatter is that of all."""
        return Points(self.x[chosen], self.y[chosen], self.scale[chosen], self.replicates[chosen], self.scatter)

    @property
    def noise(self) -> float:
        """Standard deviation of a run's log loss over replicates; NaN without any."""
        return float(np.sqrt(np.mean(self.scatter**2))) if len(self.scatter) else np.nan

    def distinct(self) -> list[int]:
        """Distinct values on each axis."""
        return [len(np.unique(column)) for column in self.x.T]
