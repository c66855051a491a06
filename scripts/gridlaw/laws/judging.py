"""Conclusions about a law: its state in a word, and the reasons in sentences.

A law is *refused* if the points cannot determine one, a *trend* if they can but its forecasts cannot be validated,
*withdrawn* if its back-tested forecasts failed, and a *law* otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridlaw.laws import backtesting
from gridlaw.laws.axes import NAMES, WORDS
from gridlaw.laws.forecasting import LEVEL, Forecaster
from gridlaw.laws.points import Points
from gridlaw.words import amount, count, join_and, percent

REFUSED, TREND, WITHDRAWN, LAW = "refused", "trend", "withdrawn", "law"
# What would help: more distinct values, cells that separate the axes, more cells of any kind, or nothing.
VALUES, CORNERS, MORE, NOTHING = "values", "corners", "more", ""
# Distinct values that a forecast needs on each axis, and the ratio of the largest to the smallest.
FORECAST_VALUES, FORECAST_RANGE = 4, 10.0
# Axes with a larger correlation of their logarithms cannot be separated.
COLLINEAR = 0.9
# A law whose intervals have less coverage is withdrawn.
LEAST_COVERAGE = 0.8


class Verdict(NamedTuple):
    """Conclusion about a law.

    Args:
        state: refused, trend, withdrawn or law.
        why: the reasons in sentences.
        cure: what would help: values, corners, more, or nothing, which is empty.
    """

    state: str
    why: str
    cure: str


def judge(points: Points, axes: list[str], forecaster: Forecaster | None, levels: list[float]) -> Verdict:
    """The verdict on the law of some points.

    Args:
        axes: names of the points' axes.
        forecaster: fitted to the points; None if they are too few for a law.
        levels: for each back-tested point, the level of the narrowest interval that contains it.
    """
    return (
        _judge_points(points, axes)
        or _judge_shape(points, axes)
        or _judge_trend(points, axes, forecaster)
        or _judge_forecasts(points, axes, forecaster, levels)
    )


def coverage(levels: list[float]) -> float:
    """Coverage: the share of back-tested intervals that contain the measured loss; NaN without any."""
    return float(np.mean(np.array(levels) <= LEVEL)) if levels else np.nan


def bounds(axes: list[str], forecaster: Forecaster) -> list[str]:
    """Names of the law's parameters that are at the end of their allowed range."""
    names = {f"exponent {k + 1}": NAMES[axis][1] for k, axis in enumerate(axes)}
    return [names.get(name, name) for name in forecaster.fit.at_bound(forecaster.points.y)]


def _judge_points(points: Points, axes: list[str]) -> Verdict | None:
    """The verdict on points that are too few for any law; None on others."""
    if not len(points):
        return Verdict(REFUSED, "No law: there are no points.", NOTHING)
    few = [
        f"{count(values, 'value')} of {WORDS[axis]}"
        for axis, values in zip(axes, points.distinct(), strict=True)
        if values < backtesting.LEAST_VALUES
    ]
    if few:
        are = "is" if len(few) == 1 and few[0].startswith("1 ") else "are"
        why = (
            f"No law: {join_and(few)} {are} too few; it takes {backtesting.LEAST_VALUES} different ones to see a curve"
            f" and {FORECAST_VALUES} for a forecast. The points can be compared with each other, no more."
        )
        return Verdict(REFUSED, why, VALUES)
    least = backtesting.LEAST[len(axes)]
    if len(points) < least:
        return Verdict(REFUSED, f"No law: it takes {least} points, and there are {len(points)}.", VALUES)
    return None


