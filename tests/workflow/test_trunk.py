"""All sizes of a model share a trunk: branches are the runs they stand for, and the trunk grows with the grid."""

import copy
import json

import pandas as pd
import pytest
from conftest import Workflow
from world import GRID


def with_sizes(*sizes):
    return {**copy.deepcopy(GRID), "sizes": list(sizes)}


def record(workflow, step, size, gpus=1):
    return json.loads((workflow.folder / f"results/{step}/beta/{size}/{gpus}/1/record.json").read_text())


def test_a_branch_goes_on_from_the_trunk(world):
    trunk, branch = record(world, "trunk", "4k"), record(world, "pretrain", "4k")
    assert trunk["steps"] == branch["decay_from"] == round(0.8 * branch["steps"])
    assert branch["steps_here"] == branch["steps"] - trunk["steps"]
    assert trunk["steps_here"] == trunk["steps"] - record(world, "trunk", "2k")["steps"]
    trained = sum(record(world, step, size)["tokens_here"] for step in ("trunk", "pretrain") for size in ("2k", "4k"))
    apart = sum(record(world, "pretrain", size)["trained_tokens"] for size in ("2k", "4k"))
    assert trained < 0.8 * apart


def test_a_branch_has_the_curve_of_its_trunk(world):
    trunk, branch = record(world, "trunk", "4k"), record(world, "pretrain", "4k")
    steps = branch["curve"]["step"]
    assert steps == sorted(set(steps))
    assert steps[0] < record(world, "trunk", "2k")["steps"]
    assert steps[-1] == branch["steps"]
    assert len(branch["curve"]["loss"]) == len(steps)
    curve = pd.read_csv(world.folder / "results/curves.csv", dtype={"size": str})
    of_branch = (curve["model"] == "beta") & (curve["size"] == "4k") & (curve["pretrain_seed"] == 1)
    phases = curve[of_branch].groupby("phase")["trained_tokens"].agg(["min", "max"])
    assert phases.loc["warmup", "max"] < phases.loc["constant", "min"]
    end = trunk["steps"] / branch["steps"] * branch["trained_tokens"]
    assert phases.loc["constant", "max"] < end < phases.loc["decay", "min"]


def train(workflow, size, overlay, gpus=1):
    """Run one pre-training, and what it takes."""
    done = workflow.snakemake("--cores", "2", f"results/pretrain/beta/{size}/{gpus}/1/record.json", overlay=overlay)
    assert done.returncode == 0, done.stderr + workflow.logs()
    return record(workflow, "pretrain", size, gpus)


@pytest.mark.extended
def test_a_branch_is_the_independent_run(world, tmp_path):
    branch = record(world, "pretrain", "4k")
    grid = copy.deepcopy(GRID)
    grid["pretrain"]["per_model"]["beta"]["schedule"] = "independent"
    alone = train(Workflow(tmp_path, world.folder), "4k", grid)
    assert alone["recipe"]["schedule"] == "independent"
    assert alone["steps_here"] == alone["steps"]
    assert alone["outputs"] == branch["outputs"], "to the last bit, dropout included"


@pytest.mark.extended
def test_a_size_in_between_goes_on_from_the_nearest_state(world):
    grid = with_sizes(0, "2k", "3k", "4k")
    train(world, "3k", grid)
    assert "results/trunk/beta/2k/1/1/manifest.json" in record(world, "trunk", "3k")["inputs"]
    planned = world.planned("results/pretrain/beta/4k/1/1/record.json", overlay=grid)
    assert planned == {}, "the size beyond has its own way"


@pytest.mark.extended
def test_several_ranks_share_a_trunk(world):
    two = train(world, "2k", GRID | {"exclude": []}, gpus=2)
    assert record(world, "trunk", "2k", gpus=2)["ranks"] == two["ranks"] == 2
    # Each rank drops other units.
    assert two["held_out_loss"] == pytest.approx(record(world, "pretrain", "2k")["held_out_loss"], abs=0.05)
