"""Laws say what they are good for: a forecast, a trend, or nothing, and in the last case why."""

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest

from gridlaw.laws import backtesting, forecasting
from gridlaw.laws.judging import LAW, REFUSED, TREND, WITHDRAWN
from gridlaw.laws.law import fit
from gridlaw.laws.points import Points
from gridlaw.words import percent, rank_time

AXES = ["params", "corpus_tokens"]
TARGET = np.array([[340e6, 1e9]])


def loss(params, tokens):
    """The law of the points that Hoffmann et al. 2022 published."""
    return 1.8172 + 477.8 / params**0.3473 + 2143 / tokens**0.3672


def runs(values, noise, seed=0, replicates=3, truth=loss, tokens=(1e7, 3e8)):
    params, tokens = np.geomspace(4e6, 110e6, values[0]), np.geomspace(*tokens, values[1])
    x = np.stack(np.meshgrid(params, tokens), -1).reshape(-1, 2).repeat(replicates, 0)
    table = pd.DataFrame(x, columns=AXES)
    scatter = np.exp(noise * np.random.default_rng(seed).standard_normal(len(x)))
    return table.assign(loss=truth(table["params"], table["corpus_tokens"]) * scatter)


def joint(table, **more):
    return fit("joint", Points.from_runs(table, AXES, **more), AXES)


def curve(y, tokens=None):
    tokens = np.geomspace(1e6, 1e9, len(y)) if tokens is None else np.asarray(tokens, float)
    return fit(
        "curve",
        Points.from_runs(pd.DataFrame({"corpus_tokens": tokens, "loss": y}), ["corpus_tokens"]),
        ["corpus_tokens"],
    )


@pytest.mark.parametrize("noise", [0.002, 0.01])
def test_a_grid_of_four_by_four_forecasts(noise):
    found = [joint(runs((4, 4), noise, seed)) for seed in range(2)]
    assert {law.state for law in found} == {LAW}
    errors = [law.forecast(TARGET)[0].value[0] / loss(*TARGET[0]) - 1 for law in found]
    assert np.sqrt(np.mean(np.square(errors))) < 0.03
    assert "forecasts of larger cells from smaller ones" in found[0].why


def test_a_grid_of_three_by_three_is_a_trend():
    law = joint(runs((3, 3), 0.002))
    assert law.state == TREND
    assert "3 different values of params and 3 different values of tokens, and it takes 4" in law.why


def test_a_grid_of_two_by_two_is_refused():
    law = joint(runs((2, 2), 0.002))
    assert law.state == REFUSED
    assert law.why.startswith("No law: 2 values of params and 2 values of tokens are too few; it takes 3")
    assert law.forecaster is None


@cache
def with_flops(each):
    """A law of a grid whose compute is so many times parameters x tokens."""
    return joint(runs((4, 4), 0.002).assign(flops=lambda t: each * t["params"] * t["corpus_tokens"]), scale="flops")


def held(truth, noise, grids=7):
    """Of forecasts of a grid's target, how many intervals held it."""
    points = [Points.from_runs(runs((4, 4), noise, seed, truth=truth), AXES) for seed in range(grids)]
    found = [forecasting.fit(one, resamples=200).forecast(TARGET) for one in points]
    return np.mean([one.low[0] <= truth(*TARGET[0]) <= one.high[0] for one in found]), found


def bent(params, tokens):
    """No sum of power laws: what a model gains from text depends on its size, as in Kaplan et al. 2020, eq. 1.5."""
    return 1.5 + ((6e13 / params) ** (0.076 / 0.095) + 3e13 / tokens) ** 0.095 / 2


@pytest.mark.parametrize("truth", [loss, bent])
@pytest.mark.parametrize("noise", [0.002, 0.01])
def test_intervals_hold_what_they_should(truth, noise):
    share, found = held(truth, noise)
    assert share >= 0.85
    # No interval is so wide that it says nothing.
    assert np.median([one.high[0] / one.low[0] for one in found]) < 1.4


