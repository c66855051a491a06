"""Draw the probability that each model is better than each other one, and the ranks of models by size.

    python scripts/figure_pairs.py --recipe figure.json --decisions decisions.json --figure pairs.png \
        --record pairs.json

Models are compared by loss and by the average over tasks. On the left is, for each group of comparable runs, the
largest size at which the most models were compared. The probability is that of Welch's t test over seeds; marks show
pairs that are different or equivalent, as the decisions conclude. Models are in the order of their wins. On the right
are their ranks at each size by means over seeds, and above them the agreement with the ranks at the largest size
(Kendall's tau b, 1938).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from scipy import stats

from gridlaw import cli, io
from gridlaw.config import grid
from gridlaw.report import plotting
from gridlaw.stats.comparison import DIFFERENT, EQUIVALENT
from gridlaw.workflow import program, record

PAIRS = ["panel", "size", "a", "b", "difference", "seeds", "low", "high", "probability", "p", "conclusion", "better"]
RANKS = ["panel", "size", "model", "rank"]
AVERAGE = "by the average over tasks"
# With more models the numbers would not be legible.
NUMBERS = 8
MARKS = {DIFFERENT: "*", EQUIVALENT: "="}
# A map that is even when printed in grey.
COLOURS = "cividis"


def main() -> None:
    args = program.parse("figure_pairs", __doc__)

    decisions = io.read_json(args.decisions)
    compared = {f"by loss {group['group']}".strip(): group["comparisons"] for group in decisions["groups"]}
    compared[AVERAGE] = decisions["averages"]
    all_pairs = {name: pd.DataFrame(pairs, columns=PAIRS[1:]).assign(panel=name) for name, pairs in compared.items()}
    pairs = pd.concat([largest(panel) for panel in all_pairs.values()])
    ranks = pd.concat([ranked(panel, lower_is_better=panel is not all_pairs[AVERAGE]) for panel in all_pairs.values()])
    panels = list(pairs["panel"].unique())
    models = plotting.styles(args.recipe["models"], ranks["model"])
    rows, side = max(1, len(panels)), max(2.6, 0.17 * len(models) + 1.3)
    table = pd.concat([pairs[PAIRS], ranks]) if panels else pd.DataFrame(columns=[*PAIRS, *RANKS[2:]])
    with plotting.figure(args.figure, rows, 2, plotting.PAGE, rows * side + 0.5, table) as (figure, axes):
        if not panels:
            plotting.say(axes[0], "A comparison needs two models at one size.")
            axes[1].set_visible(False)
        for row, name in enumerate(panels):
            left, right = axes[2 * row : 2 * row + 2]
            panel = pairs[pairs["panel"] == name]
            left.set_title(f"{name}, {panel['size'].iloc[0]}")
            if panel["probability"].isna().all():
                plotting.say(left, "One seed is too few for a comparison.")
            else:
                draw(left, panel)
            draw_ranks(right, ranks[ranks["panel"] == name], models)
        if panels:
            scale = ScalarMappable(cmap=COLOURS)
            bar = figure.colorbar(scale, ax=axes[-2], location="bottom", aspect=40, pad=0.03)
            seeds = "–".join(map(str, sorted({int(n) for n in pairs["seeds"]})))
            bar.set_label(
                f"probability that the row is better; * different, = equivalent; n = {seeds} seeds", size="x-small"
            )
            plotting.legend(figure, models, [], "rank 1: the best mean over seeds")
    record.write(args)


def largest(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs of the largest size at which the most models were compared."""
    if pairs.empty:
        return pairs
    counts = pairs["size"].value_counts()
    return pairs[pairs["size"] == max(counts[counts == counts.max()].index, key=grid.size_order)]


def ranked(pairs: pd.DataFrame, lower_is_better: bool) -> pd.DataFrame:
    """The rank of each model among those that it was compared with at a size; 1 is the best, equal models share one."""
    other = pairs.rename(columns={"a": "b", "b": "a"}).assign(difference=-pairs["difference"])
    both = pd.concat([pairs, other]).rename(columns={"a": "model"})
    is_worse = both["difference"] > 0 if lower_is_better else both["difference"] < 0
    lost = both.assign(rank=is_worse.astype(float) + (both["difference"] == 0) / 2)
    ranks = 1 + lost.groupby(["panel", "size", "model"], sort=False)["rank"].sum()
    return ranks.reset_index().sort_values("size", key=lambda names: names.map(grid.size_order), kind="stable")


def draw(ax: Axes, pairs: pd.DataFrame) -> None:
    """Draw one panel."""
    forward = pairs[["size", "a", "b", "probability", "conclusion"]]
    backward = forward.rename(columns={"a": "b", "b": "a"}).assign(probability=1 - forward["probability"])
    both = pd.concat([forward, backward])
    matrix = both.pivot(index="a", columns="b", values="probability").astype(float)
    order = matrix.mean(axis=1).sort_values(ascending=False, kind="stable").index
    marks = both.assign(mark=both["conclusion"].map(MARKS).fillna("")).pivot(index="a", columns="b", values="mark")
    matrix, marks = matrix.loc[order, order], marks.loc[order, order].fillna("")
    if len(order) <= NUMBERS:
        marks = matrix.map(lambda share: "" if np.isnan(share) else f"{share:.2f}") + marks
    sns.heatmap(
        matrix, vmin=0, vmax=1, cmap=COLOURS, annot=marks, fmt="", cbar=False, square=True, linewidths=0.5, ax=ax,
        annot_kws={"size": "small"},
    )  # fmt: skip
    ax.set(xlabel="", ylabel="")
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.tick_params(axis="x", rotation=90 if len(order) > NUMBERS / 2 else 0)
    ax.tick_params(axis="y", rotation=0)


def draw_ranks(ax: Axes, ranks: pd.DataFrame, models: dict[str, dict]) -> None:
    """Draw ranks at each size, and their agreement with those at the largest."""
    table = ranks.pivot(index="size", columns="model", values="rank").loc[ranks["size"].unique()]
    for model, style in models.items():
        if model in table:
            ax.plot(range(len(table)), table[model], marker="o", markersize=4, linewidth=1.3, **style)
    for place in range(len(table) - 1):
        both = table.iloc[[place, -1]].dropna(axis="columns").to_numpy()
        # With two models the agreement is obvious.
        if both.shape[1] > 2:
            tau = stats.kendalltau(*both).statistic
            ax.annotate(
                f"τ {tau:.1f}", (place, 1.0), xycoords=("data", "axes fraction"), ha="center", va="top",
                size="x-small", color="0.35",
            )  # fmt: skip
    ax.set_xticks(range(len(table)), table.index, rotation=45 if len(table) > 6 else 0)
    ax.set_xlim(-0.3, len(table) - 0.7)
    last = math.ceil(table.max(axis=None))
    ax.set_yticks(range(1, last + 1, math.ceil(last / NUMBERS)))
    ax.set(xlabel="corpus tokens", ylabel="rank", ylim=(last + 0.5, 0.2))


if __name__ == "__main__":
    cli.run(main)
