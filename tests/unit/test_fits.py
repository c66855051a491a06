"""Laws come back from their file as they were written, to the last digit."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from test_analysis import grid_of

from gridlaw.laws import fits, score_curve, selection
from gridlaw.laws.fits import Fits
from gridlaw.laws.judging import LAW, REFUSED

CELLS = pd.DataFrame({"model": "tiny", "size": "1M", "gpus": 1, "loss": np.linspace(3, 1, 8), "sd": 0.004, "n": 2})
CELLS = CELLS.assign(score=0.5 + 0.4 / (1 + np.exp(3 * (CELLS["loss"] - 2))), item_se=0.01)


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """A group with laws, and one with too little for any."""
    file = tmp_path_factory.mktemp("runs") / "runs.csv"
    grid_of(gpus=(1,)).to_csv(file, index=False)
    (group,) = selection.groups(selection.read_runs(file), strong=True)
    few = dataclasses.replace(group, runs=group.runs[group.runs["size"] == "1M"])
    scores = [score_curve.fit("sentiment", "accuracy", cells, 0.5) for cells in (CELLS, CELLS[:2])]
    return {
        "": Fits(selection.laws_by_tokens(group), scores),
        "passes 10": Fits(selection.laws_by_tokens(few), scores[1:]),
    }


@pytest.fixture
def read(groups, tmp_path):
    fits.write(tmp_path / "fits.npz", groups)
    return fits.read(tmp_path / "fits.npz")


def test_groups_models_and_verdicts_come_back(groups, read):
    assert list(read) == list(groups)
    for name, group in groups.items():
        assert list(read[name].laws) == list(group.laws)
        for one, other in zip(group.laws.values(), read[name].laws.values(), strict=True):
            assert other.record() == one.record()
        for one, other in zip(group.scores, read[name].scores, strict=True):
            assert (other.state, other.record()) == (one.state, one.record())
    assert [law.state for law in read[""].laws.values()] == [LAW, LAW]
    assert {law.state for law in read["passes 10"].laws.values()} == {REFUSED}


def test_forecasts_are_the_same(groups, read):
    place = np.array([[64e6], [1e9]])
    for model, law in groups[""].laws.items():
        (one, words), (other, again) = law.forecast(place), read[""].laws[model].forecast(place)
        assert words == again
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(other, field.name), getattr(one, field.name))
        np.testing.assert_array_equal(read[""].laws[model].forecaster.draws(place), law.forecaster.draws(place))
    losses = np.linspace(1, 3, 1000)[:, None]
    assert groups[""].scores[0].state == LAW
    np.testing.assert_array_equal(read[""].scores[0].draw_scores(losses), groups[""].scores[0].draw_scores(losses))


def test_the_same_laws_are_the_same_file(groups, tmp_path):
    for name in ("one", "other"):
        fits.write(tmp_path / name, groups)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
