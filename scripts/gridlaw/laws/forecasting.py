"""Forecasts of the loss with back-tested intervals.

A forecast has three sources of error, and they are reported separately: the replicates that happened to be run
(sampling); the form of the law (other forms, and the same form fitted to the larger half of the points, predict
different losses); and the errors of back-test forecasts with that extrapolation factor. With many points the last one
dominates: confidence intervals of parameters shrink with the number of points, the error of a wrong form does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from gridlaw.arrays import Array
from gridlaw.laws import backtesting, powerlaw
from gridlaw.laws.points import Points

RESAMPLES = 1000
SEED = 0
# Level of all intervals of forecasts, those of learning curves included.
LEVEL = 0.95
# Extrapolation factors beyond which a forecast is speculative, and beyond which there is none. They hold for laws of a
# grid and for learning curves; each adds a limit of its own, because its evidence ends elsewhere: laws the largest
# factor that was back-tested (`Forecaster.farthest`), curves the range of x that was fitted (`curves.forecast`).
SPECULATIVE, TOO_FAR = 10.0, 100.0
# At least so many points without replicates are themselves resampled (Hoffmann et al. 2022; Besiroglu et al. 2024).
MANY = 30
# Only back-test forecasts with at least this extrapolation factor count; nearer ones measure the noise of the points.
FAR = 2.0
WITH_FLOOR, FLOORLESS = backtesting.FORMS


@dataclass(frozen=True)
class Forecast:
    """Forecast losses at some places; their uncertainties are standard deviations of the log loss.

    Args:
        value, low, high: the loss and its 95 % interval; shape (places,).
        sampling: over bootstrap samples; NaN if nothing can be resampled.
        forms: between the law and other laws.
        back_test: of back-test forecasts with that extrapolation factor; NaN without any.
        ratio: extrapolation factor, in scale or on an axis, whichever is larger.
        origins: number of cuts that back-test forecasts were made from.
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
        """The level of the narrowest interval that contains each loss; y and result have shape (places,)."""
        reach = np.log(self.high / self.value)
        error = np.abs(np.log(y / self.value))
        # An interval of zero width contains the point forecast only.
        share = np.divide(error, reach, out=np.where(error > 0, np.inf, 0.0), where=reach > 0)
        quantile = _quantile(self.origins) * share
        return 2 * (stdtr(self.origins, quantile) if self.origins else ndtr(quantile)) - 1

    def draws(self, number: int, seed: int = SEED) -> Array:
        """Losses drawn from the distribution that the interval belongs to; shape (number, places)."""
        random = np.random.default_rng(seed)
        spread = np.log(self.high / self.low) / (2 * _quantile())
        return self.value * np.exp(spread * random.standard_normal((number, 1)))


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A law fitted to some points, which forecasts others; made by `fit`.

    Args:
        points: the fitted points.
        form: the law's form, a name of `holdout.FORMS`.
        fit: the law.
        draws: the law fitted to bootstrap samples; None if neither replicates nor residuals tell the scatter of points.
        back_test: back-test forecasts of the points; see `holdout.back_test`.
        like: back-tests of similar curves, such as the grid's other models; their errors count too.
        others: other laws of the points, each with the weight of its distance to this law.
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
        """The number of back-test forecasts, those of similar curves included."""
        return sum(map(len, self._tests))

    @property
    def _tests(self) -> list[pd.DataFrame]:
        return _non_empty(self.back_test, self.like)

    def error(self, name: str) -> float:
        """Root mean square error of back-test forecasts by a form or baseline, in log loss; NaN without any."""
        return _error(self._tests, name)

    @property
    def residual(self) -> float:
        """Standard deviation of log loss around the law; NaN without more points than parameters."""
        return _residual(self.points, self.fit)

    @property
    def noise(self) -> float:
        """Standard deviation of a new run's log loss: that of replicates or of residuals, whichever is larger."""
        known = [value for value in (self.points.noise, self.residual) if np.isfinite(value)]
        return max(known, default=0.0)

    def forecast(self, x: Array, scale: Array | None = None) -> Forecast:
        """Forecast the loss at some places.

        Args:
            x: shape (places, axes).
            scale: scale of each place, in the unit of the points' scale; by default estimated from x.
        """
        x, points = np.asarray(x, float), self.points
        unit = np.median(points.scale / points.x.prod(1))
        ratio = (x.prod(1) * unit if scale is None else np.asarray(scale, float)) / points.scale.max()
        # A small model on much text may have the scale of the points and still lie outside their range on both axes.
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
        """The growth of back-test errors with the log of the extrapolation factor, and the number of cuts."""
        squares = []
        for table in self._tests:
            far = table[table["ratio"] >= min(FAR, table["ratio"].max())]
            excess = np.maximum(0.0, far[self.form] ** 2 - self.noise**2) / np.log(far["ratio"]) ** 2
            squares += list(excess.groupby(far["cut"]).mean())
        return (float(np.sqrt(np.mean(squares))), len(squares)) if squares else (np.nan, 0)

    @property
    def farthest(self) -> float:
        """Largest back-tested extrapolation factor; 1 without back-tests."""
        return max((test["ratio"].max() for test in self._tests), default=1.0)

    def _forms(self, x: Array, value: Array) -> Array:
        """The weighted distance in log loss of the other law that is farthest away."""
        return np.abs([share * np.log(law(x)[0] / value) for share, law in self.others]).max(0)


