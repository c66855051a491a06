"""Figures are drawn of the smallest grid, too."""

import importlib
import json
from pathlib import Path

import figure_budget
import figure_costs
import figure_curves
import figure_estimates
import figure_front
import figure_holdout
import figure_laws
import figure_loss
import figure_pairs
import figure_parameters
import figure_residuals
import figure_scores
import figure_seeds
import figure_throughput
import figure_transfer
import numpy as np
import pandas as pd
import pytest
from matplotlib.lines import Line2D

from gridlaw import io
from gridlaw.laws import fits, in_run, selection
from gridlaw.laws.fits import Fits
from gridlaw.report import law_points, plotting
from gridlaw.stats import intervals
from gridlaw.workflow.kinds.reporting import FIGURES
from gridlaw.workflow.steps import KINDS

# FLOPs of a parameter and token: not 6, as those of a text that is read more than once are not.
MEASURED = 66.0
CELL = {"model": "tiny", "size": "2k", "size_tokens": 2013, "gpus": 1}
SCORE = {"task": "sentiment", "train_set": "all", "train_examples": 40.0, "split": "validation", "metric": "accuracy"}


@pytest.fixture
def draw(program, tmp_path):
    """Draws a figure from tables, from records, which are mappings, and from files."""

    def run(module, recipe, **tables):
        arguments = []
        for name, table in tables.items():
            if isinstance(table, Path):
                arguments += [f"--{name}", table]
                continue
            file = tmp_path / f"{name}.{'json' if isinstance(table, dict) else 'csv'}"
            io.write_json(file, table) if isinstance(table, dict) else pd.DataFrame(table).to_csv(file, index=False)
            arguments += [f"--{name}", file]
        figure = tmp_path / "figure.png"
        program(module, "--recipe", recipe, *arguments, "--figure", figure, "--record", tmp_path / "record.json")
        return figure

    return run


def test_scores_of_one_cell_on_one_task(draw):
    summary = [{**CELL, **SCORE, "note": None, "mean": 0.525, "low": None, "high": None, "sd": None, "n": 1}]
    baselines = [{"task": "sentiment", "metric": "accuracy", "split": "validation", "value": 0.5}]
    recipe = '{"models": ["tiny"], "tasks": [["sentiment", "accuracy", "validation"]]}'
    assert draw(figure_scores, recipe, summary=summary, baselines=baselines).stat().st_size > 200


@pytest.mark.parametrize("module", [figure_loss, figure_throughput])
def test_runs_of_one_cell(draw, module):
    run = {
        **CELL, "pretrain_seed": 1, "status": "done", "tokenizer": "wordpiece", "device": "cpu", "ranks": 1,
        "held_out_loss": 5.0, "unigram_loss": 6.0, "held_out_loss_se": 0.1, "tokens_per_second": 100.0, "tokens_per_second_low": 90.0,
        "tokens_per_second_high": 110.0,
    }  # fmt: skip
    assert draw(module, '{"models": ["tiny"]}', runs=[run]).stat().st_size > 200


def grid_of_runs(models, sizes, seeds=(1, 2)):
    """Runs by a power law of their tokens, whose seeds differ."""
    return [
        {
            **CELL, "model": model, "size": f"{size}k", "size_tokens": size * 1000, "pretrain_seed": seed, "status": "done",
            "tokenizer": "wordpiece", "held_out_mask_rate": 0.15, "schedule": "independent", "decay_shape": "linear", "decay_ratio": 1, "warmup_tokens": 0,
            "passes": 1, "ranks": 1, "device": "cpu", "corpus_tokens": size * 1000, "parameters": 10**number, "trained": True,
            "parameters_without_embeddings": 10**number, "held_out_loss": number * size**-0.3 * (1 + seed / 100),
            "held_out_loss_se": 0.01, "trained_tokens": size * 1000, "tokens_here": size * 1000, "train_seconds": size, "wall_seconds": size,
            "flops": MEASURED * 10**number * size * 1000, "peak_memory_mb": 500.0,
            "started": f"2026-01-0{seed}T00:00:00+00:00", "host": f"node{number}",
        }
        for number, model in enumerate(models, 5) for size in sizes for seed in seeds
    ]  # fmt: skip


def summary_of(models, sizes):
    """The average over tasks, which rises with size."""
    average = {"task": "all tasks", "metric": "macro_average", "split": "validation", "note": None, "train_set": "all"}
    return [
        {**CELL, **average, "model": model, "size": f"{size}k", "mean": 0.5 + size / 1000, "low": 0.4, "high": 0.9}
        for model in models for size in sizes
    ]  # fmt: skip


