"""Learning curves carried on: y = E + A / x^a, fitted to the last part of a curve.

Fitted is the logarithm of y by least squares; residuals of y - E, which Alabdulmohsin et al. (2022) use, explode near
the floor. A whole curve has phases that no single power law follows, so only its tail counts; where the tail begins is
not known, so several are averaged. How wrong such forecasts are is not read off the residuals, which say nothing of a
law that changes its course, but off forecasts of the curve's own past: from earlier points to those that followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, t

from gridlaw import powerlaw
from gridlaw.words import count

Array = NDArray[np.float64]

# Tails that are fitted: from this share of the largest x on, and so many points at least, where there are.
TAILS = ((0.1, 5), (0.2, 5), (0.4, 4))
# Parameters of a tail's fit; one point more is the least that can contradict them.
PARAMETERS = 3
LEAST = PARAMETERS + 1
# Origins of forecasts of the past, at most; they are spread evenly over log x.
ORIGINS = 12
# An origin counts half as much as one at four times its x.
HALF_LIFE = np.log(4)
LEVEL = 0.95
# An interval wider than a factor of this either way says nothing more.
WIDEST = np.log(1000)
# How many times the largest x fitted a forecast is speculative beyond, and refused beyond.
SPECULATIVE, TOO_FAR = 10, 100
# Logarithms are rounded to so many digits, so that other units of the same numbers give the very same forecasts.
DIGITS = 11
# A spike is this many times as far from its neighbours as points are by and by.
FAR = 8
# Powers of e that numbers of a curve may be apart.
APART = 100


class Refusal(Exception):
    """Why a curve is not carried on, and what would be right."""


@dataclass(frozen=True)
class Forecast:
    """A curve carried on to some x; arrays are of their shape, (targets,).

    Args:
        y: what is expected, in units of y.
        low: lower end of the interval.
        high: upper end of the interval.
        distance: x over the largest x fitted.
        off: what past forecasts at that distance were off by, root mean square, as a share of y.
        tested: the largest such distance that the curve's past has; beyond it, `off` is as if errors went on growing.
        points: different x that the fits come from.
        speculative: whether it is too far to trust.
        notes: what was done to the curve before it was fitted.
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
    """Carry a falling curve on.

    Several y at one x are averaged (their logarithms). What lies before a peak is left out, and so is a point that is
    far from its neighbours on both sides.

    Args:
        x: positive; shape (rows,), in any order.
        y: positive; shape (rows,).
        targets: x to forecast at, positive; shape (targets,). Beyond `TOO_FAR` or not beyond the fitted ones: NaN.

    Raises:
        Refusal: there is nothing to be said of this curve.
    """
    log_x, log_y, repeated = _averaged(x, y)
    if len(log_x) < LEAST:
        raise Refusal(f"{count(len(log_x), 'point')} to fit; at least {LEAST} different x are needed")
    # Relative to the last point, which is never left out.
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
    risen = inner[-1] - inner.min()
    if risen > max(4 * _noise(log_y), 0.01):
        notes.append(f"y has risen by {100 * np.expm1(risen):.2g} % since its lowest, which no fit follows")

    distance = _canonical(np.log(targets) - unit_x)
    ahead = (distance > 1e-9) & (distance <= np.log(TOO_FAR) + 1e-9)
    expected, reach, off = np.full((3, len(targets)), np.nan)
    tested = np.nan
    if ahead.any():
        expected[ahead], reach[ahead], off[ahead], tested = _carried_on(log_x, log_y, distance[ahead])
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


def _averaged(x: Array, y: Array) -> tuple[Array, Array, int]:
    """Log x relative to the largest, rising; the mean of log y at each of them; and how many have several rows."""
    order = np.lexsort((y, x))
    log_x = np.log(x[order])
    log_x = _canonical(log_x - log_x[-1:])
    different, first, rows = np.unique(log_x, return_index=True, return_counts=True)
    return different, np.add.reduceat(np.log(y[order]), first) / rows if len(x) else different, int((rows > 1).sum())


def _canonical(logarithms: Array) -> Array:
    return np.round(logarithms, DIGITS) + 0.0


def _peak(log_y: Array) -> int:
    """Where a curve begins to fall that first rises by more than its noise; 0 where it does not."""
    smooth = _smooth(log_y)
    peak = int(np.argmax(smooth))
    rise = smooth[peak] - smooth[: peak + 1].min()
    falling = len(log_y) - peak
    return peak if falling >= LEAST and rise > max(4 * _noise(log_y), 1e-3) else 0


def _smooth(log_y: Array) -> Array:
    """Each point's median with its two neighbours; the ends as they are."""
    middle = np.median([log_y[:-2], log_y[1:-1], log_y[2:]], 0)
    return np.concatenate([log_y[:1], middle, log_y[-1:]])


def _noise(log_y: Array) -> float:
    """What neighbours scatter by beside a common course, robust; a standard deviation."""
    return float(np.median(np.abs(np.diff(log_y, 2)))) / 0.6745 / np.sqrt(6)


