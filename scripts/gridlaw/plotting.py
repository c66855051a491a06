"""The look of all figures: colour is the model, marker the gpus value, a band the interval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gridlaw.words import short

MARKERS = "osD^vPX*"
# Lines stay apart in grey, and where there are more models than colours.
DASHES = ["-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (4, 1, 1, 1))]
COLUMN, PAGE = 3.4, 7.0


@contextmanager
def figure(
    file: str | Path, rows: int, columns: int, width: float, height: float, data: pd.DataFrame
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of `rows` times `columns` panels, saved as PNG, SVG and PDF, its data beside it as CSV.

    Args:
        file: one of the files to write; the others have its name and their own suffix.
        width, height: of the figure, in inches.
    """
    sns.set_theme(context="paper", style="ticks", font_scale=0.9)
    plt.rcParams.update(
        {
            "axes.grid": True,
            "grid.alpha": 0.35,
            "grid.linewidth": 0.5,
            "svg.hashsalt": "gridlaw",
            "svg.fonttype": "none",
        }
    )
    drawn, panels = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")
    yield drawn, list(panels.flat)
    sns.despine(drawn)
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    # No dates inside, so that the same data is the same file.
    drawn.savefig(file.with_suffix(".png"), dpi=200)
    drawn.savefig(file.with_suffix(".svg"), metadata={"Date": None})
    drawn.savefig(file.with_suffix(".pdf"), metadata={"CreationDate": None})
    data.to_csv(file.with_suffix(".csv"), index=False)
    plt.close(drawn)


@contextmanager
def panels(file: str | Path, names: list[str], data: pd.DataFrame) -> Iterator[tuple[Figure, dict[str, Axes]]]:
    """A figure with a panel side by side for each group of runs that compare, by name; saved as `figure` does."""
    width = COLUMN * 1.4 if len(names) < 2 else PAGE
    with figure(file, 1, max(1, len(names)), width, 3.2, data) as (drawn, axes):
        if not names:
            axes[0].text(0.5, 0.5, "nothing was pre-trained", ha="center", transform=axes[0].transAxes)
        for name, ax in zip(names, axes, strict=False):
            ax.set_title(name)
        yield drawn, dict(zip(names, axes, strict=False))


def files(file: str | Path) -> list[Path]:
    """What `figure` writes for one of its files: the picture in three formats, and its data."""
    return [Path(file).with_suffix(suffix) for suffix in (".png", ".svg", ".pdf", ".csv")]


def styles(models: list[str]) -> dict[str, dict]:
    """Colour and dashes of every model of the grid, the same in all figures."""
    colours = sns.color_palette("colorblind", 10)
    return {
        model: {
            "color": colours[index % 10],
            "linestyle": DASHES[index // 10 % len(DASHES)] if len(models) > 10 else DASHES[index % len(DASHES)],
        }
        for index, model in enumerate(models)
    }


def line(axes: Axes, x: pd.Series, table: pd.DataFrame, style: dict, marker: dict) -> None:
    """A line with markers through `mean`, and the band from `low` to `high` where there is one."""
    axes.plot(x, table["mean"], linewidth=1.3, **style, **marker)
    if len(x) > 1:
        axes.fill_between(x, table["low"], table["high"], color=style["color"], alpha=0.15, linewidth=0)
    reach = [(table["mean"] - table["low"]).fillna(0), (table["high"] - table["mean"]).fillna(0)]
    axes.errorbar(x, table["mean"], yerr=reach, fmt="none", ecolor=style["color"], elinewidth=0.8, capsize=1.5)


def tokens_axis(axes: Axes, table: pd.DataFrame) -> float:
    """A logarithmic axis of corpus tokens with a tick a size; size 0, which has no logarithm, stands apart on the left.

    Args:
        axes: the panel.
        table: has the columns `size` (names) and `tokens`.

    Returns:
        where to draw size 0.
    """
    sizes = zip(table["size"], table["tokens"], strict=True)
    names = {tokens: short(tokens) if size == "all" else size for size, tokens in sizes}
    positive = sorted(tokens for tokens in names if tokens > 0)
    step = (positive[-1] / positive[0]) ** (1 / (len(positive) - 1)) if len(positive) > 1 else 4
    zero = positive[0] / step if positive else 1
    ticks = {zero: "0"} if 0 in names else {}
    reach = np.log(positive[-1] / zero) if positive else 1
    for tokens in positive:
        # A label that would run into the one before is left out; its tick stays.
        before = next((tick for tick in reversed(ticks) if ticks[tick]), None)
        near = before and np.log(tokens / before) < 0.13 * reach
        ticks[tokens] = "" if near else names[tokens]
    axes.set_xscale("log")
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    if len(ticks) == 1:
        # Of one place there is no range that limits could come from.
        (place,) = ticks
        axes.set_xlim(place / 2, place * 2)
    axes.set_xlabel("corpus tokens")
    return zero


def legend(
    drawn: Figure, models: dict[str, dict], gpus: Iterable[int], note: str, extra: Iterable[Line2D] = ()
) -> None:
    """One legend for the whole figure, below it, with a note that says what the bands are."""
    handles = [Line2D([], [], label=model, marker="o", markersize=4, **style) for model, style in models.items()]
    values = sorted(set(gpus))
    if len(values) > 1:
        handles += [
            Line2D([], [], label=f"gpus {value}", color="0.3", linestyle="none", **marker(values, value))
            for value in values
        ]
    entries = [*handles, *extra]
    columns = max(1, int(drawn.get_figwidth() / 1.1))
    box = drawn.legend(
        handles=entries, loc="outside lower center", ncols=min(columns, len(entries)), frameon=False, title=note
    )
    box.get_title().set(fontsize="x-small", color="0.35")


def marker(values: Iterable[int], value: int) -> dict:
    """The marker of a gpus value among all of the grid; a larger value surrounds a smaller one at the same place."""
    index = sorted(set(values)).index(value)
    shape = {"marker": MARKERS[index % len(MARKERS)], "markersize": 4 + 2.5 * index}
    return shape | ({"markerfacecolor": "none"} if index else {})
