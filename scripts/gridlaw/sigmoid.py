"""A task's score as a function of the held-out loss: floor + (ceiling - floor) / (1 + exp(k (L - L0))).

The second step of a forecast of scores, the first being that of the loss (Bhagia et al. 2024). The floor is what
guessing the most frequent class scores. A task whose seeds differ as much as the grid's cells is not predictable.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.special import expit

from gridlaw import words
from gridlaw.laws import LAW, MORE, NOTHING, REFUSED, TREND, WITHDRAWN, number, rms
from gridlaw.powerlaw import Array

# What would help where each cell has one seed.
SEEDS = "seeds"
# What a record tells of each cell.
CELL = ["model", "size", "gpus", "loss", "score", "sd", "n"]
# Cells that three parameters need to be tried on one more.
LEAST = 4
RESAMPLES = 200
# The best cell has to be above the floor by so many standard deviations over seeds.
SIGNAL = 2.0


@dataclass(frozen=True)
class Curve:
    """A fitted curve.

    Args:
        floor: the score of a model that has learnt nothing.
        ceiling, slope, middle: its parameters: the score at no loss, and the loss at half the way with k there.
    """

    floor: float
    ceiling: float
    slope: float
    middle: float

    def __call__(self, loss: Array) -> Array:
        """Scores at some losses."""
        return self.floor + (self.ceiling - self.floor) * expit(-self.slope * (loss - self.middle))


def fit(loss: Array, score: Array, floor: float) -> Curve:
    """The curve of least squares through some cells."""
    spread = max(np.ptp(loss), 1e-9)
    best = max(score.max(), floor + 1e-3)
    low = [floor, 0.1 / spread, loss.min() - 2 * spread]
    high = [1.0 + 1e-9, 50 / spread, loss.max() + spread]
    found = None
    for slope in (2 / spread, 8 / spread):
        for middle in (loss.min(), np.median(loss)):
            start = np.clip([min(best + 0.05, 1.0), slope, middle], low, high)
            result = least_squares(
                lambda p: Curve(floor, *p)(loss) - score, start, bounds=(low, high), x_scale=[0.1, 1 / spread, spread]
            )
            found = result if found is None or result.cost < found.cost else found
    return Curve(floor, *map(float, found.x))


class ScoreLaw:
    """The curve of one task and metric, judged.

    Args:
        task, metric: of the scores.
        cells: a row for each cell: its `loss`, mean `score`, `sd` over seeds and their number `n`, and `item_se`, the
            score's standard error over examples.
        floor: what the majority class scores.
    """

    def __init__(self, task: str, metric: str, cells: pd.DataFrame, floor: float):
        self.task, self.metric, self.floor = task, metric, floor
        self.cells = cells.sort_values("loss", ascending=False)
        self.loss, self.score = (self.cells[name].to_numpy(float) for name in ("loss", "score"))
        sds = self.cells.loc[self.cells["n"] > 1, "sd"].to_numpy(float)
        self.seed_sd = float(np.sqrt(np.mean(sds**2))) if len(sds) else np.nan
        # All cells are scored on the same examples, which move them together.
        self.item_se = float(np.nan_to_num(self.cells["item_se"].mean()))
        self.curve = fit(self.loss, self.score, floor) if len(self.cells) >= LEAST else None
        self.trials = self._trials() if self.curve else pd.DataFrame(columns=["actual", "law", "last"], dtype=float)
        self.state, self.why, self.cure = self._judge()

    @property
    def quantity(self) -> str:
        """What is forecast."""
        return f"{self.task} ({self.metric})"

    def record(self) -> dict:
        """All of it, for a JSON file."""
        trials = {name: rms(self.trials[name] - self.trials["actual"]) for name in ("law", "last")}
        return {
            "name": f"{self.task}: {words.metric(self.metric)} by held-out loss",
            "task": self.task,
            "metric": self.metric,
            "form": "score = floor + (ceiling - floor) / (1 + exp(k (L - L0)))",
            "source": "Bhagia et al. 2024",
            "state": self.state,
            "verdict": self.why,
            "points": len(self.cells),
            "seed_sd": number(self.seed_sd),
            "item_se": self.item_se,
            "parameters": self.curve and {
                "floor": self.curve.floor, "ceiling": self.curve.ceiling, "k": self.curve.slope, "L0": self.curve.middle
            },
            "back_test": {"forecasts": len(self.trials), "rms_error": {k: number(v) for k, v in trials.items()}},
            "cells": self.cells.filter(CELL).astype(object).where(self.cells.notna(), None).to_dict("records"),
        }  # fmt: skip

    def at(self, losses: Array, seed: int = 0) -> Array:
        """Scores at some losses, each by a resample of the cells' scores, with errors of past forecasts and of items.

        Args:
            losses: shape (resamples, places).
        """
        random = np.random.default_rng(seed)
        chosen = np.stack([self._curves[i % RESAMPLES](row) for i, row in enumerate(losses)])
        items = random.normal(0, self.item_se, (len(losses), 1))
        return chosen + random.normal(0, self._error(), chosen.shape) + items

    @cached_property
    def _curves(self) -> list[Curve]:
        """The curve of each resample."""
        moved = np.random.default_rng(1).normal(0, self._error(), (RESAMPLES, len(self.score)))
        return [fit(self.loss, self.score + by, self.floor) for by in moved]

    def _error(self) -> float:
        """How far a cell's mean score is from the curve: as in trials, and at least as seeds scatter it."""
        seeds = self.seed_sd / np.sqrt(self.cells["n"].mean()) if np.isfinite(self.seed_sd) else 0.0
        return max(seeds, rms(self.trials["law"] - self.trials["actual"]) if len(self.trials) else 0.0)

    def _trials(self) -> pd.DataFrame:
        """Forecasts of each cell of lower loss from those of higher loss, and the best known score instead.

        From cells that are no better than guessing there is none.
        """
        rows = []
        for n in range(LEAST - 1, len(self.loss)):
            if self.loss[n] < self.loss[n - 1] and self.score[:n].max() - self.floor >= SIGNAL * self.seed_sd:
                curve = fit(self.loss[:n], self.score[:n], self.floor)
                rows.append((self.score[n], float(curve(self.loss[n])), self.score[n - 1]))
        return pd.DataFrame(rows, columns=["actual", "law", "last"], dtype=float)

    def _judge(self) -> tuple[str, str, str]:
        """The state, why, and what would help."""
        if self.curve is None:
            why = f"No law: it takes {LEAST} cells with a loss and a score, and there are {len(self.cells)}."
            return REFUSED, why, MORE
        rise = self.score.max() - self.floor
        if not np.isfinite(self.seed_sd):
            why = "No law: with one fine-tuning seed nothing tells a better model from a lucky one."
            return REFUSED, why, SEEDS
        if rise <= SIGNAL * self.seed_sd:
            best = f"{rise:.3f} above" if rise > 0 else "no better than"
            why = (
                f"No law: the best cell is {best} guessing, and seeds of one cell differ by {self.seed_sd:.3f}"
                " (standard deviation). Longer pre-training or more training examples might lift it."
            )
            return REFUSED, why, MORE
        if not np.cov(self.loss, self.score)[0, 1] < 0:
            return REFUSED, "No law: scores do not rise as the loss falls.", NOTHING
        if len(self.trials) < 2:
            why = f"Not a forecast: with {len(self.cells)} cells there is too little left to try one."
            return TREND, why, MORE
        ours, last = (rms(self.trials[name] - self.trials["actual"]) for name in ("law", "last"))
        if ours >= last:
            why = (
                f"No forecast: tried on cells of lower loss that are known, the curve was {ours:.3f} off, and the score"
                f" of the next worse cell {last:.3f}."
            )
            return WITHDRAWN, why, MORE
        why = (
            f"Tried on {len(self.trials)} cells of lower loss, the curve was {ours:.3f} off, the score of the next"
            f" worse cell {last:.3f}; seeds of one cell differ by {self.seed_sd:.3f}."
        )
        return LAW, why, NOTHING
