"""Draw how far cells are from their law, against parameters, tokens and compute.

    python scripts/figure_residuals.py --recipe figure.json --runs runs.csv --laws laws.json --figure residuals.png \
        --record residuals.json

The law is that of all models where there is one over both axes, else each model's own by tokens. What is left after it
should look the same everywhere; a bend or a slope is what the law does not know. The band is where the mean of a cell's
runs lies 95 % of the time, by how runs of one cell differ.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gridlaw import cli, plotting, record, recorded
from gridlaw.words import short

COLUMNS = ["law", "model", "params", "tokens", "flops", "loss", "residual", "run_sd"]
AXES = {"params": ("parameters", short), "tokens": ("different tokens", short), "flops": ("FLOPs", plotting.power)}
FLOPS = 6.0


def main() -> None:
    args = cli.figure_parser(__doc__, runs="pre-training runs, CSV", laws="the grid's laws, JSON").parse_args()

    laws = [law for law in record.read_json(args.laws)["laws"] if law.get("residuals")]
    # Of two over both axes that with embeddings, which is the first.
    joint = {law["group"]: law for law in reversed(laws) if law["axes"] == ["params", "tokens"]}
    laws = [*joint.values(), *(law for law in laws if "model" in law and law["group"] not in joint)]
    table = recorded.points(laws, "residuals", pd.read_csv(args.runs, dtype={"model": str, "size": str}))
    # Of a cell's mean, as cells have runs.
    scatter = {law["name"]: (law["run_sd"] or np.nan) / (law["runs"] / law["points"]) ** 0.5 for law in laws}
    table = table.assign(flops=FLOPS * table["params"] * table["tokens"], run_sd=table["law"].map(scatter))
    table = table.reindex(columns=COLUMNS)
    models = plotting.styles([model for model in args.recipe["models"] if model in set(table["model"])])
    with plotting.figure(args.figure, 1, 3, plotting.PAGE, 2.7, table) as (figure, axes):
        if table.empty:
            plotting.say(axes[1], "No law was fitted, so that nothing is left over.")
            for ax in axes[::2]:
                ax.set_visible(False)
        else:
            for ax, column in zip(axes, AXES, strict=True):
                draw(ax, table, column, models)
            axes[0].set_ylabel("loss above the law (%)")
            of = "the law of all models" if joint else "each model's law by tokens"
            band = "; band: 95 % of means of a cell's runs" if table["run_sd"].notna().any() else ""
            plotting.legend(figure, models, [], f"{of}; n = {len(table)} cells{band}")
    record.write(args.record, args.recipe, [args.runs, args.laws], plotting.files(args.figure))


def draw(ax: Axes, table: pd.DataFrame, column: str, models: dict[str, dict]) -> None:
    """One panel."""
    for model, own in table.groupby("model", sort=False):
        own = own.sort_values(column)
        ax.plot(own[column], 100 * own["residual"], marker="o", markersize=3.5, linewidth=0.5, **models[model])
    ax.axhline(0, color="0.4", linewidth=0.7, linestyle=":")
    reach = 196 * table["run_sd"].median()
    if np.isfinite(reach):
        ax.axhspan(-reach, reach, color="0.6", alpha=0.2, linewidth=0, zorder=0)
    label, name = AXES[column]
    plotting.log_axis(ax, "x", table[column], label, name)


if __name__ == "__main__":
    cli.run(main)
