"""Draw held-out loss against rank-hours, and the front of cells that nothing cheaper beats.

    python scripts/figure_front.py --recipe figure.json --runs runs.csv --figure front.png --record front.json

Rank-hours are those of pre-training, without start-up and evaluation. The number at a cell of the front is how likely
it is on it, by how runs of one cell differ; with one seed it is not known. Runs that do not compare have a panel each.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gridlaw import cli, evidence, plotting, quality, record

COLUMNS = ["group", "model", "size", "gpus", "hours", "loss", "on_front", "probability"]


def main() -> None:
    args = cli.figure_parser(__doc__, runs="pre-training runs").parse_args()

    runs, strong = evidence.read_runs(args.runs), args.recipe["scaling"] == "strong"
    groups = list(evidence.groups(runs, strong))
    parts = [
        quality.front(quality.Cells.of(group, runs if strong else group.runs), "hours").assign(group=group.name)
        for group in groups
    ]
    table = pd.concat(parts)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
    models = plotting.styles([model for model in args.recipe["models"] if model in set(table["model"])])
    with plotting.panels(args.figure, [group.name for group in groups], table) as (figure, axes):
        for name, ax in axes.items():
            draw(ax, table[table["group"] == name], models, table["gpus"])
        if axes:
            front = Line2D([], [], color="0.4", linewidth=0.8, drawstyle="steps-post", label="front")
            note = "numbers: probability to be on the front" if table["probability"].notna().any() else ""
            plotting.legend(figure, models, table["gpus"], note, [front])
    record.write(args.record, args.recipe, [args.runs], plotting.files(args.figure))


def draw(ax: Axes, own: pd.DataFrame, models: dict[str, dict], gpus: pd.Series) -> None:
    """One group."""
    minutes = own["hours"].max() < 1
    cost = own["hours"] * (60 if minutes else 1)
    front = own["on_front"]
    ax.step(cost[front], own.loc[front, "loss"], where="post", color="0.4", linewidth=0.8, zorder=1)
    for (model, value), cells in own.groupby(["model", "gpus"], sort=False):
        marker = plotting.marker(gpus, value)
        ax.plot(cost[cells.index], cells["loss"], linestyle="none", color=models[model]["color"], **marker)
    for index, cell in own[front & own["probability"].between(0, 0.995)].iterrows():
        ax.annotate(
            f"{cell['probability']:.2f}",
            (cost[index], cell["loss"]),
            (4, 4),
            textcoords="offset points",
            size="x-small",
        )
    ax.set_xscale("log")
    ax.set_xlabel(f"rank-{'minutes' if minutes else 'hours'} of pre-training")
    ax.set_ylabel("held-out loss (nats)")


if __name__ == "__main__":
    cli.run(main)