def test_intervals_of_one_curve_hold_what_they_should():
    tokens, inside, widths = np.geomspace(1e6, 1e9, 6), [], []
    random = np.random.default_rng(0)
    for _ in range(20):
        floor, exponent = random.uniform(1, 2), random.uniform(0.2, 0.5)
        scale = random.uniform(1, 3) * 1e6**exponent
        y = (floor + scale / tokens**exponent) * np.exp(0.01 * random.standard_normal(6))
        found = forecasting.fit(
            Points.from_runs(pd.DataFrame({"corpus_tokens": tokens, "loss": y}), ["corpus_tokens"]), resamples=100
        ).forecast(np.array([[4e9]]))
        inside.append(found.low[0] <= floor + scale / 4e9**exponent <= found.high[0])
        widths.append(found.high[0] / found.low[0])
    assert np.mean(inside) >= 0.85
    assert np.median(widths) < 1.5


def test_units_order_and_repetition_of_rows_do_not_matter():
    table = runs((4, 4), 0.01)
    law = joint(table)
    other = joint(
        table.sample(frac=1, random_state=1).assign(params=lambda t: t["params"] * 1e-9, loss=lambda t: t["loss"] * 1e6)
    )
    assert (other.state, other.why) == (law.state, law.why)
    there, here = other.forecast(TARGET * [1e-9, 1])[0], law.forecast(TARGET)[0]
    for name in ("value", "low", "high"):
        assert getattr(there, name) == pytest.approx(getattr(here, name) * 1e6, rel=1e-3)
    assert there.ratio == pytest.approx(here.ratio)


def test_what_is_uncertain_is_told_apart():
    found = joint(runs((4, 4), 0.01)).forecast(TARGET)[0]
    assert found.sampling > 0 and found.forms > 0 and found.back_test > 0
    assert found.low < found.value < found.high
    apart = found.draws(4000)
    assert np.quantile(apart, 0.975) == pytest.approx(found.high[0], rel=0.01)


def test_replicates_say_how_runs_scatter():
    table = pd.DataFrame({"corpus_tokens": [1e6, 1e6, 2e6], "loss": [2 * np.exp(0.1), 2 * np.exp(-0.1), 1.0]})
    points = Points.from_runs(table, ["corpus_tokens"])
    assert points.y == pytest.approx([2, 1])
    assert list(points.replicates) == [2, 1]
    # Two values that are 0.2 apart have this standard deviation.
    assert points.noise == pytest.approx(0.2 / np.sqrt(2))


REFUSALS = {
    "No law: 2 values of tokens are too few": curve([3, 2.5], [1e6, 1e7]),
    "No law: 1 value of tokens is too few": curve([3, 2.5], [1e6, 1e6]),
    "No law: there are no points": curve([]),
    "larger models were also trained on more tokens": joint(runs((6, 6), 0.001).query("abs(params / 4e6 - (corpus_tokens / 1e7) ** 0.974) < 0.5 * params / 4e6")),
    "the loss is the same everywhere": curve([3.0] * 6),
    "the loss does not fall with more tokens": curve(np.linspace(2, 3, 6)),
    "it takes 8 points": joint(runs((3, 3), 0).iloc[[0, 3, 6, 9, 12, 18]]),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSALS)
def test_refusals_say_why(words):
    assert REFUSALS[words].state == REFUSED
    assert words in REFUSALS[words].why


def test_models_on_fewer_tokens_the_larger_they_are_cannot_be_told_apart():
    params = np.geomspace(1e6, 1e8, 10)
    law = joint(pd.DataFrame({"params": params, "corpus_tokens": 1e15 / params, "loss": 2 + params**-0.1}))
    assert law.state == REFUSED
    assert "trained on fewer tokens" in law.why
    assert "small models with few tokens, and of large models with many" in law.why


def test_a_short_range_is_a_trend():
    tokens = np.geomspace(1e6, 5e6, 6)
    law = curve(1 + 1e3 * tokens**-0.5, tokens)
    assert law.state == TREND
    assert "tokens span 5 times, and it takes 10" in law.why


def test_a_curve_without_a_floor_takes_the_form_without_one():
    law = curve(np.geomspace(1e6, 1e9, 6) ** -0.2)
    assert law.state == LAW
    assert law.form == "L = B / D^beta"
    assert law.record()["at_bound"] == []
    assert law.parameters()["beta"]["value"] == pytest.approx(0.2, rel=1e-3)


def test_a_curve_with_a_floor_takes_the_form_with_one():
    law = curve(1 + 1e3 * np.geomspace(1e6, 1e9, 7) ** -0.5)
    assert law.state == LAW
    assert law.form == "L = E + B / D^beta"
    assert law.parameters()["E"]["value"] == pytest.approx(1, rel=1e-2)


