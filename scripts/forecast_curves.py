"""Carry learning curves on: fit the first part of each, forecast the rest with 95 % intervals.

    python scripts/forecast_curves.py curves.csv --x examples --y loss --by model,task --output forecast.csv
    python scripts/forecast_curves.py curves.csv --x examples --y loss --at 1e6,2e6 --output forecast.csv

Each curve is fitted on its rows with x up to a fraction of its largest x (--fit-until), and y is forecast at all
others, whether they have one or not. With --at all rows are fitted, and y is forecast at the x given. y is an error or
a loss: positive, and falling with x. The output has the columns of --by, x, forecast, low, high and verdict, in the
order of the input; a curve that nothing can be said of keeps its rows, without a forecast, and the verdict says why.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from gridlaw import cli, curves
from gridlaw.cli import Failure
from gridlaw.words import count

NUMBERS = ["forecast", "low", "high"]
REFUSED = "refused"
NO_NUMBER = "not a positive number"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path, help="points of one or more curves, CSV with a header")
    parser.add_argument("--x", required=True, help="column that curves go along: examples, tokens, steps, parameters")
    parser.add_argument("--y", required=True, help="column of the error or the loss")
    parser.add_argument("--by", type=_names, default=[], metavar="COL[,COL]", help="columns that tell curves apart")
    parser.add_argument(
        "--fit-until", type=float, default=0.5, help="share of the largest x to fit up to (default: 0.5)"
    )
    parser.add_argument("--at", type=_numbers, metavar="X[,X]", help="fit all rows, and forecast at these x")
    parser.add_argument("--output", type=Path, required=True, help="forecasts to write, CSV")
    args = parser.parse_args()
    if not 0 < args.fit_until < 1 and args.at is None:
        raise Failure(
            f"--fit-until {args.fit_until:g} leaves nothing to forecast or nothing to fit;"
            " right would be a share between 0 and 1, such as 0.5, or --at with x beyond the data"
        )
    if args.output.resolve() == args.curves.resolve():
        raise Failure(f"--output: {args.output} is the file of the curves; right would be another one")

    table = read(args.curves, [args.x, args.y, *args.by])
    x, y = (numbers(table[column], args.curves) for column in (args.x, args.y))
    groups = table.groupby(args.by, sort=False).indices if args.by else {(): np.arange(len(table))}
    parts, forecast = [], 0
    for key, rows in groups.items():
        labels = dict(zip(args.by, key if isinstance(key, tuple) else (key,), strict=True))
        part = carried_on(x[rows], y[rows], args.fit_until, args.at, missing=[n for n, v in labels.items() if not v])
        if args.at is None:
            part.index = rows[part.index]
            # As it was written, where it is a number.
            part.insert(0, "x", table[args.x].where(np.isfinite(x), "")[part.index])
        for place, (name, value) in enumerate(labels.items()):
            part.insert(place, name, value)
        parts.append(part)
        forecast += part["forecast"].notna().any()
    result = pd.concat(parts, ignore_index=args.at is not None).sort_index()
    try:
        result.to_csv(args.output, index=False, float_format="%.10g")
    except OSError as error:
        raise Failure(f"--output: {error}") from error
    print(f"{count(len(parts), 'curve')}, {forecast} with a forecast; {count(len(result), 'row')} in {args.output}")
    refused = result[result["verdict"].str.startswith(REFUSED)].drop_duplicates([*args.by, "verdict"])
    for row in refused.to_dict("records"):
        print(*(f"{name} {row[name]}," for name in args.by), row["verdict"])


def read(file: Path, columns: list[str]) -> pd.DataFrame:
    """Some columns of a file, as text.

    Raises:
        Failure: it is no table with these columns, or it has no rows.
    """
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except pd.errors.EmptyDataError as error:
        raise Failure(f"{file} is empty; right would be a CSV file with a header") from error
    except (OSError, ValueError) as error:
        raise Failure(f"{file}: {str(error).strip()}; right would be a CSV file with a header") from error
    for column in columns:
        if column not in table:
            raise Failure(f"{file} has no column {column}; it has {', '.join(table.columns)}")
        if columns.count(column) > 1:
            raise Failure(f"column {column} is named twice; right would be one column each for --x, --y and --by")
    clash = {"x", *NUMBERS, "verdict"}.intersection(columns[2:])
    if clash:
        raise Failure(f"--by: the output has a column {min(clash)} of its own; right would be another name in {file}")
    if table.empty:
        raise Failure(f"{file} has a header and no rows")
    return table[columns].fillna("")


def numbers(column: pd.Series, file: Path) -> np.ndarray:
    """A column's numbers, NaN where it has none; shape (rows,).

    Raises:
        Failure: not one of them is positive.
    """
    values = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(float)
    if not (np.isfinite(values) & (values > 0)).any():
        first = column.iloc[0]
        raise Failure(
            f"{file}: column {column.name} has no positive number (the first is {first!r}); x and y have them"
        )
    return values


def carried_on(
    x: np.ndarray, y: np.ndarray, fit_until: float, at: np.ndarray | None, missing: list[str]
) -> pd.DataFrame:
    """Forecasts of one curve.

    Args:
        x: NaN where the file has no number; shape (rows,).
        y: the same.
        fit_until: share of the largest x that is fitted up to, without `at`.
        at: x to forecast at.
        missing: columns that should name the curve and do not.

    Returns:
        forecast, low, high, verdict: one row for each x of `at`, which it then has too; without, for each row that is
        not fitted, under its place.
    """
    usable = np.isfinite(x) & (x > 0)
    known = usable & (x <= fit_until * np.max(x[usable], initial=0) * (1 + 1e-9)) if at is None else usable
    positive = np.isfinite(y) & (y > 0)
    without_x, without_y = int((~usable).sum()), int((known & ~positive).sum())
    left_out = [f"{count(without_x, 'row')} left out: x {NO_NUMBER}"] * (without_x > 0)
    left_out += [f"{count(without_y, 'row')} left out: y {NO_NUMBER}"] * (without_y > 0)
    places = np.flatnonzero(~known) if at is None else np.arange(len(at))
    targets = np.where(usable, x, np.nan)[places] if at is None else at
    part = pd.DataFrame({name: np.full(len(places), np.nan) for name in NUMBERS}, index=places)
    if at is not None:
        part.insert(0, "x", at)

    part["verdict"] = [f"{REFUSED}: x {NO_NUMBER}"] * len(part)
    real = np.isfinite(targets)
    try:
        if missing:
            raise curves.Refusal(f"no value in column {missing[0]}, so it is not known which curve this is")
        found = curves.forecast(x[known & positive], y[known & positive], targets[real])
    except curves.Refusal as reason:
        part.loc[real, "verdict"] = "; ".join([f"{REFUSED}: {reason}", *left_out])
    else:
        part.loc[real, NUMBERS] = np.stack([found.y, found.low, found.high], 1)
        part.loc[real, "verdict"] = ["; ".join([said, *found.notes, *left_out]) for said in verdicts(found)]
    return part


def verdicts(found: curves.Forecast) -> list[str]:
    """What is to be said of each forecast."""
    said = []
    for distance, off, speculative in zip(found.distance, found.off, found.speculative, strict=True):
        if np.isnan(off):
            where = f"more than {curves.TOO_FAR}x beyond" if distance > 1 else "not beyond"
            said.append(f"{REFUSED}: {where} the last point that was fitted")
            continue
        mark = "speculative forecast" if speculative else "forecast"
        size = "less than 0.01 %" if off < 1e-4 else f"{100 * off:.2g} %" if off < 1 else f"a factor of {1 + off:.2g}"
        past = f"past forecasts of this curve at that distance were off by {size}"
        if found.tested < distance * (1 - 1e-6):
            past = f"past forecasts of this curve reached {found.tested:.3g}x only; their errors, grown on, are {size}"
        said.append(f"{mark}: {count(found.points, 'point')}, {distance:.3g}x beyond the last; {past}")
    return said


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> np.ndarray:
    try:
        numbers = np.array([float(number) for number in text.split(",")])
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not numbers with commas between, such as 1e6,2e6") from error
    if not (np.isfinite(numbers) & (numbers > 0)).all():
        raise argparse.ArgumentTypeError(f"{text}: x are positive numbers, such as 1e6,2e6")
    return numbers


if __name__ == "__main__":
    cli.run(main)
