"""The value of repeated text."""

import numpy as np
import pandas as pd
import pytest

from gridlaw.laws import repetition

AXES = ["params", "effective_tokens"]


def runs(worth):
    """A grid of models that read different amounts of text up to 16 times, whose repetitions are worth so much."""
    rows = [
        (params, unique, passes * unique)
        for params in np.geomspace(4e6, 1e8, 4)
        for unique in np.geomspace(1e7, 1e9, 4)
        for passes in (1, 2, 4, 16)
    ]
    table = pd.DataFrame(rows, columns=["params", "corpus_tokens", "trained_tokens"])
    fresh = repetition.effective(table["corpus_tokens"], table["trained_tokens"], worth)
    return table.assign(loss=1.8 + 480 / table["params"] ** 0.35 + 2100 / fresh**0.37)


def test_worth_of_text():
    unique = np.array([1e6, 1e6, 1e6])
    found = repetition.effective(unique, np.array([1e6, 2e6, 1e12]), 5.0)
    assert found[0] == 1e6
    assert 1.8e6 < found[1] < 2e6, "the second reading is almost as good as the first"
    assert found[2] == pytest.approx(6e6), "and all of them together no more than R* of the first"


@pytest.mark.parametrize("worth", [2.0, 15.0])
def test_recovery(worth):
    found, determined = repetition.fit(runs(worth), AXES)
    assert determined
    assert found == pytest.approx(worth, rel=0.3), "the nearest that is tried"


def test_text_read_once_does_not_determine_it():
    once = runs(5.0)
    assert not repetition.fit(once[once["trained_tokens"] == once["corpus_tokens"]], AXES)[1]
