"""Forecasts with an interval that has been tried.

Three things make a forecast uncertain, and they are kept apart: which replicates happened to be run (sampling), whether
the form holds (another says something else, or the same fitted to the larger half of the points), and how far past
forecasts at that distance were off (back-test). The last is most of it where points are many: a parameter's confidence
interval shrinks with them, the error of a wrong form does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from gridlaw import holdout, powerlaw
from gridlaw.points import Points
from gridlaw.powerlaw import Array

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95
# So many points without replicates are resampled themselves, as Hoffmann et al. 2022 and Besiroglu et al. 2024 do.
MANY = 30
# Of back-tests, those of forecasts at least so much farther; of nearer ones the error is that of the points.
FAR = 2.0
WITH_FLOOR, FLOORLESS = holdout.FORMS


@dataclass(frozen=True)
class Forecast:
    """Losses at some places, with what they are uncertain by, as standard deviations of the log loss.

    Args:
        value, low, high: the loss and its interval; shape (places,).
        sampling: over resamples; NaN where nothing can be resampled.
        forms: between the law and others.
        back_test: of past forecasts at that distance; NaN where none could be made.
        ratio: how far the places are beyond what was measured, in scale or on an axis, whichever is more.
        origins: past forecasts were made from so many cuts.
    """

    value: Array
    low: Array
    high: Array
    sampling: Array
    forms: Array
    back_test: Array
    ratio: Array
    origins: int

    def level(self, y: Array) -> Array:
        """Of each place the level of the narrowest interval that holds a value; shape of y, (places,)."""
        reach = np.log(self.high / self.value)
        away = np.abs(np.log(y / self.value))
        # A forecast that is sure to be exact holds what it says and nothing else.
        share = np.divide(away, reach, out=np.where(away > 0, np.inf, 0.0), where=reach > 0)
        away = _quantile(self.origins) * share
        return 2 * (stdtr(self.origins, away) if self.origins else ndtr(away)) - 1

    def draws(self, number: int, seed: int = SEED) -> Array:
        """Losses that the interval takes to be possible; shape (number, places)."""
        random = np.random.default_rng(seed)
        spread = np.log(self.high / self.low) / (2 * _quantile())
        return self.value * np.exp(spread * random.standard_normal((number, 1)))


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A law fitted to some points, and what it can say of others; `fit` makes one.

    Args:
        points: that it is fitted to.
        form: that of the law, a name of `holdout.FORMS`.
        fit: the law.
        draws: the law of each of many resamples; None where neither replicates nor residuals say how points scatter.
        back_test: past forecasts of the points; see `holdout.back_test`.
        like: those of like curves, for example of the grid's other models, whose errors count as well.
        others: other laws of the points, and the share of their distance that counts.
    """

    points: Points
    form: str
    fit: powerlaw.Fit
    draws: powerlaw.Fit | None
    back_test: pd.DataFrame
    like: list[pd.DataFrame]
    others: list[tuple[float, powerlaw.Fit]]

    @property
    def trials(self) -> int:
        """Past forecasts, those of like curves included."""
        return sum(map(len, self._tests))

    @property
    def _tests(self) -> list[pd.DataFrame]:
        return _made(self.back_test, self.like)

    def error(self, name: str) -> float:
        """Root mean square of past forecasts' errors, in log loss, by a form or a baseline; NaN untried."""
        return _error(self._tests, name)

    @property
    def residual(self) -> float:
        """Standard deviation of log loss around the law; NaN where there are no more points than parameters."""
        return _residual(self.points, self.fit)

    @property
    def noise(self) -> float:
        """Standard deviation of a new run's log loss: what replicates or the law's residuals say, whichever is more."""
        known = [value for value in (self.points.noise, self.residual) if np.isfinite(value)]
        return max(known, default=0.0)

    def forecast(self, x: Array, scale: Array | None = None) -> Forecast:
        """The loss at some places.

        Args:
            x: shape (places, axes).
            scale: of each place, in the unit of the points'; without it the product of the axes in that unit.
        """
        x, points = np.asarray(x, float), self.points
        unit = np.median(points.scale / points.x.prod(1))
        ratio = (x.prod(1) * unit if scale is None else np.asarray(scale, float)) / points.scale.max()
        # A small model with a lot of text is no larger a run than others, and yet unlike all of them.
        ratio = np.maximum(ratio, np.maximum(x / points.x.max(0), points.x.min(0) / x).max(1))
        value = self.fit(x)[0]
        draws = self.draws
        sampling = np.log(draws(x)).std(0) if draws else np.full(len(x), np.nan)
        forms = self._forms(x, value)
        growth, origins = self._growth()
        distance = np.log(np.maximum(ratio, 1.0))
        back_test = np.sqrt(self.noise**2 + (growth * distance) ** 2)
        inner = np.nan_to_num(sampling) ** 2 + forms**2 + self.noise**2
        spread = np.sqrt(np.maximum(inner, np.nan_to_num(back_test) ** 2))
        reach = np.exp(_quantile(origins) * spread)
        return Forecast(value, value / reach, value * reach, sampling, forms, back_test, ratio, origins)

    def _growth(self) -> tuple[float, int]:
        """How the standard error of past forecasts grew with the log of their distance, and how many cuts say so."""
        squares = []
        for table in self._tests:
            far = table[table["ratio"] >= min(FAR, table["ratio"].max())]
            excess = np.maximum(0.0, far[self.form] ** 2 - self.noise**2) / np.log(far["ratio"]) ** 2
            squares += list(excess.groupby(far["cut"]).mean())
        return (float(np.sqrt(np.mean(squares))), len(squares)) if squares else (np.nan, 0)

    @property
    def farthest(self) -> float:
        """Largest ratio of scales at which a forecast was tried; 1 untried."""
        return max((test["ratio"].max() for test in self._tests), default=1.0)

    def _forms(self, x: Array, value: Array) -> Array:
        """How far other laws are away in log loss; the farthest counts."""
        return np.abs([share * np.log(law(x)[0] / value) for share, law in self.others]).max(0)


