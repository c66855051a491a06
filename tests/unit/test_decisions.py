"""Curves of scores, speed-ups, comparisons, budgets and the next cells, on tables whose answer is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import configuration
from scipy import stats

from gridlaw.config import grid
from gridlaw.decisions import budget, next_cells, pareto
from gridlaw.laws import score_curve, selection, speedup
from gridlaw.laws.judging import LAW, REFUSED, TREND, WITHDRAWN
from gridlaw.laws.law import fit as fit_law
from gridlaw.laws.points import Points
from gridlaw.stats import comparison
from gridlaw.workflow.kinds.analysis import DECISIONS

SIZES = {"1M": 1e6, "2M": 2e6, "4M": 4e6, "8M": 8e6, "16M": 16e6, "32M": 32e6}
SEEDS = (1, 2, 3)


def table(curves, noise=0.002, seeds=SEEDS, hours=1e-7, sizes=SIZES, gpus=1):
    """Runs of models, by their loss at some tokens; a run takes `hours` for a token."""
    random, rows = np.random.default_rng(0), []
    for number, (model, loss) in enumerate(curves.items(), 1):
        for size, tokens in sizes.items():
            for seed in seeds:
                took = hours * tokens * number
                rows.append(
                    {"model": model, "size": size, "gpus": gpus, "seed": seed, "corpus_tokens": tokens, "params": 1e6 * number,
                     "loss": loss(tokens) * np.exp(noise * random.standard_normal()), "held_out_loss_se": 0.01,
                     "hours": took, "train_seconds": took * 3600 / gpus, "peak_memory_mb": 100.0 * number}
                )  # fmt: skip
    return pd.DataFrame(rows)


def laws_of(runs):
    return selection.laws_by_tokens(selection.Group("", runs))


def cells_of(runs):
    return pareto.Cells.from_runs(selection.Group("", runs), runs)


def better_late(tokens):
    return 1.0 + 300 / tokens**0.4


def better_early(tokens):
    return 1.6 + 90 / tokens**0.4


# Where the two curves above cross.
CROSSING = (210 / 0.6) ** (1 / 0.4)
TWO = table({"early": better_early, "late": better_late}, sizes={k: v for k, v in SIZES.items() if k != "2M"})
LAWS = laws_of(TWO)


# Scores by loss.
def scores(loss, curve, sd=0.005, n=5, seed=0):
    loss = np.asarray(loss, float)
    score = curve(loss) + sd / np.sqrt(n) * np.random.default_rng(seed).standard_normal(len(loss))
    return pd.DataFrame({"loss": loss, "score": score, "sd": sd if n > 1 else np.nan, "n": float(n), "item_se": 0.01})


KNOWN = score_curve.Curve(0.5, 0.9, 3.0, 2.0)
LOSSES = np.linspace(3.5, 1.0, 8)


def test_the_curve_of_scores_is_found():
    found = score_curve.fit_curve(LOSSES, KNOWN(LOSSES), 0.5)
    assert [found.ceiling, found.slope, found.middle] == pytest.approx([0.9, 3.0, 2.0], rel=1e-3)
    law = score_curve.fit("task", "accuracy", scores(LOSSES, KNOWN), 0.5)
    assert law.state == LAW
    assert law.draw_scores(np.full((100, 1), 1.5)).mean() == pytest.approx(KNOWN(1.5), abs=0.02)


def test_scores_of_no_loss_at_all_and_of_much():
    assert KNOWN(np.array([1e9, -1e9])) == pytest.approx([0.5, 0.9])


@pytest.mark.parametrize(
    ("cells", "state", "words"),
    [
        (scores(LOSSES[:3], KNOWN), REFUSED, "it takes 4 cells with a loss and a score, and there are 3"),
        (scores(LOSSES[:0], KNOWN), REFUSED, "there are 0"),
        (scores(LOSSES, KNOWN, n=1), REFUSED, "with one fine-tuning seed"),
        (scores(LOSSES, KNOWN, sd=0.3, n=1000), REFUSED, "seeds of one cell differ by 0.300"),
        (scores(LOSSES, lambda loss: 0 * loss + 0.4, sd=0.001), REFUSED, "the best cell is no better than guessing"),
        (scores(LOSSES, lambda loss: 0.5 + 0.1 * loss), REFUSED, "scores do not rise as the loss falls"),
        (scores([2.0] * 5, KNOWN), REFUSED, "scores do not rise as the loss falls"),
        (scores(LOSSES[3:7], KNOWN), TREND, "with 4 cells there is too little left to try one"),
        (scores(LOSSES, lambda loss: 0.6 + 0.2 * (loss < 3) - 0.1 * (loss < 2) + 0.01 * (loss < 1.4)), WITHDRAWN, "of the next worse cell"),
    ],
)  # fmt: skip
def test_scores_that_make_no_forecast(cells, state, words):
    law = score_curve.fit("task", "accuracy", cells, 0.5)
    assert law.state == state
    assert words in law.why
    assert law.record()["verdict"] == law.why


# Throughput.
RANKS = np.array([1.0, 2, 4, 8, 16])


def throughput(rates, ranks=RANKS):
    return pd.DataFrame({"ranks": ranks.astype(int), "tokens_per_second": rates})


def test_amdahls_law_is_found():
    found = speedup.fit(RANKS[:4], speedup.amdahl(RANKS[:4], 1e4, 0.1))
    assert found == pytest.approx({"rate": 1e4, "serial": 0.1}, rel=1e-4)
    law = speedup.judge("small 1M", throughput(speedup.amdahl(RANKS[:3], 1e4, 0.1), RANKS[:3]))
    assert law["state"] == LAW
    assert "10 % of the work does not get faster" in law["verdict"]
    assert "nothing of more than 8 ranks" in law["verdict"]


def test_the_universal_law_is_found():
    rates = speedup.usl(RANKS, 1e4, 0.05, 0.01)
    assert speedup.fit(RANKS, rates) == pytest.approx({"rate": 1e4, "sigma": 0.05, "kappa": 0.01}, rel=1e-3)
    assert "More than 10 would be slower" in speedup.judge("small 1M", throughput(rates))["verdict"]
    linear = speedup.judge("small 1M", throughput(1e4 * RANKS))
    assert "slower" not in linear["verdict"]
    assert "  " not in linear["verdict"]


def test_efficiency_is_over_the_fewest_ranks():
    measured = speedup.table(throughput([200.0, 300.0], np.array([2.0, 4.0])))
    assert list(measured["efficiency"]) == [1, 0.75]
    assert list(measured["speedup"]) == [1, 1.5]


def test_two_numbers_of_ranks_are_no_law():
    law = speedup.judge("small 1M", throughput([100.0, 150.0], RANKS[:2]))
    assert law["state"] == REFUSED
    assert "Efficiency: 75 % on 2 ranks" in law["verdict"]
    assert "it takes 3 numbers of ranks, and throughput was measured on 2" in law["verdict"]
    none = speedup.judge("small 1M", throughput([np.nan, np.nan], RANKS[:2]))
    assert none["state"] == REFUSED
    assert "measured on none" in none["verdict"]


@pytest.mark.parametrize(
    ("apart", "words"),
    [
        ([0.001, -0.001, 0.0005], "equivalent within 0.05"),
        ([0.04, 0.08, -0.03], "not shown to be equivalent within 0.05"),
        ([0.0, 0.0, 0.0], "are the same"),
        ([0.25, 0.25, 0.25], "0.25 apart, as all 3 seeds say"),
        ([0.25], "0.25 apart, as one seed says"),
    ],
)
def test_equivalence_of_ranks(apart, words):
    rows = [{"seed": i, "gpus": gpus, "loss": 2.0 + (gpus == 2) * d} for i, d in enumerate(apart) for gpus in (1, 2)]
    found = speedup.equivalence("small 1M", pd.DataFrame(rows), 0.05)
    assert words in found["verdict"]
    assert found["verdict"].startswith("Losses on 2 and 1 ranks are ")


def test_ranks_without_a_common_seed_are_not_compared():
    rows = pd.DataFrame({"seed": [1, 2], "gpus": [1, 2], "loss": [2.0, 2.0]})
    assert speedup.equivalence("small 1M", rows, 0.05)["differences"]["2"] == {"largest": None, "seeds": 0, "p": None}


# Comparisons.
def test_holm_by_hand():
    adjusted = comparison.holm(np.array([0.01, 0.04, np.nan, 0.03, 0.005]))
    assert adjusted == pytest.approx([0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True)
    assert comparison.holm(np.array([0.6, 0.9])) == pytest.approx([1, 1])
    assert len(comparison.holm(np.array([]))) == 0


def pair(a, b, lower=True, smallest=0.0):
    rows = [{"model": m, "size": "1M", "value": v} for m, values in (("a", a), ("b", b)) for v in values]
    (found,) = comparison.pairs(pd.DataFrame(rows), lower, smallest).to_dict("records")
    return found


def test_models_are_compared():
    found = pair([2.0, 2.01, 2.02], [3.0, 3.01, 3.02])
    assert found["better"] == "a"
    assert "more than 99 % sure, 3 seeds" in found["verdict"]
    assert pair([2.0, 2.01, 2.02], [3.0, 3.01, 3.02], lower=False)["better"] == "b"
    assert pair([2.0, 3.0, 2.5], [2.1, 3.1, 2.4])["better"] is None
    assert "not separable by 3 seeds" in pair([2.0, 3.0, 2.5], [2.1, 3.1, 2.4])["verdict"]
    assert "with one seed nothing can be said" in pair([2.0], [3.0, 3.1])["verdict"]


def test_enough_seeds_find_a_small_difference():
    """However much smaller it is than that between seeds."""

    def seeds(mean, count):
        return mean + stats.norm.ppf((np.arange(count) + 0.5) / count)

    few, many = (pair(seeds(2, count), seeds(2.2, count)) for count in (5, 4000))
    assert (few["conclusion"], few["better"]) == ("not separable", None)
    assert (many["conclusion"], many["better"]) == ("different", "a")
    assert many["low"] < -0.2 < many["high"] < 0
    assert many["high"] - many["low"] == pytest.approx(2 * 1.96 * (2 / 4000) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("difference", "smallest", "conclusion"),
    [
        (0.2, 0.0, "different"),
        (0.2, 0.1, "different"),
        (0.2, 0.19, "not separable"),
        (0.2, 0.3, "equivalent"),
        (0.0, 0.1, "equivalent"),
        (0.0, 0.01, "not separable"),
        (0.0, 0.0, "not separable"),
    ],
)
def test_the_smallest_difference_of_interest(difference, smallest, conclusion):
    """The interval of the difference reaches 0.044 to either side."""
    spread = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    found = pair(2 + spread, 2 + difference + spread, smallest=smallest)
    assert found["high"] - found["low"] == pytest.approx(2 * 0.044, rel=0.02)
    assert found["conclusion"] == conclusion
    assert found["better"] == ("a" if conclusion == "different" else None)
    assert ("equivalent, they differ by less than" in found["verdict"]) == (conclusion == "equivalent")


def test_the_interval_is_that_of_the_test():
    """Welch's, of 3 and 4 values, by hand: means 2 and 5, standard error sqrt(1/3 + 5/12), 4.86 degrees of freedom."""
    found = pair([1, 2, 3], [3.5, 4.5, 5.5, 6.5])
    error = (1 / 3 + 5 / 12) ** 0.5
    free = (1 / 3 + 5 / 12) ** 2 / ((1 / 3) ** 2 / 2 + (5 / 12) ** 2 / 3)
    assert [found["low"], found["high"]] == pytest.approx(
        [-3 - stats.t.ppf(0.975, free) * error, -3 + stats.t.ppf(0.975, free) * error]
    )
    assert found["p"] == pytest.approx(2 * stats.t.sf(3 / error, free))


