"""Decide from the grid's measurements: which model, how many tokens and ranks, what to run next, when to stop.

    python scripts/decisions.py --recipe decisions.json --runs runs.csv --scores scores.csv --fits fits.npz \
        --packs pack.json ... --next next.yaml --record decisions.json

The record holds the Pareto front, comparisons of every two models, crossovers, the best choice for some budgets, the
gain of doubling the text, and the cells to run next; these are also written as an overlay for --configfile.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pandas as pd
import yaml

from gridlaw import cli
from gridlaw.decisions import budget, next_cells, pareto
from gridlaw.laws import fits, selection
from gridlaw.laws.law import Law
from gridlaw.laws.selection import Group
from gridlaw.stats import comparison
from gridlaw.tables import read_table, smallest_gpus
from gridlaw.words import amount, caveat, count, rank_time
from gridlaw.workflow import program, record

# By default budgets are these multiples of the rank-hours of the grid's pre-training.
BUDGETS = (0.1, 1.0, 4.0)
# Columns that identify a kind of score.
QUANTITY = ["task", "metric", "split"]


def main() -> None:
    args = program.parse("decisions", __doc__)
    recipe = args.recipe

    runs = selection.read_runs(args.runs)
    most = selection.available_tokens(args.packs) if args.packs else 0
    groups = list(selection.groups(runs, recipe["scaling"] == "strong"))
    spent = float(runs["hours"].sum())
    allowed = recipe["budget_rank_hours"] or spent
    laws = {name: fitted.laws for name, fitted in fits.read(args.fits).items()}
    decided = [decide(group, laws[group.name], runs, recipe, allowed, spent, most) for group in groups]
    scores = read_table(args.scores)
    chosen = [cell for decisions in decided for cell in decisions["next"]["cells"]]
    overlay = next_cells.overlay(chosen, recipe)
    Path(args.next).write_text(header(chosen) + yaml.safe_dump(overlay, sort_keys=False))
    record.write(
        args,
        spent_rank_hours=spent,
        groups=decided,
        smallest_difference=recipe["smallest_difference"],
        **compare_scores(by_seed(scores), recipe["smallest_difference"]["score"]),
        left_out=selection.left_out(runs),
    )


def decide(
    group: Group,
    laws: dict[str, Law],
    runs: pd.DataFrame,
    recipe: dict,
    allowed: float,
    spent: float,
    most: float,
) -> dict:
    """All decisions on comparable models.

    Args:
        laws: the law of loss by tokens of each model.
    """
    # In strong scaling other gpus values give the same models at another cost; in weak scaling they give others.
    cells = pareto.Cells.from_runs(group, runs if recipe["scaling"] == "strong" else group.runs)
    losses = group.runs.rename(columns={"loss": "value"})[["model", "size", "value"]]
    budgets = [recipe["budget_rank_hours"]] if recipe["budget_rank_hours"] else [spent * times for times in BUDGETS]
    return {
        "group": group.name,
        "run_sd": None if pd.isna(cells.noise) else cells.noise,
        "pareto": {name: rows(pareto.front(cells, cost)) for cost, name in costs(recipe).items()},
        "comparisons": rows(comparison.pairs(losses, True, recipe["smallest_difference"]["loss"])),
        "second_seed": second_seed(cells),
        "crossovers": [budget.crossover(a, b, laws) for a, b in combinations(laws, 2)],
        "budgets": [budget.best(cells, laws, hours) for hours in budgets],
        "budget_curve": [budget.best(cells, laws, hours) for hours in budget.steps(cells, max(budgets))],
        "returns": [budget.returns(model, cells, law) for model, law in laws.items()],
        "next": next_cells.plan(laws, cells, allowed, most, recipe["finetune_gpus"]),
    }


def second_seed(cells: pareto.Cells) -> dict | None:
    """The cost of a second pre-training seed, which comparisons need; None if some cells have two."""
    if cells.table["seeds"].max() > 1:
        return None
    number, hours = len(cells.table), float(cells.table["hours"].sum())
    verdict = (
        f"With one pre-training seed no two cells can be told apart: a second one of {count(number, 'cell')} would"
        f" do, for about {rank_time(hours)}."
    )
    return {"cells": number, "cost_rank_hours": hours, "verdict": verdict}


def costs(recipe: dict) -> dict[str, str]:
    """Columns of costs, and their names; rank-hours include their price."""
    price = recipe["price_per_gpu_hour"]
    money = f" at {amount(price)} {recipe['currency']} each" if price else ""
    return {cost: name + (money if cost == "hours" else "") for cost, name in pareto.COSTS.items()}


def by_seed(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores of each pre-training seed after the most training examples, averaged over fine-tuning seeds, from one gpus
    value of each size; with the numbers of fine-tunings, of those that diverged, and of untrained ones.
    """
    selected = smallest_gpus(scores[scores["note"].isna()])
    selected = selected[selected["train_set"] == selected.groupby("task")["train_set"].transform("last")]
    selected = selected.assign(untrained=selected["trained"].eq(False) & ~selected["diverged"])
    seeds = selected.groupby([*QUANTITY, "model", "size", "pretrain_seed"], sort=False)
    return seeds.agg(
        value=("value", "mean"), runs=("value", "size"), diverged=("diverged", "sum"), untrained=("untrained", "sum")
    ).reset_index()


def compare_scores(scores: pd.DataFrame, smallest: float) -> dict[str, list[dict]]:
    """Compare models by each score and by the average over tasks; p-values are corrected over all pairs of a score.

    A pair of which runs diverged or are untrained has a caveat, which its verdict repeats.
    """
    compared: dict[str, list[dict]] = {"scores": [], "averages": []}
    for names, selected in scores.groupby(QUANTITY, sort=False):
        quantity = dict(zip(QUANTITY, names, strict=True))
        pairs = comparison.pairs(selected, lower_is_better=False, smallest=smallest).assign(**quantity)
        numbers = selected.groupby(["size", "model"])[["diverged", "untrained", "runs"]].sum()
        both = [
            numbers.loc[(pair["size"], pair["a"])] + numbers.loc[(pair["size"], pair["b"])]
            for pair in pairs.to_dict("records")
        ]
        pairs["caveat"] = [caveat(*map(int, number)) for number in both]
        pairs["verdict"] += pairs["caveat"].map(lambda words: f"; {words}" if words else "")
        compared["averages" if quantity["metric"] == "macro_average" else "scores"] += rows(pairs)
    return compared


def rows(table: pd.DataFrame) -> list[dict]:
    """A table as a list of rows for JSON."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def header(chosen: list[dict]) -> str:
    """The comment at the top of the overlay."""
    if not chosen:
        return "# Nothing is worth running next; results/decisions.json says why.\n"
    hours = sum(cell["cost_rank_hours"] for cell in chosen)
    return f"# The cells to run next, about {rank_time(hours)}: snakemake --configfile results/next.yaml\n"


if __name__ == "__main__":
    cli.run(main)