def test_a_law_worse_than_a_baseline_is_withdrawn():
    law = curve([3.0, 1.5, 0.75, 0.9, 0.7, 0.85, 0.75])
    assert law.state == WITHDRAWN
    assert "baseline" in law.why
    errors = law.record()["back_test"]["rms_error"]
    assert errors["nearest cell"] <= min(errors[form] for form in backtesting.FORMS)


def test_a_law_whose_intervals_did_not_hold_is_withdrawn(monkeypatch):
    monkeypatch.setattr("gridlaw.laws.law._levels", lambda points: [0.5, 0.99] * 5)
    law = joint(runs((4, 4), 0.002))
    assert law.state == WITHDRAWN
    assert "of 10 intervals for cells that are known only 50 % held" in law.why


@pytest.mark.parametrize(
    ("place", "state"),
    [
        ((110e6, 3e8), "forecast"),
        ((220e6, 6e8), "forecast"),
        ((550e6, 3e9), "speculative"),
        ((11e9, 3e9), "none"),
        # As large as the grid's runs in compute, and yet none of them is like it.
        ((110e6 * 1000, 3e8 / 1000), "none"),
        ((4e6 / 20, 3e8), "speculative"),
    ],
)
@pytest.mark.parametrize("flops", [1, 6])
def test_how_far_a_forecast_goes(place, state, flops):
    _, (outlook,) = with_flops(flops).forecast(np.array([place]))
    assert outlook.state == state
    assert outlook.why.partition(":")[0] == ("" if state == "forecast" else state)


def test_the_largest_of_each_axis_is_held_out():
    rows = pd.DataFrame(with_flops(6).hold_out)
    assert set(rows["left_out"]) == {"params", "corpus_tokens", "compute"}
    assert (rows.loc[rows["left_out"] == "params", "params"] == rows["params"].max()).all()
    assert (abs(rows["error"]) < 0.02).all()
    assert (rows["inside"] == rows["actual"].between(rows["low"], rows["high"])).all()


@pytest.mark.parametrize(
    "law",
    [
        *REFUSALS.values(),
        joint(runs((4, 4), 0.01)),
        joint(runs((3, 3), 0.0, replicates=1)),
        curve(np.geomspace(3, 2, 4)),
    ],
)
def test_records_are_json(law):
    def wrong(constant):
        raise AssertionError(constant)

    record = json.loads(json.dumps(law.record()), parse_constant=wrong)
    assert record["state"] == law.state
    assert record["verdict"]


def test_baselines():
    points = Points.from_runs(runs((3, 3), 0, replicates=1), AXES)
    assert backtesting.nearest(points)(points.x * 1.01) == pytest.approx(points.y)
    power = pd.DataFrame({"corpus_tokens": [1e3, 1e4, 1e5], "loss": [8.0, 4.0, 2.0]})
    assert backtesting.log_linear(Points.from_runs(power, ["corpus_tokens"]))(np.array([[1e6]])) == pytest.approx([1.0])


def test_cuts_are_of_smaller_points_and_leave_larger_ones():
    points = Points.from_runs(runs((4, 4), 0.01), AXES)
    below = list(backtesting.cuts(points))
    assert below
    for chosen in below:
        assert points.scale[chosen].max() < points.scale[~chosen].min()
        assert backtesting.carries(points.select(chosen))


def test_words():
    assert [percent(share) for share in (0, 1e-9, 0.0123, 0.5, 0.9949, 0.9999, 1)] == [
        "0 %", "less than 0.001 %", "1.2 %", "50 %", "99 %", "more than 99 %", "100 %",
    ]  # fmt: skip
    assert [rank_time(hours) for hours in (1, 2.5, 1 / 60, 0.1)] == [
        "1 rank-hour",
        "2.5 rank-hours",
        "1 rank-minute",
        "6 rank-minutes",
    ]


def test_the_level_that_holds_a_value():
    """A value at the border of a level is inside the interval of that level, and outside of narrower ones."""
    whole = forecasting.fit(Points.from_runs(runs((1, 5), 0.01), ["corpus_tokens"])).forecast(np.array([[1e9]]))
    for end in (whole.low, whole.high):
        assert whole.level(end) == pytest.approx([0.95])
    assert whole.level(whole.value) == pytest.approx([0])
    assert 0 < whole.level((whole.value * whole.high) ** 0.5)[0] < 0.95 < whole.level(2 * whole.high)[0] < 1
