"""What the curve of one training says of a longer one: the loss of new text while the rate is constant.

Losses under a falling rate are no points of such a curve, for the fall itself lowers them (Hägele et al. 2024), and
losses of text that was read before fall by learning it by heart.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from gridlaw import curves as carry_on
from gridlaw.judging import LAW, LEAST_COVERAGE, REFUSED, WITHDRAWN
from gridlaw.powerlaw import Array
from gridlaw.words import count, percent

CONSTANT = "constant"
# The share of the constant part that a trial knows, and how far beyond all of it the forecast goes.
KNOWN, FARTHER = 0.5, 2.0


def largest(curves: pd.DataFrame, runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Of each model the curves at its largest size, on the fewest ranks; and what they are called.

    Args:
        curves: a row for each logged loss of each run; see `judge`.
        runs: the table of runs.
    """
    keys = ["model", "size", "gpus"]
    cells = curves[keys].drop_duplicates().merge(runs[[*keys, "corpus_tokens", "passes"]].drop_duplicates(keys))
    for model, own in cells.groupby("model", sort=False):
        cell = own.sort_values(["corpus_tokens", "gpus"], ascending=[False, True]).head(1)
        name = f"{model}: training loss within its runs on {cell['size'].item()} tokens"
        yield name, curves.merge(cell[[*keys, "passes"]])


def judge(name: str, curve: pd.DataFrame) -> dict:
    """The curve of one model's trainings at one size, judged, for a JSON file.

    Args:
        curve: a row for each logged loss of each run of a cell: `model`, `size`, `gpus`, `trained_tokens` at the middle
            of what it is the mean of, `loss`, the rate's `phase` (warmup, constant or decay), and the text's `passes`.
    """
    cell = curve[["model", "size", "gpus"]].iloc[0].to_dict()
    facts = {"name": name, **cell, "form": "L = E + A / t^a, by its tails", "points": len(curve)}
    constant = curve[curve["phase"] == CONSTANT]
    tokens, loss = (constant[column].to_numpy(float) for column in ("trained_tokens", "loss"))
    passes, logged = curve["passes"].max(), len(np.unique(tokens))
    try:
        if passes > 1:
            raise carry_on.Refusal(
                f"the text is read {passes:g} times, and a loss falls by learning it by heart as well; runs with"
                " pretrain.passes 1 would tell"
            )
        if logged < 2 * carry_on.LEAST:
            raise carry_on.Refusal(
                f"the rate is constant for {count(logged, 'logged loss', 'logged losses')} of it, and it takes"
                f" {2 * carry_on.LEAST}; a smaller pretrain.decay_ratio, or a larger size, would tell"
            )
        return facts | _forecast(tokens, loss)
    except carry_on.Refusal as refusal:
        return facts | {"state": REFUSED, "verdict": f"No longer training can be told of: {refusal}."}


def _forecast(tokens: Array, loss: Array) -> dict:
    """A trial from the first half, and the curve carried on from all of it."""
    known = tokens <= KNOWN * tokens.max()
    measured = pd.Series(np.log(loss)).groupby(tokens).mean()
    ends = measured.index[measured.index > tokens[known].max()].to_numpy(float)
    actual = measured[ends].to_numpy()
    trial = carry_on.forecast(tokens[known], loss[known], ends)
    beyond = np.geomspace(ends[-1], FARTHER * ends[-1], 6)[1:]
    on = carry_on.forecast(tokens, loss, beyond)
    off, stays = (float(np.sqrt(np.mean(away**2))) for away in (
        np.log(trial.y) - actual, measured[tokens[known].max()] - actual
    ))  # fmt: skip
    inside = float(np.mean((np.log(trial.low) <= actual) & (actual <= np.log(trial.high))))
    facts = {
        "trial": _columns(ends, trial) | {"actual": np.exp(actual).tolist()},
        "rms_error": {"law": off, "last value": stays},
        "nominal_coverage": carry_on.LEVEL,
        "achieved_coverage": inside,
        "forecast": _columns(beyond, on),
    }
    tried = (
        f"from the first half of the constant rate the rest was forecast {percent(off)} off, by its last value"
        f" {percent(stays)}, and {percent(inside)} of it lay within the 95 % interval"
    )
    if off >= stays or inside < LEAST_COVERAGE:
        return facts | {"state": WITHDRAWN, "verdict": f"No longer training is forecast: {tried}."}
    now = float(np.exp(np.median(actual[-3:])))
    return facts | {
        "state": LAW,
        "verdict": f"Had the rate stayed for {FARTHER:g} times as long, the training loss before the decay would be"
        f" {on.y[-1]:.3f} ({on.low[-1]:.3f} to {on.high[-1]:.3f}) instead of {now:.3f}; {tried}.",
    }


def _columns(tokens: Array, found: carry_on.Forecast) -> dict[str, list[float]]:
    values = {"trained_tokens": tokens, "loss": found.y, "low": found.low, "high": found.high}
    return {name: column.tolist() for name, column in values.items()}
