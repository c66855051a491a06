"""A task's score as a function of the held-out loss: floor + (ceiling - floor) / (1 + exp(k (L - L0))).

Scores are forecast in two steps: the loss from the size, and the score from the loss (Bhagia et al. 2024). The floor is
the score of the majority-class baseline. A task whose seeds differ as much as the grid's cells is not predictable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.special import expit

from gridlaw import words
from gridlaw.arrays import Array
from gridlaw.laws.judging import LAW, MORE, NOTHING, REFUSED, TREND, WITHDRAWN, Verdict
from gridlaw.laws.law import number, rms

# The cure where each cell has one seed; see `judging.Verdict`.
SEEDS = "seeds"
# Columns of a record's cells.
CELL = ["model", "size", "gpus", "loss", "score", "sd", "n"]
TRIAL = ["actual", "law", "last"]
# Smallest number of cells: three parameters, and one cell to contradict them.
LEAST = 4
RESAMPLES = 200
# The best cell has to exceed the floor by so many standard deviations over seeds.
SIGNAL = 2.0


@dataclass(frozen=True)
class Curve:
    """A fitted curve.

    Args:
        floor: the score of a model that has learnt nothing.
        ceiling: the score as the loss goes to minus infinity.
        slope: k, per nat.
        middle: L0, the loss at which the score is half-way between floor and ceiling.
    """

    floor: float
    ceiling: float
    slope: float
    middle: float

    def __call__(self, loss: Array) -> Array:
        """Predict scores at some losses."""
        return self.floor + (self.ceiling - self.floor) * expit(-self.slope * (loss - self.middle))


def fit_curve(loss: Array, score: Array, floor: float) -> Curve:
    """Fit a curve to some cells by least squares."""
    spread = max(np.ptp(loss), 1e-9)
    best = max(score.max(), floor + 1e-3)
    low = [floor, 0.1 / spread, loss.min() - 2 * spread]
    high = [1.0 + 1e-9, 50 / spread, loss.max() + spread]
    best_fit = None
    for slope in (2 / spread, 8 / spread):
        for middle in (loss.min(), np.median(loss)):
            start = np.clip([min(best + 0.05, 1.0), slope, middle], low, high)
            result = least_squares(
                lambda p: Curve(floor, *p)(loss) - score, start, bounds=(low, high), x_scale=[0.1, 1 / spread, spread]
            )
            best_fit = result if best_fit is None or result.cost < best_fit.cost else best_fit
    return Curve(floor, *map(float, best_fit.x))


@dataclass(frozen=True, eq=False)
class ScoreLaw:
    """The curve of one task and metric, with its conclusion; made by `fit`.

    Args:
        task, metric: of the scores.
        floor: the score of the majority-class baseline.
        cells: a row for each cell, the largest loss first: its `loss`, mean `score`, `sd` over seeds and their number
            `n`, and `item_se`, the score's standard error over examples.
        curve: fitted to the cells; None if they are too few.
        draws: ceiling, slope and middle of the curve of each bootstrap sample, shape (resamples, 3); of a law only.
        trials: back-test forecasts of each cell from those of higher loss: the `actual` score, that of the curve
            (`law`), and that of the next worse cell (`last`).
        error: standard deviation of a cell's mean score around the curve.
        seed_sd: standard deviation of a score over seeds; NaN with one seed.
        item_se: standard error over examples; all cells are scored on the same ones, so that it moves them together.
        state: refused, trend, withdrawn or law.
        why: the reasons in sentences.
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
        """The name of the forecast quantity."""
        return f"{self.task} ({self.metric})"

    def record(self) -> dict:
        """The curve with all its evidence, for a JSON file."""
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
        """Draw scores at some losses, each by another bootstrap sample, with back-test errors and errors over examples.

        Args:
            losses: shape (resamples, places).
        """
        random = np.random.default_rng(seed)
        ceiling, slope, middle = self.draws[np.arange(len(losses)) % len(self.draws)].T[:, :, None]
        scores = Curve(self.floor, ceiling, slope, middle)(losses)
        items = random.normal(0, self.item_se, (len(losses), 1))
        return scores + random.normal(0, self.error, scores.shape) + items


def fit(task: str, metric: str, cells: pd.DataFrame, floor: float) -> ScoreLaw:
    """Fit the curve of one task and metric, back-test it and judge it.

    Args:
        cells: a row for each cell: `loss`, `score`, `sd`, `n` and `item_se`.
        floor: the score of the majority-class baseline.
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
    draws = _resample(loss, score, floor, error) if verdict.state == LAW else None
    return ScoreLaw(task, metric, floor, cells, curve, draws, trials, error, seed_sd, item_se, *verdict)


def _error(cells: pd.DataFrame, trials: pd.DataFrame, seed_sd: float) -> float:
    """Standard deviation of a cell's mean score around the curve: the back-test error, at least that over seeds."""
    seeds = seed_sd / np.sqrt(cells["n"].mean()) if np.isfinite(seed_sd) else 0.0
    return float(max(seeds, rms(trials["law"] - trials["actual"]) if len(trials) else 0.0))


def _resample(loss: Array, score: Array, floor: float, error: float) -> Array:
    """Ceiling, slope and middle of the curve of each bootstrap sample of the cells' scores; shape (resamples, 3)."""
    errors = np.random.default_rng(1).normal(0, error, (RESAMPLES, len(score)))
    curves = [fit_curve(loss, score + row, floor) for row in errors]
    return np.array([(curve.ceiling, curve.slope, curve.middle) for curve in curves])


def _trials(loss: Array, score: Array, floor: float, seed_sd: float) -> Iterator[tuple[float, float, float]]:
    """Back-test forecasts of each cell from those of higher loss: actual score, the curve's, and the last known one.

    Cells that are no better than guessing make no forecast.
    """
    for n in range(LEAST - 1, len(loss)):
        if loss[n] < loss[n - 1] and score[:n].max() - floor >= SIGNAL * seed_sd:
            curve = fit_curve(loss[:n], score[:n], floor)
            yield score[n], float(curve(loss[n])), score[n - 1]


def _judge(
    loss: Array, score: Array, floor: float, curve: Curve | None, trials: pd.DataFrame, seed_sd: float
) -> Verdict:
    """The verdict on a curve."""
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
