"""Draw task scores against data size, a panel for each task; with one size, against the size of the training set.

    python scripts/figure_scores.py --recipe figure.json --summary summary.csv --baselines baselines.csv \
        --figure scores.png --record scores.json
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from gridlaw import cli, words
from gridlaw.report import plotting
from gridlaw.tables import read_table
from gridlaw.workflow import program, record

AVERAGE = ("all tasks", "macro_average", "validation")
# Mark of a mean from which runs are missing because they diverged, or that contains untrained ones.
CAVEAT = {"color": "0.1", "marker": "x", "markersize": 7, "linestyle": "none", "zorder": 4}


def main() -> None:
    args = program.parse("figure_scores", __doc__)

    panels = [tuple(panel) for panel in args.recipe["tasks"]]
    panels += [AVERAGE] if len(panels) > 1 else []
    summary = read_table(args.summary)
    # A score with a note comes from another gpus value and would be drawn twice.
    summary = summary[summary["note"].isna()]
    keys = pd.MultiIndex.from_frame(summary[["task", "metric", "split"]])
    summary = summary[keys.isin(panels)]
    baselines = read_table(args.baselines).set_index(["task", "metric", "split"])["value"]
    models = plotting.styles(args.recipe["models"], summary["model"])

    rows, columns, width = plotting.arranged(len(panels))
    with plotting.figure(args.figure, rows, columns, width, 2.1 * rows + 0.6, summary) as (figure, axes):
        by_panel = summary.set_index(["task", "metric", "split"]).sort_index()
        for panel, ax in zip(panels, axes, strict=False):
            if panel in by_panel.index:
                # Selected by a list, a single row stays a table.
                draw(ax, by_panel.loc[[panel]], models, panel == AVERAGE)
            else:
                ax.text(0.5, 0.5, "no scores yet", ha="center", transform=ax.transAxes)
                ax.set_xticks([])
            ax.set_title(panel[0])
            named = summary.loc[(summary["task"] == panel[0]) & (summary["metric"] == panel[1]), "positive"].dropna()
            # Matplotlib reads formulas between dollars.
            ax.set_ylabel(words.metric(panel[1], next(iter(named), None)).replace("$", r"\$"))
            if panel in baselines.index:
                ax.axhline(baselines[panel], color="0.4", linewidth=0.9, linestyle=":")
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        counts = sorted({int(n) for n in summary["n"] if n})
        note = f"band: 95 % t interval of the mean over seeds, n = {'–'.join(map(str, counts))}"
        if counts == [1] or not counts:
            note = "one seed: no interval" if counts else ""
        majority = Line2D([], [], color="0.4", linewidth=0.9, linestyle=":", label="majority class")
        marks = [Line2D([], [], label="some runs diverged or untrained", **CAVEAT)] * int(
            summary["caveat"].notna().any()
        )
        plotting.legend(figure, models, summary["gpus"], note, [majority, *marks])
    record.write(args)


def draw(ax, table: pd.DataFrame, models: dict, average: bool) -> None:
    """Draw one panel: a line for each model, gpus value and training set, over the axis that the grid varies."""
    over_tokens = table["size"].nunique() > 1
    over_examples = not over_tokens and table["train_set"].nunique() > 1
    sets = sorted(table["train_set"].unique(), key=lambda name: math.inf if name == "all" else int(name))
    for (model, gpus), cell in table.groupby(["model", "gpus"], sort=False):
        marker = plotting.marker(table["gpus"], gpus)
        if over_tokens:
            zero = plotting.tokens_axis(ax, table)
            for train_set, curve in cell.groupby("train_set"):
                curve = curve.sort_values("size_tokens")
                faint = {} if train_set == sets[-1] else {"alpha": 0.3 + 0.6 * sets.index(train_set) / len(sets)}
                line(ax, curve["size_tokens"].replace(0, zero), curve, models[model] | faint, marker)
        elif over_examples and not average:
            curve = cell.sort_values("train_examples")
            line(ax, curve["train_examples"], curve, models[model], marker)
            ax.set_xscale("log")
            ax.set_xticks(curve["train_examples"], [f"{n:,.0f}" for n in curve["train_examples"]])
            ax.minorticks_off()
            ax.set_xlabel("training examples")
        else:
            curve = cell.set_index("train_set").loc[[name for name in sets if name in set(cell["train_set"])]]
            position = pd.Series(np.arange(len(curve)) + list(models).index(model) * len(sets))
            line(ax, position, curve.reset_index(drop=True), models[model], marker)
            ax.set_xticks([])


def line(ax, x: pd.Series, curve: pd.DataFrame, style: dict, marker: dict) -> None:
    """Draw a curve, and mark its means with a caveat; one without any score is marked at the lower end of the panel."""
    plotting.line(ax, x, curve, style, marker)
    has_caveat, has_score = curve["caveat"].notna(), curve["mean"].notna()
    ax.plot(x[has_caveat & has_score], curve.loc[has_caveat & has_score, "mean"], **CAVEAT)
    lost = x[has_caveat & ~has_score]
    ax.plot(lost, [0.03] * len(lost), transform=ax.get_xaxis_transform(), **CAVEAT | {"color": style["color"]})


if __name__ == "__main__":
    cli.run(main)