def test_the_best_is_better_than_every_other():
    found = [
        {"size": "1M", "a": "x", "b": "y", "better": "x"},
        {"size": "1M", "a": "x", "b": "z", "better": "x"},
        {"size": "1M", "a": "y", "b": "z", "better": None},
        {"size": "8k", "a": "x", "b": "y", "better": "x"},
    ]
    assert comparison.best(found, "1M", ["x", "y", "z"]) == "x"
    assert comparison.best(found, "1M", ["y", "z"]) is None
    assert comparison.best(found, "8k", ["x", "y", "z"]) is None, "z was not compared"
    assert comparison.best(found, "8k", ["x"]) is None
    other = {"size": "8k", "a": "y", "b": "x", "better": None}
    assert comparison.best([*found, other], "8k", ["x", "y"]) is None, "runs on other ranks do not say so"


def test_of_many_comparisons_some_are_lucky():
    random = np.random.default_rng(0)
    rows = [{"model": f"m{i}", "size": "1M", "value": random.normal()} for i in range(12) for _ in range(3)]
    found = comparison.pairs(pd.DataFrame(rows), lower_is_better=True)
    assert len(found) == 66
    assert found["better"].isna().all()


# Fronts and budgets.
def front_by_force(price, losses):
    beaten = (losses[:, None] >= losses) & (price[:, None] >= price)
    beaten &= (losses[:, None] > losses) | (price[:, None] > price)
    return ~beaten.any(1)


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_that_of_brute_force(seed):
    random, number = np.random.default_rng(seed), 20
    names = {"model": "m", "size": [str(i) for i in range(number)], "gpus": 1}
    # Some cost the same, and some are the same.
    price, losses = random.integers(1, 9, number) * 1.0, random.integers(10, 30, number) / 10
    cells = pd.DataFrame({**names, "hours": price, "loss": losses})
    draws = losses * np.exp(0.1 * random.standard_normal((100, number)))
    found = pareto.front(pareto.Cells(cells, draws, 0.01), "hours").sort_index()
    assert found["on_front"].to_list() == list(front_by_force(price, losses))
    forced = [front_by_force(price, draw) for draw in draws]
    assert found["probability"].to_numpy() == pytest.approx(np.mean(forced, axis=0))
    assert pareto.front(pareto.Cells(cells, draws, np.nan), "hours")["probability"].isna().all()