def fit(points: Points, like: Sequence[pd.DataFrame] = (), resamples: int = RESAMPLES) -> Forecaster:
    """Fit the law of some points.

    Args:
        points: enough for a law; see `holdout.carries`.
        like: back-tests of similar curves.
        resamples: number of bootstrap samples.
    """
    back_test = backtesting.back_test(points)
    tests = _non_empty(back_test, like)
    form = _best_form(points, tests)
    law = _fit_form(form, points)
    # E at its lower bound counts as zero.
    if "E" in law.at_bound(points.y):
        form, law = FLOORLESS, _fit_form(FLOORLESS, points)
    draws = _resample(points, law, resamples)
    return Forecaster(points, form, law, draws, back_test, list(like), _others(points, form, tests))


def _quantile(origins: int = 0) -> float:
    """Half the width of an interval in standard deviations: Student's t, or normal without origins."""
    return float(stdtrit(origins, (1 + LEVEL) / 2) if origins else ndtri((1 + LEVEL) / 2))


def _non_empty(back_test: pd.DataFrame, like: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The back-tests that contain a forecast."""
    return [table for table in (back_test, *like) if len(table)]


def _error(tests: list[pd.DataFrame], name: str) -> float:
    return float(np.sqrt(np.mean(np.concatenate([test[name] for test in tests]) ** 2))) if tests else np.nan


def _best_form(points: Points, tests: list[pd.DataFrame]) -> str:
    """The form with the smaller back-test error; without back-tests the one with E if the points exceed parameters."""
    if not tests:
        return WITH_FLOOR if len(points) > 1 + 2 * points.x.shape[1] else FLOORLESS
    return min(backtesting.FORMS, key=lambda form: _error(tests, form))


def _residual(points: Points, law: powerlaw.Fit) -> float:
    freedom = len(points) - law.has_floor - 2 * points.x.shape[1]
    residuals = np.log(points.y / law(points.x)[0])
    return float(np.sqrt((residuals**2).sum() / freedom)) if freedom > 0 else np.nan


def _resample(points: Points, law: powerlaw.Fit, resamples: int) -> powerlaw.Fit | None:
    """The law fitted to bootstrap samples; None if neither replicates nor residuals tell the scatter of points."""
    random, count = np.random.default_rng(SEED), len(points)
    if not len(points.scatter) and count >= MANY:
        weights = random.multinomial(count, np.full(count, 1 / count), size=resamples).astype(float)
        return powerlaw.refit(law, points.x, points.y, weights)
    pool = points.scatter
    if not len(pool):
        residual = _residual(points, law)
        if not np.isfinite(residual):
            return None
        pool = residual * random.standard_normal(10 * resamples)
    # The mean of each cell moves as if its replicates were drawn again.
    moved = np.stack([random.choice(pool, (resamples, int(n))).mean(1) for n in points.replicates], 1)
    return powerlaw.refit(law, points.x, points.y * np.exp(moved), np.ones((resamples, count)))


def _others(points: Points, form: str, tests: list[pd.DataFrame]) -> list[tuple[float, powerlaw.Fit]]:
    """Other laws of the points with their weights.

    The other form has the weight by which its distance becomes the standard deviation of a mixture of both forms, each
    with a probability inverse to its mean square back-test error. The law of the larger half of the points
    has weight 1.
    """
    other = next(name for name in backtesting.FORMS if name != form)
    squares = np.array([_error(tests, name) ** 2 for name in (form, other)])
    weight = squares[0] / squares.sum() if np.isfinite(squares).all() and squares.sum() else 0.5
    laws = [(float(np.sqrt(weight * (1 - weight))), _fit_form(other, points))]
    larger = points.select(points.scale >= np.median(points.scale))
    if len(larger) < len(points) and backtesting.carries(larger):
        laws.append((1.0, _fit_form(form, larger)))
    return laws


def _fit_form(form: str, points: Points) -> powerlaw.Fit:
    return powerlaw.fit(points.x, points.y, floor=form == WITH_FLOOR)
