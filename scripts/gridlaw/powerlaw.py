"""Sums of power laws, y = E + A_1 / x_1^a_1 + ..., fitted to many resamples of the same points at once.

With one term it is loss against data or parameters (Hestness et al. 2017; Kaplan et al. 2020, equations 1.1 and 1.2,
have E = 0), with two the joint law L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, equation 2). Fitted
are logarithms: the Huber loss of log prediction - log y (ibid., equation 3), so that no unit matters and an outlier
little. Least squares of y - E instead has its optimum at E = 0 more often than not (Alabdulmohsin et al. 2022 stop
before).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Where the Huber loss turns from a square into a line, in log y (Hoffmann et al. 2022, equation 3).
DELTA = 1e-3
# Exponents that anyone would believe.
EXPONENTS = (1e-3, 2.0)
# Start values of exponents; for each the rest is a linear problem.
GRID = np.geomspace(0.02, 1.8, 19)
# A floor of this share of the smallest y is none, and stands for none where the form has none.
NO_FLOOR, FLOORLESS = 1e-4, 1e-12
# Resamples that are fitted at once: their Jacobians fit the processor's cache.
CHUNK = 250


@dataclass(frozen=True)
class Fit:
    """Parameters of one or more resamples.

    Args:
        floor: E, in units of y; shape (resamples,).
        scales: A_k, in units of y times those of x_k to the power a_k; shape (resamples, terms).
        exponents: a_k; shape (resamples, terms).
        objective: sum of Huber losses; shape (resamples,).
        has_floor: whether E was fitted; it is next to 0 otherwise.
    """

    floor: Array
    scales: Array
    exponents: Array
    objective: Array
    has_floor: bool = True

    def __call__(self, x: Array) -> Array:
        """y at some points.

        Args:
            x: shape (points, terms).

        Returns:
            shape (resamples, points).
        """
        terms = self.scales[:, None] * np.exp(-self.exponents[:, None] * np.log(x))
        return self.floor[:, None] + terms.sum(-1)

    def __len__(self) -> int:
        return len(self.floor)

    def at_bound(self, y: Array) -> list[str]:
        """Names of parameters of the first resample that the data push to the end of what is allowed."""
        ends = ["E"] if self.has_floor and self.floor[0] <= 2 * NO_FLOOR * np.min(y) else []
        low, high = EXPONENTS
        return ends + [
            f"exponent {k + 1}" for k, a in enumerate(self.exponents[0]) if a <= low * 1.01 or a >= high * 0.99
        ]


def fit(x: Array, y: Array, delta: float = DELTA, floor: bool = True) -> Fit:
    """The best fit to some points.

    Args:
        x: positive; shape (points, terms).
        y: positive; shape (points,).
        delta: of the Huber loss; infinity is least squares.
        floor: whether to fit E; the form has none otherwise.
    """
    x, y = np.ascontiguousarray(x, float), np.ascontiguousarray(y, float)
    return _remembered(x.tobytes(), y.tobytes(), x.shape, delta, floor)


# Back-tests of back-tests ask for the same fits again and again.
@lru_cache(maxsize=4096)
def _remembered(x_bytes: bytes, y_bytes: bytes, shape: tuple[int, int], delta: float, floor: bool) -> Fit:
    x, y = np.frombuffer(x_bytes).reshape(shape), np.frombuffer(y_bytes)
    z, centre = _centred(x)
    starts = _starts(z, y)
    if not floor:
        starts[:, 0] = np.log(FLOORLESS * y.min())
    weights = np.ones((len(starts), len(y)))
    log_y = np.broadcast_to(np.log(y), weights.shape)
    parameters, objective = _minimise(z, log_y, weights, starts, delta, tolerance=1e-13, floor=floor)
    best = [int(np.argmin(objective))]
    return _fit(parameters[best], objective[best], centre, floor)


def refit(found: Fit, x: Array, y: Array, weights: Array, delta: float = DELTA, tolerance: float = 1e-8) -> Fit:
    """Fits to resamples, each from a fit of all points on.

    Args:
        found: of all points.
        y: shape (points,), or (resamples, points) where it differs between resamples.
        weights: how often each point is in each resample; shape (resamples, points).
        tolerance: relative decrease of the objective at which a fit ends; at 1e-8 standard errors are within 0.1 %.
    """
    z, centre = _centred(x)
    start = _start(found, centre)
    log_y = np.broadcast_to(np.log(y), weights.shape)
    parts = []
    for at in range(0, len(weights), CHUNK):
        part = slice(at, at + CHUNK)
        begin = np.tile(start, (len(weights[part]), 1))
        parts.append(_minimise(z, log_y[part], weights[part], begin, delta, tolerance, found.has_floor))
    parameters, objective = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _fit(parameters, objective, centre, found.has_floor)


def profile(found: Fit, x: Array, y: Array, floors: Array, delta: float = DELTA) -> Fit:
    """The best fit with E held at each of some values; how little worse it is tells how little the points tell of E.

    Args:
        found: of all points.
        floors: E, in units of y, positive; shape (resamples,).
    """
    z, centre = _centred(x)
    starts = np.tile(_start(found, centre), (len(floors), 1))
    starts[:, 0] = np.log(floors)
    ones = np.ones((len(floors), len(y)))
    return _fit(*_minimise(z, ones * np.log(y), ones, starts, delta, tolerance=1e-10, floor=False), centre, True)


def _start(found: Fit, centre: Array) -> Array:
    """Parameters of the first resample as `_minimise` takes them."""
    scales = np.log(found.scales[0]) - found.exponents[0] * centre
    return np.concatenate([np.log(found.floor[:1]), scales, found.exponents[0]])


def _centred(x: Array) -> tuple[Array, Array]:
    z = np.log(x)
    centre = z.mean(0)
    return z - centre, centre


def _fit(parameters: Array, objective: Array, centre: Array, has_floor: bool) -> Fit:
    terms = (parameters.shape[1] - 1) // 2
    exponents = parameters[:, 1 + terms :]
    scales = np.exp(parameters[:, 1 : 1 + terms] + exponents * centre)
    return Fit(np.exp(parameters[:, 0]), scales, exponents, objective, has_floor)


def _starts(z: Array, y: Array, keep: int = 6) -> Array:
    """Start values: for each pair of exponents the best E and A_k, which enter linearly (Golub & Pereyra 1973)."""
    terms = z.shape[1]
    exponents = np.stack(np.meshgrid(*[GRID] * terms, indexing="ij"), -1).reshape(-1, terms)
    basis = np.concatenate([np.ones((len(exponents), len(y), 1)), np.exp(-exponents[:, None] * z)], -1)
    # Relative errors, which logarithms of good predictions are.
    basis /= y[None, :, None]
    normal = basis.transpose(0, 2, 1) @ basis
    normal += 1e-10 * np.eye(terms + 1) * np.trace(normal, axis1=1, axis2=2)[:, None, None]
    linear = np.linalg.solve(normal, basis.sum(1)[..., None])[..., 0]
    linear = np.maximum(linear, NO_FLOOR * np.min(y))
    errors = ((np.einsum("gnp,gp->gn", basis, linear) - 1) ** 2).sum(1)
    best = np.argsort(errors, kind="stable")[:keep]
    return np.concatenate([np.log(linear[best]), exponents[best]], 1)


def _minimise(
    z: Array, log_y: Array, weights: Array, start: Array, delta: float, tolerance: float, floor: bool, most: int = 400
) -> tuple[Array, Array]:
    """Minimise the weighted Huber loss by Levenberg and Marquardt's method with reweighted squares, a row a resample.

    Args:
        z: centred log x; shape (points, terms).
        log_y, weights: shape (rows, points).
        start: log E, log A_k of the centred x, a_k; shape (rows, 1 + 2 terms).
        floor: whether E is fitted; it stays where it starts otherwise.

    Returns:
        parameters of that shape, and the objective; shape (rows,).
    """
    terms = z.shape[1]
    low = np.full(start.shape[1], -np.inf)
    high = np.full(start.shape[1], np.inf)
    if floor:
        low[0], high[0] = log_y.min() + np.log(NO_FLOOR), log_y.max()
    # At the centre of the points a term is about what y is, or nothing.
    low[1 : 1 + terms], high[1 : 1 + terms] = log_y.min() + 2 * np.log(NO_FLOOR), log_y.max() + np.log(10)
    low[1 + terms :], high[1 + terms :] = EXPONENTS
    result, final = np.clip(start, low, high), np.empty(len(start))
    # Rows that are not there yet, and what is known of them.
    rows, theta, w = np.arange(len(start)), result.copy(), weights
    shares, residuals = _predict(theta, z, log_y)
    objective = _huber(residuals, w, delta)
    damping = np.full(len(rows), 1e-3)
    for _ in range(most):
        jacobian = np.concatenate([shares, -shares[:, 1:] * z.T], 1)
        weighed = w * np.minimum(1.0, delta / np.maximum(np.abs(residuals), 1e-300)) if np.isfinite(delta) else w
        scaled = jacobian * weighed[:, None]
        hessian = scaled @ jacobian.transpose(0, 2, 1)
        gradient = (scaled @ residuals[..., None])[..., 0]
        # A parameter at a bound that would go beyond it stays.
        held = ((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0))
        held[:, 0] |= not floor
        gradient[held] = 0
        hessian *= ~held[:, :, None] & ~held[:, None, :]
        diagonal = np.einsum("rpp->rp", hessian)
        diagonal += damping[:, None] * diagonal + 1e-14 * (1 + diagonal.max(1, keepdims=True)) + held
        tried = np.clip(theta - np.linalg.solve(hessian, gradient[..., None])[..., 0], low, high)
        new_shares, new_residuals = _predict(tried, z, log_y)
        new = _huber(new_residuals, w, delta)
        better = new <= objective
        done = better & (objective - new <= tolerance * objective) & (damping < 1) | (damping > 1e8)
        theta = np.where(better[:, None], tried, theta)
        shares = np.where(better[:, None, None], new_shares, shares)
        residuals = np.where(better[:, None], new_residuals, residuals)
        objective = np.where(better, new, objective)
        damping = np.where(better, np.maximum(damping * 0.2, 1e-9), damping * 8)
        if done.any():
            result[rows[done]], final[rows[done]] = theta[done], objective[done]
            left = ~done
            rows, theta, w, log_y, shares = rows[left], theta[left], w[left], log_y[left], shares[left]
            residuals, objective, damping = residuals[left], objective[left], damping[left]
            if not len(rows):
                break
    result[rows], final[rows] = theta, objective
    return result, final


def _predict(theta: Array, z: Array, log_y: Array) -> tuple[Array, Array]:
    """Each term's share of the prediction, shape (rows, 1 + terms, points), and residuals of its logarithm."""
    terms = z.shape[1]
    shares = np.empty((len(theta), 1 + terms, len(z)))
    shares[:, 0] = np.exp(theta[:, :1])
    np.multiply(theta[:, 1 + terms :, None], -z.T, out=shares[:, 1:])
    shares[:, 1:] += theta[:, 1 : 1 + terms, None]
    np.exp(shares[:, 1:], out=shares[:, 1:])
    total = shares.sum(1)
    shares /= total[:, None]
    return shares, np.log(total) - log_y


def _huber(residuals: Array, weights: Array, delta: float) -> Array:
    size = np.abs(residuals)
    small = np.minimum(size, delta)
    # r^2 / 2 up to delta, delta (|r| - delta / 2) beyond.
    losses = small * (size - small / 2) if np.isfinite(delta) else size * size / 2
    return (weights * losses).sum(1)