def test_what_has_no_known_cost_is_on_no_front():
    cells = pd.DataFrame({"model": "m", "size": ["1k", "2k"], "gpus": 1, "hours": [np.nan, 1.0], "loss": [1.0, 2.0]})
    found = pareto.front(pareto.Cells(cells, np.array([[1.0, 2.0]]), 0.1), "hours")
    assert found["on_front"].to_list() == [True, False]
    assert found["size"].to_list() == ["2k", "1k"]


def test_the_best_of_a_budget():
    cells, laws = cells_of(TWO), LAWS
    found = budget.best(cells, laws, 0.5)
    assert (found["model"], found["corpus_tokens"], found["measured"]) == ("early", 4e6, True)
    assert found["cost_rank_hours"] <= 0.5
    assert found["expected_regret"] >= 0
    assert 0 <= found["probability_best"] <= 1
    assert "rank-minutes: early on 4M tokens" in found["verdict"]
    larger = budget.best(cells, laws, 60.0)
    assert (larger["model"], larger["measured"]) == ("late", False)
    assert larger["cost_rank_hours"] <= 60
    assert larger["low"] < better_late(larger["corpus_tokens"]) < larger["high"]
    assert "are not enough for any cell" in budget.best(cells, laws, 1e-6)["verdict"]


def test_forecasts_of_two_models_are_independent():
    options = [one for one in budget.choices(cells_of(TWO), LAWS, 60.0) if not one.measured]
    assert len(options) == 2
    assert abs(np.corrcoef(options[0].losses, options[1].losses)[0, 1]) < 0.1


