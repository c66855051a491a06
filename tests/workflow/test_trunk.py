"""All sizes of a model share a trunk: branches are the runs they stand for, and the trunk grows with the grid."""

import copy
import json
import shutil

import pandas as pd
import pytest
from conftest import Workflow

from gridlaw import steps

pytestmark = pytest.mark.extended
GRID = {
    "models": ["tiny"],
    "sizes": ["3k", "6k"],
    "gpus": [1],
    "tasks": ["sentiment"],
    "seeds": {"pretrain": [1], "finetune": [1]},
    "exclude": [],
    "data": {"held_out_words": 500},
    "pretrain": {
        "schedule": "trunk",
        "passes": 1,
        "batch_size": 8,
        "warmup_tokens": "1k",
        "decay_ratio": 0.2,
        "decay_shape": "1-sqrt",
        "dropout": 0.1,
    },
    "finetune": {"epochs": 1},
    "catalogue": {
        "tokenizers": {"wordpiece": {"vocab_size": 600}},
        "corpora": {"toy": {"words": "12k"}},
        "tasks": {"sentiment": {"train_size": 40, "validation_size": 40}},
    },
}
FIGURES = dict.fromkeys((*steps.FILES, "all"), 1)


def with_sizes(*sizes):
    return {**copy.deepcopy(GRID), "sizes": list(sizes)}


@pytest.fixture(scope="module")
def finished(workflow):
    done = workflow.snakemake("--cores", "2", "all", overlay=GRID)
    assert done.returncode == 0, done.stderr + workflow.logs()
    return workflow


def record(workflow, step, size):
    return json.loads((workflow.folder / f"results/{step}/tiny/{size}/1/1/record.json").read_text())


def test_a_branch_goes_on_from_the_trunk(finished):
    trunk, branch = record(finished, "trunk", "6k"), record(finished, "pretrain", "6k")
    assert trunk["steps"] == branch["decay_from"] == round(0.8 * branch["steps"])
    assert branch["steps_here"] == branch["steps"] - trunk["steps"]
    assert trunk["steps_here"] == trunk["steps"] - record(finished, "trunk", "3k")["steps"]
    trained = sum(
        record(finished, step, size)["tokens_here"] for step in ("trunk", "pretrain") for size in ("3k", "6k")
    )
    apart = sum(record(finished, "pretrain", size)["trained_tokens"] for size in ("3k", "6k"))
    assert trained < 0.8 * apart


def test_records_alone_know_that_it_is_done(finished):
    assert finished.undone(GRID) == {}
    shutil.move(finished.folder / ".snakemake", finished.folder / "apart")
    assert finished.planned(overlay=with_sizes("3k", "6k", "8k"))["trunk"] == 1
    assert finished.planned(overlay=GRID) == {}
    shutil.rmtree(finished.folder / ".snakemake")
    shutil.move(finished.folder / "apart", finished.folder / ".snakemake")


def test_a_branch_is_the_independent_run(finished, tmp_path):
    models = {size: record(finished, "pretrain", size)["outputs"] for size in ("3k", "6k")}
    grid = copy.deepcopy(GRID)
    grid["pretrain"]["schedule"] = "independent"
    apart = Workflow(tmp_path)
    shutil.copytree(finished.folder / "resources", tmp_path / "resources")
    done = apart.snakemake("--cores", "2", "--until", "pretrain", overlay=grid)
    assert done.returncode == 0, done.stderr + apart.logs()
    for size, outputs in models.items():
        alone = record(apart, "pretrain", size)
        assert alone["recipe"]["schedule"] == "independent"
        assert alone["steps_here"] == alone["steps"]
        assert alone["outputs"] == outputs, "to the last bit, dropout included"


def test_a_size_in_between_and_a_larger_one_touch_no_other(finished):
    cell = {"slice": 1, "trunk": 1, "pretrain": 1, "finetune": 1, "score": 1}
    assert finished.planned(overlay=GRID) == {}
    assert finished.planned(overlay=with_sizes("3k", "4k", "6k")) == cell | FIGURES
    assert finished.planned(overlay=with_sizes("2k", "3k", "6k")) == cell | FIGURES
    assert finished.planned(overlay=with_sizes("3k", "6k", "8k")) == cell | FIGURES


def test_a_size_in_between_goes_on_from_the_nearest_state(finished):
    done = finished.snakemake("--cores", "2", "--until", "score", overlay=with_sizes("3k", "4k", "6k"))
    assert done.returncode == 0, done.stderr + finished.logs()
    before = "results/trunk/tiny/3k/1/1/manifest.json"
    assert before in record(finished, "trunk", "4k")["inputs"]
    assert finished.planned(overlay=with_sizes("3k", "4k", "6k")) == FIGURES
    assert finished.planned(overlay=with_sizes("4k", "6k")) == FIGURES


def test_the_decay_is_the_branches_own(finished):
    grid = with_sizes("3k", "4k", "6k")
    grid["pretrain"]["decay_shape"] = "linear"
    planned = finished.planned(overlay=grid)
    assert planned["pretrain"] == 3
    assert "trunk" not in planned


def test_a_branch_has_the_curve_of_its_trunk(finished):
    trunk, branch = record(finished, "trunk", "6k"), record(finished, "pretrain", "6k")
    steps = branch["curve"]["step"]
    assert steps == sorted(set(steps))
    assert steps[0] < record(finished, "trunk", "3k")["steps"]
    assert steps[-1] == branch["steps"]
    assert len(branch["curve"]["loss"]) == len(steps)
    curve = pd.read_csv(finished.folder / "results/curves.csv", dtype={"size": str})
    phases = curve[curve["size"] == "6k"].groupby("phase")["trained_tokens"].agg(["min", "max"])
    assert phases.loc["warmup", "max"] < phases.loc["constant", "min"]
    end = trunk["steps"] / branch["steps"] * branch["trained_tokens"]
    assert phases.loc["constant", "max"] < end < phases.loc["decay", "min"]
    (told,) = json.loads((finished.folder / "results/laws.json").read_text())["in_run"]
    assert told["points"] == len(steps)
