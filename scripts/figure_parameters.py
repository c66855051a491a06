"""Draw held-out loss against parameters: at equal text, and at equal compute.

    python scripts/figure_parameters.py --recipe figure.json --runs runs.csv --laws laws.json \
        --figure parameters.png --record parameters.json

On the left a grey line joins the models of one size, with 95 % intervals over pre-training seeds. On the right it joins
models at one amount of compute, the counted FLOPs of the runs over all epochs (Hoffmann et al. 2022, approach 2). These
points are hollow because they are interpolated between two cells by a power law. Through three models or more the line
is a parabola in log parameters; its minimum, marked if it lies between two models, is the best size for that compute. A
dotted line is the law of both axes, if the grid has one. Each group of comparable runs has a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.polynomial import Polynomial

from gridlaw import cli, io
from gridlaw.arrays import Array
from gridlaw.laws import selection
from gridlaw.laws.judging import LAW
from gridlaw.report import plotting
from gridlaw.stats import intervals
from gridlaw.words import short
from gridlaw.workflow import program, record

COLUMNS = ["group", "panel", "line", "kind", "model", "params", "corpus_tokens", "flops", "mean", "low", "high"]
CELL, BETWEEN, OPTIMUM = "cell", "between cells", "optimum"
TEXT, COMPUTE = "at equal text, in tokens", "at equal compute, in FLOPs"
# Number of amounts of compute that are drawn.
LINES = 5
GREY = {"color": "0.6", "linewidth": 0.8, "zorder": 1}
DOTTED = {"color": "0.2", "linewidth": 1.0, "linestyle": ":"}
LOWEST = {"color": "0.2", "marker": "x", "markersize": 5, "linestyle": "none"}


def main() -> None:
    args = program.parse("figure_parameters", __doc__)

    laws = io.read_json(args.laws)["laws"]
    groups = list(selection.groups(selection.read_runs(args.runs), args.recipe["scaling"] == "strong"))
    parts = []
    for group in groups:
        cells = at_equal_text(group.runs)
        parts += [part.assign(group=group.name) for part in (cells, at_equal_compute(cells))]
    table = pd.concat(parts).reindex(columns=COLUMNS) if parts else pd.DataFrame(columns=COLUMNS)
    models = plotting.styles(args.recipe["models"], table["model"])
    rows = max(1, len(groups))
    with plotting.figure(args.figure, rows, 2, plotting.PAGE, 3.0 * rows + 0.2, table) as (figure, axes):
        if not groups:
            axes[1].set_visible(False)
            plotting.say(axes[0], plotting.NOTHING)
        for row, group in enumerate(groups):
            law = joint_law(laws, group.name)
            for ax, panel in zip(axes[2 * row : 2 * row + 2], (TEXT, COMPUTE), strict=True):
                cells = table[(table["group"] == group.name) & (table["panel"] == panel)]
                draw(ax, cells, models, law)
                ax.set_title(f"{panel} ({group.name})" if group.name else panel)
        if groups:
            seeds = int(max(group.runs["seed"].nunique() for group in groups))
            note = f"bar: 95 % interval over {seeds} pre-training seeds" if seeds > 1 else "one pre-training seed"
            extra = {
                "law of both": any(joint_law(laws, group.name) for group in groups) and DOTTED,
                "lowest": OPTIMUM in set(table["kind"]) and LOWEST,
            }
            handles = [Line2D([], [], label=label, **style) for label, style in extra.items() if style]
            plotting.legend(figure, models, [], note, handles)
    record.write(args)


def at_equal_text(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean loss of each cell with its interval; the cells of one size form a line."""
    # The same size has a few tokens more in one tokenizer than in another; the figure takes the median.
    sizes = runs.groupby("size")["corpus_tokens"].transform("median")
    keys = ["model", "params", "size", "corpus_tokens"]
    cells = intervals.summarise_pooled(runs.assign(corpus_tokens=sizes), keys, "loss")
    cells = cells.merge(runs.groupby(["model", "size"], as_index=False)["flops"].mean())
    return cells.sort_values(["corpus_tokens", "params"]).assign(panel=TEXT, line=cells["size"], kind=CELL)