def test_with_one_seed_nobody_says_how_likely():
    runs = TWO[TWO["seed"] == 1]
    found = budget.best(cells_of(runs), laws_of(runs), 0.5)
    assert "cannot be said with one seed" in found["verdict"]
    assert "probability_best" not in found


def test_a_crossover_is_found_where_it_is():
    found = budget.crossover("early", "late", LAWS)
    assert found["share_of_draws"] > 0.95
    assert found["low"] <= found["corpus_tokens"] <= found["high"]
    assert found["corpus_tokens"] == pytest.approx(CROSSING, rel=0.2)
    assert "cross from 1M to 128M tokens" in found["verdict"]


def test_no_crossover_where_there_is_none():
    laws = laws_of(table({"worse": lambda tokens: 1.2 * better_late(tokens), "good": better_late}))
    assert {law.state for law in laws.values()} == {LAW}
    found = budget.crossover("worse", "good", laws)
    assert found["verdict"].startswith("good is ahead from 1M to 256M tokens, and no crossover")
    short = laws_of(table({"a": better_early, "b": better_late}, sizes={"1M": 1e6, "2M": 2e6}))
    assert "there is no law of both" in budget.crossover("a", "b", short)["verdict"]


def test_what_more_text_returns():
    found = budget.returns("late", cells_of(TWO), LAWS["late"])
    assert found["gain"] == pytest.approx(better_late(32e6) - better_late(64e6), rel=0.2)
    # The second model takes twice the time for a token.
    assert found["cost_rank_hours"] == pytest.approx(64e6 * 2e-7)
    assert found["gain_per_rank_hour"] == pytest.approx(found["gain"] / found["cost_rank_hours"])
    assert found["reducible_share"] == pytest.approx(1 - 1 / better_late(32e6), rel=0.2)
    assert found["saturated"] is False
    flat = table({"flat": lambda tokens: 1.0 + 1e9 / tokens**1.6}, noise=0.02)
    full = budget.returns("flat", cells_of(flat), laws_of(flat)["flat"])
    assert full.get("saturated", True) is True


