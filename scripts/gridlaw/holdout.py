"""Forecasts of points that are known: fitted to the smaller ones, compared with the larger ones.

What a law says beyond its points is judged by that alone, never by how well it goes through them: the points of a grid
are few, and a wrong form bends to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from gridlaw import powerlaw
from gridlaw.points import Points
from gridlaw.powerlaw import Array

# Points that a fit needs before anything is forecast from it, by its number of axes. One of the joint law has five
# parameters.
LEAST = {1: 3, 2: 8}
# Distinct values on each axis, likewise.
LEAST_VALUES = 3
# Most cuts that are tried.
CUTS = 12
# A forecast this much farther is one.
NEAR = 1.01

Predict = Callable[[Array], Array]


def with_floor(points: Points) -> Predict:
    """E + sum of A / x^a."""
    found = powerlaw.fit(points.x, points.y)
    return lambda x: found(x)[0]


def floorless(points: Points) -> Predict:
    """Sum of A / x^a; of one axis a straight line of logarithms (Kaplan et al. 2020, equations 1.1 and 1.2)."""
    found = powerlaw.fit(points.x, points.y, floor=False)
    return lambda x: found(x)[0]


def log_linear(points: Points) -> Predict:
    """Log y linear in log x, with a slope for each axis."""
    design = np.column_stack([np.ones(len(points)), np.log(points.x)])
    slopes = np.linalg.lstsq(design, np.log(points.y), rcond=None)[0]
    return lambda x: np.exp(np.column_stack([np.ones(len(x)), np.log(x)]) @ slopes)


def nearest(points: Points) -> Predict:
    """The loss of the nearest point, in log x."""

    def predict(x: Array) -> Array:
        away = np.abs(np.log(x)[:, None] - np.log(points.x)).sum(-1)
        return points.y[away.argmin(1)]

    return predict


# Forms of a law, of which the better forecaster is taken, and what it has to beat.
FORMS: dict[str, Callable[[Points], Predict]] = {"with floor": with_floor, "floorless": floorless}
BASELINES: dict[str, Callable[[Points], Predict]] = {"log-linear": log_linear, "nearest cell": nearest}


def baselines(points: Points) -> list[str]:
    """Names of what a law over the points' axes has to beat; of one axis a line of logarithms is a form itself."""
    return [name for name in BASELINES if points.x.shape[1] > 1 or name != "log-linear"]


def carries(points: Points) -> bool:
    """Whether a law can be fitted to some points at all."""
    axes = points.x.shape[1]
    return len(points) >= LEAST[axes] and min(points.distinct()) >= LEAST_VALUES


def cuts(points: Points) -> Iterator[Array]:
    """Rolling origins: which points are at or below each of several scales, the smallest first; others are beyond."""
    scales = np.unique(points.scale)[:-1]
    if len(scales) > CUTS:
        scales = np.unique(np.quantile(scales, np.linspace(0.2, 0.95, CUTS), method="nearest"))
    for scale in scales:
        below = points.scale <= scale * NEAR
        if carries(points.where(below)) and not below.all():
            yield below


def back_test(points: Points) -> pd.DataFrame:
    """Errors of forecasts from each cut.

    Returns:
        a row for each point beyond each cut: `cut`, `ratio` of its scale to the largest fitted, `actual`; and of the
        form and each baseline the log of actual over predicted.
    """
    tables = []
    for below in cuts(points):
        fitted, beyond = points.where(below), points.where(~below)
        largest = fitted.scale.max()
        table = pd.DataFrame({"cut": largest, "ratio": beyond.scale / largest, "actual": beyond.y})
        for name, fit in {**FORMS, **BASELINES}.items():
            table[name] = np.log(beyond.y / fit(fitted)(beyond.x))
        tables.append(table)
    columns = ["cut", "ratio", "actual", *FORMS, *BASELINES]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns, dtype=float)
