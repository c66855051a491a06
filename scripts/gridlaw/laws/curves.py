"""Extrapolation of learning curves: y = E + A / x^a, fitted to the last part of a curve.

The logarithm of y is fitted by least squares; residuals of y - E, which Alabdulmohsin et al. (2022) use, explode near
E. A whole curve has phases that no single power law follows, so only its tail is fitted. Where the tail begins is not
known, so several tails are averaged. The error of a forecast is not estimated from residuals, which do not show whether
the law will change, but from back-tests on the same curve: forecasts from earlier points of those that followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, t

from gridlaw.arrays import Array
from gridlaw.laws import powerlaw
from gridlaw.laws.forecasting import LEVEL, SPECULATIVE, TOO_FAR
from gridlaw.words import count

# Tails that are fitted: each begins at this share of the largest x, and has at least so many points if possible.
TAILS = ((0.1, 5), (0.2, 5), (0.4, 4))
# Parameters of a tail's fit, and the smallest number of points that can contradict them.
PARAMETERS = 3
LEAST = PARAMETERS + 1
# Largest number of back-test origins; they are spread evenly over log x.
ORIGINS = 12
# An origin counts half as much as one at four times its x.
HALF_LIFE = np.log(4)
# Largest half-width of an interval, in log y.
WIDEST = np.log(1000)
# Logarithms are rounded to so many digits, so that forecasts do not depend on the unit at all.
DIGITS = 11
# A spike is farther from its neighbours than the median point by this factor.
FAR = 8
# Largest range of a curve's x and y, as a power of e.
APART = 100


class Refusal(Exception):
    """The reason why a curve is not extrapolated, with what is expected instead."""


@dataclass(frozen=True)
class Forecast:
    """A curve extrapolated to some x; arrays have shape (targets,).

    Args:
        y: forecast, in units of y.
        low: lower end of the interval.
        high: upper end of the interval.
        distance: extrapolation factor, x over the largest x fitted.
        off: root mean square relative error of back-tests at that factor.
        tested: largest back-tested factor; beyond it, `off` assumes that errors go on growing.
        points: number of distinct x fitted.
        speculative: whether the factor exceeds `SPECULATIVE`, or the range of x that was fitted.
        notes: changes to the curve before the fit, in words.
    """

    y: Array
    low: Array
    high: Array
    distance: Array
    off: Array
    tested: float
    points: int
    speculative: NDArray[np.bool_]
    notes: tuple[str, ...]


def forecast(x: Array, y: Array, targets: Array) -> Forecast:
    """Extrapolate a falling curve.

    Several y at one x are averaged (their logarithms). Points before a peak are left out, and so is a single point far
    from its neighbours on both sides.

    Args:
        x: positive; shape (rows,), in any order.
        y: positive; shape (rows,).
        targets: x to forecast at, positive; shape (targets,). Forecasts within the curve or beyond `TOO_FAR` are NaN.

    Raises:
        Refusal: the curve cannot be extrapolated.
    """
    log_x, log_y, repeated = _average(x, y)
    if len(log_x) < LEAST:
        raise Refusal(f"{count(len(log_x), 'point')} to fit; at least {LEAST} different x are needed")
    # Relative to the last point, because it is never left out.
    unit_x, unit_y = np.log(np.max(x)), log_y[-1]
    log_y = _canonical(log_y - unit_y)
    if log_x[0] < -APART or np.abs(log_y).max() > APART:
        raise Refusal(f"points are more than a factor of {np.exp(APART):.0e} apart; one unit for all of them is needed")
    if np.ptp(log_y) < 1e-9:
        raise Refusal(f"y is the same at all {len(log_y)} points; a curve that falls is needed")
    notes = [f"{repeated} x in several rows, whose mean is taken"] if repeated else []
    start = _peak(log_y)
    if start:
        notes.append(f"{count(start, 'point')} before the peak left out")
        log_x, log_y = log_x[start:], log_y[start:]
    spikes = _spikes(log_x, log_y)
    if spikes.any():
        notes.append(f"{count(int(spikes.sum()), 'point')} far from the neighbours left out")
        log_x, log_y = log_x[~spikes], log_y[~spikes]
    trend = kendalltau(log_x, log_y, alternative="greater")
    if trend.statistic > 0.5 and trend.pvalue < 0.05:
        raise Refusal("y rises with x; an error or a loss is expected, which falls (1 - accuracy, for example)")
    inner = _smooth(log_y)[1:-1]
    rise = inner[-1] - inner.min()
    if rise > max(4 * _noise(log_y), 0.01):
        notes.append(f"y has risen by {100 * np.expm1(rise):.2g} % since its lowest, which no fit follows")

    distance = _canonical(np.log(targets) - unit_x)
    ahead = (distance > 1e-9) & (distance <= np.log(TOO_FAR) + 1e-9)
    expected, reach, off = np.full((3, len(targets)), np.nan)
    tested = np.nan
    if ahead.any():
        expected[ahead], reach[ahead], off[ahead], tested = _extrapolate(log_x, log_y, distance[ahead])
    expected += unit_y
    return Forecast(
        np.exp(expected),
        np.exp(expected - reach),
        np.exp(expected + reach),
        np.exp(distance),
        np.expm1(off),
        float(np.exp(tested)),
        len(log_x),
        distance > min(np.log(SPECULATIVE) + 1e-9, np.ptp(log_x)),
        tuple(notes),
    )


def _average(x: Array, y: Array) -> tuple[Array, Array, int]:
    """Log x relative to the largest, rising; the mean of log y at each; and the number of x with several rows."""
    order = np.lexsort((y, x))
    log_x = np.log(x[order])
    log_x = _canonical(log_x - log_x[-1:])
    distinct, first, rows = np.unique(log_x, return_index=True, return_counts=True)
    return distinct, np.add.reduceat(np.log(y[order]), first) / rows if len(x) else distinct, int((rows > 1).sum())


def _canonical(logarithms: Array) -> Array:
    return np.round(logarithms, DIGITS) + 0.0


def _peak(log_y: Array) -> int:
    """Index of the peak of a curve that first rises by more than its noise; 0 if it does not."""
    smooth = _smooth(log_y)
    peak = int(np.argmax(smooth))
    rise = smooth[peak] - smooth[: peak + 1].min()
    falling = len(log_y) - peak
    return peak if falling >= LEAST and rise > max(4 * _noise(log_y), 1e-3) else 0


def _smooth(log_y: Array) -> Array:
    """The median of each point and its two neighbours; the ends stay as they are."""
    middle = np.median([log_y[:-2], log_y[1:-1], log_y[2:]], 0)
    return np.concatenate([log_y[:1], middle, log_y[-1:]])


def _noise(log_y: Array) -> float:
    """A robust standard deviation of the noise, from second differences."""
    return float(np.median(np.abs(np.diff(log_y, 2)))) / 0.6745 / np.sqrt(6)


def _spikes(log_x: Array, log_y: Array) -> NDArray[np.bool_]:
    """Mask of points far from the line through their four neighbours, relative to the distances of other points.

    The first and last two points have no such neighbours and are never spikes, nor are several outliers in a row.
    """
    spikes = np.zeros(len(log_x), bool)
    if len(log_x) < 8:
        return spikes
    windows = np.arange(2, len(log_x) - 2)[:, None] + [-2, -1, 1, 2]
    near_x, near_y = log_x[windows] - log_x[2:-2, None], log_y[windows]
    centred = near_x - near_x.mean(1, keepdims=True)
    slopes = (centred * near_y).sum(1) / (centred**2).sum(1)
    distances = np.abs(log_y[2:-2] - near_y.mean(1) + slopes * near_x.mean(1))
    scale = np.median(distances) / 0.6745
    # A spike moves the lines of its neighbours by less than half its height.
    padded = np.pad(distances, 2)
    alone = distances > 1.5 * np.max([padded[:-4], padded[1:-3], padded[3:-1], padded[4:]], 0)
    spikes[2:-2] = alone & (distances > max(FAR * scale, 0.01))
    return spikes


def _extrapolate(log_x: Array, log_y: Array, distance: Array) -> tuple[Array, Array, Array, float]:
    """Forecasts, half-widths of their intervals, back-test errors, and the largest back-tested distance.

    Args:
        log_x: relative to the last one, in rising order; shape (points,).
        log_y: shape (points,).
        distance: log x of the targets, relative to the last; shape (targets,).

    Returns:
        three arrays in log y, shape (targets,); and a distance in log x.
    """
    x, y = np.exp(log_x)[:, None], np.exp(log_y)
    tails = _tails(log_x, len(log_x))
    # The minimiser may try parameters whose predictions overflow; it rejects them.
    with np.errstate(all="ignore"):
        fits = [powerlaw.fit(x[first:], y[first:], np.inf) for first in tails]
    forecasts, scatter = [], []
    for fit, first in zip(fits, tails, strict=True):
        residuals = log_y[first:] - np.log(fit(x[first:])[0])
        forecasts.append(np.log(fit(np.exp(distance)[:, None])[0]) + _persistent(residuals))
        scatter.append(np.sum(residuals**2) / max(len(residuals) - PARAMETERS, 1))
    forecasts = np.array(forecasts)
    squares, freedom, tested = _back_test(log_x, log_y, distance, fits[0])
    variance = squares + np.median(scatter) + forecasts.var(0, ddof=1)
    reach = t.ppf((1 + LEVEL) / 2, max(freedom, 2)) * np.sqrt(variance)
    return forecasts.mean(0), np.minimum(reach, WIDEST), np.minimum(np.sqrt(squares), WIDEST), tested


def _back_test(log_x: Array, log_y: Array, distance: Array, start: powerlaw.Fit) -> tuple[Array, float, float]:
    """Errors of forecasts from earlier points, at the distances of the targets.

    Args:
        start: start values of the fits to earlier points.

    Returns:
        mean square error in log y at each target's distance, shape (targets,); the effective number of forecasts behind
        it; and the largest distance among them, in log x.
    """
    x, y = np.exp(log_x)[:, None], np.exp(log_y)
    origins = _origins(log_x)
    tails = {end: _tails(log_x, end) for end in origins}
    spans = sorted({(first, end) for end in origins for first in tails[end]})
    places = np.arange(len(x))
    weights = np.array([(first <= places) & (places < end) for first, end in spans], float)
    with np.errstate(all="ignore"):
        fits = powerlaw.refit(start, x, y, weights, np.inf)
        predictions = {}
        for (first, end), course in zip(spans, np.log(fits(x)), strict=True):
            predictions[first, end] = course[end:] + _persistent((log_y - course)[first:end])
    farthest = distance.max()
    squares, tested = [], 0.0
    for end in origins:
        ahead = log_x[end:] - log_x[end - 1]
        # At least the next point counts, however far it is.
        count = max(1, int(np.searchsorted(ahead, farthest + 1e-9)))
        errors = np.mean([predictions[first, end][:count] for first in tails[end]], 0) - log_y[end : end + count]
        squares.append(np.sum(errors**2) / np.sum(_growth(ahead[:count], farthest)))
        tested = max(tested, ahead[count - 1])
    weights = np.exp(-np.log(2) / HALF_LIFE * (log_x[-1] - log_x[origins - 1]))
    # Errors of a wrong law grow with the distance; beyond the tested one they are assumed to grow in proportion.
    growth = _growth(distance, farthest) * np.maximum(distance / tested, 1)
    return np.average(squares, weights=weights) * growth, weights.sum() ** 2 / (weights**2).sum(), tested


def _persistent(residuals: Array) -> float:
    """The part of the last residual that persists: all of it if residuals are correlated, half if they are not."""
    total = np.sum(residuals**2)
    correlation = np.clip(np.sum(residuals[1:] * residuals[:-1]) / total, 0, 1) if total > 0 else 0.0
    return float((1 + correlation) / 2 * residuals[-1])


def _growth(ahead: Array, farthest: float) -> Array:
    """Expected squared error at a distance, relative to that at the farthest target."""
    return np.maximum(ahead / farthest, 0.1)


def _tails(log_x: Array, end: int) -> list[int]:
    """First index of each tail of the first `end` points."""
    begins = np.searchsorted(log_x[:end], [log_x[end - 1] + np.log(share) - 1e-9 for share, _ in TAILS])
    return [max(0, min(int(first), end - least)) for first, (_, least) in zip(begins, TAILS, strict=True)]


def _origins(log_x: Array) -> NDArray[np.int_]:
    """Numbers of points that back-test forecasts are made from, rising."""
    known = np.arange(min(LEAST, len(log_x) - 1), len(log_x))
    even = np.linspace(log_x[known[0] - 1], log_x[known[-1] - 1], ORIGINS)
    nearest = np.abs(log_x[known - 1] - even[:, None]).argmin(1)
    return known if len(known) <= ORIGINS else known[np.unique(nearest)]