def fitted(runs, folder):
    """The file of the laws by tokens of a table of runs."""
    pd.DataFrame(runs).to_csv(folder / "runs.csv", index=False)
    groups = selection.groups(selection.read_runs(folder / "runs.csv"), strong=True)
    fits.write(folder / "fits.npz", {group.name: Fits(selection.laws_by_tokens(group), []) for group in groups})
    return folder / "fits.npz"


@pytest.mark.parametrize("module", [figure_laws, figure_front])
@pytest.mark.parametrize(
    ("models", "sizes"),
    [(["tiny"], [2]), (["tiny", "small"], [2, 8, 16, 64, 256]), ([f"m{n}" for n in range(20)], [2, 9])],
)
def test_laws_and_front(draw, module, models, sizes, tmp_path):
    recipe = json.dumps({"models": models, "scaling": "strong"})
    runs = grid_of_runs(models, sizes)
    if module is figure_front:
        figure = draw(module, recipe, runs=runs, summary=summary_of(models, sizes))
    else:
        figure = draw(module, recipe, fits=fitted(runs, tmp_path))
    assert figure.stat().st_size > 200
    data = pd.read_csv(figure.with_suffix(".csv"))
    assert set(data["model"]) == set(models)
    if module is figure_laws:
        assert ("forecast" in set(data["kind"])) == (len(sizes) == 5), "a law takes four sizes"
        assert data.loc[data["kind"] == "forecast", "corpus_tokens"].gt(max(sizes) * 1000).all()
    else:
        assert data.groupby("panel")["on_front"].any().to_dict() == {"held-out loss": True, "average over tasks": True}


@pytest.mark.parametrize(
    ("models", "passes"), [([], 1), (["tiny"], 1), (["tiny"], 10), ([f"m{n}" for n in range(20)], 1)]
)
def test_curves_of_trainings(draw, models, passes):
    tokens = np.arange(1, 51) * 2e4
    curves = [
        {**CELL, "model": model, "size": "1M", "pretrain_seed": seed, "trained_tokens": x, "loss": 2 + n + seed * 0.001 + 300 / x**0.4,
         "phase": "constant" if x < 8e5 else "decay", "passes": passes}
        for n, model in enumerate(models) for seed in (1, 2) for x in tokens
    ]  # fmt: skip
    columns = ["model", "size", "gpus", "pretrain_seed", "trained_tokens", "loss", "phase"]
    table = pd.DataFrame(curves, columns=[*columns, "passes"])
    # Judging takes long and finds the same for each: curves differ by a constant.
    judged = [in_run.judge(model, own) for model, own in table[table["model"].isin(models[:1])].groupby("model")]
    judged += [one | {"name": model, "model": model} for model in models[1:] for one in judged]
    figure = draw(figure_curves, json.dumps({"models": models}), curves=table[columns], laws={"in_run": judged})
    data = pd.read_csv(figure.with_suffix(".csv"))
    assert set(data["model"]) == set(models)
    told = {"forecast from the first half", "forecast"} if passes == 1 and models else set()
    assert set(data["what"]) - {"measured"} == told
    assert set(data.loc[data["what"] == "measured", "runs"]) <= {2}


def test_scatter_of_replicates_is_pooled_over_cells():
    table = pd.DataFrame({"cell": [1, 1, 2, 2, 3], "loss": [2.0, 2.2, 3.0, 3.3, 4.0]})
    found = intervals.summarise_pooled(table, ["cell"], "loss").set_index("cell")
    assert found["n"].tolist() == [2, 2, 1]
    assert found.loc[1, "mean"] == pytest.approx(4.4**0.5)
    widths = np.log(found["high"] / found["low"])
    assert widths[1] == pytest.approx(widths[2]), "cells of as many replicates are as sure"
    assert widths[3] == pytest.approx(widths[1] * 2**0.5)
    # Two differences of log 1.1: a standard deviation of log 1.1 / sqrt 2 with two degrees of freedom.
    assert widths[1] == pytest.approx(2 * 4.3027 * np.log(1.1) / 2, rel=1e-4)
    assert intervals.summarise_pooled(table[2:5:2], ["cell"], "loss")["low"].isna().all()


MODELS = ("tiny", "small")


