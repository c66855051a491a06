"""Errors of forecasts of learning curves, and the coverage of their intervals.

    python benchmarks/curves.py
    python benchmarks/curves.py curves.csv --x "Seen Examples" --y Loss --by Domain,Task,Model --training Training

Without a file, the program draws curves of five shapes with independent or autocorrelated noise, and fits the half up
to x / 2. With a file, it fits the rows whose column --training is 1 or true, and forecasts all others; repeated rows
count once. Each row of the tables is an average over curves: 100 times the root mean square error of log y, and the
share of points within their 95 % intervals. The forecast is compared with the last known value; with A / x^a on all
points, a straight line in logarithms (M1 of Alabdulmohsin et al. 2022); and with E + A / x^a on all points (M2), both
fitted by least squares of log y.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import common
import numpy as np
import pandas as pd

from gridlaw.laws import curves, powerlaw

SHAPES = ("power law", "two breaks", "exponential", "M3", "M4")
NOISES = (0.001, 0.005, 0.02, 0.05)
POINTS = (8, 16, 30, 60, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="curves, CSV (default: random ones)")
    parser.add_argument("--x", default="x")
    parser.add_argument("--y", default="y")
    parser.add_argument("--by", default="curve", help="columns that identify a curve; tables group by the first")
    parser.add_argument("--training", default="Training", help="column that marks rows to fit")
    parser.add_argument("--count", type=int, default=60, help="random curves of each shape")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    start = time.process_time()
    samples = read(args) if args.file else draw(args.seed, args.count)
    results = pd.DataFrame([labels | errors(x, y, training) for labels, x, y, training in samples])
    for part in results.columns[: list(results.columns).index("points")]:
        print_part(results, part)
    print_part(results.assign(all="all curves"), "all")
    print(f"{time.process_time() - start:.0f} s of CPU time")


def read(args: argparse.Namespace) -> Iterator[tuple[dict, np.ndarray, np.ndarray, np.ndarray]]:
    """Read curves: their label by the first column of --by, x, y, and the mask of rows to fit."""
    by = args.by.split(",")
    table = pd.read_csv(args.file, dtype=dict.fromkeys([*by, args.training], str)).drop_duplicates()
    for _, rows in table.groupby(by, sort=False):
        rows = rows[(rows[args.x] > 0) & (rows[args.y] > 0)]
        training = rows[args.training].str.lower().isin(["1", "1.0", "true"])
        yield (
            {by[0]: rows[by[0]].iloc[0]},
            rows[args.x].to_numpy(float),
            rows[args.y].to_numpy(float),
            training.to_numpy(),
        )


def draw(seed: int, count: int) -> Iterator[tuple[dict, np.ndarray, np.ndarray, np.ndarray]]:
    """Draw curves of each shape with random parameters: labels, x, y, and the mask of rows to fit."""
    random = np.random.default_rng(seed)
    for shape in SHAPES:
        for _ in range(count):
            noise, points, correlation = random.choice(NOISES), int(random.choice(POINTS)), random.choice([0, 0, 0.7])
            x = places(random, points)
            scatter = random.normal(size=len(x))
            for k in range(1, len(x)):
                scatter[k] = correlation * scatter[k - 1] + np.sqrt(1 - correlation**2) * scatter[k]
            training = x <= 0.5 + 1e-9
            if training.sum() >= curves.LEAST:
                labels = {"shape": shape, "noise": f"noise {noise:.1%}", "rows": f"{points} points"}
                yield labels, x, course(random, shape, x) * np.exp(noise * scatter), training


def places(random: np.random.Generator, points: int) -> np.ndarray:
    """Points x up to 1: even, even in log x, or a third within the first 8 % and even beyond."""
    kind = random.integers(3)
    if kind == 0:
        return np.arange(1, points + 1) / points
    if kind == 1:
        return np.geomspace(1 / random.choice([30, 300, 3000]), 1, points)
    early = points // 3
    return np.concatenate([np.geomspace(1e-3, 0.08, early), np.linspace(0.08, 1, points - early + 1)[1:]])


def course(random: np.random.Generator, shape: str, x: np.ndarray) -> np.ndarray:
    """A curve without noise."""
    uniform = random.uniform
    if shape == "power law":
        floor = uniform(0, 0.8) * (random.random() < 0.8)
        return floor + (1 - floor) * uniform(0.3, 1) * x ** -uniform(0.1, 1.2)
    if shape == "two breaks":
        # Caballero et al. 2023, equation 1.
        floor, log_y = uniform(0, 0.5), -uniform(0, 0.4) * np.log(x)
        for _ in range(2):
            place, width, change = 10 ** uniform(-2.5, 0.3), 10 ** uniform(-1, 0), uniform(-0.3, 0.8)
            log_y -= change * width * np.log1p((x / place) ** (1 / width))
        return floor + (1 - floor) * np.exp(log_y - log_y[-1])
    if shape == "exponential":
        floor = uniform(0.1, 0.8)
        return floor + (1 - floor) * np.exp(-((x / 10 ** uniform(-1.5, 0)) ** uniform(0.4, 1)))
    if shape == "M3":
        y = (1 / x + 10 ** uniform(-1, 1.5)) ** uniform(0.2, 1)
        return y / y[-1]
    # (y - floor) / (1 - y)^a = b x^-c, solved by bisection.
    low, high = np.full(len(x), uniform(0, 0.4)), np.ones(len(x))
    floor, exponent = low, uniform(0.2, 2)
    target = 10 ** uniform(-1.5, 1) * x ** -uniform(0.3, 1.2)
    for _ in range(60):
        middle = (low + high) / 2
        below = (middle - floor) / (1 - middle) ** exponent < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def errors(x: np.ndarray, y: np.ndarray, training: np.ndarray) -> dict:
    """Errors in log y of each way to extrapolate a curve."""
    order = np.argsort(x[training], kind="stable")
    known, values, ahead, truth = x[training][order], y[training][order], x[~training], np.log(y[~training])
    line = np.polyfit(np.log(known), np.log(values), 1)
    with np.errstate(all="ignore"):
        whole = powerlaw.fit(known[:, None], values, np.inf)(ahead[:, None])[0]
    baselines = {
        "last": np.full(len(ahead), np.log(values[-1])),
        "M1": np.polyval(line, np.log(ahead)),
        "M2": np.log(whole),
    }
    result = {"points": len(np.unique(known)), "forecast": np.nan, "covered": np.nan, "width": np.nan}
    result |= {name: np.sqrt(np.mean((log_y - truth) ** 2)) for name, log_y in baselines.items()}
    try:
        forecast = curves.forecast(known, values, ahead)
    except curves.Refusal:
        return result
    inside = (np.log(forecast.low) <= truth) & (truth <= np.log(forecast.high))
    width = np.median(np.log(forecast.high / forecast.low)) / 2
    return result | {
        "forecast": np.sqrt(np.mean((np.log(forecast.y) - truth) ** 2)), "covered": inside.mean(), "width": width,
    }  # fmt: skip


def print_part(results: pd.DataFrame, part: str) -> None:
    """Print a table with a row for each value of a column; averages are over curves with a forecast."""
    lines = []
    for value, rows in results.groupby(part, sort=False):
        forecasts = rows.dropna(subset=["forecast"])
        lines.append(
            {part: value, "curves": str(len(rows)), "refused": str(len(rows) - len(forecasts))}
            | {name: f"{100 * forecasts[name].mean():.3g}" for name in ("forecast", "last", "M1", "M2")}
            | {
                "covered": f"{forecasts['covered'].mean():.3f}",
                "half width": f"{100 * forecasts['width'].median():.3g} %",
            }
        )
    common.print_table(lines)


if __name__ == "__main__":
    main()
