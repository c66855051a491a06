"""Extrapolation of one run's training loss: the loss on new text while the learning rate is constant.

Losses during the decay of the learning rate do not belong to this curve, because the decay itself lowers them (Hägele
et al. 2024). Nor do losses after the first epoch, which also fall by memorisation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from gridlaw.arrays import Array
from gridlaw.laws import curves as extrapolation
from gridlaw.laws.forecasting import LEVEL
from gridlaw.laws.judging import LAW, LEAST_COVERAGE, REFUSED, WITHDRAWN
from gridlaw.words import count, percent

CONSTANT = "constant"
# Share of the constant part that the back-test is fitted to, and the extrapolation factor of the forecast.
KNOWN, FARTHER = 0.5, 2.0


def largest(curves: pd.DataFrame, runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """For each model a name, and the curves at its largest size on the fewest ranks.

    Args:
        curves: a row for each logged loss of each run; see `judge`.
        runs: the table of runs.
    """
    keys = ["model", "size", "gpus"]
    cells = curves[keys].drop_duplicates().merge(runs[[*keys, "corpus_tokens", "passes"]].drop_duplicates(keys))
    for model, sizes in cells.groupby("model", sort=False):
        cell = sizes.sort_values(["corpus_tokens", "gpus"], ascending=[False, True]).head(1)
        name = f"{model}: training loss within its runs on {cell['size'].item()} tokens"
        yield name, curves.merge(cell[[*keys, "passes"]])


def judge(name: str, curve: pd.DataFrame) -> dict:
    """Extrapolate the curve of one model's trainings at one size and judge it, for a JSON file.

    Args:
        curve: a row for each logged loss of each run of a cell: `model`, `size`, `gpus`, `trained_tokens` at the middle
            of the steps that it averages, `loss`, the `phase` of the learning rate (warmup, constant or decay), and the
            number of epochs, `passes`.
    """
    cell = curve[["model", "size", "gpus"]].iloc[0].to_dict()
    facts = {"name": name, **cell, "form": "L = E + A / t^a, by its tails", "points": len(curve)}
    constant = curve[curve["phase"] == CONSTANT]
    tokens, loss = (constant[column].to_numpy(float) for column in ("trained_tokens", "loss"))
    passes, logged = curve["passes"].max(), len(np.unique(tokens))
    try:
        if passes > 1:
            raise extrapolation.Refusal(
                f"the text is read {passes:g} times, and a loss falls by learning it by heart as well; runs with"
                " pretrain.passes 1 would tell"
            )
        if logged < 2 * extrapolation.LEAST:
            raise extrapolation.Refusal(
                f"the rate is constant for {count(logged, 'logged loss', 'logged losses')} of it, and it takes"
                f" {2 * extrapolation.LEAST}; a smaller pretrain.decay_ratio, or a larger size, would tell"
            )
        return facts | _forecast(tokens, loss)
    except extrapolation.Refusal as refusal:
        return facts | {"state": REFUSED, "verdict": f"No longer training can be told of: {refusal}."}


def _forecast(tokens: Array, loss: Array) -> dict:
    """A back-test from the first half, and a forecast from the whole curve."""
    known = tokens <= KNOWN * tokens.max()
    measured = pd.Series(np.log(loss)).groupby(tokens).mean()
    ends = measured.index[measured.index > tokens[known].max()].to_numpy(float)
    actual = measured[ends].to_numpy()
    trial = extrapolation.forecast(tokens[known], loss[known], ends)
    beyond = np.geomspace(ends[-1], FARTHER * ends[-1], 6)[1:]
    forecast = extrapolation.forecast(tokens, loss, beyond)
    error, naive = (float(np.sqrt(np.mean(errors**2))) for errors in (
        np.log(trial.y) - actual, measured[tokens[known].max()] - actual
    ))  # fmt: skip
    inside = float(np.mean((np.log(trial.low) <= actual) & (actual <= np.log(trial.high))))
    facts = {
        "trial": _columns(ends, trial) | {"actual": np.exp(actual).tolist()},
        "rms_error": {"law": error, "last value": naive},
        "nominal_coverage": LEVEL,
        "achieved_coverage": inside,
        "forecast": _columns(beyond, forecast),
    }
    validation = (
        f"from the first half of the constant rate the rest was forecast {percent(error)} off, by its last value"
        f" {percent(naive)}, and {percent(inside)} of it lay within the 95 % interval"
    )
    if error >= naive or inside < LEAST_COVERAGE:
        return facts | {"state": WITHDRAWN, "verdict": f"No longer training is forecast: {validation}."}
    last = f"{forecast.y[-1]:.3f} ({forecast.low[-1]:.3f} to {forecast.high[-1]:.3f})"
    now = float(np.exp(np.median(actual[-3:])))
    return facts | {
        "state": LAW,
        "verdict": f"Had the rate stayed for {FARTHER:g} times as long, the training loss before the decay would be"
        f" {last} instead of {now:.3f}; {validation}.",
    }


def _columns(tokens: Array, forecast: extrapolation.Forecast) -> dict[str, list[float]]:
    values = {"trained_tokens": tokens, "loss": forecast.y, "low": forecast.low, "high": forecast.high}
    return {name: column.tolist() for name, column in values.items()}