def law_of(model, number):
    """A model's law by tokens, as the record has it."""
    tokens = [2e3, 8e3, 32e3, 128e3]
    return {
        "group": "", "model": model, "name": f"{model}: loss by tokens", "axes": ["corpus_tokens"], "state": "law", "run_sd": 0.01,
        "points": 4, "runs": 8, "back_test": {"levels": [0.3, 0.6, 0.99]},
        "parameters": {"E": {"value": 1.0, "low": 0.9, "high": 1.2}, "beta": {"value": 0.3, "low": 0.2, "high": 0.4}},
        "draws": {"E": [0.9, 1.0, 1.1], "beta": [0.2, 0.3, 0.4]},
        "profile": {"E": [0.1, 0.5, 1.0, 1.1], "error": [0.1, 0.05, 0.01, 0.02]},
        "residuals": [{"corpus_tokens": one, "loss": number / one**0.1, "residual": 0.01 * number} for one in tokens],
        "hold_out": [{"left_out": "corpus_tokens", "corpus_tokens": 128e3, "actual": 2.0, "predicted": 2.1, "low": 1.9, "high": 2.3, "inside": True}],
    }  # fmt: skip


def curve_of(task, state):
    cells = [
        {"model": model, "size": "2k", "gpus": 1, "loss": loss, "score": 1 / loss, "sd": 0.01, "n": 3}
        for model in MODELS for loss in (2.0, 3.0, 4.0)
    ]  # fmt: skip
    parameters = {"floor": 0.1, "ceiling": 0.9, "k": 1.0, "L0": 2.0}
    return {"group": "", "task": task, "metric": "accuracy", "state": state, "cells": cells, "parameters": parameters}


JOINT = {
    "group": "", "name": "loss by parameters and tokens, with embeddings", "axes": ["params", "corpus_tokens"], "state": "law",
    "run_sd": None, "points": 1, "runs": 1, "hold_out": [], "draws": {},
    "parameters": {name: {"value": value} for name, value in {"A": 9, "alpha": 0.3, "B": 9, "beta": 0.3}.items()},
    "residuals": [{"params": 1e5, "corpus_tokens": 2e3, "loss": 2.0, "residual": 0.01}],
}  # fmt: skip
LAWS = {
    "laws": [
        law_of("tiny", 1),
        law_of("small", 2),
        curve_of("sentiment", "law"),
        curve_of("entailment", "refused"),
        {"name": "throughput", "measured": []},
    ]
}
PAIR = {
    "difference": 0.1, "low": 0.05, "high": 0.15, "seeds": 2, "probability": 0.99, "p": 0.01, "conclusion": "different",
    "better": "small",
}  # fmt: skip
DECISIONS = {
    "spent_rank_hours": 0.1,
    "averages": [],
    "groups": [
        {
            "group": "",
            "comparisons": [{"size": size, "a": "small", "b": "tiny", **PAIR} for size in ("8k", "64k")],
            "budget_curve": [
                {"rank_hours": 0.1, "verdict": "nothing"},
                {"rank_hours": 1, "model": "tiny", "gpus": 1, "corpus_tokens": 2e3, "measured": True, "loss": 3, "low": 2.9, "high": 3.1},
                {"rank_hours": 9, "model": "small", "gpus": 1, "corpus_tokens": 9e3, "measured": False, "loss": 2, "low": 1, "high": 3},
            ],
            "next": {"cells": [{"model": "tiny", "size": "512k", "gpus": 1, "cost_rank_hours": 0.5}]},
        }
    ],
}  # fmt: skip
SCORES = [
    {**CELL, **SCORE, "model": model, "size": f"{size}k", "note": None, "pretrain_seed": seed, "finetune_seed": other,
     "value": size / 100 + (seed - other) / 1000}
    for model in MODELS for size in (2, 8) for seed in (1, 2) for other in (1, 2)
]  # fmt: skip
RECIPE = {"models": MODELS, "scaling": "strong", "tasks": [["sentiment", "accuracy", "validation"]]}
OTHERS = [
    figure_budget, figure_costs, figure_estimates, figure_holdout, figure_pairs, figure_parameters, figure_residuals,
    figure_seeds, figure_transfer,
]  # fmt: skip


