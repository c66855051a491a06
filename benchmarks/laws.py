"""Fits of laws: parameters, standard errors, time, and the coverage of forecast intervals.

    python benchmarks/laws.py                        # synthetic grids from a known law
    python benchmarks/laws.py --runs extracted.csv   # also published points of Hoffmann et al. 2022

The points are those that Besiroglu et al. 2024 extracted from a figure: a CSV with the columns `Model Size`, `Training
FLOP` and `loss`. As in their work, tokens are FLOP / 6N, the five highest losses are dropped, and 4,000 bootstrap
samples are drawn in the order of the file. Forecasts are fitted to runs with little compute and compared with runs with
more: root mean square error of the log loss, coverage of the 95 % intervals, median ratio of an interval's ends, and
the errors of the baselines.

The synthetic grids have three replicates of each cell, 4M to 110M parameters by 10M to 300M tokens, from the law of the
published points with noise on the log loss. The forecast is for 340M parameters on 1B tokens.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import common
import numpy as np
import pandas as pd

from gridlaw.laws import backtesting, forecasting, powerlaw
from gridlaw.laws.forecasting import LEVEL, Forecast
from gridlaw.laws.judging import LAW, REFUSED
from gridlaw.laws.law import fit
from gridlaw.laws.points import Points

AXES = ["params", "corpus_tokens"]
# FLOPs: runs up to the first number are fitted, runs beyond the second forecast.
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
    """Parameters by name, a value for each bootstrap sample."""
    (a, b), (alpha, beta) = fit.scales.T, fit.exponents.T
    return {"A": a, "B": b, "E": fit.floor, "alpha": alpha, "beta": beta}


def refit(runs: pd.DataFrame) -> None:
    """Fit the published points, and print parameters with standard errors."""
    x, y = runs[AXES].to_numpy(float), runs["loss"].to_numpy(float)
    random = np.random.RandomState(42)
    samples = [random.choice(len(y), len(y)) for _ in range(RESAMPLES)]
    weights = np.stack([np.bincount(sample, minlength=len(y)) for sample in samples]).astype(float)
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
    print(f"CPU seconds: {fitted - start:.2f} for the fit, {end - fitted:.2f} for {RESAMPLES:,} bootstrap samples\n")


def forecast(runs: pd.DataFrame) -> None:
    """Forecast runs with more compute from runs with less, and print errors."""
    rows = []
    for most, beyond in SPLITS:
        fitted = Points.from_runs(runs[runs["flops"] <= most], AXES, scale="flops")
        target = Points.from_runs(runs[runs["flops"] > beyond], AXES, scale="flops")
        prediction = forecasting.fit(fitted).forecast(target.x, target.scale)
        errors = {name: _rms(fit(fitted)(target.x), target.y) for name, fit in backtesting.BASELINES.items()}
        row = {"FLOPs": f"{most:.0e} to {beyond:.0e}", "fitted": str(len(fitted)), "forecast": str(len(target))}
        coverage = np.mean((prediction.low <= target.y) & (target.y <= prediction.high))
        row |= {"law": _percent(_rms(prediction.value, target.y)), f"{LEVEL:.0%} coverage": f"{coverage:.2f}"}
        rows.append(
            row | {"width": f"{_width(prediction):.3f}"} | {name: _percent(error) for name, error in errors.items()}
        )
    common.print_table(rows)


def synthetic_runs(values: tuple[int, int], noise: float, random: np.random.Generator) -> pd.DataFrame:
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
    """Fit synthetic grids of several sizes, and print states, errors and coverage."""
    rows, truth = [], TRUTH(TARGET)[0]
    for values in ((4, 4), (3, 3), (2, 2)):
        for noise in (0.002, 0.01):
            random = np.random.default_rng(0)
            grid_points = [Points.from_runs(synthetic_runs(values, noise, random), AXES) for _ in range(grids)]
            fitted = [fit("", points, AXES) for points in grid_points]
            states = Counter(law.state for law in fitted)
            forecasts = [law.forecast(TARGET)[0] for law in fitted if law.state != REFUSED]
            row = {"grid": "x".join(map(str, (*values, 3))), "noise": f"{noise:g}"}
            row |= {state: str(states[state]) for state in (LAW, "trend", "withdrawn", REFUSED)}
            if forecasts:
                errors = np.array([forecast.value[0] / truth[0] - 1 for forecast in forecasts])
                coverage = np.mean([forecast.low[0] <= truth[0] <= forecast.high[0] for forecast in forecasts])
                row |= {"rms error": _percent(np.sqrt(np.mean(errors**2)))}
                row |= {
                    "90 % below": _percent(np.quantile(abs(errors), 0.9)),
                    f"{LEVEL:.0%} coverage": f"{coverage:.2f}",
                }
                row |= {"width": f"{np.median([_width(forecast) for forecast in forecasts]):.3f}"}
            else:
                row |= dict.fromkeys(("rms error", "90 % below", f"{LEVEL:.0%} coverage", "width"), "-")
            rows.append(row)
    print(f"{grids} grids of each kind; forecasts of trends are included, which reports leave out")
    common.print_table(rows)


def _width(forecast: Forecast) -> float:
    return float(np.median(forecast.high / forecast.low))


def _rms(predicted: np.ndarray, actual: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.log(predicted / actual) ** 2)))


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="published points, CSV")
    parser.add_argument("--grids", type=int, default=30, help="synthetic grids of each kind (default: 30)")
    args = parser.parse_args()
    common.print_machine(threads=1)
    if args.runs:
        runs = published(args.runs)
        refit(runs)
        forecast(runs)
    synthetic(args.grids)


if __name__ == "__main__":
    main()
