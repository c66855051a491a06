"""The common style of all figures: a colour for each model, a marker for each gpus value, a band for an interval."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import ArrayLike

from gridlaw.words import amount, short

MARKERS = "osD^vPX*"
# Dashes distinguish lines printed in grey, and models that share a colour.
DASHES = ["-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (4, 1, 1, 1))]
# Widths of a journal, in inches.
COLUMN, PAGE = 3.4, 7.0
# Height of a legend of two rows, in inches.
TWO_ROWS = 0.6
# Factor by which colours darken after each ten models, the length of the palette.
DARKER = 0.55
# Text of a figure without data.
NOTHING = "Nothing was pre-trained."
# Ticks within a decade, by the largest number of decades that an axis spans.
SUBS = {0.5: (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), 1.2: (1, 2, 3, 5), 2.5: (1, 3), np.inf: (1,)}


@contextmanager
def figure(
    file: str | Path, rows: int, columns: int, width: float, height: float, data: pd.DataFrame
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of `rows` times `columns` panels, saved as PNG, SVG and PDF, with its data as CSV.

    Args:
        file: one of the files to write; the others differ by suffix.
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
    # Without dates, so that the same data give the same file.
    drawn.savefig(file.with_suffix(".png"), dpi=200)
    # The layout takes as long as drawing, so the other formats reuse it.
    drawn.set_layout_engine("none")
    drawn.savefig(file.with_suffix(".svg"), metadata={"Date": None})
    drawn.savefig(file.with_suffix(".pdf"), metadata={"CreationDate": None})
    data.to_csv(file.with_suffix(".csv"), index=False)
    plt.close(drawn)


@contextmanager
def panels(file: str | Path, names: list[str], data: pd.DataFrame) -> Iterator[tuple[Figure, dict[str, Axes]]]:
    """A figure with a panel for each group of comparable runs, by name; saved as `figure` does."""
    rows, columns, width = arranged(len(names))
    with figure(file, rows, columns, width, 2.5 * rows + 0.6, data) as (drawn, axes):
        if not names:
            say(axes[0], NOTHING)
        for name, ax in zip(names, axes, strict=False):
            ax.set_title(name)
        for ax in axes[max(1, len(names)) :]:
            ax.set_visible(False)
        yield drawn, dict(zip(names, axes, strict=False))


def arranged(count: int) -> tuple[int, int, float]:
    """Rows, columns and width of a figure with some panels: a journal's column for one panel, its page for more."""
    columns = 2 if count == 4 else min(max(1, count), 3)
    return math.ceil(max(1, count) / columns), columns, PAGE if columns > 1 else COLUMN


def files(file: str | Path) -> list[Path]:
    """The files that `figure` writes: the picture in three formats, and its data."""
    return [Path(file).with_suffix(suffix) for suffix in (".png", ".svg", ".pdf", ".csv")]


