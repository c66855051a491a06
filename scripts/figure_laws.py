"""Draw the law of each model's held-out loss by tokens, with its interval and its forecasts of larger sizes.

    python scripts/figure_laws.py --recipe figure.json --fits fits.npz --figure laws.png --record laws.json

A law is drawn through its cells and up to four times the largest size, if it passed its back-tests; other models have
their cells only. The band is the back-tested 95 % interval of a new run; filled markers are measured, hollow ones
forecast. Each group of comparable runs has a panel.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from gridlaw import cli
from gridlaw.laws import fits
from gridlaw.laws.judging import LAW
from gridlaw.laws.law import Law
from gridlaw.report import plotting
from gridlaw.words import short
from gridlaw.workflow import program, record

COLUMNS = ["group", "model", "corpus_tokens", "kind", "mean", "low", "high"]
# Multiple of the largest size up to which laws are drawn, and multiples at which forecasts are marked.
BEYOND, MARKED = 4.0, (2.0, 4.0)
# Ticks within a decade.
FEW, MANY = (1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)


def main() -> None:
    args = program.parse("figure_laws", __doc__)

    laws = {group: fitted.laws for group, fitted in fits.read(args.fits).items()}
    parts = [
        describe(law).assign(group=group, model=model)
        for group, by_model in laws.items()
        for model, law in by_model.items()
    ]
    table = pd.concat(parts).reindex(columns=COLUMNS) if parts else pd.DataFrame(columns=COLUMNS)
    models = plotting.styles(args.recipe["models"], table["model"])
    with plotting.panels(args.figure, list(laws), table) as (figure, axes):
        for name, ax in axes.items():
            shown = table[table["group"] == name]
            for model, points in shown.groupby("model", sort=False):
                draw(ax, points, models[model])
            label(ax, shown)
        if axes:
            dot = {"color": "0.3", "linestyle": "none", "marker": "o", "markersize": 4}
            kinds = [Line2D([], [], label="measured", **dot), Line2D([], [], label="forecast", mfc="none", **dot)]
            number = sum(int(law.points.replicates.sum()) for by_model in laws.values() for law in by_model.values())
            note = f"n = {number} runs; line: law; band: 95 % interval of a new run"
            plotting.legend(figure, models, [], note, kinds)
    record.write(args)


def describe(law: Law) -> pd.DataFrame:
    """Cells, curve and forecasts of a law, a row for each point."""
    cells = pd.DataFrame({"corpus_tokens": law.points.x[:, 0], "mean": law.points.y, "kind": "measured"})
    if law.state != LAW:
        return cells
    least, most = law.points.x.min(), law.points.x.max()
    places = {
        "law": np.geomspace(least, BEYOND * most, 60),
        "forecast": np.array([times * most for times in MARKED]),
    }
    parts = [cells]
    for kind, tokens in places.items():
        forecast, _ = law.forecast(tokens[:, None])
        parts.append(
            pd.DataFrame(
                {
                    "corpus_tokens": tokens,
                    "mean": forecast.value,
                    "low": forecast.low,
                    "high": forecast.high,
                    "kind": kind,
                }
            )
        )
    return pd.concat(parts)


def draw(ax: Axes, points: pd.DataFrame, style: dict) -> None:
    """Draw one model."""
    kinds = dict(list(points.groupby("kind")))
    if "law" in kinds:
        curve = kinds["law"]
        ax.plot(curve["corpus_tokens"], curve["mean"], linewidth=1.3, **style)
        ax.fill_between(
            curve["corpus_tokens"], curve["low"], curve["high"], color=style["color"], alpha=0.15, linewidth=0
        )
        marked = kinds["forecast"]
        ax.plot(
            marked["corpus_tokens"],
            marked["mean"],
            "o",
            markersize=4,
            markerfacecolor="white",
            color=style["color"],
            zorder=3,
        )
    ax.plot(
        kinds["measured"]["corpus_tokens"], kinds["measured"]["mean"], "o", markersize=4, color=style["color"], zorder=3
    )


def label(ax: Axes, points: pd.DataFrame) -> None:
    """Make the axes logarithmic with few ticks and short labels."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("corpus tokens")
    ax.set_ylabel("held-out loss (nats)")
    lowest, highest = points[["mean", "low"]].min().min(), points[["mean", "high"]].max().max()
    ax.yaxis.set_major_locator(LogLocator(subs=FEW if highest / lowest > 10 else MANY))
    ax.yaxis.set_major_formatter("{x:g}")
    ticks: list[float] = []
    reach = np.log(points["corpus_tokens"].max() / points["corpus_tokens"].min())
    for tokens in sorted(points.loc[points["kind"] != "law", "corpus_tokens"]):
        # Closer labels would overlap.
        if not ticks or np.log(tokens / ticks[-1]) > 0.1 * reach:
            ticks.append(tokens)
    ax.set_xticks(ticks, [short(float(f"{tick:.2g}")) for tick in ticks])
    ax.minorticks_off()


if __name__ == "__main__":
    cli.run(main)
