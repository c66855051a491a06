"""The laws' fits: parameters, standard errors, time, and whether intervals of forecasts hold.

    python benchmarks/laws.py                        # grids that are made up from a known law
    python benchmarks/laws.py --runs extracted.csv   # and published points of Hoffmann et al. 2022

The points are those that Besiroglu et al. 2024 read off a figure: a CSV with the columns `Model Size`, `Training FLOP`
and `loss`; tokens are FLOP / 6N, and the five highest losses are dropped, as they do. Their 4,000 bootstrap resamples
are drawn as theirs are, in the order of the file. Forecasts are fitted to runs of little compute and compared with runs
of more: root mean square error of the log loss, how many of the 95 % intervals held, the median ratio of an interval's
ends, and the same error of the baselines.

The grids are three replicates of each cell, 4M to 110M parameters by 10M to 300M tokens, by the law that the published
points have, with noise on the log loss; forecast is 340M parameters on 1B tokens.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import common
import numpy as np
import pandas as pd

from gridlaw import forecasting, holdout, laws, powerlaw
from gridlaw.forecasting import LEVEL, Forecast
from gridlaw.judging import LAW, REFUSED
from gridlaw.points import Points

AXES = ["params", "corpus_tokens"]
# FLOPs: fitted are runs up to the first, forecast those beyond the second.
SPLITS = ((3e19, 3e20), (1e20, 3e20), (1e20, 1e21), (3e20, 1e21))
RESAMPLES = 4000
TRUTH = powerlaw.Fit(*map(np.array, ([1.8172], [[477.8, 2143.0]], [[0.3473, 0.3672]], [0.0])))
TARGET = np.array([[340e6, 1e9]])


def published(file: Path) -> pd.DataFrame:
    """The published points, in the order of the file: `params`, `corpus_tokens`, `flops`, `loss`."""
    table = pd.read_csv(file).rename(columns={"Model Size": "params", "Training FLOP": "flops"})
    table = table.drop(table["loss"].nlargest(5).index)
    return table.assign(corpus_tokens=table["flops"] / (6 * table["params"]))


def parameters(fit: powerlaw.Fit) -> dict[str, np.ndarray]:
    """Parameters by their names, a value for each resample."""
    (a, b), (alpha, beta) = fit.scales.T, fit.exponents.T
    return {"A": a, "B": b, "E": fit.floor, "alpha": alpha, "beta": beta}


def refitted(runs: pd.DataFrame) -> None:
    """The law of the published points, and its standard errors."""
    x, y = runs[AXES].to_numpy(float), runs["loss"].to_numpy(float)
    random = np.random.RandomState(42)
    chosen = [random.choice(len(y), len(y)) for _ in range(RESAMPLES)]
    weights = np.stack([np.bincount(one, minlength=len(y)) for one in chosen]).astype(float)
    start = time.process_time()
    best = powerlaw.fit(x, y)
    fitted = time.process_time()
    errors = parameters(powerlaw.refit(best, x, y, weights))
    end = time.process_time()
    print(f"{len(y)} points, sum of Huber losses {best.objective[0]:.12f}")
    common.print_table(
        [
            {"": name, "value": f"{value[0]:#.5g}", "standard error": f"{errors[name].std(ddof=1):.4g}"}
            for name, value in parameters(best).items()
        ]
    )
    print(f"CPU seconds: {fitted - start:.2f} for the fit, {end - fitted:.2f} for {RESAMPLES:,} resamples\n")


def forecast(runs: pd.DataFrame) -> None:
    """Runs of more compute, forecast from runs of less."""
    rows = []
    for most, beyond in SPLITS:
        fitted = Points.from_runs(runs[runs["flops"] <= most], AXES, scale="flops")
        left = Points.from_runs(runs[runs["flops"] > beyond], AXES, scale="flops")
        found = forecasting.fit(fitted).forecast(left.x, left.scale)
        errors = {name: _rms(fit(fitted)(left.x), left.y) for name, fit in holdout.BASELINES.items()}
        row = {"FLOPs": f"{most:.0e} to {beyond:.0e}", "fitted": str(len(fitted)), "forecast": str(len(left))}
        held = np.mean((found.low <= left.y) & (left.y <= found.high))
        row |= {"law": _percent(_rms(found.value, left.y)), f"{LEVEL:.0%} held": f"{held:.2f}"}
        rows.append(row | {"width": f"{_width(found):.3f}"} | {name: _percent(error) for name, error in errors.items()})
    common.print_table(rows)


def made_up(values: tuple[int, int], noise: float, random: np.random.Generator) -> pd.DataFrame:
    """A grid with three replicates of each cell.

    Args:
        values: how many of parameters and of tokens.
        noise: standard deviation of the log loss.
    """
    ends = ((4e6, 110e6), (1e7, 3e8))
    axes = [np.geomspace(*end, number) for end, number in zip(ends, values, strict=True)]
    x = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2).repeat(3, 0)
    return pd.DataFrame(x, columns=AXES).assign(loss=TRUTH(x)[0] * np.exp(noise * random.standard_normal(len(x))))


def synthetic(grids: int) -> None:
    """What grids of several sizes can support."""
    rows, truth = [], TRUTH(TARGET)[0]
    for values in ((4, 4), (3, 3), (2, 2)):
        for noise in (0.002, 0.01):
            random = np.random.default_rng(0)
            made = [laws.fit("", Points.from_runs(made_up(values, noise, random), AXES), AXES) for _ in range(grids)]
            states = Counter(law.state for law in made)
            found = [law.forecast(TARGET)[0] for law in made if law.state != REFUSED]
            row = {"grid": "x".join(map(str, (*values, 3))), "noise": f"{noise:g}"}
            row |= {state: str(states[state]) for state in (LAW, "trend", "withdrawn", REFUSED)}
            if found:
                errors = np.array([one.value[0] / truth[0] - 1 for one in found])
                held = np.mean([one.low[0] <= truth[0] <= one.high[0] for one in found])
                row |= {"rms error": _percent(np.sqrt(np.mean(errors**2)))}
                row |= {"90 % below": _percent(np.quantile(abs(errors), 0.9)), f"{LEVEL:.0%} held": f"{held:.2f}"}
                row |= {"width": f"{np.median([_width(one) for one in found]):.3f}"}
            else:
                row |= dict.fromkeys(("rms error", "90 % below", f"{LEVEL:.0%} held", "width"), "-")
            rows.append(row)
    print(f"{grids} grids of each kind; a trend's forecast is not shown to anyone but here")
    common.print_table(rows)


def _width(found: Forecast) -> float:
    return float(np.median(found.high / found.low))


def _rms(predicted: np.ndarray, actual: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.log(predicted / actual) ** 2)))


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="published points, CSV")
    parser.add_argument("--grids", type=int, default=30, help="made-up grids of each kind (default: 30)")
    args = parser.parse_args()
    common.print_machine(threads=1)
    if args.runs:
        runs = published(args.runs)
        refitted(runs)
        forecast(runs)
    synthetic(args.grids)


if __name__ == "__main__":
    main()