def styles(models: list[str], shown: Iterable[str]) -> dict[str, dict]:
    """Colours and dashes of the models that a figure shows.

    Args:
        models: all models of the grid, so that a model has the same style in every figure.
        shown: the models that the figure shows.
    """
    colours, visible = sns.color_palette("colorblind", 10), set(shown)
    all_styles = {
        model: {
            "color": tuple(part * DARKER ** (index // 10) for part in colours[index % 10]),
            "linestyle": DASHES[index // 10 % len(DASHES)] if len(models) > 10 else DASHES[index % len(DASHES)],
        }
        for index, model in enumerate(models)
    }
    return {model: style for model, style in all_styles.items() if model in visible}


def line(axes: Axes, x: pd.Series, table: pd.DataFrame, style: dict, marker: dict) -> None:
    """Draw a line with markers through `mean`, and a band from `low` to `high` if they are known."""
    axes.plot(x, table["mean"], linewidth=1.3, **style, **marker)
    if len(x) > 1:
        axes.fill_between(x, table["low"], table["high"], color=style["color"], alpha=0.15, linewidth=0)
    reach = [(table["mean"] - table["low"]).fillna(0), (table["high"] - table["mean"]).fillna(0)]
    axes.errorbar(x, table["mean"], yerr=reach, fmt="none", ecolor=style["color"], elinewidth=0.8, capsize=1.5)


def tokens_axis(axes: Axes, table: pd.DataFrame) -> float:
    """Make x a logarithmic axis of corpus tokens with a tick for each size; size 0 is apart on the left.

    Args:
        axes: the panel.
        table: has the columns `size` (names) and `size_tokens`.

    Returns:
        where to draw size 0.
    """
    sizes = zip(table["size"], table["size_tokens"], strict=True)
    names = {tokens: short(tokens) if size == "all" else size for size, tokens in sizes}
    positive = sorted(tokens for tokens in names if tokens > 0)
    step = (positive[-1] / positive[0]) ** (1 / (len(positive) - 1)) if len(positive) > 1 else 4
    zero = positive[0] / step if positive else 1
    ticks = {zero: "0"} if 0 in names else {}
    reach = np.log(positive[-1] / zero) if positive else 1
    for tokens in positive:
        # A label that would overlap the previous one is left out; its tick stays.
        previous = next((tick for tick in reversed(ticks) if ticks[tick]), None)
        is_near = previous and np.log(tokens / previous) < 0.15 * reach
        ticks[tokens] = "" if is_near else names[tokens]
    axes.set_xscale("log")
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    if len(ticks) == 1:
        # A single place gives no range to derive limits from.
        (place,) = ticks
        axes.set_xlim(place / 2, place * 2)
    axes.set_xlabel("corpus tokens")
    return zero


def log_axis(
    axes: Axes, which: Literal["x", "y"], values: ArrayLike, label: str, name: Callable[[float], str] = "{:g}".format
) -> None:
    """Make an axis logarithmic with few ticks, all of them labelled.

    Args:
        which: x or y.
        values: the values to show.
        name: writes a tick's label.
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values) & (values > 0)]
    axes.set(**{f"{which}scale": "log", f"{which}label": label})
    span = values.max() / values.min() if len(values) else 10.0
    log_ticks(getattr(axes, f"{which}axis"), span if span > 1 else 10.0, name)
    # A single value gives the axis no length.
    if span == 1:
        axes.set(**{f"{which}lim": (values[0] / 2, values[0] * 2)})


def log_ticks(axis: Axis, span: float, name: Callable[[float], str]) -> None:
    """Set few ticks on a logarithmic axis, all of them labelled.

    Args:
        span: ratio of the axis' end to its start.
        name: writes a tick's label.
    """
    subs = next(subs for most, subs in SUBS.items() if np.log10(span) <= most)
    axis.set_major_locator(LogLocator(subs=subs, numticks=7))
    axis.set_major_formatter(lambda tick, _: name(float(f"{tick:.4g}")))
    axis.set_minor_locator(NullLocator())


def hours_axis(axes: Axes, hours: pd.Series, label: str = "") -> float:
    """Make x a logarithmic axis of rank-hours, or of rank-minutes if all are below an hour.

    Returns:
        the number of the axis' units in an hour.
    """
    minutes = hours.max() < 1
    unit = 60.0 if minutes else 1.0
    log_axis(axes, "x", hours * unit, f"rank-{'minutes' if minutes else 'hours'}{label}", amount)
    return unit


def power(number: float) -> str:
    """A number in powers of ten, for a label: 3×10¹² for 3e12."""
    exponent = math.floor(math.log10(number) + 1e-9)
    factor = number / 10**exponent
    return ("" if math.isclose(factor, 1, rel_tol=1e-3) else f"{factor:.2g}×") + f"$10^{{{exponent}}}$"


def say(axes: Axes, sentence: str) -> None:
    """Write a sentence into a panel that has nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, "\n".join(textwrap.wrap(sentence, 34)), ha="center", va="center", transform=axes.transAxes)


def legend(
    drawn: Figure, models: dict[str, dict], gpus: Iterable[int], note: str, extra: Iterable[Line2D] = ()
) -> None:
    """Draw one legend below the whole figure, with a note that explains bands and markers."""
    handles = [Line2D([], [], label=model, marker="o", markersize=4, **style) for model, style in models.items()]
    values = sorted(set(gpus))
    if len(values) > 1:
        handles += [
            Line2D([], [], label=f"gpus {value}", color="0.3", linestyle="none", **marker(values, value))
            for value in values
        ]
    entries = [*handles, *extra]
    # As many columns as fit.
    for columns in range(len(entries), 0, -1):
        box = drawn.legend(handles=entries, loc="outside lower center", ncols=columns, frameon=False, title=note)
        box.get_title().set(fontsize="x-small", color="0.35")
        width, height = box.get_window_extent().size / drawn.dpi
        if width <= drawn.get_figwidth() or columns == 1:
            break
        box.remove()
    # Panels stay as high as with a legend of two rows.
    drawn.set_figheight(drawn.get_figheight() + max(0.0, height - TWO_ROWS))


def marker(values: Iterable[int], value: int) -> dict:
    """The marker of a gpus value among all values; larger values have larger markers, around those of smaller ones."""
    index = sorted(set(values)).index(value)
    shape = {"marker": MARKERS[index % len(MARKERS)], "markersize": 4 + 2.5 * index}
    return shape | ({"markerfacecolor": "none"} if index else {})
