"""Draw the best choice for each budget: its loss, and its tokens.

    python scripts/figure_budget.py --recipe figure.json --decisions decisions.json --figure budget.png \
        --record budget.json

The best choice has the lowest expected loss among the grid's cells and the forecasts of laws; filled markers are
measured, hollow ones forecast. The band is the 95 % interval of the loss. Each group of comparable runs has a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gridlaw import cli, io
from gridlaw.report import plotting
from gridlaw.words import short
from gridlaw.workflow import program, record

COLUMNS = [
    "group",
    "rank_hours",
    "model",
    "gpus",
    "corpus_tokens",
    "cost_rank_hours",
    "measured",
    "loss",
    "low",
    "high",
]
UNTIMED = "No run has a measured time."


def main() -> None:
    args = program.parse("figure_budget", __doc__)

    decisions = io.read_json(args.decisions)
    rows = [
        {"group": group["group"], **choice}
        for group in decisions["groups"]
        for choice in group["budget_curve"]
        if "model" in choice
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    groups = list(table["group"].unique())
    models = plotting.styles(args.recipe["models"], table["model"])
    height = 2.8 * max(1, len(groups)) + 0.3
    with plotting.figure(args.figure, max(1, len(groups)), 2, plotting.PAGE, height, table) as (figure, axes):
        if not groups:
            axes[1].set_visible(False)
            plotting.say(axes[0], UNTIMED if decisions["groups"] else plotting.NOTHING)
        for row, group in enumerate(groups):
            both = axes[2 * row : 2 * row + 2]
            draw(both, table[table["group"] == group], models, table["gpus"], decisions["spent_rank_hours"])
            for ax in both:
                ax.set_title(group)
        if groups:
            spent = Line2D([], [], color="0.4", linewidth=0.7, linestyle=":", label="spent so far")
            note = f"n = {len(table)} budgets; filled: a cell of the grid; hollow: by its law; band: 95 % interval"
            plotting.legend(figure, models, table["gpus"], note, [spent])
    record.write(args)


def draw(axes: Sequence[Axes], choices: pd.DataFrame, models: dict[str, dict], gpus: pd.Series, spent: float) -> None:
    """Draw the two panels of a group: loss and tokens."""
    for ax, column in zip(axes, ("loss", "corpus_tokens"), strict=True):
        unit = plotting.hours_axis(ax, choices["rank_hours"], " of budget")
        hours = choices["rank_hours"] * unit
        ax.plot(hours, choices[column], color="0.6", linewidth=0.8, zorder=1)
        for index, choice in choices.iterrows():
            marker = plotting.marker(gpus, choice["gpus"])
            colour = models[choice["model"]]["color"]
            face = colour if choice["measured"] else "white"
            ax.plot(hours[index], choice[column], color=colour, **marker | {"markerfacecolor": face})
        ax.axvline(spent * unit, color="0.4", linewidth=0.7, linestyle=":")
    loss, tokens = axes
    # Without colours the models look the same, so each change of model is labelled.
    for index in choices.index[choices["model"].ne(choices["model"].shift())]:
        place = (hours[index], choices.loc[index, "loss"])
        loss.annotate(choices.loc[index, "model"], place, (3, 4), textcoords="offset points", size="x-small")
    loss.fill_between(hours, choices["low"], choices["high"], color="0.6", alpha=0.25, linewidth=0)
    plotting.log_axis(loss, "y", choices[["low", "high"]].to_numpy(), "held-out loss (nats)")
    plotting.log_axis(tokens, "y", choices["corpus_tokens"], "corpus tokens of the choice", short)


if __name__ == "__main__":
    cli.run(main)
