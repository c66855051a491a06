"""Forecast loss and scores of larger cells, where the grid's laws have shown that they can.

    python scripts/forecasts.py --recipe forecasts.json --runs runs.csv --fits fits.npz --packs pack.json ... \
        --forecasts forecasts.csv --record forecasts.json

A row is a quantity of a model at a size: held-out loss, or a task's metric. Its 95 % interval is the wider of two: what
resampling and another form of the law leave open, and how far past forecasts of the grid were off at that distance. A
quantity whose law is no good for it has a row without numbers that says why.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from gridlaw import cli, evidence, fits, grid, needs, record
from gridlaw.forecasting import LEVEL
from gridlaw.judging import LAW
from gridlaw.laws import Law
from gridlaw.sigmoid import ScoreLaw

COLUMNS = [
    "model", "size", "corpus_tokens", "times_largest", "quantity", "state", "forecast", "low", "high", "sd_sampling",
    "sd_forms", "sd_back_test", "verdict",
]  # fmt: skip
LOSS = "held-out loss"
# Sizes where none are asked for: the largest of a model times these.
FARTHER = (2, 4, 10)
DRAWS = 1000


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--runs", required=True, help="table of runs, CSV")
    parser.add_argument("--fits", required=True, help="fitted laws, NPZ")
    parser.add_argument("--packs", nargs="*", default=[], help="manifests of the packed corpus, JSON")
    parser.add_argument("--forecasts", required=True, help="forecasts to write, CSV")
    parser.add_argument("--record", required=True, help="how they were made, JSON to write")
    args = parser.parse_args()

    found, rows, most = fits.read(args.fits), [], evidence.tokens_there_are(args.packs)
    for group in evidence.groups(evidence.read_runs(args.runs), args.recipe["scaling"] == "strong"):
        laws, scores = found[group.name].laws, found[group.name].scores
        prices = needs.Prices.measured(group.runs, "params", most)
        why_not = {
            score.quantity: needs.verdict(score.why, needs.score_needs(score, group.runs, prices)) for score in scores
        }
        for model, law in laws.items():
            why_not[LOSS] = needs.verdict(law.why, needs.law_needs(law, prices))
            for size, tokens in sizes(law.points.scale.max(), args.recipe["forecast_sizes"]):
                about = {"model": model, "size": size, "corpus_tokens": tokens}
                rows += [about | row for row in forecasts(law, scores, tokens, why_not)]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(args.forecasts, index=False)
    record.write(args.record, args.recipe, [args.runs, args.fits, *args.packs], [args.forecasts])


def sizes(largest: float, asked: list[str]) -> Iterator[tuple[str, int]]:
    """Names and tokens of the sizes to forecast: those asked for that are larger, else some multiples."""
    for size in asked or [grid.rounded(largest * times) for times in FARTHER]:
        tokens = grid.parse_size(size)
        if tokens and tokens > largest:
            yield grid.size_name(size), tokens


def forecasts(law: Law, scores: list[ScoreLaw], tokens: float, why_not: dict[str, str]) -> Iterator[dict]:
    """Rows of one model at one size.

    Args:
        why_not: of each quantity, its law's verdict with what it lacks.
    """
    far = {"times_largest": tokens / law.points.scale.max()}
    if law.state != LAW:
        for quantity in (LOSS, *(score.quantity for score in scores)):
            yield far | {"quantity": quantity, "state": law.state, "verdict": why_not[LOSS]}
        return
    found, (verdict,) = law.forecast(np.array([[tokens]]))
    state = verdict.partition(":")[0] or "forecast"
    values = {"forecast": found.value[0], "low": found.low[0], "high": found.high[0]}
    spread = {"sd_sampling": found.sampling[0], "sd_forms": found.forms[0], "sd_back_test": found.back_test[0]}
    told = {} if state == "none" else values | spread
    yield far | {"quantity": LOSS, "state": state, **told, "verdict": verdict or law.why}
    losses = found.draws(DRAWS)
    for score in scores:
        if state == "none" or score.state != LAW:
            reason = (state, verdict) if state == "none" else (score.state, why_not[score.quantity])
            yield far | {"quantity": score.quantity, "state": reason[0], "verdict": reason[1]}
            continue
        low, middle, high = np.quantile(score.draw_scores(losses)[:, 0], [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
        values = {"forecast": middle, "low": low, "high": min(high, 1.0)}
        yield far | {"quantity": score.quantity, "state": state, **values, "verdict": verdict or score.why}


if __name__ == "__main__":
    cli.run(main)