@pytest.fixture
def drawn(draw):
    """Return the content of a figure of a grid of two models."""

    def of(module, laws=LAWS, decisions=DECISIONS, runs=None, scores=SCORES, models=MODELS):
        known = {
            "laws": laws,
            "decisions": decisions,
            "scores": scores,
            "runs": runs or grid_of_runs(models, [2, 8, 32, 128]),
        }
        recipe = json.dumps(RECIPE | {"models": models})
        figure = draw(module, recipe, **{name: known[name] for name in KINDS[module.__name__].reads})
        assert all(file.stat().st_size > 0 for file in plotting.files(figure))
        return pd.read_csv(figure.with_suffix(".csv"))

    return of


@pytest.mark.parametrize("module", OTHERS)
def test_a_grid_that_says_nothing_has_a_figure(drawn, module):
    nothing = {"spent_rank_hours": 0, "averages": [], "groups": []}
    missing = [
        run | {"status": "missing", "held_out_loss": None, "corpus_tokens": None, "train_seconds": None}
        for run in grid_of_runs(["tiny"], [2])
    ]
    alone = [SCORES[0]]
    data = drawn(module, laws={"laws": []}, decisions=nothing, runs=missing, scores=alone)
    assert len(data) == {figure_costs: 1, figure_seeds: 3}.get(module, 0)


def test_every_figure_has_its_program_and_says_what_it_reads():
    for kind in FIGURES.values():
        words = importlib.import_module(kind.name).__doc__
        files = {name: Path(file).name for name, [file] in kind.inputs(None).items()}
        assert all(f"--{name} {file}" in words for name, file in files.items())


def test_equal_compute_lies_between_cells(drawn):
    data = drawn(figure_parameters, laws={"laws": [JOINT]})
    text, compute = (data[data["panel"].str.contains(what)] for what in ("text", "compute"))
    assert len(text) == 8
    assert compute.groupby("line")["flops"].nunique().eq(1).all()
    assert np.allclose(MEASURED * text["params"] * text["corpus_tokens"], text["flops"]), "as measured"
    assert np.allclose(MEASURED * compute["params"] * compute["corpus_tokens"], compute["flops"])
    assert compute["mean"].between(text["mean"].min(), text["mean"].max()).all()