def fit(points: Points, like: Sequence[pd.DataFrame] = (), resamples: int = RESAMPLES) -> Forecaster:
    """The law of some points.

    Args:
        points: that a law can be fitted to; see `holdout.carries`.
        like: back-tests of like curves.
        resamples: how many.
    """
    back_test = holdout.back_test(points)
    tests = _made(back_test, like)
    form = _best_form(points, tests)
    found = _fit_form(form, points)
    # A floor at the end of what is allowed is none.
    if "E" in found.at_bound(points.y):
        form, found = FLOORLESS, _fit_form(FLOORLESS, points)
    draws = _resampled(points, found, resamples)
    return Forecaster(points, form, found, draws, back_test, list(like), _others(points, form, tests))


def _quantile(origins: int = 0) -> float:
    """Standard deviations from the middle of an interval to its end: Student's, of none the normal distribution's."""
    return float(stdtrit(origins, (1 + LEVEL) / 2) if origins else ndtri((1 + LEVEL) / 2))


def _made(back_test: pd.DataFrame, like: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Back-tests in which a forecast could be made."""
    return [table for table in (back_test, *like) if len(table)]


def _error(tests: list[pd.DataFrame], name: str) -> float:
    return float(np.sqrt(np.mean(np.concatenate([test[name] for test in tests]) ** 2))) if tests else np.nan


def _best_form(points: Points, tests: list[pd.DataFrame]) -> str:
    """The form whose past forecasts were better; untried, that with a floor if points are more than parameters."""
    if not tests:
        return WITH_FLOOR if len(points) > 1 + 2 * points.x.shape[1] else FLOORLESS
    return min(holdout.FORMS, key=lambda form: _error(tests, form))


def _residual(points: Points, found: powerlaw.Fit) -> float:
    free = len(points) - found.has_floor - 2 * points.x.shape[1]
    away = np.log(points.y / found(points.x)[0])
    return float(np.sqrt((away**2).sum() / free)) if free > 0 else np.nan


def _resampled(points: Points, found: powerlaw.Fit, resamples: int) -> powerlaw.Fit | None:
    """The law of each of many resamples; None where neither replicates nor residuals say how points scatter."""
    random, count = np.random.default_rng(SEED), len(points)
    if not len(points.scatter) and count >= MANY:
        weights = random.multinomial(count, np.full(count, 1 / count), size=resamples).astype(float)
        return powerlaw.refit(found, points.x, points.y, weights)
    pool = points.scatter
    if not len(pool):
        residual = _residual(points, found)
        if not np.isfinite(residual):
            return None
        pool = residual * random.standard_normal(10 * resamples)
    # A cell's mean moves as if its replicates had been drawn again.
    moved = np.stack([random.choice(pool, (resamples, int(n))).mean(1) for n in points.replicates], 1)
    return powerlaw.refit(found, points.x, points.y * np.exp(moved), np.ones((resamples, count)))


def _others(points: Points, form: str, tests: list[pd.DataFrame]) -> list[tuple[float, powerlaw.Fit]]:
    """The law of the larger half of the points, all of which counts, and the other form, as the standard deviation of a
    mixture of both, each with the inverse of its past forecasts' mean square error as its weight."""
    other = next(name for name in holdout.FORMS if name != form)
    squares = np.array([_error(tests, name) ** 2 for name in (form, other)])
    weight = squares[0] / squares.sum() if np.isfinite(squares).all() and squares.sum() else 0.5
    found = [(float(np.sqrt(weight * (1 - weight))), _fit_form(other, points))]
    larger = points.where(points.scale >= np.median(points.scale))
    if len(larger) < len(points) and holdout.carries(larger):
        found.append((1.0, _fit_form(form, larger)))
    return found


def _fit_form(form: str, points: Points) -> powerlaw.Fit:
    return powerlaw.fit(points.x, points.y, floor=form == WITH_FLOOR)