def _judge_shape(points: Points, axes: list[str]) -> Verdict | None:
    """The verdict on points whose axes cannot be separated, or whose loss does not fall; None on others."""
    correlation = np.corrcoef(np.log(points.x.T))[0, 1] if len(axes) > 1 else 0.0
    if abs(correlation) > COLLINEAR:
        more, many, few = ("more", "many", "few") if correlation > 0 else ("fewer", "few", "many")
        why = (
            f"No law: larger models were also trained on {more} tokens, so that what is due to which cannot be told"
            f" apart. Cells of small models with {many} tokens, and of large models with {few}, would tell."
        )
        return Verdict(REFUSED, why, CORNERS)
    if np.ptp(np.log(points.y)) == 0:
        return Verdict(REFUSED, "No law: the loss is the same everywhere.", NOTHING)
    rises = [WORDS[axis] for k, axis in enumerate(axes) if not _falls(points, k)]
    if rises:
        return Verdict(REFUSED, f"No law: the loss does not fall with more {' or '.join(rises)}.", NOTHING)
    return None


def _judge_trend(points: Points, axes: list[str], forecaster: Forecaster) -> Verdict | None:
    """The verdict on points that allow a curve but no forecast; None on others."""
    short = [
        f"{WORDS[axis]} span {amount(values.max() / values.min())} times"
        for axis, values in zip(axes, points.x.T, strict=True)
        if values.max() / values.min() < FORECAST_RANGE
    ]
    few = [
        f"{values} different values of {WORDS[axis]}"
        for axis, values in zip(axes, points.distinct(), strict=True)
        if values < FORECAST_VALUES
    ]
    if short:
        lack, cure = f"{join_and(short)}, and it takes {amount(FORECAST_RANGE)}", VALUES
    elif few:
        lack, cure = f"there are {join_and(few)}, and it takes {FORECAST_VALUES}", VALUES
    elif not len(forecaster.back_test):
        lack, cure = "too few points are left to try", MORE
    elif ends := bounds(axes, forecaster):
        lack, cure = (
            f"the points do not determine {join_and(ends)}, for the curve is too straight or too short",
            MORE,
        )
    else:
        return None
    return Verdict(TREND, f"Not a forecast: {lack}. {_describe(axes, forecaster)}", cure)


def _judge_forecasts(points: Points, axes: list[str], forecaster: Forecaster, levels: list[float]) -> Verdict:
    """The verdict by back-test forecasts."""
    ours = forecaster.error(forecaster.form)
    baselines = {name: forecaster.error(name) for name in backtesting.baselines(points)}
    best = min(baselines, key=baselines.get)
    if baselines[best] <= ours:
        why = (
            f"No forecast: tried on larger cells that are known, the law was {percent(ours)} off, and the {best}"
            f" baseline {percent(baselines[best])}."
        )
        return Verdict(WITHDRAWN, why, MORE)
    covered = coverage(levels)
    if covered < LEAST_COVERAGE:
        why = (
            f"No forecast: of {len(levels)} intervals for cells that are known only {percent(covered)} held"
            f" what was measured, and it should have been {percent(LEVEL)}."
        )
        return Verdict(WITHDRAWN, why, MORE)
    intervals = f"; its 95 % intervals held {percent(covered)} of them" if levels else ""
    why = (
        f"{_describe(axes, forecaster)} Tried on {count(forecaster.trials, 'forecast')} of larger cells from smaller"
        f" ones, it was {percent(ours)} off, the {best} baseline {percent(baselines[best])}{intervals}."
    )
    return Verdict(LAW, why, NOTHING)


def _falls(points: Points, k: int) -> bool:
    """Return whether the loss falls along an axis, the other axis held constant."""
    logs = np.column_stack([np.ones(len(points)), np.log(points.x)])
    return np.linalg.lstsq(logs, np.log(points.y), rcond=None)[0][1 + k] < 0


def _describe(axes: list[str], forecaster: Forecaster) -> str:
    """Describe the law within the range of its points."""
    best, points = forecaster.fit, forecaster.points
    middle = np.exp(np.log(points.x).mean(0))
    sentences = []
    for k, axis in enumerate(axes):
        largest = middle.copy()
        largest[k] = points.x[:, k].max()
        half = largest.copy()
        half[k] /= 2
        gain = 1 - best(largest[None])[0, 0] / best(half[None])[0, 0]
        sentences.append(f"The last doubling of {WORDS[axis]} lowered the loss by {percent(gain)}.")
    return " ".join(sentences)
