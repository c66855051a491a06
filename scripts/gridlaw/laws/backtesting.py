"""Back-tests: forecasts of known points from smaller ones.

They alone decide whether a law can extrapolate. How well it fits its points does not: a grid has few points, and a
wrong form can be bent to fit them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from gridlaw.arrays import Array
from gridlaw.laws import powerlaw
from gridlaw.laws.points import Points

# Smallest number of points of a fit, by its number of axes; the joint law has five parameters.
LEAST = {1: 3, 2: 8}
# Smallest number of distinct values on each axis.
LEAST_VALUES = 3
# Largest number of cuts.
CUTS = 12
# Within 1 % of the largest fitted scale is not extrapolation.
NEAR = 1.01

Predict = Callable[[Array], Array]


def with_floor(points: Points) -> Predict:
    """E + sum of A / x^a."""
    law = powerlaw.fit(points.x, points.y)
    return lambda x: law(x)[0]


def floorless(points: Points) -> Predict:
    """Sum of A / x^a; over one axis a straight line in logarithms (Kaplan et al. 2020, equations 1.1 and 1.2)."""
    law = powerlaw.fit(points.x, points.y, floor=False)
    return lambda x: law(x)[0]


def log_linear(points: Points) -> Predict:
    """Log y as a linear function of log x, with a slope for each axis."""
    design = np.column_stack([np.ones(len(points)), np.log(points.x)])
    slopes = np.linalg.lstsq(design, np.log(points.y), rcond=None)[0]
    return lambda x: np.exp(np.column_stack([np.ones(len(x)), np.log(x)]) @ slopes)


def nearest(points: Points) -> Predict:
    """The loss of the nearest point, in log x."""

    def predict(x: Array) -> Array:
        distances = np.abs(np.log(x)[:, None] - np.log(points.x)).sum(-1)
        return points.y[distances.argmin(1)]

    return predict


# Forms of a law, of which the better forecaster is chosen, and the baselines that it has to beat.
FORMS: dict[str, Callable[[Points], Predict]] = {"with floor": with_floor, "floorless": floorless}
BASELINES: dict[str, Callable[[Points], Predict]] = {"log-linear": log_linear, "nearest cell": nearest}


def baselines(points: Points) -> list[str]:
    """Names of the baselines for some points; over one axis the log-linear one is a form of the law itself."""
    return [name for name in BASELINES if points.x.shape[1] > 1 or name != "log-linear"]


def carries(points: Points) -> bool:
    """Return whether a law can be fitted to some points at all."""
    axes = points.x.shape[1]
    return len(points) >= LEAST[axes] and min(points.distinct()) >= LEAST_VALUES


def cuts(points: Points) -> Iterator[Array]:
    """Rolling origins: masks of the points at or below each of several scales, the smallest scale first."""
    scales = np.unique(points.scale)[:-1]
    if len(scales) > CUTS:
        scales = np.unique(np.quantile(scales, np.linspace(0.2, 0.95, CUTS), method="nearest"))
    for scale in scales:
        below = points.scale <= scale * NEAR
        if carries(points.select(below)) and not below.all():
            yield below


def back_test(points: Points) -> pd.DataFrame:
    """Forecast errors from each cut.

    Returns:
        a row for each point beyond each cut: `cut`, the largest fitted scale; `ratio` of the point's scale to it;
        `actual` loss; and for each form and baseline log(actual / predicted).
    """
    tables = []
    for below in cuts(points):
        fitted, beyond = points.select(below), points.select(~below)
        largest = fitted.scale.max()
        table = pd.DataFrame({"cut": largest, "ratio": beyond.scale / largest, "actual": beyond.y})
        for name, fit in {**FORMS, **BASELINES}.items():
            table[name] = np.log(beyond.y / fit(fitted)(beyond.x))
        tables.append(table)
    columns = ["cut", "ratio", "actual", *FORMS, *BASELINES]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns, dtype=float)
