"""Fit scaling laws to any table of runs, judge them by forecasts of runs that are known, and forecast others.

    python scripts/fit_laws.py --runs runs.csv --output laws.json
    python scripts/fit_laws.py --runs runs.csv --output laws.json --at 1e9,2e10 --at 3e9,6e10

A row is a training run, with the columns

    params          parameters of the model
    trained_tokens  tokens that it was trained on, every epoch counted; a table may also call them tokens
    loss            held-out loss at the end
    corpus_tokens   optional: distinct tokens among them, where text was read more than once; also unique_tokens
    flops           optional: says how large a run is; else params x tokens does
    seed            optional: tells runs that agree in everything else from copied rows

Fitted are the joint law L(N, D) = E + A / N^alpha + B / D^beta, with D the corpus tokens, and the laws of one axis at
each value of the other that has enough, of runs that read their text once; and the joint law of all runs by the fresh
tokens that their text is worth. Each is called a law, or a trend, withdrawn or refused, with the reason in words. --at
forecasts the loss of PARAMS,TOKENS by the joint law, of text that is read once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from gridlaw import cli, holdout, laws, needs, record, repetition
from gridlaw.axes import WORDS
from gridlaw.holdout import LEAST_VALUES
from gridlaw.judging import LAW
from gridlaw.laws import Law
from gridlaw.points import Points
from gridlaw.words import join_and, short

NEEDED, FURTHER = ["params", "trained_tokens", "loss"], ["flops", "seed", "corpus_tokens"]
# What tables from elsewhere call them.
ALSO = {"tokens": "trained_tokens", "unique_tokens": "corpus_tokens"}
AXES, EFFECTIVE = ["params", "corpus_tokens"], ["params", "effective_tokens"]
# What is beyond these is no count and no loss, and its powers are no numbers.
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
    found = list(fitted(runs))
    lacks = [needs.law_needs(law, needs.Prices.by_flops()) for law in found]
    verdicts = [needs.verdict(law.why, lack) for law, lack in zip(found, lacks, strict=True)]
    forecasts = forecast(found[0], verdicts[0], args.at)
    if args.output:
        report = {
            "runs": len(runs),
            "left_out": left_out,
            "laws": [
                law.record() | {"verdict": verdict, "needs": lack}
                for law, verdict, lack in zip(found, verdicts, lacks, strict=True)
            ],
            "forecasts": forecasts,
        }
        record.write_json(args.output, report)
    for line in left_out:
        print(f"line {line['line']} left out: {line['why']}", file=sys.stderr)
    for law, verdict in zip(found, verdicts, strict=True):
        print(f"{law.name} [{law.state}]: {verdict}")
    for one in forecasts:
        print(f"{short(one['params'])} params, {short(one['corpus_tokens'])} tokens: {said(one)}")


def read(file: Path) -> pd.DataFrame:
    """A table of runs under its own names, its numbers not yet looked at.

    Raises:
        Failure: it is no such table.
    """
    try:
        # Blank lines count as lines, and a comma at the end of lines makes no column of names.
        table = pd.read_csv(file, dtype=str, skipinitialspace=True, skip_blank_lines=False, index_col=False)
    except OSError as error:
        raise cli.Failure(f"--runs: {file} cannot be read: {error.strerror}") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        why = str(error).strip()
        raise cli.Failure(f"--runs: {file} is no table: {why}; right would be CSV with a header") from None
    table.columns = table.columns.str.strip()
    twice = [f"both {also} and {name}" for also, name in ALSO.items() if also in table and name in table]
    if twice:
        raise cli.Failure(f"--runs: {file} has {join_and(twice)}; expected one of them, for both mean the same")
    names = {column: ALSO.get(column, column) for column in table}
    missing = [name for name in NEEDED if name not in names.values()]
    if missing:
        raise cli.Failure(
            f"--runs: {file} has no column {', '.join(missing)}; right would be {', '.join(NEEDED)}, and if there are"
            f" {' and '.join(FURTHER)}"
        )
    return table[[column for column, name in names.items() if name in (*NEEDED, *FURTHER)]]


def usable(table: pd.DataFrame) -> tuple[pd.DataFrame, list[dict]]:
    """The rows that a law can be fitted to, and of each other its line in the file and why it is left out."""
    numbers = [column for column in table if column != "seed"]
    runs = table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in numbers})
    why = pd.Series("", index=table.index)
    for name in numbers:
        bad = ~runs[name].between(LEAST, MOST) & (why == "")
        right = f"right would be a number from {LEAST:g} to {MOST:g}"
        why[bad] = f"{name} is " + table[name][bad].fillna("missing") + f"; {right}"
    # Rows that agree in all that is known of them are one run.
    keys = [column for column in runs if column not in ("loss", "flops")]
    keys += [] if "seed" in runs else ["loss"]
    repeated = (why == "") & runs[why == ""].duplicated(keys).reindex(runs.index, fill_value=False)
    why[repeated] = f"it repeats the {join_and(keys)} of an earlier line"
    left_out = [{"line": int(index) + 2, "why": reason} for index, reason in why[why != ""].items()]
    runs = runs[why == ""].rename(columns=ALSO)
    # The size of a text does not matter to runs that read only a part of it.
    counts = runs.reindex(columns=["trained_tokens", "corpus_tokens"])
    return runs.assign(corpus_tokens=counts.min(axis=1)), left_out


def fitted(runs: pd.DataFrame) -> list[Law]:
    """The joint law, those of one axis at each value of the other that enough values of it go with, and that of all
    runs where some read their text more than once."""
    scale = "flops" if "flops" in runs else None
    everything = runs
    runs = runs[runs["trained_tokens"] <= repetition.ONCE * runs["corpus_tokens"]]
    found = [laws.fit("loss by params and tokens", Points.from_runs(runs, AXES, scale=scale), AXES)]
    for axis, other in (AXES, AXES[::-1]):
        groups = [(value, group) for value, group in runs.groupby(other) if group[axis].nunique() >= LEAST_VALUES]
        found += [
            laws.fit(
                f"loss by {WORDS[axis]} at {short(value)} {WORDS[other]}",
                Points.from_runs(group, [axis], scale=scale),
                [axis],
                fixed={other: float(value)},
            )
            for value, group in groups
        ]
    if len(everything) > len(runs):
        found.append(of_repetition(everything, scale))
    return found


def of_repetition(runs: pd.DataFrame, scale: str | None) -> Law:
    """The joint law by fresh tokens."""
    name = "loss by params and the fresh tokens that repeated ones are worth"
    read = runs.assign(effective_tokens=runs["trained_tokens"])
    if not holdout.carries(Points.from_runs(read, EFFECTIVE)):
        return laws.fit(name, Points.from_runs(read, EFFECTIVE), EFFECTIVE)
    repetitions, determined = repetition.fit(runs, EFFECTIVE)
    found = f"R* = {repetitions:.2g}" if determined else "R* not determined by these runs"
    return laws.fit(
        f"{name} ({found})", Points.from_runs(repetition.worth(runs, repetitions), EFFECTIVE, scale=scale), EFFECTIVE
    )


def forecast(law: Law, verdict: str, places: list[tuple[float, float]]) -> list[dict]:
    """What the joint law says of some places, or its verdict where it says nothing."""
    if not places or law.state != LAW:
        return [{**dict(zip(AXES, place, strict=True)), "loss": None, "verdict": verdict} for place in places]
    found, verdicts = law.forecast(np.array(places))
    rows = []
    for i, (params, tokens) in enumerate(places):
        none = verdicts[i].startswith("none")
        numbers = {"loss": found.value, "low": found.low, "high": found.high}
        numbers |= {"sd_sampling": found.sampling, "sd_forms": found.forms, "sd_back_test": found.back_test}
        values = {name: None if none or not np.isfinite(of[i]) else float(of[i]) for name, of in numbers.items()}
        rows.append({"params": params, "corpus_tokens": tokens, **values, "verdict": verdicts[i] or "forecast"})
    return rows


def said(one: dict) -> str:
    if one["loss"] is None:
        return one["verdict"]
    return f"{one['loss']:.4g} ({one['low']:.4g} to {one['high']:.4g}) {one['verdict']}"


def _place(text: str) -> tuple[float, float]:
    try:
        params, tokens = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not PARAMS,TOKENS, as 1e9,2e10") from None
    if not (0 < params < np.inf and 0 < tokens < np.inf):
        raise argparse.ArgumentTypeError(f"{text}: both have to be positive")
    return params, tokens


if __name__ == "__main__":
    cli.run(main)
