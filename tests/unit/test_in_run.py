"""The curve of one training forecasts a longer one, or is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from gridlaw.laws import in_run
from gridlaw.laws.judging import LAW, REFUSED, WITHDRAWN

TOKENS = np.arange(1, 51) * 2e4


def truth(tokens):
    return 2.0 + 300 / tokens**0.4


def curve(loss=truth, noise=0.002, seeds=(1, 2), decay_from=0.8, passes=1, tokens=TOKENS):
    """The losses that runs logged: warm-up, a constant rate, a decay that lowers them."""
    share = tokens / tokens.max()
    phase = np.select([share < 0.04, share <= decay_from], ["warmup", "constant"], "decay")
    drop = np.where(phase == "decay", 0.7, 1.0)
    random = np.random.default_rng(0)
    return pd.concat(
        pd.DataFrame(
            {"model": "a", "size": "1M", "gpus": 1, "pretrain_seed": seed, "trained_tokens": tokens, "phase": phase,
             "loss": loss(tokens) * drop * np.exp(noise * random.standard_normal(len(tokens))), "passes": passes}
        )
        for seed in seeds
    )  # fmt: skip


def test_a_longer_training_is_forecast_from_the_constant_rate():
    found = in_run.judge("a", curve())
    json.dumps(found, allow_nan=False)
    assert found["state"] == LAW
    # The last constant loss is at 80 % of the run; twice as far is its end.
    last = found["forecast"]
    assert last["trained_tokens"][-1] == pytest.approx(2 * 0.8 * TOKENS.max())
    assert last["loss"][-1] == pytest.approx(truth(1.6 * TOKENS.max()), rel=0.01)
    assert last["low"][-1] < truth(1.6 * TOKENS.max()) < last["high"][-1]
    assert found["rms_error"]["law"] < found["rms_error"]["last value"]
    assert "for 2 times as long" in found["verdict"]


def test_losses_of_the_decay_are_no_part_of_it():
    trial = in_run.judge("a", curve())["trial"]
    assert max(trial["trained_tokens"]) == pytest.approx(0.8 * TOKENS.max())
    assert min(trial["actual"]) > 2.0


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        ({"passes": 10}, REFUSED, "the text is read 10 times"),
        ({"decay_from": 0.0}, REFUSED, "the rate is constant for 0 logged losses of it, and it takes 8"),
        ({"decay_from": 0.04}, REFUSED, "1 logged loss of it"),
        ({"loss": lambda tokens: 2 + tokens * 1e-6}, REFUSED, "y rises with x"),
        ({"loss": lambda tokens: 2 + 0 * tokens, "noise": 0.0}, REFUSED, "y is the same at all"),
        ({"loss": lambda tokens: np.where(tokens < 4.5e5, 4 - np.log10(tokens) / 3, 2.45)}, WITHDRAWN, "was forecast"),
    ],
)
def test_what_says_nothing_of_a_longer_training(change, state, words):
    found = in_run.judge("a", curve(**change))
    assert found["state"] == state
    assert words in found["verdict"]
    assert json.dumps(found, allow_nan=False)


def test_of_each_model_the_largest_size_on_the_fewest_ranks_is_taken():
    cells = [("a", "1M", 1), ("a", "2M", 2), ("a", "2M", 1), ("b", "1M", 4)]
    runs = pd.DataFrame(cells, columns=["model", "size", "gpus"]).assign(corpus_tokens=[1e6, 2e6, 2e6, 1e6], passes=1)
    logged = runs[["model", "size", "gpus"]].assign(pretrain_seed=1, trained_tokens=10.0, loss=2.0, phase="constant")
    found = dict(in_run.largest(logged, runs))
    assert list(found) == [
        "a: training loss within its runs on 2M tokens",
        "b: training loss within its runs on 1M tokens",
    ]
    assert [set(of["gpus"]) for of in found.values()] == [{1}, {4}]