def at_equal_compute(cells: pd.DataFrame) -> pd.DataFrame:
    """Loss of each model at amounts of compute within the range of two models or more; each amount forms a line."""
    measured = cells.dropna(subset=["flops"]).sort_values("flops")
    by_model = {model: rows for model, rows in measured.groupby("model", sort=False) if len(rows) > 1}
    columns = [*cells.columns]
    if len(by_model) < 2:
        return pd.DataFrame(columns=columns)
    # Between the second smallest beginning and the second largest end there are two models.
    begins, ends = (sorted(rows["flops"].iloc[index] for rows in by_model.values()) for index in (0, -1))
    if ends[-2] <= begins[1]:
        return pd.DataFrame(columns=columns)
    points = []
    for flops in np.geomspace(begins[1], ends[-2], LINES + 2)[1:-1]:
        for model, rows in by_model.items():
            if rows["flops"].iloc[0] <= flops <= rows["flops"].iloc[-1]:
                between = {name: power_law(flops, rows["flops"], rows[name]) for name in ("corpus_tokens", "mean")}
                facts = {"model": model, "params": rows["params"].iloc[0], "flops": flops}
                points.append({**facts, **between, "line": f"{flops:.2g}"})
    lines = pd.DataFrame(points).sort_values(["flops", "params"]).assign(kind=BETWEEN)
    return pd.concat([lines, pd.DataFrame(list(optima(lines)))]).assign(panel=COMPUTE).reindex(columns=columns)


def optima(lines: pd.DataFrame) -> Iterator[dict]:
    """The minimum of the parabola through each line, if it lies between two models."""
    for line, points in lines.groupby("line", sort=False):
        if len(points) > 2:
            curve = parabola(points)
            minimum = curve.deriv().roots()
            low, high = np.log(points["params"].iloc[[0, -1]])
            if curve.deriv(2)(low) > 0 and low < minimum[0] < high:
                params = float(np.exp(minimum[0]))
                tokens = power_law(params, points["params"], points["corpus_tokens"])
                facts = {"params": params, "corpus_tokens": tokens, "flops": points["flops"].iloc[0]}
                yield {**facts, "kind": OPTIMUM, "line": line, "mean": float(curve(minimum[0]))}


def power_law(places: Array | float, x: pd.Series, y: pd.Series) -> Array | float:
    """Interpolate y by a power law between neighbouring points; x rises."""
    return np.exp(np.interp(np.log(places), np.log(x), np.log(y)))


def parabola(line: pd.DataFrame) -> Polynomial:
    """Fit loss by log parameters at one amount of compute."""
    return Polynomial.fit(np.log(line["params"]), line["mean"], 2)


def joint_law(laws: list[dict], group: str) -> Callable[[Array, Array], Array] | None:
    """The law of a group's models, loss by parameters and tokens; None if it did not pass its back-tests."""
    for law in laws:
        if law.get("group") == group and law.get("axes") == ["params", "corpus_tokens"] and law["state"] == LAW:
            p = {name: entry["value"] for name, entry in law["parameters"].items()}
            return lambda n, d: p.get("E", 0.0) + p["A"] / n ** p["alpha"] + p["B"] / d ** p["beta"]
    return None


def draw(ax: Axes, cells: pd.DataFrame, models: dict[str, dict], law: Callable[[Array, Array], Array] | None) -> None:
    """Draw one panel."""
    if cells["model"].nunique() < 2:
        plotting.say(ax, "The panel needs two models whose sizes overlap.")
        return
    is_text = cells["panel"].iloc[0] == TEXT
    lowest = cells[cells["kind"] == OPTIMUM]
    for line, points in cells[cells["kind"] != OPTIMUM].groupby("line", sort=False):
        between = np.geomspace(points["params"].min(), points["params"].max(), 50)
        if is_text or len(points) < 3:
            ax.plot(points["params"], points["mean"], **GREY)
        else:
            ax.plot(between, parabola(points)(np.log(between)), **GREY)
        if law:
            ax.plot(between, law(between, power_law(between, points["params"], points["corpus_tokens"])), **DOTTED)
        name = line if is_text else plotting.power(float(line))
        ax.annotate(
            name,
            (points["params"].iloc[-1], points["mean"].iloc[-1]),
            (5, 0),
            textcoords="offset points",
            va="center",
            size="x-small",
            color="0.35",
        )
    for model, points in cells.groupby("model", sort=False):
        colour = models[model]["color"]
        face = colour if is_text else "white"
        ax.plot(points["params"], points["mean"], "o", markersize=4, color=colour, markerfacecolor=face)
        reach = [points["mean"] - points["low"], points["high"] - points["mean"]]
        ax.errorbar(points["params"], points["mean"], np.nan_to_num(reach), fmt="none", ecolor=colour, capsize=1.5)
    ax.plot(lowest["params"], lowest["mean"], **LOWEST)
    plotting.log_axis(ax, "x", cells["params"], "parameters", short)
    plotting.log_axis(ax, "y", cells["mean"], "held-out loss (nats)")
    # Room for the names of lines on the right.
    ax.set_xlim(right=cells["params"].max() * (cells["params"].max() / cells["params"].min()) ** 0.2)


if __name__ == "__main__":
    cli.run(main)
