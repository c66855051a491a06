"""Missing evidence of a law: the cells that would be enough, and their cost."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from gridlaw.laws import missing, score_curve, selection
from gridlaw.laws.judging import LAW, TREND, WITHDRAWN
from gridlaw.laws.law import fit
from gridlaw.laws.points import Points

PACE = 1e-13
MODELS = {"a": 1e6, "b": 4e6, "c": 8e6, "d": 20e6}
SIZES = {"1M": 1e6, "2M": 2e6, "4M": 4e6, "16M": 16e6}


def table(models, sizes, seeds=(1, 2)):
    """Runs that take `PACE` rank-hours for a parameter and a token."""
    rows = [
        {"model": model, "size": size, "gpus": 1, "seed": seed, "params": MODELS[model], "corpus_tokens": SIZES[size],
         "params_without_embeddings": MODELS[model] / 2, "hours": PACE * MODELS[model] * SIZES[size],
         "loss": (1.8 + 400 / MODELS[model] ** 0.35 + 2000 / SIZES[size] ** 0.37) * np.exp(0.002 * (-1) ** seed)}
        for model in models for size in sizes for seed in seeds
    ]  # fmt: skip
    return selection.Group("", pd.DataFrame(rows))


def by_tokens(sizes, most=np.inf):
    group = table("a", sizes)
    (law,) = selection.laws_by_tokens(group).values()
    return missing.law_needs(law, missing.Prices.measured(group.runs, "params", most))


def tokens(found):
    return [cell["corpus_tokens"] for cell in found["cells"]]


def test_a_curve_of_two_sizes_lacks_two_more():
    found = by_tokens(["1M", "4M"])
    assert tokens(found) == [8e6, 16e6]
    # Two seeds of each.
    assert found["cost"] == pytest.approx(2 * PACE * 1e6 * 24e6)
    assert found["words"] == "8M and 16M tokens would do: 2 cells, about 4.8 rank-hours."


def test_where_text_ends_smaller_sizes_do():
    assert tokens(by_tokens(["1M", "4M"], most=9e6)) == [5e5, 8e6]
    assert tokens(by_tokens(["1M", "4M"], most=5e6)) == [2.5e5, 5e5]


def test_a_range_that_is_too_short_is_widened():
    found = by_tokens(["1M", "2M", "4M"])
    assert tokens(found) == [8e6, 16e6]


@pytest.mark.parametrize("lacking", ["law", "points"])
def test_nothing_is_lacking(lacking):
    group = table("a", SIZES)
    if lacking == "law":
        (law,) = selection.laws_by_tokens(group).values()
        assert law.state == LAW
    else:
        law = fit("none", Points.from_runs(group.runs[:0], ["corpus_tokens"]), ["corpus_tokens"])
    assert missing.law_needs(law, missing.Prices.measured(group.runs, "params", np.inf)) is None


def test_a_withdrawn_law_lacks_sizes_that_there_may_be_no_text_for():
    group = table("a", SIZES)
    (law,) = selection.laws_by_tokens(group).values()
    law = dataclasses.replace(law, state=WITHDRAWN, cure="more")
    found = missing.law_needs(law, missing.Prices.measured(group.runs, "params", 20e6))
    assert tokens(found) == [32e6, 64e6]
    assert found["words"].startswith("32M and 64M tokens would tell more: 2 cells, about ")
    assert found["words"].endswith("; the corpus has 20M.")


def test_a_law_of_models_lacks_models():
    group = table("ab", SIZES)
    prices = {column: missing.Prices.measured(group.runs, column, 16e6) for column in selection.PARAMETERS.values()}
    found = {law.name: missing.law_needs(law, prices[column]) for law, column in selection.laws_of_models(group)}
    one = found["loss by parameters at 16M tokens"]
    assert [cell["params"] for cell in one["cells"]] == [8e6, 16e6]
    assert set(tokens(one)) == {16e6}
    assert one["cost"] == pytest.approx(2 * PACE * 24e6 * 16e6)
    joint = found["loss by parameters and tokens, with embeddings"]
    assert joint["words"].startswith("Models of about 8M and 16M parameters would do: 8 cells, about ")
    assert joint["cost"] == pytest.approx(2 * PACE * 24e6 * 23e6)
    assert {cell["params"] for cell in found["loss by parameters and tokens, without embeddings"]["cells"]} == {
        4e6,
        8e6,
    }


def test_a_grid_that_lacks_both_says_so():
    group = table("ab", ["1M", "16M"])
    prices = missing.Prices.measured(group.runs, "params", 40e6)
    law = next(law for law, _ in selection.laws_of_models(group) if "and tokens" in law.name)
    found = missing.law_needs(law, prices)
    assert found["words"].startswith("Models of about 8M and 16M parameters and 500k and 32M tokens would do: 12 cells")
    assert len(found["cells"]) == 4 * 4 - 2 * 2


@pytest.mark.parametrize("way", [1, -1])
def test_axes_that_go_together_lack_corners(way):
    x = np.exp(np.column_stack([np.arange(9), way * np.arange(9)]) * 0.5) * 1e6
    runs = pd.DataFrame(x, columns=["params", "corpus_tokens"]).assign(loss=9.0 - np.arange(9))
    law = fit("joint", Points.from_runs(runs, ["params", "corpus_tokens"]), ["params", "corpus_tokens"])
    found = missing.law_needs(law, missing.Prices.by_flops())
    (small, one), (large, other) = ((cell["params"], cell["corpus_tokens"]) for cell in found["cells"])
    assert small < large
    assert (one > other) == (way > 0)


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (1, "A second fine-tuning seed of 3 cells would tell, without any pre-training."),
        (3, "It would tell more to train a on 32M and 64M tokens: 2 cells, about "),
    ],
)
def test_a_curve_of_scores_lacks_text_or_seeds(n, words):
    group = table("a", ["1M", "4M", "16M"])
    scores = [0.5, 0.6, 0.7] if n > 1 else [0.5, 0.6, 0.7, 0.75]
    cells = pd.DataFrame(
        {"loss": np.arange(len(scores), 0, -1.0), "score": scores, "sd": 0.01, "n": n, "item_se": 0.01}
    )
    law = score_curve.fit("task", "accuracy", cells, 0.5)
    found = missing.score_needs(law, group.runs, missing.Prices.measured(group.runs, "params", np.inf))
    assert found["words"].startswith(words.replace("3 cells", f"{len(scores)} cells"))


def test_throughput_lacks_ranks():
    found = missing.speedup_needs([1, 2], 0.5)
    assert (found["gpus"], found["cost"]) == ([4], 0.5)
    assert found["words"] == "Runs with gpus 4 would do, about 30 rank-minutes."
    assert missing.speedup_needs([1], 0.5)["gpus"] == [2, 4]
    assert missing.speedup_needs([1, 2, 4], 0.5) is None
    assert missing.speedup_needs([], 0.0) is None


def test_what_nothing_was_timed_for_has_no_cost():
    group = table("a", ["1M", "4M"])
    runs = group.runs.assign(hours=np.nan)
    (law,) = selection.laws_by_tokens(group).values()
    found = missing.law_needs(law, missing.Prices.measured(runs, "params", np.inf))
    assert found["cost"] is None
    assert found["words"] == "8M and 16M tokens would do: 2 cells."


def test_arithmetic_is_a_price_as_well():
    prices = missing.Prices.by_flops()
    assert prices.cost(1e9, 2e10) == pytest.approx(1.2e20)
    assert prices.words(1.2e20) == "1.2e+20 FLOPs"
    points = Points.from_runs(
        pd.DataFrame({"corpus_tokens": [1e9, 2e9, 4e9], "loss": [3.0, 2.8, 2.7]}), ["corpus_tokens"]
    )
    law = fit("loss by tokens", points, ["corpus_tokens"], fixed={"params": 1e8})
    assert law.state == TREND
    assert missing.verdict(law.why, missing.law_needs(law, prices)).endswith(
        "8B and 16B tokens would do: 2 cells, about 1.4e+19 FLOPs."
    )
