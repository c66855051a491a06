"""Draw the parameters of the laws of loss by tokens, and how sure they are.

    python scripts/figure_estimates.py --recipe figure.json --laws laws.json --figure estimates.png \
        --record estimates.json

Dots are the fit, bars the 95 % interval over resamples of the runs; hollow where the law is not good for a forecast. In
the last panel each small dot is a resample: where the two go together, neither is known alone.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from gridlaw import cli, plotting, record
from gridlaw.laws import LAW, REFUSED

COLUMNS = ["group", "model", "state", "parameter", "value", "low", "high", "kind"]
# Parameters, and what axes call them.
NAMES = {"E": "floor E (nats)", "beta": "exponent β"}


def main() -> None:
    args = cli.figure_parser(__doc__, laws="the grid's laws, JSON").parse_args()

    laws = [law for law in record.read_json(args.laws)["laws"] if "model" in law and law["state"] != REFUSED]
    parts = [described(law, name) for law in laws for name in NAMES if name in law["parameters"]]
    table = pd.concat(parts).reindex(columns=COLUMNS) if parts else pd.DataFrame(columns=COLUMNS)
    models = plotting.styles([model for model in args.recipe["models"] if model in set(table["model"])])
    height = 0.2 * len(laws) + 2.4
    with plotting.figure(args.figure, 1, 3, plotting.PAGE, height, table) as (figure, axes):
        if not laws:
            plotting.say(axes[1], "No law was fitted, and none has parameters.")
            for ax in axes[::2]:
                ax.set_visible(False)
        else:
            for ax, name in zip(axes, NAMES, strict=False):
                draw(ax, laws, name, models)
            axes[1].tick_params(labelleft=False)
            pairs(axes[2], laws, models)
            plotting.legend(figure, models, [], "bar: 95 % interval over 1,000 resamples; hollow: not a forecast")
    record.write(args.record, args.recipe, [args.laws], plotting.files(args.figure))


def described(law: dict, name: str) -> pd.DataFrame:
    """A parameter of a law, and its value in some resamples."""
    best = pd.DataFrame([{**law["parameters"][name], "kind": "fit"}])
    draws = pd.DataFrame({"value": law["draws"].get(name, []), "kind": "resample"})
    about = {"group": law["group"], "model": law["model"], "state": law["state"], "parameter": name}
    return pd.concat([best, draws] if len(draws) else [best]).assign(**about)


def draw(ax: Axes, laws: list[dict], name: str, models: dict[str, dict]) -> None:
    """One parameter: a row a law."""
    for row, law in enumerate(laws):
        of = law["parameters"].get(name)
        if of is None:
            ax.annotate(
                "none", (0.02, row), xycoords=("axes fraction", "data"), va="center", size="x-small", color="0.4"
            )
            continue
        colour = models[law["model"]]["color"]
        reach = None if of["low"] is None else [[max(0, of["value"] - of["low"])], [max(0, of["high"] - of["value"])]]
        face = colour if law["state"] == LAW else "white"
        ax.errorbar(
            of["value"], row, xerr=reach, fmt="o", markersize=4, color=colour, markerfacecolor=face, elinewidth=1,
            capsize=1.5,
        )  # fmt: skip
    ax.set_yticks(range(len(laws)), [", ".join(filter(None, [law["model"], law["group"]])) for law in laws])
    ax.set_ylim(len(laws) - 0.5, -0.5)
    ax.set_xlabel(NAMES[name])


def pairs(ax: Axes, laws: list[dict], models: dict[str, dict]) -> None:
    """Both parameters of resamples."""
    both = [law for law in laws if NAMES.keys() <= law["draws"].keys()]
    if not both:
        plotting.say(ax, "No law has both, with resamples.")
        return
    for law in both:
        colour = models[law["model"]]["color"]
        ax.plot(law["draws"]["beta"], law["draws"]["E"], "o", markersize=1.5, alpha=0.4, color=colour)
        best = law["parameters"]
        ax.plot(best["beta"]["value"], best["E"]["value"], "o", markersize=4.5, color=colour, markeredgecolor="white")
    ax.set(xlabel=NAMES["beta"], ylabel=NAMES["E"])


if __name__ == "__main__":
    cli.run(main)
