"""Write the grid's main results as LaTeX tables for a paper: scores, losses, laws, forecasts.

    python scripts/latex.py --recipe latex.json --runs runs.csv --summary summary.csv --laws laws.json \
        --forecasts forecasts.csv --decisions decisions.json --scores-table scores.tex --loss-table loss.tex \
        --laws-table laws.tex --forecasts-table forecasts.tex --record record.json

The tables need the package booktabs, and those longer than a page longtable. A number is a mean with the half-width of
its 95 % interval. Bold marks the best model of a size, if it is significantly better than every other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from gridlaw import cli, io
from gridlaw.config import grid
from gridlaw.laws.judging import REFUSED
from gridlaw.stats import comparison, intervals
from gridlaw.tables import read_table, smallest_gpus
from gridlaw.words import count, join_and, short
from gridlaw.workflow import program, record

# Largest number of rows on a page.
PAGE = 40
AVERAGE = ("all tasks", "macro_average", "validation")
CELL = ["size", "model"]
QUANTITY = ["task", "metric", "split"]
BOLD = (
    " Bold: better than every other model of that size (Welch's $t$ test over pre-training seeds, $p < .05$ with Holm's"
    " correction for all pairs{least})."
)
# Mark of a mean with a caveat, and the largest number of them in a caption.
DAGGER, NAMED = "$^\\dagger$", 6
PARAMETERS = {"E": "$E$", "A": "$A$", "alpha": r"$\alpha$", "B": "$B$", "beta": r"$\beta$"}


def main() -> None:
    args = program.parse("latex", __doc__)

    runs, summary, forecasts = map(read_table, (args.runs, args.summary, args.forecasts))
    decisions = io.read_json(args.decisions)
    tables = {
        args.scores_table: scores(summary, decisions, args.recipe["tasks"], args.recipe["models"]),
        args.loss_table: losses(runs, decisions, args.recipe["models"]),
        args.laws_table: laws(io.read_json(args.laws)["laws"]),
        args.forecasts_table: forecast_table(forecasts),
    }
    for file, table in tables.items():
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(table, encoding="utf-8")
    record.write(args)


def scores(summary: pd.DataFrame, decisions: dict, tasks: list[list[str]], models: list[str]) -> str:
    """Mean scores after the most training examples: a row for each cell, a column for each task."""
    panels = [*map(tuple, tasks), AVERAGE]
    selected = smallest_gpus(summary[summary["note"].isna()])
    selected = selected[selected["train_set"] == selected["train_set"].iloc[-1]] if len(selected) else selected
    columns, compared, caveats = {}, defaultdict(list), []
    for pair in (*decisions["scores"], *decisions["averages"]):
        compared[pair["task"], pair["metric"], pair["split"]].append(pair)
    for task, metric, split in panels:
        means = selected[(selected[QUANTITY] == pd.Series((task, metric, split), QUANTITY)).all(axis=1)].set_index(CELL)
        if len(means):
            positive = [f" of {escaped(name)}" for name in means["positive"].dropna().unique()]
            header = metric.replace("_", " ") + "".join(positive)
            columns[escaped(task), header] = cells(means, compared[task, metric, split])
            caveats += [
                f"{escaped(model)} at {size} on {escaped(task)} ({words})"
                for (size, model), words in means["caveat"].dropna().items()
            ]
    counts = sorted({int(n) for n in selected["n"] if n})
    caption = (
        "Scores by size of the corpus in tokens and model: means over seeds"
        f" ($n = {'$--$'.join(map(str, counts))}$) with half of their 95\\,\\% $t$ intervals."
    )
    caption += bold(columns.values(), decisions["smallest_difference"]["score"])
    if caveats:
        more = [f"{len(caveats) - NAMED} more"] * (len(caveats) > NAMED)
        caption += f" {DAGGER}: {join_and([*caveats[:NAMED], *more])}."
    return latex(ordered(pd.DataFrame(columns), models), "scores", caption)


def losses(runs: pd.DataFrame, decisions: dict, models: list[str]) -> str:
    """Held-out loss: a row for each model, a column for each size."""
    known = smallest_gpus(runs.dropna(subset=["held_out_loss"]))
    table = intervals.summarise_pooled(known, [*CELL, "tokenizer"], "held_out_loss").set_index(CELL)
    shown = cells(table, [pair for group in decisions["groups"] for pair in group["comparisons"]])
    wide = ordered(shown.to_frame("loss"), models)["loss"].unstack("size", sort=False)
    caption = (
        "Held-out loss in nats by model and size of the corpus in tokens: means over pre-training seeds"
        f" ($n = {known.groupby(CELL).size().max() if len(known) else 0}$) with half of their 95\\,\\% intervals,"
        " the scatter of seeds pooled over cells."
    )
    caption += bold([shown], decisions["smallest_difference"]["loss"], " nats")
    if diverged := runs["diverged"].eq(True).sum():
        caption += f" {count(diverged, 'run')} that diverged {'is' if diverged == 1 else 'are'} left out."
    return latex(wide.reindex(models).dropna(how="all").fillna("--"), "loss", caption)


def cells(table: pd.DataFrame, compared: list[dict]) -> pd.Series:
    """Means with half-widths of intervals; a model that is better than every other at its size is bold.

    Args:
        table: `mean`, `low` and `high` by size and model, and maybe a `caveat`, which is a dagger.
        compared: comparisons of models by this quantity.
    """
    half = (table["high"] - table["low"]) / 2
    words = [
        f"{mean:.3f}" + (f" \\pm {reach:.3f}" if np.isfinite(reach) else "")
        for mean, reach in zip(table["mean"], half, strict=True)
    ]
    texts = pd.Series(words, index=table.index)
    for size, selected in table[table["mean"].notna()].groupby(level="size", sort=False):
        best = comparison.best(compared, size, selected.index.get_level_values("model"))
        if best:
            texts[size, best] = f"\\mathbf{{{texts[size, best]}}}"
    shown = ("$" + texts + "$").where(table["mean"].notna(), "diverged")
    return (
        shown + table["caveat"].map(lambda words: DAGGER if isinstance(words, str) else "")
        if "caveat" in table
        else shown
    )


def bold(columns: Iterable[pd.Series], smallest: float, unit: str = "") -> str:
    """A sentence that explains bold numbers, if there are any.

    Args:
        smallest: smallest difference of interest.
    """
    if not any(column.str.contains("mathbf").any() for column in columns):
        return ""
    return BOLD.format(least=f", by at least {smallest:g}{unit}" if smallest else "")


def laws(judged: list[dict]) -> str:
    """Parameters of the laws of loss."""
    rows = [
        {
            "law": law["name"].replace("loss by", "by"),
            "state": law["state"],
            "$n$": f"{law['points']}",
            **{symbol: interval(law["parameters"].get(name)) for name, symbol in PARAMETERS.items()},
        }
        for law in judged
        if "axes" in law and law["state"] != REFUSED
    ]
    table = pd.DataFrame(rows, columns=["law", "state", "$n$", *PARAMETERS.values()]).set_index("law")
    table = table.loc[:, table.ne("").any()] if rows else table
    caption = (
        "Laws $L = E + A / N^\\alpha + B / D^\\beta$ of the held-out loss in nats, with $N$ parameters and $D$ tokens,"
        " or one of them: fits to $n$ cells, between the ends of their 95\\,\\% intervals over resamples of the runs."
        + ("" if rows else " The grid carries none.")
    )
    return latex(table, "laws", caption)


def forecast_table(table: pd.DataFrame) -> str:
    """Forecasts of larger cells: a row for each model and size, a column for each quantity."""
    known = table.dropna(subset=["forecast"])
    columns: dict[str, dict[tuple[str, str], str]] = {}
    for row in known.itertuples():
        text = between(f"{row.forecast:.3f}", f"{row.low:.3f}", f"{row.high:.3f}")
        columns.setdefault(escaped(row.quantity), {})[row.model, short(row.corpus_tokens)] = text
    caption = "Forecasts between the ends of their 95\\,\\% intervals, which were tried on known cells."
    if known.empty:
        caption += " No law of the grid is good for one."
    return latex(pd.DataFrame(columns or {"forecast": []}).fillna("--"), "forecasts", caption)


def interval(parameter: dict | None) -> str:
    """A parameter with its interval; empty for None."""
    if parameter is None:
        return ""
    low, high = ("" if parameter[end] is None else f"{parameter[end]:.3g}" for end in ("low", "high"))
    return between(f"{parameter['value']:.3g}", low, high)


def between(value: str, low: str, high: str) -> str:
    """A number with the ends of its interval below and above it."""
    return f"${value}" + (f"_{{{low}}}^{{{high}}}" if low else "") + "$"


def ordered(table: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """A table by size and model, in the order of sizes and of the grid's models."""
    cells = sorted(table.index, key=lambda cell: (grid.size_order(cell[0]), models.index(cell[1])))
    return table.reindex(pd.MultiIndex.from_tuples(cells, names=CELL)).fillna("--")


def escaped(text: str) -> str:
    """A text with the special characters of LaTeX escaped."""
    special = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}"}
    special |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    return "".join(special.get(character, character) for character in text)


def latex(table: pd.DataFrame, name: str, caption: str) -> str:
    """A table in LaTeX, over several pages if necessary; its row names are escaped here, cells and columns before."""
    is_long = len(table) > PAGE
    names = [None] * table.index.nlevels
    style = Styler(table.rename_axis(index=names)).format_index(escaped, axis=0)
    return style.to_latex(
        hrules=True,
        caption=caption,
        label=f"tab:{name}",
        environment="longtable" if is_long else None,
        position=None if is_long else "tbp",
        position_float=None if is_long else "centering",
        column_format="l" * table.index.nlevels + "l" * len(table.columns),
        multirow_align="naive",
    )


if __name__ == "__main__":
    cli.run(main)
