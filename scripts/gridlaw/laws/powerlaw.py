"""Sums of power laws, y = E + A_1 / x_1^a_1 + ..., fitted to many bootstrap samples of the same points at once.

With one term, y is the loss as a function of data or of parameters (Hestness et al. 2017; Kaplan et al. 2020, equations
1.1 and 1.2, have E = 0). With two terms it is the joint law L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al.
2022, equation 2). The fit minimises the Huber loss of log prediction - log y (ibid., equation 3), so that units do not
matter and outliers matter little. Least squares of y - E instead often has its optimum at E = 0 (Alabdulmohsin et al.
2022 stop before they reach it).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gridlaw.arrays import Array

# Residual in log y at which the Huber loss turns from quadratic to linear (Hoffmann et al. 2022, equation 3).
DELTA = 1e-3
# Range of plausible exponents; fits stay within it.
EXPONENTS = (1e-3, 2.0)
# Start values of exponents; given the exponents, E and A_k enter linearly.
GRID = np.geomspace(0.02, 1.8, 19)
# E below NO_FLOOR times the smallest y counts as zero; FLOORLESS times it stands for E in forms without E.
NO_FLOOR, FLOORLESS = 1e-4, 1e-12
# Bootstrap samples fitted at once; the Jacobians of so many fit into the processor's cache.
CHUNK = 250


@dataclass(frozen=True)
class Fit:
    """Parameters fitted to one or more bootstrap samples.

    Args:
        floor: E, in units of y; shape (resamples,).
        scales: A_k, in units of y times those of x_k to the power a_k; shape (resamples, terms).
        exponents: a_k; shape (resamples, terms).
        objective: sum of Huber losses; shape (resamples,).
        has_floor: whether E was fitted; otherwise it is almost 0.
    """

    floor: Array
    scales: Array
    exponents: Array
    objective: Array
    has_floor: bool = True

    def __call__(self, x: Array) -> Array:
        """Predict y.

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
        """Names of the first sample's parameters that are at the end of their allowed range."""
        ends = ["E"] if self.has_floor and self.floor[0] <= 2 * NO_FLOOR * np.min(y) else []
        low, high = EXPONENTS
        return ends + [
            f"exponent {k + 1}" for k, a in enumerate(self.exponents[0]) if a <= low * 1.01 or a >= high * 0.99
        ]


def fit(x: Array, y: Array, delta: float = DELTA, floor: bool = True) -> Fit:
    """Fit a sum of power laws to some points.

    Args:
        x: positive; shape (points, terms).
        y: positive; shape (points,).
        delta: see `DELTA`; infinity gives least squares.
        floor: whether to fit E; otherwise the form has no E.
    """
    x, y = np.ascontiguousarray(x, float), np.ascontiguousarray(y, float)
    return _fit_cached(x.tobytes(), y.tobytes(), x.shape, delta, floor)


# Back-tests within back-tests repeat the same fits.
@lru_cache(maxsize=4096)
def _fit_cached(x_bytes: bytes, y_bytes: bytes, shape: tuple[int, int], delta: float, floor: bool) -> Fit:
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


def refit(start: Fit, x: Array, y: Array, weights: Array, delta: float = DELTA, tolerance: float = 1e-8) -> Fit:
    """Fit bootstrap samples, each starting from a fit to all points.

    Args:
        start: the fit to all points.
        y: shape (points,), or (resamples, points) if it differs between samples.
        weights: how often each sample contains each point; shape (resamples, points).
        tolerance: a fit ends when the objective decreases relatively by less; 1e-8 gives standard errors to 0.1 %.
    """
    z, centre = _centred(x)
    parameters = _parameters(start, centre)
    log_y = np.broadcast_to(np.log(y), weights.shape)
    parts = []
    for first in range(0, len(weights), CHUNK):
        part = slice(first, first + CHUNK)
        begin = np.tile(parameters, (len(weights[part]), 1))
        parts.append(_minimise(z, log_y[part], weights[part], begin, delta, tolerance, start.has_floor))
    parameters, objective = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _fit(parameters, objective, centre, start.has_floor)


def profile(start: Fit, x: Array, y: Array, floors: Array, delta: float = DELTA) -> Fit:
    """Fit the points with E fixed at each of some values. If the objective hardly rises, the points do not determine E.

    Args:
        start: the fit to all points.
        floors: E, in units of y, positive; shape (resamples,).
    """
    z, centre = _centred(x)
    starts = np.tile(_parameters(start, centre), (len(floors), 1))
    starts[:, 0] = np.log(floors)
    ones = np.ones((len(floors), len(y)))
    return _fit(*_minimise(z, ones * np.log(y), ones, starts, delta, tolerance=1e-10, floor=False), centre, True)


