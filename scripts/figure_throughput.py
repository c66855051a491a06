"""Draw throughput and parallel efficiency against gpus, a line for each model.

    python scripts/figure_throughput.py --recipe figure.json --runs runs.csv --figure throughput.png \
        --record throughput.json

For each model it shows the largest size that was run at the most gpus values. The interval is that of the median
optimizer step.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gridlaw import cli
from gridlaw.report import plotting
from gridlaw.tables import read_table
from gridlaw.workflow import program, record


def main() -> None:
    args = program.parse("figure_throughput", __doc__)

    runs = read_table(args.runs).dropna(subset=["tokens_per_second"])
    table = throughput(runs)
    models = plotting.styles(args.recipe["models"], table["model"])
    with plotting.figure(args.figure, 1, 2, plotting.PAGE, 3.0, table) as (figure, (speed, efficiency)):
        for ax in (speed, efficiency):
            ax.set_xlabel("gpus" if not (table["device"] == "cpu").all() else "ranks (one CPU thread each)")
        speed.set_ylabel("tokens per second")
        efficiency.set_ylabel("parallel efficiency")
        if table.empty:
            speed.text(0.5, 0.5, "no model was pre-trained", ha="center", transform=speed.transAxes)
        else:
            draw(speed, efficiency, table, models)
            ideal = Line2D([], [], color="0.4", linewidth=0.7, linestyle=":", label="ideal")
            note = f"n = {int(table['n'].sum())} runs; band: 95 % interval of the median optimizer step"
            plotting.legend(figure, models, [], note, [ideal])
    record.write(args)


def draw(speed: Axes, efficiency: Axes, table: pd.DataFrame, models: dict[str, dict]) -> None:
    """Draw both panels, a line for each model."""
    for model, curve in table.groupby("model", sort=False):
        plotting.line(speed, curve["gpus"], curve, models[model], plotting.marker([1], 1))
        speed.plot(curve["gpus"], curve["ideal"], color=models[model]["color"], linewidth=0.7, linestyle=":")
        scaled = curve.assign(**{name: curve[name] / curve["ideal"] for name in ("mean", "low", "high")})
        plotting.line(efficiency, scaled["gpus"], scaled, models[model], plotting.marker([1], 1))
    for ax in (speed, efficiency):
        ax.set_xscale("log", base=2)
        ticks = sorted(table["gpus"].unique())
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
    speed.set_ylim(bottom=0)
    efficiency.set_ylim(0, max(1.1, 1.05 * (table["high"] / table["ideal"]).max()))
    efficiency.axhline(1, color="0.4", linewidth=0.7, linestyle=":")


def throughput(runs: pd.DataFrame) -> pd.DataFrame:
    """Tokens per second of each model and gpus value with its interval, and the ideal from the smallest value."""
    curves = []
    for _, group in runs.groupby("model", sort=False):
        counts = group.groupby("size").agg(gpus=("gpus", "nunique"), size_tokens=("size_tokens", "first"))
        size = counts.sort_values(["gpus", "size_tokens"]).index[-1]
        columns = {"tokens_per_second": "mean", "tokens_per_second_low": "low", "tokens_per_second_high": "high"}
        at_size = group[group["size"] == size].groupby(["model", "size", "device", "gpus"], sort=True)
        curve = at_size[list(columns)].median().rename(columns=columns).assign(n=at_size.size()).reset_index()
        curve["ideal"] = curve["mean"].iloc[0] * curve["gpus"] / curve["gpus"].iloc[0]
        curves.append(curve)
    columns = ["model", "size", "device", "gpus", "mean", "low", "high", "n", "ideal"]
    return pd.concat(curves)[columns] if curves else pd.DataFrame(columns=columns)


if __name__ == "__main__":
    cli.run(main)
