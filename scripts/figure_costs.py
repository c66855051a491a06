"""Draw the costs of the grid's cells, missing cells, and cells to run next.

    python scripts/figure_costs.py --recipe figure.json --runs runs.csv --decisions decisions.json --figure costs.png \
        --record costs.json

A row is a model, a column a size and gpus value. Costs are the rank-hours of pre-training of all of a cell's runs, each
as if it had run on its own; for a cell to run next, the forecast cost of one run. An empty frame is a missing cell.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Patch, Rectangle

from gridlaw import cli, io
from gridlaw.config import grid
from gridlaw.laws import selection
from gridlaw.report import plotting
from gridlaw.words import amount
from gridlaw.workflow import program, record

COLUMNS = ["model", "size", "gpus", "state", "done", "runs", "rank_hours"]
DONE, PARTLY, MISSING, NEXT = "done", "partly done", "missing", "to run next"
FRAMES = {
    MISSING: {"edgecolor": "0.5", "facecolor": "none", "linewidth": 0.8},
    PARTLY: {"edgecolor": "0.2", "facecolor": "none", "linewidth": 1.2, "hatch": "////"},
    NEXT: {"edgecolor": "0.1", "facecolor": "none", "linewidth": 1.2, "linestyle": "--"},
}
# With more columns the numbers would not be legible.
NUMBERS = 10


def main() -> None:
    args = program.parse("figure_costs", __doc__)

    runs, decisions = selection.read_runs(args.runs), io.read_json(args.decisions)
    table = pd.DataFrame([*cells(runs), *planned(decisions)], columns=COLUMNS)
    models = [model for model in args.recipe["models"] if model in set(table["model"])]
    places = sorted(
        {*zip(table["size"], table["gpus"], strict=True)}, key=lambda place: (grid.size_order(place[0]), place[1])
    )
    height = 0.24 * len(models) + 1.7
    with plotting.figure(args.figure, 1, 1, plotting.PAGE, height, table) as (figure, (ax,)):
        draw(ax, table, models, places)
        states = [state for state in FRAMES if state in set(table["state"])]
        if states:
            handles = [Patch(label=state, **FRAMES[state]) for state in states]
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    record.write(args)


def cells(runs: pd.DataFrame) -> list[dict]:
    """Rows of the grid's cells."""
    rows = []
    for (model, size, gpus), group in runs.groupby(["model", "size", "gpus"], sort=False):
        done = int((group["status"] == "done").sum())
        state = DONE if done == len(group) else PARTLY if done else MISSING
        facts = {"model": model, "size": size, "gpus": gpus, "state": state, "done": done, "runs": len(group)}
        rows.append(facts | {"rank_hours": group["hours"].sum(min_count=1)})
    return rows


def planned(decisions: dict) -> list[dict]:
    """Rows of the cells to run next."""
    chosen = [cell for group in decisions["groups"] for cell in group["next"]["cells"]]
    return [
        {"model": cell["model"], "size": cell["size"], "gpus": cell["gpus"], "state": NEXT, "done": 0, "runs": 1}
        | {"rank_hours": cell["cost_rank_hours"]}
        for cell in chosen
    ]


def ends(costs: pd.DataFrame) -> tuple[float, float]:
    """Ends of the colour scale, at least a factor of ten apart."""
    least, most = costs[costs > 0].min(axis=None), costs.max(axis=None)
    return min(least, most / 10), most


def draw(ax: Axes, table: pd.DataFrame, models: list[str], places: list[tuple[str, int]]) -> None:
    """Draw the map of cells."""
    position = {place: column for column, place in enumerate(places)}
    columns = [position[place] for place in zip(table["size"], table["gpus"], strict=True)]
    costs = table.assign(column=columns).pivot_table(
        index="model", columns="column", values="rank_hours", aggfunc="first"
    )
    costs = costs.reindex(index=models, columns=range(len(places)))
    in_minutes = not costs.max(axis=None) >= 1
    costs = costs * (60 if in_minutes else 1)
    several = len({gpus for _, gpus in places}) > 1
    ax.grid(visible=False)
    if (costs > 0).any(axis=None):
        numbers = costs.map(lambda hours: amount(hours) if hours > 0 else "") if len(places) <= NUMBERS else False
        sns.heatmap(
            costs.where(costs > 0), cmap="Blues", norm=LogNorm(*ends(costs)), annot=numbers, fmt="", linewidths=1,
            annot_kws={"size": "x-small"}, ax=ax,
            cbar_kws={"label": "rank-minutes" if in_minutes else "rank-hours"},
        )  # fmt: skip
        least, most = ends(costs)
        plotting.log_ticks(ax.collections[0].colorbar.ax.yaxis, most / least, amount)
    else:
        ax.set(xlim=(0, len(places)), ylim=(len(models), 0))
    for row in table.assign(column=columns).itertuples():
        if row.state in FRAMES:
            ax.add_patch(
                Rectangle((row.column + 0.06, models.index(row.model) + 0.08), 0.88, 0.84, **FRAMES[row.state])
            )
    is_upright = len(places) > 2 * NUMBERS
    names = [f"{size}{', ' if is_upright else chr(10)}{gpus}" if several else size for size, gpus in places]
    ax.set_xticks(np.arange(len(places)) + 0.5, names, rotation=90 if is_upright else 0, size="x-small")
    ax.set_yticks(np.arange(len(models)) + 0.5, models, rotation=0)
    ax.set_xlabel("size, and gpus" if several else "size")
    ax.set_ylabel("")
    ax.tick_params(length=0)


if __name__ == "__main__":
    cli.run(main)
