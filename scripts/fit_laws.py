"""Fit scaling laws to any table of runs, validate them by back-tests, and forecast other runs.

    python scripts/fit_laws.py --runs runs.csv --output laws.json
    python scripts/fit_laws.py --runs runs.csv --output laws.json --at 1e9,2e10 --at 3e9,6e10

A row is a training run, with the columns

    params          parameters of the model
    trained_tokens  tokens that it was trained on, over all epochs; the column may also be called tokens
    loss            held-out loss at the end
    corpus_tokens   optional: unique tokens among them, if text was repeated; may also be called unique_tokens
    flops           optional: scale of a run; by default params x tokens
    seed            optional: distinguishes replicates from copied rows

Three kinds of law are fitted. From runs of one epoch: the joint law L(N, D) = E + A / N^alpha + B / D^beta, with D the
corpus tokens; and laws of one axis at each value of the other that has enough points. From all runs: the joint law by
the fresh tokens that their text is worth. Each one is called a law, trend, withdrawn or refused, with the reason. --at
forecasts the loss of PARAMS,TOKENS by the joint law, for text that is read once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from gridlaw import cli, io
from gridlaw.laws import backtesting, missing, repetition
from gridlaw.laws.axes import WORDS
from gridlaw.laws.backtesting import LEAST_VALUES
from gridlaw.laws.judging import LAW
from gridlaw.laws.law import NONE, Law, fit, number
from gridlaw.laws.points import Points
from gridlaw.words import join_and, join_comma, short

NEEDED, FURTHER = ["params", "trained_tokens", "loss"], ["flops", "seed", "corpus_tokens"]
# Other names of these columns.
ALSO = {"tokens": "trained_tokens", "unique_tokens": "corpus_tokens"}
AXES, EFFECTIVE = ["params", "corpus_tokens"], ["params", "effective_tokens"]
# Range of valid counts and losses; powers of numbers outside it may overflow.
LEAST, MOST = 1e-30, 1e30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="table of runs, CSV")
    parser.add_argument("--output", type=Path, help="laws, forecasts and rows left out, JSON to write")
    parser.add_argument(
        "--at", type=_place, action="append", default=[], metavar="PARAMS,TOKENS", help="forecast the loss there"
    )
    args = parser.parse_args()

    runs, left_out = usable(read(args.runs))
    fitted = list(fit_all(runs))
    lacks = [missing.law_needs(law, missing.Prices.by_flops()) for law in fitted]
    verdicts = [missing.verdict(law.why, lack) for law, lack in zip(fitted, lacks, strict=True)]
    forecasts = forecast(fitted[0], verdicts[0], args.at)
    if args.output:
        report = {
            "runs": len(runs),
            "left_out": left_out,
            "laws": [
                law.record() | {"verdict": verdict, "needs": lack}
                for law, verdict, lack in zip(fitted, verdicts, lacks, strict=True)
            ],
            "forecasts": forecasts,
        }
        io.write_json(args.output, report)
    for line in left_out:
        print(f"line {line['line']} left out: {line['why']}", file=sys.stderr)
    for law, verdict in zip(fitted, verdicts, strict=True):
        print(f"{law.name} [{law.state}]: {verdict}")
    for row in forecasts:
        print(f"{short(row['params'])} params, {short(row['corpus_tokens'])} tokens: {describe(row)}")


def read(file: Path) -> pd.DataFrame:
    """Read a table of runs as text, with the column names of the file.

    Raises:
        Failure: the file is no table, or lacks a column.
    """
    try:
        # Blank lines count, so that line numbers are those of the file; a comma at the end of lines adds no index.
        table = pd.read_csv(file, dtype=str, skipinitialspace=True, skip_blank_lines=False, index_col=False)
    except OSError as error:
        raise cli.Failure(f"--runs: {file} cannot be read: {error.strerror}") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        why = str(error).strip()
        raise cli.Failure(f"--runs: {file} is not a table: {why}; expected CSV with a header") from None
    table.columns = table.columns.str.strip()
    twice = [f"both {also} and {name}" for also, name in ALSO.items() if also in table and name in table]
    if twice:
        raise cli.Failure(f"--runs: {file} has {join_and(twice)}; expected one of them, for both mean the same")
    names = {column: ALSO.get(column, column) for column in table}
    missing = [name for name in NEEDED if name not in names.values()]
    if missing:
        raise cli.Failure(
            f"--runs: {file} has no column {join_comma(missing)}; expected {join_comma(NEEDED)}, and optionally"
            f" {join_comma(FURTHER)}"
        )
    return table[[column for column, name in names.items() if name in (*NEEDED, *FURTHER)]]


def usable(table: pd.DataFrame) -> tuple[pd.DataFrame, list[dict]]:
    """The rows that laws are fitted to; and the other rows, each with its line in the file and the reason."""
    numbers = [column for column in table if column != "seed"]
    runs = table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in numbers})
    why = pd.Series("", index=table.index)
    for name in numbers:
        bad = ~runs[name].between(LEAST, MOST) & (why == "")
        why[bad] = (
            f"{name} is " + table[name][bad].fillna("missing") + f"; expected a number from {LEAST:g} to {MOST:g}"
        )
    # Rows that agree in everything are copies of one run.
    keys = [column for column in runs if column not in ("loss", "flops")]
    keys += [] if "seed" in runs else ["loss"]
    repeated = (why == "") & runs[why == ""].duplicated(keys).reindex(runs.index, fill_value=False)
    why[repeated] = f"it repeats the {join_and(keys)} of an earlier line"
    left_out = [{"line": int(index) + 2, "why": reason} for index, reason in why[why != ""].items()]
    runs = runs[why == ""].rename(columns=ALSO)
    # The size of a text does not matter to runs that read only a part of it.
    counts = runs.reindex(columns=["trained_tokens", "corpus_tokens"])
    return runs.assign(corpus_tokens=counts.min(axis=1)), left_out


def fit_all(runs: pd.DataFrame) -> list[Law]:
    """Fit the joint law; the laws of one axis at each value of the other with enough points; and, if some runs repeat
    their text, the joint law of all runs by fresh tokens."""
    scale = "flops" if "flops" in runs else None
    all_runs = runs
    runs = runs[runs["trained_tokens"] <= repetition.ONCE * runs["corpus_tokens"]]
    fitted = [fit("loss by params and tokens", Points.from_runs(runs, AXES, scale=scale), AXES)]
    for axis, other in (AXES, AXES[::-1]):
        groups = [(value, group) for value, group in runs.groupby(other) if group[axis].nunique() >= LEAST_VALUES]
        fitted += [
            fit(
                f"loss by {WORDS[axis]} at {short(value)} {WORDS[other]}",
                Points.from_runs(group, [axis], scale=scale),
                [axis],
                fixed={other: float(value)},
            )
            for value, group in groups
        ]
    if len(all_runs) > len(runs):
        fitted.append(fit_repetition(all_runs, scale))
    return fitted


def fit_repetition(runs: pd.DataFrame, scale: str | None) -> Law:
    """Fit the joint law by fresh tokens."""
    name = "loss by params and the fresh tokens that repeated ones are worth"
    read = runs.assign(effective_tokens=runs["trained_tokens"])
    if not backtesting.carries(Points.from_runs(read, EFFECTIVE)):
        return fit(name, Points.from_runs(read, EFFECTIVE), EFFECTIVE)
    repetitions, determined = repetition.fit(runs, EFFECTIVE)
    value = f"R* = {repetitions:.2g}" if determined else "R* not determined by these runs"
    return fit(
        f"{name} ({value})",
        Points.from_runs(repetition.with_effective_tokens(runs, repetitions), EFFECTIVE, scale=scale),
        EFFECTIVE,
    )


def forecast(law: Law, verdict: str, places: list[tuple[float, float]]) -> list[dict]:
    """Forecasts of the joint law at some places, or its verdict if it makes none."""
    if not places or law.state != LAW:
        return [{**dict(zip(AXES, place, strict=True)), "loss": None, "verdict": verdict} for place in places]
    forecasts, outlooks = law.forecast(np.array(places))
    numbers = {
        "loss": forecasts.value,
        "low": forecasts.low,
        "high": forecasts.high,
        "sd_sampling": forecasts.sampling,
        "sd_forms": forecasts.forms,
        "sd_back_test": forecasts.back_test,
    }
    rows = []
    for i, ((params, tokens), outlook) in enumerate(zip(places, outlooks, strict=True)):
        values = {name: None if outlook.state == NONE else number(column[i]) for name, column in numbers.items()}
        rows.append({"params": params, "corpus_tokens": tokens, **values, "verdict": outlook.why or outlook.state})
    return rows


def describe(row: dict) -> str:
    """A row of `forecast` in words."""
    if row["loss"] is None:
        return row["verdict"]
    return f"{row['loss']:.4g} ({row['low']:.4g} to {row['high']:.4g}) {row['verdict']}"


def _place(text: str) -> tuple[float, float]:
    try:
        params, tokens = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is invalid; expected PARAMS,TOKENS such as 1e9,2e10") from None
    if not (0 < params < np.inf and 0 < tokens < np.inf):
        raise argparse.ArgumentTypeError(f"{text} is invalid; expected two positive numbers")
    return params, tokens


if __name__ == "__main__":
    cli.run(main)