def _parameters(start: Fit, centre: Array) -> Array:
    """Parameters of the first sample as `_minimise` takes them."""
    scales = np.log(start.scales[0]) - start.exponents[0] * centre
    return np.concatenate([np.log(start.floor[:1]), scales, start.exponents[0]])


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
    """Start values: the best E and A_k, a linear problem, for each choice of exponents (Golub & Pereyra 1973)."""
    terms = z.shape[1]
    exponents = np.stack(np.meshgrid(*[GRID] * terms, indexing="ij"), -1).reshape(-1, terms)
    basis = np.concatenate([np.ones((len(exponents), len(y), 1)), np.exp(-exponents[:, None] * z)], -1)
    # Errors in the logarithm are relative errors, as long as they are small.
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
    """Minimise the weighted Huber loss by the Levenberg-Marquardt method with reweighted squares, one sample a row.

    All rows are minimised at once; rows that have converged leave the arrays.

    Args:
        z: centred log x; shape (points, terms).
        log_y, weights: shape (rows, points).
        start: log E, log A_k of the centred x, a_k; shape (rows, 1 + 2 terms).
        floor: whether E is fitted; otherwise it keeps its start value.
        most: largest number of iterations.

    Returns:
        parameters, of the shape of `start`, and the objective, of shape (rows,).
    """
    terms = z.shape[1]
    low = np.full(start.shape[1], -np.inf)
    high = np.full(start.shape[1], np.inf)
    if floor:
        low[0], high[0] = log_y.min() + np.log(NO_FLOOR), log_y.max()
    # At the centre of the points no term is much larger than y.
    low[1 : 1 + terms], high[1 : 1 + terms] = log_y.min() + 2 * np.log(NO_FLOOR), log_y.max() + np.log(10)
    low[1 + terms :], high[1 + terms :] = EXPONENTS
    result, final = np.clip(start, low, high), np.empty(len(start))
    # Rows that have not converged, and their state.
    rows, theta, w = np.arange(len(start)), result.copy(), weights
    shares, residuals = _predict(theta, z, log_y)
    objective = _huber(residuals, w, delta)
    damping = np.full(len(rows), 1e-3)
    for _ in range(most):
        jacobian = np.concatenate([shares, -shares[:, 1:] * z.T], 1)
        weighted = w * np.minimum(1.0, delta / np.maximum(np.abs(residuals), 1e-300)) if np.isfinite(delta) else w
        scaled = jacobian * weighted[:, None]
        hessian = scaled @ jacobian.transpose(0, 2, 1)
        gradient = (scaled @ residuals[..., None])[..., 0]
        # A parameter at a bound stays there if the step would leave the range.
        held = ((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0))
        held[:, 0] |= not floor
        gradient[held] = 0
        hessian *= ~held[:, :, None] & ~held[:, None, :]
        diagonal = np.einsum("rpp->rp", hessian)
        diagonal += damping[:, None] * diagonal + 1e-14 * (1 + diagonal.max(1, keepdims=True)) + held
        proposal = np.clip(theta - np.linalg.solve(hessian, gradient[..., None])[..., 0], low, high)
        new_shares, new_residuals = _predict(proposal, z, log_y)
        new = _huber(new_residuals, w, delta)
        better = new <= objective
        done = better & (objective - new <= tolerance * objective) & (damping < 1) | (damping > 1e8)
        theta = np.where(better[:, None], proposal, theta)
        shares = np.where(better[:, None, None], new_shares, shares)
        residuals = np.where(better[:, None], new_residuals, residuals)
        objective = np.where(better, new, objective)
        damping = np.where(better, np.maximum(damping * 0.2, 1e-9), damping * 8)
        if done.any():
            result[rows[done]], final[rows[done]] = theta[done], objective[done]
            active = ~done
            rows, theta, w, log_y, shares = rows[active], theta[active], w[active], log_y[active], shares[active]
            residuals, objective, damping = residuals[active], objective[active], damping[active]
            if not len(rows):
                break
    result[rows], final[rows] = theta, objective
    return result, final


def _predict(theta: Array, z: Array, log_y: Array) -> tuple[Array, Array]:
    """Each term's share of the prediction, shape (rows, 1 + terms, points), and the residuals in log y."""
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
    # r^2 / 2 up to delta, and delta (|r| - delta / 2) beyond it.
    losses = small * (size - small / 2) if np.isfinite(delta) else size * size / 2
    return (weights * losses).sum(1)
