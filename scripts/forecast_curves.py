"""Extrapolate learning curves: fit the first part of each, forecast the rest with 95 % intervals.

    python scripts/forecast_curves.py curves.csv --x examples --y loss --by model,task --output forecast.csv
    python scripts/forecast_curves.py curves.csv --x examples --y loss --at 1e6,2e6 --output forecast.csv

Each curve is fitted to its rows with x up to a fraction of its largest x (--fit-until), and y is forecast at all other
rows, whether they have a y or not. With --at, all rows are fitted, and y is forecast at the given x. y is an error or a
loss: positive, and falling with x. The output has the columns of --by, x, forecast, low, high and verdict, in the order
of the input. A curve that cannot be extrapolated keeps its rows without a forecast; the verdict gives the reason.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from gridlaw import cli
from gridlaw.cli import Failure
from gridlaw.laws import curves
from gridlaw.laws.forecasting import TOO_FAR
from gridlaw.words import count

NUMBERS = ["forecast", "low", "high"]
REFUSED = "refused"
NO_NUMBER = "not a positive number"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path, help="points of one or more curves, CSV with a header")
    parser.add_argument("--x", required=True, help="column of x: examples, tokens, steps, parameters")
    parser.add_argument("--y", required=True, help="column of the error or the loss")
    parser.add_argument("--by", type=_names, default=[], metavar="COL[,COL]", help="columns that identify a curve")
    parser.add_argument(
        "--fit-until", type=float, default=0.5, help="share of the largest x to fit up to (default: 0.5)"
    )
    parser.add_argument("--at", type=_numbers, metavar="X[,X]", help="fit all rows and forecast at these x")
    parser.add_argument("--output", type=Path, required=True, help="forecasts to write, CSV")
    args = parser.parse_args()
    if not 0 < args.fit_until < 1 and args.at is None:
        raise Failure(
            f"--fit-until {args.fit_until:g} leaves nothing to fit or nothing to forecast;"
            " expected a share between 0 and 1, such as 0.5, or --at with x beyond the data"
        )
    if args.output.resolve() == args.curves.resolve():
        raise Failure(f"--output: {args.output} is the input file; expected another file")

    table = read(args.curves, [args.x, args.y, *args.by])
    x, y = (numbers(table[column], args.curves) for column in (args.x, args.y))
    groups = table.groupby(args.by, sort=False).indices if args.by else {(): np.arange(len(table))}
    parts, forecast = [], 0
    for key, rows in groups.items():
        labels = dict(zip(args.by, key if isinstance(key, tuple) else (key,), strict=True))
        part = extrapolate(x[rows], y[rows], args.fit_until, args.at, missing=[n for n, v in labels.items() if not v])
        if args.at is None:
            part.index = rows[part.index]
            # x is written as in the input; what is no number is left out.
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
    refused = result[result["forecast"].isna()].drop_duplicates([*args.by, "verdict"])
    for row in refused.to_dict("records"):
        print(*(f"{name} {row[name]}," for name in args.by), row["verdict"])


def read(file: Path, columns: list[str]) -> pd.DataFrame:
    """Read some columns of a file as text.

    Raises:
        Failure: the file is not a table with these columns, or has no rows.
    """
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except pd.errors.EmptyDataError as error:
        raise Failure(f"{file} is empty; expected a CSV file with a header") from error
    except (OSError, ValueError) as error:
        raise Failure(f"{file}: {str(error).strip()}; expected a CSV file with a header") from error
    for column in columns:
        if column not in table:
            raise Failure(f"{file} has no column {column}; it has {', '.join(table.columns)}")
        if columns.count(column) > 1:
            raise Failure(f"column {column} is given twice; expected different columns for --x, --y and --by")
    clash = {"x", *NUMBERS, "verdict"}.intersection(columns[2:])
    if clash:
        raise Failure(f"--by: the output itself has a column {min(clash)}; rename it in {file}")
    if table.empty:
        raise Failure(f"{file} has a header and no rows")
    return table[columns].fillna("")


def numbers(column: pd.Series, file: Path) -> np.ndarray:
    """A column's numbers, NaN where it has none; shape (rows,).

    Raises:
        Failure: no number is positive.
    """
    values = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(float)
    if not (np.isfinite(values) & (values > 0)).any():
        first = column.iloc[0]
        raise Failure(
            f"{file}: column {column.name} has no positive number (the first value is {first!r});"
            " expected positive x and y"
        )
    return values


def extrapolate(
    x: np.ndarray, y: np.ndarray, fit_until: float, at: np.ndarray | None, missing: list[str]
) -> pd.DataFrame:
    """Extrapolate one curve.

    Args:
        x: NaN where the file has no number; shape (rows,).
        y: the same.
        fit_until: share of the largest x up to which rows are fitted, if `at` is None.
        at: x to forecast at, or None; shape (targets,).
        missing: columns that identify the curve but are empty.

    Returns:
        forecast, low, high and verdict. With `at`, a row for each target, and its x; otherwise a row for each row that
        was not fitted, with its position as index.
    """
    usable = np.isfinite(x) & (x > 0)
    fitted = usable & (x <= fit_until * np.max(x[usable], initial=0) * (1 + 1e-9)) if at is None else usable
    positive = np.isfinite(y) & (y > 0)
    without_x, without_y = int((~usable).sum()), int((fitted & ~positive).sum())
    left_out = [f"{count(without_x, 'row')} left out: x {NO_NUMBER}"] * (without_x > 0)
    left_out += [f"{count(without_y, 'row')} left out: y {NO_NUMBER}"] * (without_y > 0)
    places = np.flatnonzero(~fitted) if at is None else np.arange(len(at))
    targets = np.where(usable, x, np.nan)[places] if at is None else at
    part = pd.DataFrame({name: np.full(len(places), np.nan) for name in NUMBERS}, index=places)
    if at is not None:
        part.insert(0, "x", at)

    part["verdict"] = [f"{REFUSED}: x {NO_NUMBER}"] * len(part)
    is_number = np.isfinite(targets)
    try:
        if missing:
            raise curves.Refusal(f"no value in column {missing[0]}, so it is not known which curve this is")
        forecast = curves.forecast(x[fitted & positive], y[fitted & positive], targets[is_number])
    except curves.Refusal as reason:
        part.loc[is_number, "verdict"] = "; ".join([f"{REFUSED}: {reason}", *left_out])
    else:
        part.loc[is_number, NUMBERS] = np.stack([forecast.y, forecast.low, forecast.high], 1)
        part.loc[is_number, "verdict"] = [
            "; ".join([verdict, *forecast.notes, *left_out]) for verdict in verdicts(forecast)
        ]
    return part


def verdicts(forecast: curves.Forecast) -> list[str]:
    """A verdict on each forecast of a curve."""
    sentences = []
    for distance, error, speculative in zip(forecast.distance, forecast.off, forecast.speculative, strict=True):
        if np.isnan(error):
            where = f"more than {TOO_FAR:g}x beyond" if distance > 1 else "not beyond"
            sentences.append(f"{REFUSED}: {where} the last point that was fitted")
            continue
        mark = "speculative forecast" if speculative else "forecast"
        size = (
            "less than 0.01 %"
            if error < 1e-4
            else f"{100 * error:.2g} %"
            if error < 1
            else f"a factor of {1 + error:.2g}"
        )
        past = f"past forecasts of this curve at that distance were off by {size}"
        if forecast.tested < distance * (1 - 1e-6):
            past = (
                f"past forecasts of this curve reached {forecast.tested:.3g}x only; their errors, grown on, are {size}"
            )
        sentences.append(f"{mark}: {count(forecast.points, 'point')}, {distance:.3g}x beyond the last; {past}")
    return sentences


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> np.ndarray:
    try:
        numbers = np.array([float(number) for number in text.split(",")])
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text} is invalid; expected numbers separated by commas, such as 1e6,2e6"
        ) from error
    if not (np.isfinite(numbers) & (numbers > 0)).all():
        raise argparse.ArgumentTypeError(f"{text} is invalid; expected positive numbers, such as 1e6,2e6")
    return numbers


if __name__ == "__main__":
    cli.run(main)