@pytest.mark.parametrize("state", [REFUSED, WITHDRAWN])
def test_a_law_that_is_none_returns_nothing(state):
    law = dataclasses.replace(laws_of(TWO)["late"], state=state)
    found = budget.returns("late", cells_of(TWO), law)
    assert "nothing can be said of more text" in found["verdict"]
    assert "gain" not in found


# The next cells.
def test_the_knowledge_gradient_is_the_variance_that_a_regression_removes():
    random, noise = np.random.default_rng(0), 0.3
    loss = random.normal(0, 1, 200_000)
    target = 0.8 * loss + random.normal(0, 0.5, len(loss))
    loss, target = loss - loss.mean(), target - target.mean()
    measured = loss + random.normal(0, noise, len(loss))
    residuals = target - np.polyval(np.polyfit(measured, target, 1), measured)
    gain = next_cells.knowledge_gradient(loss, target, noise)
    assert gain == pytest.approx(1 - residuals.var() / target.var(), abs=0.005)
    assert gain == pytest.approx(0.8**2 / (1 + noise**2) / (0.8**2 + 0.5**2), abs=0.01)
    belief = next_cells.Belief(np.stack([loss, target], 1), target, noise)
    belief.condition(0, random)
    assert belief.target.var() / target.var() == pytest.approx(1 - gain, abs=0.01)
    # Once the loss is measured, its variance is that of two measurements combined.
    left = noise**2 / (1 + noise**2)
    again = (0.8 * left) ** 2 / (left + noise**2) / (0.8**2 * left + 0.5**2)
    assert next_cells.knowledge_gradient(belief.losses[:, 0], belief.target, noise) == pytest.approx(again, abs=0.01)


def test_the_next_cells_are_worth_it_and_within_the_budget():
    found = next_cells.plan(LAWS, cells_of(TWO), 20.0, 1e8)
    assert found["cells"]
    assert not found["stop"]
    assert sum(row["cost_rank_hours"] for row in found["cells"]) <= 20
    for row in found["cells"]:
        assert next_cells.WORTH < row["variance_reduction"] <= 1
        assert row["corpus_tokens"] == grid.parse_size(row["size"]) <= 1e8
    assert found["verdict"].startswith("Next, for ")


