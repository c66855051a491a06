"""Draw the parameters of the laws of loss by tokens, with their uncertainty.

    python scripts/figure_estimates.py --recipe figure.json --laws laws.json --figure estimates.png \
        --record estimates.json

Dots are the fit, bars the 95 % interval over bootstrap samples of the runs; hollow dots are laws without forecasts.
Below on the left each small dot is a bootstrap sample: if the parameters are correlated, neither is known alone. On the
right is the error of the best law with each fixed E (a profile of the fit, Venzon & Moolgavkar 1988), thick within the
interval of E: if it is flat, the runs do not determine E.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gridlaw import cli, io
from gridlaw.laws.judging import LAW, REFUSED
from gridlaw.report import plotting
from gridlaw.workflow import program, record

COLUMNS = ["group", "model", "state", "parameter", "value", "low", "high", "error", "kind"]
# Parameters, with their labels on axes.
NAMES = {"E": "irreducible loss E (nats)", "beta": "exponent β"}


def main() -> None:
    args = program.parse("figure_estimates", __doc__)

    laws = [law for law in io.read_json(args.laws)["laws"] if "model" in law and law["state"] != REFUSED]
    parts = [describe(law, name) for law in laws for name in NAMES]
    table = pd.concat(parts).reindex(columns=COLUMNS) if parts else pd.DataFrame(columns=COLUMNS)
    models = plotting.styles(args.recipe["models"], table["model"])
    height = max(2.4, 0.2 * len(laws) + 0.8) if laws else 1.2
    with plotting.figure(args.figure, 2, 2, plotting.PAGE, 2 * height, table) as (figure, axes):
        if not laws:
            plotting.say(axes[0], "No law was fitted.")
            for ax in axes[1:]:
                ax.set_visible(False)
        else:
            for ax, name in zip(axes, NAMES, strict=False):
                draw(ax, laws, name, models)
            axes[1].tick_params(labelleft=False)
            pairs(axes[2], laws, models)
            profiles(axes[3], laws, models)
            runs = sum(law["runs"] for law in laws)
            note = f"n = {runs} runs; bar: 95 % interval over 1,000 bootstrap samples; hollow: not a forecast"
            plotting.legend(figure, models, [], note)
    record.write(args)


def describe(law: dict, name: str) -> pd.DataFrame:
    """A parameter of a law, its value in some bootstrap samples, and for E the profile."""
    parts = [pd.DataFrame([law["parameters"][name]] if name in law["parameters"] else []).assign(kind="fit")]
    parts.append(pd.DataFrame({"value": law["draws"].get(name, [])}).assign(kind="resample"))
    if name == "E":
        parts.append(pd.DataFrame(law["profile"]).rename(columns={"E": "value"}).assign(kind="profile"))
    law_columns = {"group": law["group"], "model": law["model"], "state": law["state"], "parameter": name}
    return pd.concat([part for part in parts if len(part)] or parts[:1]).assign(**law_columns)


def draw(ax: Axes, laws: list[dict], name: str, models: dict[str, dict]) -> None:
    """Draw one parameter, a row for each law."""
    for row, law in enumerate(laws):
        estimate = law["parameters"].get(name)
        if estimate is None:
            ax.annotate(
                "none", (0.02, row), xycoords=("axes fraction", "data"), va="center", size="x-small", color="0.4"
            )
            continue
        colour = models[law["model"]]["color"]
        value, low, high = estimate["value"], estimate["low"], estimate["high"]
        reach = None if low is None else [[max(0, value - low)], [max(0, high - value)]]
        face = colour if law["state"] == LAW else "white"
        ax.errorbar(
            value, row, xerr=reach, fmt="o", markersize=4, color=colour, markerfacecolor=face, elinewidth=1,
            capsize=1.5,
        )  # fmt: skip
    ax.set_yticks(range(len(laws)), [", ".join(filter(None, [law["model"], law["group"]])) for law in laws])
    ax.set_ylim(len(laws) - 0.5, -0.5)
    ax.set_xlabel(NAMES[name])


def pairs(ax: Axes, laws: list[dict], models: dict[str, dict]) -> None:
    """Draw both parameters of the bootstrap samples."""
    both = [law for law in laws if NAMES.keys() <= law["draws"].keys()]
    if not both:
        plotting.say(ax, "No law has bootstrap samples of both.")
        return
    for law in both:
        colour = models[law["model"]]["color"]
        ax.plot(law["draws"]["beta"], law["draws"]["E"], "o", markersize=1.5, alpha=0.4, color=colour)
        best = law["parameters"]
        ax.plot(best["beta"]["value"], best["E"]["value"], "o", markersize=4.5, color=colour, markeredgecolor="white")
    ax.set(xlabel=NAMES["beta"], ylabel=NAMES["E"])


def profiles(ax: Axes, laws: list[dict], models: dict[str, dict]) -> None:
    """Draw the error of the best law with each fixed E."""
    for law in laws:
        style = models[law["model"]]
        floors, errors = np.array(law["profile"]["E"]), 100 * np.array(law["profile"]["error"])
        ax.plot(floors, errors, linewidth=1, **style)
        floor = law["parameters"].get("E", {"low": None})
        if floor["low"] is not None:
            within = (floors >= floor["low"]) & (floors <= floor["high"])
            ax.plot(floors[within], errors[within], linewidth=3, alpha=0.5, **style | {"linestyle": "-"})
    ax.set(xlabel=f"{NAMES['E']}, fixed", ylabel="mean error (%)")
    ax.set_ylim(bottom=0)


if __name__ == "__main__":
    cli.run(main)