def _spikes(log_x: Array, log_y: Array) -> NDArray[np.bool_]:
    """Points that are far from the line through their four neighbours, on a scale of the others' distances.

    The first and last two have no such neighbours and stay, and so does what is not alone.
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
    # A spike draws its neighbours' lines along, by less than half its height.
    around = np.pad(distances, 2)
    alone = distances > 1.5 * np.max([around[:-4], around[1:-3], around[3:-1], around[4:]], 0)
    spikes[2:-2] = alone & (distances > max(FAR * scale, 0.01))
    return spikes


def _carried_on(log_x: Array, log_y: Array, distance: Array) -> tuple[Array, Array, Array, float]:
    """Forecasts, half the widths of their intervals, what past forecasts were off by, and how far ahead these were.

    Args:
        log_x: relative to the last one, in rising order; shape (points,).
        log_y: shape (points,).
        distance: log x of the targets, relative to the last; shape (targets,).

    Returns:
        in log y, shape (targets,) each; the last in log x.
    """
    x, y = np.exp(log_x)[:, None], np.exp(log_y)
    tails = _tails(log_x, len(log_x))
    # Numbers that are too large are tried on the way, and not gone to.
    with np.errstate(all="ignore"):
        fits = [powerlaw.fit(x[first:], y[first:], np.inf) for first in tails]
    forecasts, scatter = [], []
    for fit, first in zip(fits, tails, strict=True):
        residuals = log_y[first:] - np.log(fit(x[first:])[0])
        forecasts.append(np.log(fit(np.exp(distance)[:, None])[0]) + _lasting(residuals))
        scatter.append(np.sum(residuals**2) / max(len(residuals) - PARAMETERS, 1))
    forecasts = np.array(forecasts)
    squares, freedom, tested = _past(log_x, log_y, distance, fits[0])
    variance = squares + np.median(scatter) + forecasts.var(0, ddof=1)
    reach = t.ppf((1 + LEVEL) / 2, max(freedom, 2)) * np.sqrt(variance)
    return forecasts.mean(0), np.minimum(reach, WIDEST), np.minimum(np.sqrt(squares), WIDEST), tested


def _past(log_x: Array, log_y: Array, distance: Array, start: powerlaw.Fit) -> tuple[Array, float, float]:
    """How wrong forecasts from earlier points were of points as far ahead of them as the targets are now.

    Args:
        start: what the fits to earlier points start from.

    Returns:
        mean square error in log y at each target's distance, shape (targets,); how many forecasts of the same weight it
        is worth; and the largest distance among them, in log x.
    """
    x, y = np.exp(log_x)[:, None], np.exp(log_y)
    origins = _origins(log_x)
    tails = {end: _tails(log_x, end) for end in origins}
    spans = sorted({(first, end) for end in origins for first in tails[end]})
    places = np.arange(len(x))
    weights = np.array([(first <= places) & (places < end) for first, end in spans], float)
    with np.errstate(all="ignore"):
        fits = powerlaw.refit(start, x, y, weights, np.inf)
        said = {}
        for (first, end), course in zip(spans, np.log(fits(x)), strict=True):
            said[first, end] = course[end:] + _lasting((log_y - course)[first:end])
    farthest = distance.max()
    squares, tested = [], 0.0
    for end in origins:
        ahead = log_x[end:] - log_x[end - 1]
        # The next point is one ahead, however far it is.
        count = max(1, int(np.searchsorted(ahead, farthest + 1e-9)))
        errors = np.mean([said[first, end][:count] for first in tails[end]], 0) - log_y[end : end + count]
        squares.append(np.sum(errors**2) / np.sum(_growth(ahead[:count], farthest)))
        tested = max(tested, ahead[count - 1])
    weights = np.exp(-np.log(2) / HALF_LIFE * (log_x[-1] - log_x[origins - 1]))
    # Errors of a law that is not true grow with the distance; farther than was tested nothing tempers them.
    growth = _growth(distance, farthest) * np.maximum(distance / tested, 1)
    return np.average(squares, weights=weights) * growth, weights.sum() ** 2 / (weights**2).sum(), tested


def _lasting(residuals: Array) -> float:
    """How much of the last residual is there to stay: all of it if residuals follow each other, half if they do not."""
    total = np.sum(residuals**2)
    alike = np.clip(np.sum(residuals[1:] * residuals[:-1]) / total, 0, 1) if total > 0 else 0.0
    return float((1 + alike) / 2 * residuals[-1])


def _growth(ahead: Array, farthest: float) -> Array:
    """Share of the squared error at the farthest target that is expected so far ahead."""
    return np.maximum(ahead / farthest, 0.1)


def _tails(log_x: Array, end: int) -> list[int]:
    """Where each of the tails of the first `end` points begins."""
    begins = np.searchsorted(log_x[:end], [log_x[end - 1] + np.log(share) - 1e-9 for share, _ in TAILS])
    return [max(0, min(int(first), end - least)) for first, (_, least) in zip(begins, TAILS, strict=True)]


def _origins(log_x: Array) -> NDArray[np.int_]:
    """How many points forecasts of the past knew, in rising order."""
    known = np.arange(min(LEAST, len(log_x) - 1), len(log_x))
    even = np.linspace(log_x[known[0] - 1], log_x[known[-1] - 1], ORIGINS)
    nearest = np.abs(log_x[known - 1] - even[:, None]).argmin(1)
    return known if len(known) <= ORIGINS else known[np.unique(nearest)]
