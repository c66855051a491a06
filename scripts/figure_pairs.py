"""Draw how likely each model is better than each other one, by loss and by the average over tasks.

    python scripts/figure_pairs.py --recipe figure.json --decisions decisions.json --figure pairs.png \
        --record pairs.json

Of each group of runs that compare it takes the largest size at which the most models were compared. The probability is
that of Welch's t test over seeds; marked are pairs that are separable, all corrected together (Holm 1979). Models stand
in the order of their wins.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable

from gridlaw import cli, grid, plotting, record

COLUMNS = ["panel", "size", "a", "b", "difference", "seeds", "probability", "p", "better"]
# Of more models than these the numbers would not be read.
NUMBERS = 8
# Even in grey.
COLOURS = "cividis"


def main() -> None:
    args = cli.figure_parser(__doc__, decisions="decisions, JSON").parse_args()

    decisions = record.read_json(args.decisions)
    compared = {f"by loss {group['group']}".strip(): group["comparisons"] for group in decisions["groups"]}
    compared["by the average over tasks"] = decisions["averages"]
    table = pd.concat([largest(pairs).assign(panel=name) for name, pairs in compared.items()])[COLUMNS]
    panels = list(table["panel"].unique())
    count = max((table.loc[table["panel"] == name, ["a", "b"]].stack().nunique() for name in panels), default=0)
    columns, side = max(1, min(2, len(panels))), max(2.6, 0.17 * count + 1.3)
    rows = max(1, math.ceil(len(panels) / columns))
    width = plotting.PAGE if columns > 1 else plotting.COLUMN * 1.4
    with plotting.figure(args.figure, rows, columns, width, rows * side + 0.5, table) as (figure, axes):
        if not panels:
            plotting.say(axes[0], "It takes two models at one size.")
        for ax in axes[max(1, len(panels)) :]:
            ax.set_visible(False)
        for name, ax in zip(panels, axes, strict=False):
            own = table[table["panel"] == name]
            ax.set_title(f"{name}, {own['size'].iloc[0]}")
            if own["probability"].isna().all():
                plotting.say(ax, "With one seed nothing can be said.")
            else:
                draw(ax, own)
        if panels:
            scale = ScalarMappable(cmap=COLOURS)
            bar = figure.colorbar(scale, ax=axes, location="bottom", shrink=0.5, aspect=40, pad=0.03)
            seeds = "–".join(map(str, sorted({int(n) for n in table["seeds"]})))
            bar.set_label(f"probability that the row is better than the column; * separable; n = {seeds} seeds")
    record.write(args.record, args.recipe, [args.decisions], plotting.files(args.figure))


def largest(pairs: list[dict]) -> pd.DataFrame:
    """The pairs of the largest size at which the most models were compared."""
    table = pd.DataFrame(pairs, columns=COLUMNS[1:])
    if table.empty:
        return table
    counts = table["size"].value_counts()
    return table[table["size"] == max(counts[counts == counts.max()].index, key=grid.size_order)]


def draw(ax: Axes, pairs: pd.DataFrame) -> None:
    """One panel."""
    there = pairs[["size", "a", "b", "probability", "better"]]
    back = there.rename(columns={"a": "b", "b": "a"}).assign(probability=1 - there["probability"])
    both = pd.concat([there, back])
    matrix = both.pivot(index="a", columns="b", values="probability").astype(float)
    order = matrix.mean(axis=1).sort_values(ascending=False, kind="stable").index
    marks = both.assign(mark=np.where(both["better"].notna(), "*", "")).pivot(index="a", columns="b", values="mark")
    matrix, marks = matrix.loc[order, order], marks.loc[order, order].fillna("")
    if len(order) <= NUMBERS:
        marks = matrix.map(lambda share: "" if np.isnan(share) else f"{share:.2f}") + marks
    sns.heatmap(
        matrix, vmin=0, vmax=1, cmap=COLOURS, annot=marks, fmt="", cbar=False, square=True, linewidths=0.5, ax=ax,
        annot_kws={"size": "small"},
    )  # fmt: skip
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0)
    ax.tick_params(axis="x", rotation=90 if len(order) > NUMBERS / 2 else 0)
    ax.tick_params(axis="y", rotation=0)


if __name__ == "__main__":
    cli.run(main)
