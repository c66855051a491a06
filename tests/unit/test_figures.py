"""Figures are drawn of the smallest grid, too."""

import json

import figure_front
import figure_laws
import figure_loss
import figure_scores
import figure_throughput
import numpy as np
import pandas as pd
import pytest

from gridlaw import intervals

CELL = {"model": "tiny", "size": "2k", "tokens": 2013, "gpus": 1}
SCORE = {"task": "sentiment", "train_set": "all", "train_examples": 40.0, "split": "validation", "metric": "accuracy"}


@pytest.fixture
def draw(program, tmp_path):
    """Draws a figure from tables."""

    def run(module, recipe, **tables):
        arguments = []
        for name, table in tables.items():
            pd.DataFrame(table).to_csv(tmp_path / f"{name}.csv", index=False)
            arguments += [f"--{name}", tmp_path / f"{name}.csv"]
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
            **CELL, "model": model, "size": f"{size}k", "tokens": size * 1000, "pretrain_seed": seed, "status": "done",
            "tokenizer": "wordpiece", "schedule": "independent", "decay_shape": "linear", "decay_ratio": 1, "warmup_tokens": 0,
            "passes": 1, "ranks": 1, "device": "cpu", "unique_tokens": size * 1000, "parameters": 10**number, "trained": True,
            "parameters_without_embeddings": 10**number, "held_out_loss": number * size**-0.3 * (1 + seed / 100),
            "held_out_loss_se": 0.01, "trained_tokens": size * 1000, "tokens_here": size * 1000, "train_seconds": size, "wall_seconds": size, "peak_memory_mb": 500.0,
        }
        for number, model in enumerate(models, 5) for size in sizes for seed in seeds
    ]  # fmt: skip


@pytest.mark.parametrize("module", [figure_laws, figure_front])
@pytest.mark.parametrize(
    ("models", "sizes"),
    [(["tiny"], [2]), (["tiny", "small"], [2, 8, 16, 64, 256]), ([f"m{n}" for n in range(20)], [2, 9])],
)
def test_laws_and_front(draw, module, models, sizes):
    recipe = json.dumps({"models": models, "scaling": "strong"})
    figure = draw(module, recipe, runs=grid_of_runs(models, sizes))
    assert figure.stat().st_size > 200
    data = pd.read_csv(figure.with_suffix(".csv"))
    assert set(data["model"]) == set(models)
    if module is figure_laws:
        assert ("forecast" in set(data["kind"])) == (len(sizes) == 5), "a law takes four sizes"
        assert data.loc[data["kind"] == "forecast", "tokens"].gt(max(sizes) * 1000).all()
    else:
        assert data["on_front"].any()


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
