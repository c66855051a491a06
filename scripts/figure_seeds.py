"""Draw the scatter of each task's scores over seeds, beside the differences between cells.

    python scripts/figure_seeds.py --recipe figure.json --scores scores.csv --figure seeds.png --record seeds.json

A dot is a cell: on the left the standard deviation over its fine-tuning seeds, pooled over pre-training seeds; on the
right that over the means of its pre-training seeds. The bar is the root mean square of the dots; the diamond is the
standard deviation between the means of cells. A task whose diamond is not far to the right of its bar hardly
distinguishes models.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gridlaw import cli
from gridlaw.report import plotting
from gridlaw.tables import read_table
from gridlaw.workflow import program, record

COLUMNS = ["task", "metric", "split", "model", "size", "gpus", "seeds_of", "sd", "n"]
CELL = ["model", "size", "gpus"]
KINDS = [
    Line2D([], [], label="all cells", color="0.15", linestyle="none", marker="|", markersize=9),
    Line2D([], [], label="between cells", color="0.15", linestyle="none", marker="D", markersize=5, mfc="none"),
]
FINETUNING, PRETRAINING, CELLS = "fine-tuning", "pre-training", "cells"


def main() -> None:
    args = program.parse("figure_seeds", __doc__)

    tasks = [tuple(panel) for panel in args.recipe["tasks"]]
    scores = read_table(args.scores)
    # A score with a note comes from another gpus value and would count twice.
    scores = scores[scores["note"].isna()].groupby(["task", "metric", "split"])
    parts = [
        scatter(scores.get_group(task)).assign(task=task[0], metric=task[1], split=task[2])
        for task in tasks
        if task in scores.groups
    ]
    table = pd.concat(parts).reindex(columns=COLUMNS) if parts else pd.DataFrame(columns=COLUMNS)
    models = plotting.styles(args.recipe["models"], table["model"])
    with plotting.figure(args.figure, 1, 2, plotting.PAGE, 0.34 * len(tasks) + 1.7, table) as (figure, axes):
        for ax, kind in zip(axes, (FINETUNING, PRETRAINING), strict=True):
            ax.set_title(f"{kind} seeds")
            if table.loc[table["seeds_of"] == kind, "sd"].notna().any():
                draw(ax, table[table["seeds_of"].isin([kind, CELLS])], kind, tasks, models)
            else:
                plotting.say(ax, f"The scatter of {kind} seeds needs two of them.")
        known = table[table["sd"].notna() & (table["seeds_of"] != CELLS)]
        if len(known):
            note = ", ".join(
                f"{n:.0f} {kind} seeds" for kind, n in known.groupby("seeds_of", sort=False)["n"].max().items()
            )
            plotting.legend(figure, models, [], f"n = {note} of a cell", KINDS)
    record.write(args)


def scatter(scores: pd.DataFrame) -> pd.DataFrame:
    """Standard deviations of one task's scores after the most training examples: of each cell, and between cells."""
    scores = scores[scores["train_examples"] == scores["train_examples"].max()]
    runs = scores.groupby([*CELL, "pretrain_seed"], sort=False)["value"]
    runs = runs.agg(mean="mean", var="var", n="size").reset_index()
    cells = runs.groupby(CELL, sort=False)
    finetuning = cells.agg(sd=("var", lambda variances: np.sqrt(variances.mean())), n=("n", "max")).reset_index()
    pretraining = cells["mean"].agg(sd="std", n="size").reset_index()
    between = pd.DataFrame({"sd": [cells["mean"].mean().std()], "n": [len(cells)]})
    parts = {FINETUNING: finetuning, PRETRAINING: pretraining, CELLS: between}
    return pd.concat([part.assign(seeds_of=kind) for kind, part in parts.items()])


def draw(ax: Axes, table: pd.DataFrame, kind: str, tasks: list[tuple], models: dict[str, dict]) -> None:
    """Draw one panel: a row for each task, and in it a lane for each model."""
    lanes = dict(zip(models, np.linspace(-0.25, 0.25, len(models)) if len(models) > 1 else [0.0], strict=True))
    for row, (task, metric, _) in enumerate(tasks):
        rows = table[(table["task"] == task) & (table["metric"] == metric)]
        cells = rows[rows["seeds_of"] == kind].dropna(subset=["sd"])
        for model, dots in cells.groupby("model", sort=False):
            y = np.full(len(dots), row + lanes[model])
            ax.plot(dots["sd"], y, "o", markersize=3, color=models[model]["color"], alpha=0.7)
        pooled, between = np.sqrt((cells["sd"] ** 2).mean()), rows.loc[rows["seeds_of"] == CELLS, "sd"]
        ax.plot([pooled, pooled], [row - 0.36, row + 0.36], color="0.15", linewidth=1.5)
        ax.plot(between, [row] * len(between), "D", markersize=5, color="0.15", markerfacecolor="none")
    ax.set_yticks(range(len(tasks)), [task for task, *_ in tasks])
    ax.set_ylim(len(tasks) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel("standard deviation of the score")


if __name__ == "__main__":
    cli.run(main)
