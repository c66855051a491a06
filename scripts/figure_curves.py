"""Draw the training loss within the runs at each model's largest size, and its extrapolation.

    python scripts/figure_curves.py --recipe figure.json --curves curves.csv --laws laws.json --figure curves.png \
        --record curves.json

If the curve at constant learning rate could be forecast from its first half, that forecast is drawn over the second
half, and the forecast from the whole curve beyond it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gridlaw import cli, io
from gridlaw.laws.judging import LAW
from gridlaw.report import plotting
from gridlaw.tables import read_table
from gridlaw.words import short
from gridlaw.workflow import program, record

COLUMNS = ["model", "size", "gpus", "trained_tokens", "what", "phase", "loss", "low", "high", "runs"]
CELL = ["model", "size", "gpus"]
MEASURED, TRIED, FORECAST = "measured", "forecast from the first half", "forecast"


def main() -> None:
    args = program.parse("figure_curves", __doc__)

    conclusions = io.read_json(args.laws)["in_run"]
    logged = read_table(args.curves)
    parts = [part for conclusion in conclusions for part in parts_of(conclusion, logged)]
    table = pd.concat(parts)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
    models = plotting.styles(args.recipe["models"], table["model"])
    with plotting.figure(args.figure, 1, 1, plotting.COLUMN, 3.1, table) as (figure, (ax,)):
        if table.empty:
            plotting.say(ax, "No training has logged finite losses.")
        else:
            for (model, what), curve in table.groupby(["model", "what"], sort=False):
                draw(ax, curve, what, models[model])
            plotting.log_axis(ax, "x", table["trained_tokens"], "trained tokens", short)
            plotting.log_axis(ax, "y", table["loss"], "training loss (nats)")
            runs = sorted({int(n) for n in table["runs"].dropna()})
            note = f"mean of n = {'–'.join(map(str, runs))} runs at each model's largest size"
            has_forecast = bool((table["what"] != MEASURED).any())
            plotting.legend(
                figure, models, [], note + "; band: 95 % interval" * has_forecast, handles() if has_forecast else []
            )
    record.write(args)


def parts_of(conclusion: dict, logged: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The mean curve of a cell's runs, and its forecasts."""
    cell = {name: conclusion[name] for name in CELL}
    losses = logged[(logged[CELL] == pd.Series(cell)).all(axis=1)].dropna(subset="loss")
    mean = losses.groupby(["trained_tokens", "phase"], as_index=False).agg(loss=("loss", "mean"), runs=("loss", "size"))
    yield mean.assign(what=MEASURED, low=float("nan"), high=float("nan"), **cell)
    if conclusion["state"] == LAW:
        for what, part in ((TRIED, "trial"), (FORECAST, "forecast")):
            columns = {name: conclusion[part][name] for name in ("trained_tokens", "loss", "low", "high")}
            yield pd.DataFrame(columns).assign(what=what, phase="constant", runs=float("nan"), **cell)


def draw(ax: Axes, curve: pd.DataFrame, what: str, style: dict) -> None:
    """Draw a curve, or a forecast with its band; forecast points are hollow."""
    curve = curve.sort_values("trained_tokens")
    if what == MEASURED:
        ax.plot(curve["trained_tokens"], curve["loss"], linewidth=1.1, **style)
        return
    ends = {"marker": "o", "markersize": 3.5, "markerfacecolor": "none"} if what == FORECAST else {}
    ax.plot(curve["trained_tokens"], curve["loss"], linewidth=0.8, color=style["color"], linestyle=":", **ends)
    ax.fill_between(curve["trained_tokens"], curve["low"], curve["high"], color=style["color"], alpha=0.15, linewidth=0)


def handles() -> list[Line2D]:
    """Entries of the legend for forecasts."""
    grey = {"color": "0.3", "linewidth": 0.8, "linestyle": ":"}
    return [
        Line2D([], [], label="forecast from its first half", **grey),
        Line2D([], [], label="forecast of a longer run", marker="o", markersize=3.5, markerfacecolor="none", **grey),
    ]


if __name__ == "__main__":
    cli.run(main)
