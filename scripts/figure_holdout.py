"""Draw losses of held-out cells against their forecasts from the rest, and the coverage of intervals.

    python scripts/figure_holdout.py --recipe figure.json --runs runs.csv --laws laws.json --figure holdout.png \
        --record holdout.json

Held out is the largest value of each axis of each law: the largest size, the largest model, the most compute. Bars are
95 % intervals. The last panel pools the back-tested intervals of all laws: an interval of each level should contain
that share of the cells. The band contains the share with 95 % probability if cells are independent.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from gridlaw import cli, io
from gridlaw.report import law_points, plotting
from gridlaw.tables import read_table
from gridlaw.workflow import program, record

LEFT_OUT = {
    "corpus_tokens": "the largest size left out",
    "params": "the largest model left out",
    "compute": "the most compute left out",
}
COLUMNS = ["panel", "law", "model", "params", "corpus_tokens", "actual", "predicted", "low", "high", "level", "share"]
COVERAGE = "coverage"
LEVELS = np.linspace(0, 1, 101)


def main() -> None:
    args = program.parse("figure_holdout", __doc__)

    laws = io.read_json(args.laws)["laws"]
    cells = law_points.points(laws, "hold_out", read_table(args.runs))
    cells["panel"] = cells["left_out"] if len(cells) else []
    levels = np.array([level for law in laws for level in (law.get("back_test") or {}).get("levels", [])])
    coverages = [(levels <= level).mean() for level in LEVELS] if len(levels) else []
    shares = pd.DataFrame({"panel": COVERAGE, "level": LEVELS[: len(coverages)], "share": coverages})
    table = pd.concat([part for part in (cells, shares) if len(part)] or [cells]).reindex(columns=COLUMNS)
    models = plotting.styles(args.recipe["models"], cells["model"])
    shown = [axis for axis in LEFT_OUT if axis in set(cells["panel"])]
    rows, columns, width = plotting.arranged(len(shown) + bool(len(levels)))
    with plotting.figure(args.figure, rows, columns, width, 2.4 * rows + 0.6, table) as (figure, axes):
        if not len(cells):
            plotting.say(axes[0], "No law has enough cells to hold out the largest and forecast it.")
        for axis, ax in zip(shown, axes, strict=False):
            draw(ax, cells[cells["panel"] == axis], models)
            ax.set_title(LEFT_OUT[axis])
        if len(levels):
            draw_coverage(axes[-1], shares, len(levels))
        if len(cells):
            inside = int(cells["inside"].sum())
            note = f"bar: 95 % interval; n = {len(cells)} cells left out, {inside} of them inside"
            plotting.legend(figure, models, [], note)
    record.write(args)


def draw(ax: Axes, cells: pd.DataFrame, models: dict[str, dict]) -> None:
    """Draw the cells held out along one axis."""
    for model, points in cells.groupby("model", sort=False):
        colour = models[model]["color"]
        reach = [points["predicted"] - points["low"], points["high"] - points["predicted"]]
        ax.errorbar(
            points["actual"], points["predicted"], reach, fmt="o", markersize=4, color=colour, markerfacecolor="white",
            elinewidth=0.8, capsize=1.5,
        )  # fmt: skip
    ends = [cells["actual"].min(), cells["actual"].max()]
    ax.axline((ends[0], ends[0]), slope=1, color="0.4", linewidth=0.7, linestyle=":")
    ax.set_xlabel("measured loss (nats)")
    ax.set_ylabel("forecast loss (nats)")


def draw_coverage(ax: Axes, shares: pd.DataFrame, count: int) -> None:
    """Draw the coverage of intervals of each level."""
    low, high = stats.binom.ppf([[0.025], [0.975]], count, LEVELS) / count
    ax.fill_between(LEVELS, low, high, color="0.6", alpha=0.25, linewidth=0)
    ax.plot([0, 1], [0, 1], color="0.4", linewidth=0.7, linestyle=":")
    ax.plot(shares["level"], shares["share"], color="0.15", linewidth=1.3)
    ax.set_title(f"coverage, n = {count} intervals")
    ax.set_xlabel("level of the interval")
    ax.set_ylabel("coverage")


if __name__ == "__main__":
    cli.run(main)
