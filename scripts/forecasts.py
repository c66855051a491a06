"""Forecast loss and scores of larger cells, where the grid's laws have passed their back-tests.

    python scripts/forecasts.py --recipe forecasts.json --runs runs.csv --fits fits.npz --packs pack.json ... \
        --forecasts forecasts.csv --record forecasts.json

A row is a quantity of a model at a size: held-out loss, or a task's metric. Its 95 % interval is the wider of two: that
of bootstrap samples and other forms of the law, and that of back-test errors at the same extrapolation factor. If the
law of a quantity cannot be extrapolated, its row has no numbers, and the verdict gives the reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from gridlaw import cli
from gridlaw.config import grid
from gridlaw.laws import fits, missing, selection
from gridlaw.laws.forecasting import LEVEL
from gridlaw.laws.judging import LAW
from gridlaw.laws.law import NONE, Law
from gridlaw.laws.score_curve import ScoreLaw
from gridlaw.workflow import program, record

COLUMNS = [
    "model", "size", "corpus_tokens", "times_largest", "quantity", "state", "forecast", "low", "high", "sd_sampling",
    "sd_forms", "sd_back_test", "verdict",
]  # fmt: skip
LOSS = "held-out loss"
# By default sizes are these multiples of a model's largest.
FARTHER = (2, 4, 10)
DRAWS = 1000


def main() -> None:
    args = program.parse("forecasts", __doc__)

    fitted, rows, most = fits.read(args.fits), [], selection.available_tokens(args.packs)
    for group in selection.groups(selection.read_runs(args.runs), args.recipe["scaling"] == "strong"):
        laws, scores = fitted[group.name].laws, fitted[group.name].scores
        prices = missing.Prices.measured(group.runs, "params", most)
        why_not = {
            score.quantity: missing.verdict(score.why, missing.score_needs(score, group.runs, prices))
            for score in scores
        }
        for model, law in laws.items():
            why_not[LOSS] = missing.verdict(law.why, missing.law_needs(law, prices))
            for size, tokens in sizes(law.points.scale.max(), args.recipe["forecast_sizes"]):
                cell = {"model": model, "size": size, "corpus_tokens": tokens}
                rows += [cell | row for row in forecasts(law, scores, tokens, why_not)]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(args.forecasts, index=False)
    record.write(args)


def sizes(largest: float, chosen: list[str]) -> Iterator[tuple[str, int]]:
    """Names and tokens of the sizes to forecast: chosen sizes beyond the largest, or by default multiples of it."""
    for size in chosen or [grid.rounded(largest * times) for times in FARTHER]:
        tokens = grid.parse_size(size)
        if tokens and tokens > largest:
            yield grid.size_name(size), tokens


def forecasts(law: Law, scores: list[ScoreLaw], tokens: float, why_not: dict[str, str]) -> Iterator[dict]:
    """Rows of one model at one size.

    Args:
        why_not: for each quantity, its law's verdict with the cells that it lacks.
    """
    scale = {"times_largest": tokens / law.points.scale.max()}
    if law.state != LAW:
        for quantity in (LOSS, *(score.quantity for score in scores)):
            yield scale | {"quantity": quantity, "state": law.state, "verdict": why_not[LOSS]}
        return
    forecast, (outlook,) = law.forecast(np.array([[tokens]]))
    if outlook.state == NONE:
        for quantity in (LOSS, *(score.quantity for score in scores)):
            yield scale | {"quantity": quantity, "state": NONE, "verdict": outlook.why}
        return
    state = {"state": outlook.state}
    values = {"forecast": forecast.value[0], "low": forecast.low[0], "high": forecast.high[0]}
    sds = {
        "sd_sampling": forecast.sampling[0], "sd_forms": forecast.forms[0], "sd_back_test": forecast.back_test[0]
    }  # fmt: skip
    yield scale | state | {"quantity": LOSS, **values, **sds, "verdict": outlook.why or law.why}
    losses = forecast.draws(DRAWS)
    for score in scores:
        if score.state != LAW:
            verdict = why_not[score.quantity]
            yield scale | {"quantity": score.quantity, "state": score.state, "verdict": verdict}
            continue
        low, middle, high = np.quantile(score.draw_scores(losses)[:, 0], [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
        values = {"forecast": middle, "low": low, "high": min(high, 1.0)}
        yield scale | state | {"quantity": score.quantity, **values, "verdict": outlook.why or score.why}


if __name__ == "__main__":
    cli.run(main)
