"""Draw task scores against held-out loss with their curve, a panel for each task.

    python scripts/figure_transfer.py --recipe figure.json --laws laws.json --figure transfer.png --record transfer.json

Points are means of cells over seeds. The curve is a sigmoid between the majority-class baseline and a ceiling (Bhagia
et al. 2024): solid if it passed its back-tests, dotted if it failed or could not be back-tested. A task without a curve
is labelled.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy import stats

from gridlaw import cli, io, words
from gridlaw.laws.judging import LAW, REFUSED
from gridlaw.laws.score_curve import Curve
from gridlaw.report import plotting
from gridlaw.workflow import program, record

COLUMNS = ["group", "task", "metric", "kind", "model", "size", "gpus", "loss", "mean", "low", "high", "n"]
# Length of a curve below the lowest loss, as a share of the range of losses.
BEYOND = 0.15


def main() -> None:
    args = program.parse("figure_transfer", __doc__)

    laws = [law for law in io.read_json(args.laws)["laws"] if "task" in law and law["cells"]]
    tasks = list(dict.fromkeys((law["task"], law["metric"]) for law in laws))
    table = pd.concat([describe(law) for law in laws]) if laws else pd.DataFrame()
    table = table.reindex(columns=COLUMNS)
    models = plotting.styles(args.recipe["models"], table["model"])
    rows, columns, width = plotting.arranged(len(tasks))
    with plotting.figure(args.figure, rows, columns, width, 2.2 * rows + 0.7, table) as (figure, axes):
        if not tasks:
            plotting.say(axes[0], "No cell has both a held-out loss and a score.")
        for (task, metric), ax in zip(tasks, axes, strict=False):
            group = [law for law in laws if (law["task"], law["metric"]) == (task, metric)]
            draw(ax, table[(table["task"] == task) & (table["metric"] == metric)], group, models)
            ax.set_title(task)
            ax.set(xlabel="held-out loss (nats)", ylabel=words.metric(metric))
        for ax in axes[max(1, len(tasks)) :]:
            ax.set_visible(False)
        if tasks:
            counts = sorted({int(n) for n in table["n"].dropna()})
            note = f"bar: 95 % t interval over seeds, n = {'–'.join(map(str, counts))}; faint: majority-class baseline"
            plotting.legend(figure, models, [], note if counts != [1] else "one seed: no interval", LINES)
    record.write(args)


def describe(law: dict) -> pd.DataFrame:
    """Cells and curve of a law, a row for each point."""
    cells = pd.DataFrame(law["cells"]).rename(columns={"score": "mean"})
    sd = cells["sd"].astype(float)
    reach = stats.t.ppf(0.975, (cells["n"] - 1).clip(lower=1)) * sd / np.sqrt(cells["n"])
    cells = cells.assign(kind="cell", low=cells["mean"] - reach, high=cells["mean"] + reach)
    parts = [cells]
    if law["state"] != REFUSED:
        p = law["parameters"]
        curve = Curve(p["floor"], p["ceiling"], p["k"], p["L0"])
        least, most = cells["loss"].min(), cells["loss"].max()
        loss = np.linspace(least - BEYOND * (most - least), most, 60)
        parts.append(pd.DataFrame({"kind": law["state"], "loss": loss, "mean": curve(loss)}))
    return pd.concat(parts).assign(group=law["group"], task=law["task"], metric=law["metric"])


def draw(ax: Axes, table: pd.DataFrame, laws: list[dict], models: dict[str, dict]) -> None:
    """Draw one task."""
    cells = table[table["kind"] == "cell"]
    for model, group in cells.groupby("model", sort=False):
        group = group.sort_values("loss")
        colour = models[model]["color"]
        ax.plot(group["loss"], group["mean"], marker="o", markersize=3.5, linewidth=0.5, **models[model])
        reach = [(group["mean"] - group["low"]).fillna(0), (group["high"] - group["mean"]).fillna(0)]
        ax.errorbar(group["loss"], group["mean"], reach, fmt="none", ecolor=colour, elinewidth=0.7, alpha=0.6)
    for kind, curves in table[table["kind"] != "cell"].groupby("kind"):
        style = SOLID if kind == LAW else DOTTED
        for _, curve in curves.groupby("group"):
            ax.plot(curve["loss"], curve["mean"], **style)
    for law in laws:
        if law["parameters"]:
            ax.axhline(law["parameters"]["floor"], color="0.4", linewidth=0.6, alpha=0.5)
    if all(law["state"] == REFUSED for law in laws):
        ax.text(0.98, 0.97, "no curve", ha="right", va="top", size="x-small", color="0.35", transform=ax.transAxes)
    # Better cells are on the right.
    ax.invert_xaxis()


SOLID = {"color": "0.15", "linewidth": 1.4, "zorder": 3}
DOTTED = {"color": "0.15", "linewidth": 1.2, "linestyle": ":", "zorder": 3}
LINES = [Line2D([], [], label="curve", **SOLID), Line2D([], [], label="no forecast", **DOTTED)]


if __name__ == "__main__":
    cli.run(main)
