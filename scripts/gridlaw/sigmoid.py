"""A task's score as a function of the held-out loss: floor + (ceiling - floor) / (1 + exp(k (L - L0))).

The second step of a forecast of scores, the first being that of the loss (Bhagia et al. 2024). The floor is what
guessing the most frequent class scores. A task whose seeds differ as much as the grid's cells is not predictable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.special import expit

from gridlaw import words
from gridlaw.judging import LAW, MORE, NOTHING, REFUSED, TREND, WITHDRAWN, Verdict
from gridlaw.laws import number, rms
from gridlaw.powerlaw import Array

# What would help where each cell has one seed.
SEEDS = "seeds"
# What a record tells of each cell.
CELL = ["model", "size", "gpus", "loss", "score", "sd", "n"]
TRIAL = ["actual", "law", "last"]
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


def fit_curve(loss: Array, score: Array, floor: float) -> Curve:
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


@dataclass(frozen=True, eq=False)
class ScoreLaw:
    """The curve of one task and metric, judged; `fit` makes one.

    Args:
        task, metric: of the scores.
        floor: what the majority class scores.
        cells: a row for each cell, the largest loss first: its `loss`, mean `score`, `sd` over seeds and their number
            `n`, and `item_se`, the score's standard error over examples.
        curve: through the cells; None where they are too few.
        draws: ceiling, slope and middle of the curve of each resample, shape (resamples, 3); of a law only.
        trials: forecasts of each cell of lower loss from those of higher loss: `actual`, by the curve (`law`), and the
            best known score (`last`).
        error: how far a cell's mean score is from the curve, as a standard deviation.
        seed_sd: standard deviation of a score over seeds; NaN with one seed.
        item_se: standard error over examples, on which all cells are scored, so that it moves them together.
        state: refused, trend, withdrawn or law.
        why: that in sentences.
        cure: what would help; see `judging.Verdict`.
    """

    task: str
    metric: str
    floor: float
    cells: pd.DataFrame
    curve: Curve | None
    draws: Array | None
    trials: pd.DataFrame
    error: float
    seed_sd: float
    item_se: float
    state: str
    why: str
    cure: str

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

    def draw_scores(self, losses: Array, seed: int = 0) -> Array:
        """Scores at some losses, each by a resample of the cells' scores, with errors of past forecasts and of items.

        Args:
            losses: shape (resamples, places).
        """
        random = np.random.default_rng(seed)
        ceiling, slope, middle = self.draws[np.arange(len(losses)) % len(self.draws)].T[:, :, None]
        chosen = Curve(self.floor, ceiling, slope, middle)(losses)
        items = random.normal(0, self.item_se, (len(losses), 1))
        return chosen + random.normal(0, self.error, chosen.shape) + items


def fit(task: str, metric: str, cells: pd.DataFrame, floor: float) -> ScoreLaw:
    """The curve of one task and metric, tried and judged.

    Args:
        cells: a row for each cell: `loss`, `score`, `sd`, `n` and `item_se`.
        floor: what the majority class scores.
    """
    cells = cells.sort_values("loss", ascending=False)
    loss, score = (cells[name].to_numpy(float) for name in ("loss", "score"))
    sds = cells.loc[cells["n"] > 1, "sd"].to_numpy(float)
    seed_sd = float(np.sqrt(np.mean(sds**2))) if len(sds) else np.nan
    item_se = float(np.nan_to_num(cells["item_se"].mean()))
    curve = fit_curve(loss, score, floor) if len(cells) >= LEAST else None
    trials = pd.DataFrame(_trials(loss, score, floor, seed_sd) if curve else [], columns=TRIAL, dtype=float)
    error = _error(cells, trials, seed_sd)
    verdict = _judge(loss, score, floor, curve, trials, seed_sd)
    draws = _resampled(loss, score, floor, error) if verdict.state == LAW else None
    return ScoreLaw(task, metric, floor, cells, curve, draws, trials, error, seed_sd, item_se, *verdict)


def _error(cells: pd.DataFrame, trials: pd.DataFrame, seed_sd: float) -> float:
    """How far a cell's mean score is from the curve: as in trials, and at least as seeds scatter it."""
    seeds = seed_sd / np.sqrt(cells["n"].mean()) if np.isfinite(seed_sd) else 0.0
    return float(max(seeds, rms(trials["law"] - trials["actual"]) if len(trials) else 0.0))


def _resampled(loss: Array, score: Array, floor: float, error: float) -> Array:
    """Ceiling, slope and middle of the curve of each resample of the cells' scores; shape (resamples, 3)."""
    moved = np.random.default_rng(1).normal(0, error, (RESAMPLES, len(score)))
    curves = [fit_curve(loss, score + by, floor) for by in moved]
    return np.array([(curve.ceiling, curve.slope, curve.middle) for curve in curves])


def _trials(loss: Array, score: Array, floor: float, seed_sd: float) -> Iterator[tuple[float, float, float]]:
    """Forecasts of each cell of lower loss from those of higher loss, and the best known score instead.

    From cells that are no better than guessing there is none.
    """
    for n in range(LEAST - 1, len(loss)):
        if loss[n] < loss[n - 1] and score[:n].max() - floor >= SIGNAL * seed_sd:
            curve = fit_curve(loss[:n], score[:n], floor)
            yield score[n], float(curve(loss[n])), score[n - 1]


def _judge(
    loss: Array, score: Array, floor: float, curve: Curve | None, trials: pd.DataFrame, seed_sd: float
) -> Verdict:
    """Conclusion about the curve."""
    if curve is None:
        why = f"No law: it takes {LEAST} cells with a loss and a score, and there are {len(loss)}."
        return Verdict(REFUSED, why, MORE)
    rise = score.max() - floor
    if not np.isfinite(seed_sd):
        why = "No law: with one fine-tuning seed nothing tells a better model from a lucky one."
        return Verdict(REFUSED, why, SEEDS)
    if rise <= SIGNAL * seed_sd:
        best = f"{rise:.3f} above" if rise > 0 else "no better than"
        why = (
            f"No law: the best cell is {best} guessing, and seeds of one cell differ by {seed_sd:.3f}"
            " (standard deviation). Longer pre-training or more training examples might lift it."
        )
        return Verdict(REFUSED, why, MORE)
    if not np.cov(loss, score)[0, 1] < 0:
        return Verdict(REFUSED, "No law: scores do not rise as the loss falls.", NOTHING)
    if len(trials) < 2:
        why = f"Not a forecast: with {len(loss)} cells there is too little left to try one."
        return Verdict(TREND, why, MORE)
    ours, last = (rms(trials[name] - trials["actual"]) for name in ("law", "last"))
    if ours >= last:
        why = (
            f"No forecast: tried on cells of lower loss that are known, the curve was {ours:.3f} off, and the score"
            f" of the next worse cell {last:.3f}."
        )
        return Verdict(WITHDRAWN, why, MORE)
    why = (
        f"Tried on {len(trials)} cells of lower loss, the curve was {ours:.3f} off, the score of the next"
        f" worse cell {last:.3f}; seeds of one cell differ by {seed_sd:.3f}."
    )
    return Verdict(LAW, why, NOTHING)