def test_the_next_cells_are_on_ranks_that_are_fine_tuned():
    runs = pd.concat([TWO, TWO.assign(gpus=2, hours=TWO["hours"] / 2)])
    cells = pareto.Cells.from_runs(selection.Group("", TWO), runs)
    for ranks, gpus in (("all", {2}), ([1], {1}), ([4], set())):
        assert {row["gpus"] for row in next_cells.plan(LAWS, cells, 20.0, 1e8, ranks)["cells"]} == gpus


@pytest.mark.parametrize(
    ("hours", "most", "words"),
    [(20.0, 1.5e6, "Stop, or get more text: the corpus has 1.5M tokens"), (1e-3, 1e9, "Stop, or spend more")],
)
def test_when_to_stop(hours, most, words):
    found = next_cells.plan({"early": LAWS["early"]}, cells_of(TWO), hours, most)
    assert found["stop"]
    assert found["cells"] == []
    assert found["verdict"].startswith(words)


def test_a_model_without_a_law_gets_the_sizes_it_lacks():
    runs = table({"a": better_late}, sizes={"1M": 1e6, "2M": 2e6})
    found = next_cells.plan(laws_of(runs), cells_of(runs), 1.5, 1e9)
    assert [row["size"] for row in found["cells"]] == ["4M"]
    # A token takes 1e-7 rank-hours, and there are three seeds.
    assert found["cells"][0]["cost_rank_hours"] == pytest.approx(1.2)
    assert found["cells"][0]["why"] == "a forecast needs more sizes"
    assert found["cells"][0]["variance_reduction"] is None


def test_models_that_lack_sizes_share_the_budget():
    runs = table({"a": better_late, "b": better_early}, sizes={"1M": 1e6, "2M": 2e6})
    found = next_cells.plan(laws_of(runs), cells_of(runs), 3.0, 1e9)
    assert [(row["model"], row["size"]) for row in found["cells"]] == [("a", "4M")]
    found = next_cells.plan(laws_of(runs), cells_of(runs), 6.1, 1e9)
    assert [(row["model"], row["size"]) for row in found["cells"]] == [("a", "4M"), ("a", "8M"), ("b", "4M")]


def overlaid(change, chosen):
    """The cells that an overlay adds to and takes from a configuration."""
    config = configuration(change)
    overlay = yaml.safe_load(yaml.safe_dump(next_cells.overlay(chosen, DECISIONS.recipe(config).values)))
    before, after = set(grid.cells(config)), set(grid.cells(configuration({**change, **overlay})))
    return after - before, before - after


@pytest.mark.parametrize(
    "exclude",
    [
        [],
        [{"model": "tiny", "size": ["1k", "16k"]}],
        [{"size": 16000, "gpus": 2}, {"model": "small", "gpus": 2}],
        [{"model": ["tiny", "small"], "gpus": 2}],
    ],
)
@pytest.mark.parametrize(
    "chosen",
    [[], [("tiny", "16k", 1)], [("tiny", "32k", 2), ("small", "32k", 1)], [("tiny", "4k", 1), ("small", "16k", 2)]],
)
def test_an_overlay_adds_the_chosen_cells_and_nothing_else(exclude, chosen):
    change = {"models": ["tiny", "small"], "sizes": ["1k", "8k", "16k"], "gpus": [1, 2], "exclude": exclude}
    change["finetune"] = {"gpus": "all"}
    rows = [{"model": model, "size": size, "gpus": gpus} for model, size, gpus in chosen]
    added, taken = overlaid(change, rows)
    assert taken == set()
    assert added == {grid.Cell(*cell) for cell in chosen} - set(grid.cells(configuration(change)))


def test_laws_of_one_axis_learn_from_other_models():
    points = {name: Points.from_runs(runs, ["corpus_tokens"]) for name, runs in TWO.groupby("model")}
    alone = fit_law("late: loss by tokens", points["late"], ["corpus_tokens"])
    there = np.array([[1e8]])
    assert LAWS["late"].forecast(there)[0].origins > alone.forecast(there)[0].origins
    assert LAWS["late"].forecast(there)[0].value == alone.forecast(there)[0].value
