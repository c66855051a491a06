"""Sums of power laws are found again where they are known, whatever the units and the order of the points."""

import numpy as np
import pytest

from gridlaw.laws import powerlaw
from gridlaw.laws.powerlaw import Fit

ONE = Fit(np.array([1.8]), np.array([[400.0]]), np.array([[0.35]]), np.zeros(1))
TWO = Fit(np.array([1.8]), np.array([[478.0, 2143.0]]), np.array([[0.35, 0.37]]), np.zeros(1))
TOKENS = np.geomspace(1e6, 1e9, 8)[:, None]
GRID = np.stack(np.meshgrid(np.geomspace(4e6, 1e8, 4), np.geomspace(1e7, 3e8, 4)), -1).reshape(-1, 2)
KNOWN = pytest.mark.parametrize(("law", "x"), [(ONE, TOKENS), (TWO, GRID)], ids=["one axis", "two axes"])


def noisy(law, x, sd, seed=0):
    return law(x)[0] * np.exp(sd * np.random.default_rng(seed).standard_normal(len(x)))


@KNOWN
def test_a_law_without_noise_is_found(law, x):
    found = powerlaw.fit(x, law(x)[0])
    assert found.floor == pytest.approx(law.floor, rel=1e-4)
    assert found.scales == pytest.approx(law.scales, rel=1e-3)
    assert found.exponents == pytest.approx(law.exponents, rel=1e-4)
    assert found.at_bound(law(x)[0]) == []


@KNOWN
def test_a_law_with_noise_is_found_nearly(law, x):
    fits = [powerlaw.fit(x, noisy(law, x, 0.002, seed)) for seed in range(20)]
    floors, exponents = (np.concatenate(of) for of in zip(*[(one.floor, one.exponents) for one in fits], strict=True))
    assert np.median(floors) == pytest.approx(law.floor[0], rel=0.03)
    assert np.median(exponents, axis=0) == pytest.approx(law.exponents[0], rel=0.05)
    assert np.ptp(floors) > 0.001


@KNOWN
@pytest.mark.parametrize("of_x", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("of_y", [1e-9, 1e9])
def test_units_do_not_matter(law, x, of_x, of_y):
    y = noisy(law, x, 0.01)
    found, other = powerlaw.fit(x, y), powerlaw.fit(x * of_x, y * of_y)
    assert other(x * of_x) == pytest.approx(found(x) * of_y, rel=1e-6)
    assert other.exponents == pytest.approx(found.exponents, rel=1e-4)
    assert other.objective == pytest.approx(found.objective, rel=1e-8)


@KNOWN
def test_order_and_repetition_do_not_matter(law, x):
    y, order = noisy(law, x, 0.01), np.random.default_rng(1).permutation(len(x))
    found = powerlaw.fit(x, y)
    assert powerlaw.fit(x[order], y[order])(x) == pytest.approx(found(x), rel=1e-6)
    twice = powerlaw.fit(np.concatenate([x, x]), np.concatenate([y, y]))
    assert twice(x) == pytest.approx(found(x), rel=1e-6)
    assert twice.objective == pytest.approx(2 * found.objective, rel=1e-6)


def test_an_outlier_moves_a_law_little():
    y = noisy(ONE, TOKENS, 0.0005)
    y[3] *= 1.5
    assert powerlaw.fit(TOKENS, y)(TOKENS) == pytest.approx(ONE(TOKENS), rel=0.003)
    assert powerlaw.fit(TOKENS, y, delta=np.inf)(TOKENS) != pytest.approx(ONE(TOKENS), rel=0.003)


@KNOWN
def test_resamples_are_fitted_as_one_by_one(law, x):
    y, random = noisy(law, x, 0.005), np.random.default_rng(0)
    weights = random.multinomial(4 * len(x), np.full(len(x), 1 / len(x)), size=10).astype(float)
    many = powerlaw.refit(powerlaw.fit(x, y), x, y, weights, tolerance=1e-12)
    assert len(many) == 10
    for i, weight in enumerate(weights.astype(int)):
        one = powerlaw.fit(np.repeat(x, weight, 0), np.repeat(y, weight))
        assert many.objective[i] == pytest.approx(one.objective[0], rel=1e-3)
        assert many(x)[i] == pytest.approx(one(x)[0], rel=0.003)


@KNOWN
def test_with_its_floor_held_a_law_is_the_best_of_that_floor(law, x):
    y = noisy(law, x, 0.002)
    found = powerlaw.fit(x, y)
    floors = found.floor[0] * np.array([1e-6, 0.5, 0.9, 1.0, 1.03])
    held = powerlaw.profile(found, x, y, floors)
    assert held.floor == pytest.approx(floors)
    assert held.objective[3] == pytest.approx(found.objective[0], rel=1e-3)
    assert (np.delete(held.objective, 3) > found.objective).all()
    assert (np.diff(held.objective[:4]) < 0).all(), "the farther below the worse"
    # No law without a floor is better than the one that is as good as without.
    assert held.objective[0] == pytest.approx(powerlaw.fit(x, y, floor=False).objective[0], rel=0.02)


def test_losses_may_differ_between_resamples():
    y = np.stack([noisy(ONE, TOKENS, 0.005, seed) for seed in range(300)])
    many = powerlaw.refit(powerlaw.fit(TOKENS, y[0]), TOKENS, y, np.ones(y.shape), tolerance=1e-12)
    for i in (0, 7, 299):
        assert many.objective[i] == pytest.approx(powerlaw.fit(TOKENS, y[i]).objective[0], rel=1e-3)


def test_bounds_are_told():
    straight = 50 * TOKENS[:, 0] ** -0.2
    assert powerlaw.fit(TOKENS, straight).at_bound(straight) == ["E"]
    steep = 1 + (TOKENS[:, 0] / 1e6) ** -4.0
    assert "exponent 1" in powerlaw.fit(TOKENS, steep).at_bound(steep)


@pytest.mark.parametrize("y", [np.full(8, 3.0), np.linspace(2, 3, 8)], ids=["constant", "rising"])
def test_what_no_law_fits_has_finite_parameters(y):
    found = powerlaw.fit(TOKENS, y)
    assert all(np.isfinite(values).all() for values in (found.floor, found.scales, found.exponents, found.objective))
    assert (found.floor > 0).all()
