"""Draw residuals of cells from their law against parameters, tokens, compute, and the time and host of the run.

    python scripts/figure_residuals.py --recipe figure.json --runs runs.csv --laws laws.json --figure residuals.png \
        --record residuals.json

The law is that of all models over both axes if there is one, otherwise each model's own by tokens. Residuals should
look the same everywhere; a bend or slope is an effect that the law misses. The band contains the mean of a cell's runs
with 95 % probability, from the scatter of runs over seeds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gridlaw import cli, io
from gridlaw.report import law_points, plotting
from gridlaw.tables import read_table
from gridlaw.words import short
from gridlaw.workflow import program, record

COLUMNS = ["law", "model", "params", "corpus_tokens", "flops", "started", "hours", "host", "loss", "residual", "run_sd"]
AXES = {
    "params": ("parameters", short),
    "corpus_tokens": ("corpus tokens", short),
    "flops": ("FLOPs", plotting.power),
}


def main() -> None:
    args = program.parse("figure_residuals", __doc__)

    laws = [law for law in io.read_json(args.laws)["laws"] if law.get("residuals")]
    # There are two laws over both axes; the first one, which includes embeddings, counts.
    joint = {law["group"]: law for law in reversed(laws) if law["axes"] == ["params", "corpus_tokens"]}
    laws = [*joint.values(), *(law for law in laws if "model" in law and law["group"] not in joint)]
    runs = read_table(args.runs, parse_dates=["started"])
    table = with_runs(law_points.points(laws, "residuals", runs), runs)
    # Standard deviation of a cell's mean, with the average number of runs of a cell.
    scatter = {law["name"]: (law["run_sd"] or np.nan) / (law["runs"] / law["points"]) ** 0.5 for law in laws}
    table = table.assign(run_sd=table["law"].map(scatter)).reindex(columns=COLUMNS)
    models = plotting.styles(args.recipe["models"], table["model"])
    shape = (2, 2, plotting.PAGE, 4.8) if len(table) else (1, 1, plotting.COLUMN, 2.0)
    with plotting.figure(args.figure, *shape, table) as (figure, axes):
        if table.empty:
            plotting.say(axes[0], "No law was fitted, so there are no residuals.")
        else:
            for ax, column in zip(axes, AXES, strict=False):
                draw(ax, table, column, models)
                label, name = AXES[column]
                plotting.log_axis(ax, "x", table[column], label, name)
            hosts = {host: number for number, host in enumerate(sorted(table["host"].dropna().unique()), 1)}
            draw(axes[3], table, "hours", models, hosts)
            axes[3].set_xlabel("hours since the first run began")
            for ax in axes[::2]:
                ax.set_ylabel("loss above the law (%)")
            law_words = "the law of all models" if joint else "each model's law by tokens"
            band = "; band: 95 % of means of a cell's runs" if table["run_sd"].notna().any() else ""
            host_handles = [
                Line2D(
                    [], [], label=f"on {host}", color="0.3", linestyle="none", **plotting.marker(hosts.values(), number)
                )
                for host, number in hosts.items()
            ]
            note = f"{law_words}; n = {len(table)} cells{band}"
            plotting.legend(figure, models, [], note, host_handles if len(host_handles) > 1 else [])
    record.write(args)


def with_runs(table: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Add FLOPs, start, host and hours since the grid's first start, all of the first run of each cell."""
    known = runs.dropna(subset=["started", "corpus_tokens"]).sort_values("started")
    first = known.groupby(["model", "corpus_tokens"], as_index=False)[["flops", "started", "host"]].first()
    # The law of all models has the median of their token counts, so the nearest count is matched.
    table = table.astype({"corpus_tokens": float, "model": str}).sort_values("corpus_tokens")
    first = first.astype({"corpus_tokens": float}).sort_values("corpus_tokens")
    table = pd.merge_asof(table, first, on="corpus_tokens", by="model", direction="nearest")
    return table.assign(hours=(table["started"] - table["started"].min()).dt.total_seconds() / 3600)


def draw(
    ax: Axes, table: pd.DataFrame, column: str, models: dict[str, dict], hosts: dict[str, int] | None = None
) -> None:
    """Draw one panel: a line for each model; by time, a marker for each host without lines."""
    for model, cells in table.groupby("model", sort=False):
        if not hosts:
            cells = cells.sort_values(column)
            ax.plot(cells[column], 100 * cells["residual"], marker="o", markersize=3.5, linewidth=0.5, **models[model])
            continue
        for host, rows in cells.groupby("host"):
            style = {
                "color": models[model]["color"],
                "linestyle": "none",
                **plotting.marker(hosts.values(), hosts[host]),
            }
            ax.plot(rows[column], 100 * rows["residual"], **style)
    ax.axhline(0, color="0.4", linewidth=0.7, linestyle=":")
    reach = 196 * table["run_sd"].median()
    if np.isfinite(reach):
        ax.axhspan(-reach, reach, color="0.6", alpha=0.2, linewidth=0, zorder=0)


if __name__ == "__main__":
    cli.run(main)