def test_the_lowest_point_at_equal_compute(drawn):
    """Of a law with a known optimum (Hoffmann et al. 2022, equation 4)."""
    models = [f"m{number}" for number in range(5)]
    many = grid_of_runs(models, [10**k for k in range(1, 6)], seeds=[1])
    for number, run in enumerate(many):
        params = run["parameters"] = run["parameters_without_embeddings"] = 10 ** (5 + number // 5 / 2)
        run["flops"] = MEASURED * params * run["trained_tokens"]
        run["held_out_loss"] = 1 + 200 / params**0.4 + 200 / run["trained_tokens"] ** 0.4
    data = drawn(figure_parameters, runs=many, models=models)
    lowest = data[data["kind"] == "optimum"]
    assert len(lowest) >= 2
    # With both terms alike a model gets as many tokens as it has parameters; a parabola is near it.
    assert np.allclose(np.log10(lowest["params"] / lowest["corpus_tokens"]), 0, atol=0.3)
    assert lowest["model"].isna().all()


def test_a_curve_is_drawn_where_there_is_one(drawn):
    data = drawn(figure_transfer)
    assert data.groupby("task")["kind"].agg(set).to_dict() == {"sentiment": {"cell", "law"}, "entailment": {"cell"}}
    assert data.loc[data["kind"] == "law", "loss"].min() < 2.0, "it goes beyond the best cell"


def test_a_budget_that_is_enough_for_nothing_has_no_point(drawn):
    assert drawn(figure_budget)["rank_hours"].to_list() == [1, 9]


def test_pairs_are_of_the_largest_size(drawn):
    data = drawn(figure_pairs)
    assert data.loc[data["a"].notna(), "size"].to_list() == ["64k"]


def test_ranks_are_of_every_size(drawn):
    def pair(size, a, b, difference):
        return PAIR | {"size": size, "a": a, "b": b, "difference": difference}

    lower = [pair("64k", "small", "tiny", -1), pair("8k", "small", "tiny", 1), pair("2k", "small", "tiny", 0)]
    higher = [pair("8k", "small", "tiny", 1)]
    group = DECISIONS["groups"][0] | {"comparisons": lower}
    data = drawn(figure_pairs, decisions=DECISIONS | {"groups": [group], "averages": higher}).dropna(subset="rank")
    ranks = data.set_index(["panel", "size", "model"])["rank"].unstack()
    assert ranks.loc["by loss"].loc[["2k", "8k", "64k"], ["small", "tiny"]].to_numpy().tolist() == [
        [1.5, 1.5],
        [2, 1],
        [1, 2],
    ]
    assert ranks.loc["by the average over tasks"].loc["8k", ["small", "tiny"]].to_list() == [1, 2]


def test_seeds_are_told_apart(drawn):
    data = drawn(figure_seeds).set_index("seeds_of")["sd"]
    assert data["fine-tuning"].to_numpy() == pytest.approx(0.5**0.5 / 1000)
    assert data["pre-training"].to_numpy() == pytest.approx(0.5**0.5 / 1000)
    assert data["cells"] == pytest.approx(np.std([0.02, 0.08, 0.02, 0.08], ddof=1))


def test_coverage_is_of_all_laws_together(drawn):
    data = drawn(figure_holdout)
    cells, shares = (
        data[data["panel"] == "corpus_tokens"],
        data[data["panel"] == "coverage"].set_index("level")["share"],
    )
    assert cells["model"].to_list() == list(MODELS)
    assert [shares[level] for level in (0.0, 0.5, 0.9, 1.0)] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_what_the_law_of_all_models_leaves_over_counts_first(drawn):
    own = drawn(figure_residuals)
    assert own.groupby("model")["residual"].first().to_dict() == {"tiny": 0.01, "small": 0.02}
    assert own.groupby("model")["host"].first().to_dict() == {"tiny": "node5", "small": "node6"}
    assert own["hours"].eq(0).all(), "the first run of each cell"
    joint = drawn(figure_residuals, laws={"laws": [*LAWS["laws"], JOINT]})
    assert joint[["model", "flops"]].to_numpy().tolist() == [["tiny", MEASURED * 1e5 * 2e3]]


def test_estimates_have_their_resamples(drawn):
    data = drawn(figure_estimates)
    assert data.groupby(["model", "parameter", "kind"]).size().to_dict() == {
        (model, name, kind): n
        for model in MODELS
        for name in ("E", "beta")
        for kind, n in (("fit", 1), ("resample", 3), ("profile", 4))
        if name == "E" or kind != "profile"
    }


def test_the_map_tells_done_missing_and_next(drawn):
    runs = grid_of_runs(MODELS, [2, 8])
    runs[-1] |= {"status": "missing", "train_seconds": None}
    states = drawn(figure_costs, runs=runs).set_index(["model", "size"])["state"]
    assert states["small", "8k"] == "partly done"
    assert states["tiny", "512k"] == "to run next"
    assert states["tiny", "2k"] == "done"


def test_points_have_the_model_that_their_parameters_are_of():
    runs = pd.DataFrame(grid_of_runs(MODELS, [2])).assign(
        parameters_without_embeddings=lambda table: table["parameters"] / 10
    )
    found = law_points.points([JOINT, JOINT | {"embeddings": False}], "residuals", runs)
    assert found["model"].to_list() == ["tiny", "small"]
    assert law_points.points([law_of("small", 2)], "residuals", runs)["params"].to_list() == [1e6] * 4
    assert law_points.points([], "hold_out", runs).empty


def test_a_model_looks_the_same_where_others_are_missing():
    assert plotting.styles(["a", "b", "c"], ["c", "b"]) == {
        name: plotting.styles(["a", "b", "c"], "abc")[name] for name in "bc"
    }


@pytest.mark.parametrize("number", [1, 3, 20])
def test_a_legend_has_room_and_leaves_some(tmp_path, number):
    names = [f"encoder-{n}" for n in range(number)]
    models = plotting.styles(names, names)
    assert len({style["color"] for style in models.values()}) == number, "dots have no dashes"
    with plotting.figure(tmp_path / "some.png", 1, 1, plotting.COLUMN, 2.6, pd.DataFrame()) as (figure, axes):
        plotting.legend(
            figure, models, [1, 2], "what is shown", [Line2D([], [], label="a name that is longer than others")]
        )
        figure.draw_without_rendering()
        (box,) = figure.legends
        assert figure.bbox.x0 <= box.get_window_extent().x0 < box.get_window_extent().x1 <= figure.bbox.x1
        assert axes[0].get_window_extent().height / figure.dpi > 1.2


@pytest.mark.parametrize(("number", "words"), [(1e12, "$10^{12}$"), (3e12, "3×$10^{12}$"), (2.55e3, "2.5×$10^{3}$")])
def test_powers_of_ten(number, words):
    assert plotting.power(number) == words
