"""Draw held-out loss and the average over tasks against rank-hours, with the Pareto front.

    python scripts/figure_front.py --recipe figure.json --runs runs.csv --summary summary.csv --figure front.png \
        --record front.json

Rank-hours are those of pre-training, without start-up and evaluation. The number at a cell is its probability to be on
the front, from the scatter of runs over seeds; with one seed it is unknown. Each group of runs with comparable losses
has a panel; scores of all groups share one.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gridlaw import cli
from gridlaw.decisions import pareto
from gridlaw.laws import selection
from gridlaw.report import plotting
from gridlaw.tables import read_table
from gridlaw.workflow import program, record

COLUMNS = ["panel", "model", "size", "gpus", "hours", "value", "low", "high", "on_front", "probability"]
CELL = ["model", "size", "gpus"]
# More numbers would overlap.
NUMBERS = 10
LOSS, SCORES = "held-out loss", "average over tasks"


def main() -> None:
    args = program.parse("figure_front", __doc__)

    runs, strong = selection.read_runs(args.runs), args.recipe["scaling"] == "strong"
    parts = []
    for group in selection.groups(runs, strong):
        front = pareto.front(pareto.Cells.from_runs(group, runs if strong else group.runs), "hours")
        parts.append(front.rename(columns={"loss": "value"}).assign(panel=group.name or LOSS))
    losses = [part["panel"].iloc[0] for part in parts]
    averages = mean_scores(runs, read_table(args.summary))
    parts += [averages.assign(panel=SCORES)] if len(averages) else []
    table = pd.concat(parts).reindex(columns=COLUMNS) if parts else pd.DataFrame(columns=COLUMNS)
    names = list(table["panel"].unique())
    models = plotting.styles(args.recipe["models"], table["model"])
    with plotting.panels(args.figure, names, table) as (figure, axes):
        for name, ax in axes.items():
            draw(ax, table[table["panel"] == name], models, table["gpus"])
            ax.set_ylabel("held-out loss (nats)" if name in losses else "macro average")
        if axes:
            front = Line2D([], [], color="0.4", linewidth=0.8, drawstyle="steps-post", label="Pareto front")
            numbers = any(len(numbered(points)) for _, points in table.groupby("panel"))
            note = "numbers: probability to be on the front" if numbers else ""
            bars = "bars: 95 % t interval over seeds" if table["low"].notna().any() else ""
            description = "; ".join(filter(None, [f"n = {len(table)} points", note, bars]))
            plotting.legend(figure, models, table["gpus"], description, [front])
    record.write(args)


def mean_scores(runs: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """The average over tasks of each pre-trained cell after the most training examples, with its cost."""
    hours = runs[runs["hours"] > 0].groupby(CELL, sort=False)["hours"].mean().reset_index()
    averages = summary[(summary["metric"] == "macro_average") & summary["note"].isna()]
    if len(averages):
        averages = averages[averages["train_set"] == averages["train_set"].iloc[-1]]
    cells = hours.merge(averages.rename(columns={"mean": "value"}), on=CELL).sort_values("hours")
    return cells.assign(on_front=cells["value"] > cells["value"].cummax().shift(fill_value=-1.0))


def numbered(points: pd.DataFrame) -> pd.DataFrame:
    """The cells on the front of a panel that are uncertain; none if there are many."""
    uncertain = points[points["on_front"].astype(bool) & points["probability"].between(0, 0.995)]
    return uncertain if len(uncertain) <= NUMBERS else uncertain.head(0)


def draw(ax: Axes, points: pd.DataFrame, models: dict[str, dict], gpus: pd.Series) -> None:
    """Draw one panel."""
    points = points.reset_index(drop=True)
    cost = points["hours"] * plotting.hours_axis(ax, points["hours"], " of pre-training")
    front = points["on_front"].astype(bool)
    ax.step(cost[front], points.loc[front, "value"], where="post", color="0.4", linewidth=0.8, zorder=1)
    for (model, value), cells in points.groupby(["model", "gpus"], sort=False):
        costs = cost[cells.index]
        ax.plot(costs, cells["value"], linewidth=0.4, **models[model], **plotting.marker(gpus, value))
        reach = [(cells["value"] - cells["low"]).fillna(0), (cells["high"] - cells["value"]).fillna(0)]
        ax.errorbar(costs, cells["value"], reach, fmt="none", ecolor=models[model]["color"], elinewidth=0.7)
    for index, cell in numbered(points).iterrows():
        ax.annotate(
            f"{cell['probability']:.2f}",
            (cost[index], cell["value"]),
            (4, 4),
            textcoords="offset points",
            size="x-small",
        )


if __name__ == "__main__":
    cli.run(main)
