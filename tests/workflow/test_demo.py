"""The workflow from a clone to its tables, on a grid of minutes made seconds."""

import copy
import json
import re
import shutil
from contextlib import chdir

import pandas as pd
import pytest
import yaml
from conftest import configuration
from world import GRID

from gridlaw.workflow.kinds.reporting import FIGURES
from gridlaw.workflow.steps import SINGLE, Steps

CELLS = [
    ("alpha", "0", 1),
    ("alpha", "2k", 1),
    ("alpha", "2k", 2),
    ("beta", "2k", 1),
    ("beta", "4k", 1),
]


def table(workflow, name):
    csv = pd.read_csv(workflow.folder / f"results/{name}.csv")
    assert len(pd.read_parquet(workflow.folder / f"results/{name}.parquet")) == len(csv)
    return csv


def test_runs(world):
    runs = table(world, "runs")
    cells = runs[runs["pretrain_seed"] == 2].set_index(["model", "size", "gpus"])
    assert list(cells.index) == CELLS
    assert len(runs) == 2 * len(CELLS)
    assert (runs["status"] == "done").all()
    assert (runs["ranks"] == runs["gpus"]).all()
    assert (cells["size_tokens"] >= [0, 2000, 2000, 2000, 4000]).all()
    assert runs["held_out_loss"].notna().all()
    assert runs.loc[runs["size"] != "0", "tokens_per_second"].gt(0).all()
    one, two = (cells.loc[("alpha", "2k", gpus), "held_out_loss"] for gpus in (1, 2))
    assert one == pytest.approx(two, abs=1e-4), "ranks do the same optimization"
    assert cells.loc[("alpha", "2k", 2), "weights_from_one_rank_relative"] < 1e-3, "but for the order of sums"


def test_distance_of_two_ranks_from_one(world):
    runs = table(world, "runs")
    runs = runs[(runs["model"] == "alpha") & (runs["pretrain_seed"] == 1)].set_index(["size", "gpus"])
    apart = [name for name in runs if name.endswith("_one_rank")] + [
        "weights_from_one_rank_max",
        "weights_from_one_rank_relative",
    ]
    assert len(apart) == 5
    assert runs.loc[[("0", 1), ("2k", 1)], apart].isna().all(axis=None)
    two = runs.loc["2k", 2]
    losses = runs.loc["2k", "held_out_loss"]
    assert two["held_out_loss_from_one_rank"] == pytest.approx(losses[2] - losses[1], abs=1e-9)
    assert abs(two["final_loss_from_one_rank"]) < 1e-4
    assert two["weights_from_one_rank_max"] < 0.01
    assert two["weights_from_one_rank_relative"] < 0.01


def test_scores(world):
    scores = table(world, "scores")
    assert {
        "model",
        "size",
        "size_tokens",
        "gpus",
        "pretrain_seed",
        "task",
        "train_examples",
        "finetune_seed",
        "metric",
        "value",
    } <= set(scores)
    sentiment = scores[(scores["task"] == "sentiment") & (scores["metric"] == "accuracy")]
    # Two seeds of each kind, two sizes of the training set.
    assert len(sentiment) == len(CELLS) * 2 * 2 * 2
    assert set(sentiment["train_examples"]) == {16, 40}
    carried = scores[scores["gpus"] == 2]
    assert set(carried["note"]) == {"fine-tuned at gpus 1"}
    own = scores[(scores["gpus"] == 1) & (scores["size"] == "2k") & (scores["model"] == "alpha")]
    assert carried["value"].tolist() == own["value"].tolist()


def test_macro_average(world):
    scores = table(world, "scores")
    run = {"model": "beta", "size": "4k", "gpus": 1, "pretrain_seed": 1, "finetune_seed": 1, "train_set": "all"}
    one = scores[(scores[[*run]] == pd.Series(run)).all(axis=1)]
    average = one[one["metric"] == "macro_average"]["value"].item()
    tasks = one[one["metric"] != "macro_average"].groupby("task")["value"].mean()
    assert len(tasks) == 3
    assert average == pytest.approx(tasks.mean())


def test_records_repeat_recipe_and_inputs(world):
    record = json.loads((world.folder / "results/pretrain/alpha/2k/1/1/record.json").read_text())
    assert record["recipe"]["learning_rate"] > 0
    assert any(name.endswith("slice/letters/wordpiece/2k/manifest.json") for name in record["inputs"])
    assert record["environment"]["torch"]


def test_report(world):
    page = (world.folder / "results/report.html").read_text()
    assert "<title>How alpha and beta scale</title>" in page
    assert page.count('src="data:image/svg+xml;base64,') == len(FIGURES)
    assert not re.search(r'(src|href)="(?!data:|#)', page), "it asks nothing of the network"
    assert not re.search(r">\s*(nan|None|inf)\s*<", page)
    assert "No law of speed-up: it takes 3 numbers of ranks" in page, "what cannot be said is told"
    for section in ("answers", "figures", "tables", "grid", "methods", "provenance"):
        assert f'id="{section}"' in page


def test_analysis(world):
    laws, decisions = (
        json.loads((world.folder / f"results/{name}.json").read_text()) for name in ("laws", "decisions")
    )
    assert {law["state"] for law in laws["laws"]} == {"refused"}
    assert decisions["spent_rank_hours"] > 0
    assert pd.read_csv(world.folder / "results/forecasts.csv")["forecast"].isna().all()
    overlay = yaml.safe_load((world.folder / "results/next.yaml").read_text())
    chosen = [cell for group in decisions["groups"] for cell in group["next"]["cells"]]
    planned = world.planned(overlay={**GRID, **overlay})
    assert planned.get("pretrain", 0) == len(chosen), "the overlay adds the chosen cells and nothing else"


def test_slices_are_nested(world):
    small, large = (
        json.loads((world.folder / f"resources/slice/letters/bpe/{size}/manifest.json").read_text())
        for size in ("2k", "4k")
    )
    assert small["segments"] < large["segments"]
    assert small["end"] < large["end"]
    assert 2000 <= small["size_tokens"] < 2050


def test_model_is_an_ordinary_folder(world):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder = world.folder / "results/pretrain/alpha/2k/1/1/model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder)
    assert model(**tokenizer("the", return_tensors="pt")).logits.shape[-1] == len(tokenizer)


def test_figures(world):
    for name in FIGURES:
        for suffix in ("png", "svg", "pdf", "csv"):
            # A table may have nothing but its columns' names.
            least = 20 if suffix == "csv" else 200
            assert (world.folder / f"results/figures/{name}.{suffix}").stat().st_size > least


def test_tensorboard(world):
    place = world.folder / "logs/tensorboard"
    assert list((place / "pretrain/alpha/2k/1/1").glob("events*.training"))
    for kind in ("training", "scores"):
        assert len(list((place / "finetune/alpha/2k/1/1/sentiment/all/2").glob(f"events*.{kind}"))) == 1


def test_nothing_is_left_to_do(world):
    assert world.planned(overlay=GRID) == {}


def test_records_alone_know_that_it_is_done(world):
    assert world.undone(GRID) == {}
    made = {file for root in ("results", "resources") for file in (world.folder / root).rglob("*record.json")}
    with chdir(world.folder):
        steps = len(list(Steps(configuration(GRID))))
    assert len(made) == steps - len(SINGLE), "the tables and figures have none of that name"


def test_nothing_is_left_to_do_without_snakemakes_own_folder(world, tmp_path):
    (world.folder / ".snakemake").rename(tmp_path / ".snakemake")
    assert world.planned(overlay=GRID) == {}
    shutil.rmtree(world.folder / ".snakemake")
    (tmp_path / ".snakemake").rename(world.folder / ".snakemake")


def test_a_new_size_plans_only_its_cells(world):
    grid = copy.deepcopy(GRID)
    grid["sizes"] += ["3k"]
    grid["exclude"] += [{"model": "alpha", "size": "3k"}]
    figures = dict.fromkeys(
        ["laws", "forecasts", "decisions", "report", "latex", *(f"figure_{one}" for one in FIGURES)], 1
    )
    assert world.planned(overlay=grid) == {
        "slice": 1,
        "trunk": 2,
        "pretrain": 2,
        "finetune": 6,
        "score": 1,
        "aggregate": 1,
        "all": 1,
        **figures,
    }


@pytest.mark.parametrize(
    ("overlay", "line"),
    [
        ({"finetune": {"epoch": 3}}, "config: finetune.epoch: unknown key"),
        ({"sizes": ["64k", "900M"]}, "config: sizes: 900M is more than the corpus toy holds"),
        ({"gpus": [1, 3]}, "3 ranks cannot share 16 sequences equally; use a multiple of 3"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(workflow, overlay, line):
    done = workflow.snakemake("--cores", "1", overlay=overlay)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = [one for one in done.stderr.splitlines() if one.startswith("config: ")]
    assert len(said) == 1
    assert line in said[0]


@pytest.mark.extended
@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_profiles_are_found_as_typed(workflow, profile):
    done = workflow.snakemake("-n", "--quiet", "all", "--profile", profile)
    assert done.returncode == 0, done.stderr


@pytest.mark.extended
def test_paper_size_grid_previews(workflow):
    planned = workflow.planned("--configfile", "grids/glue.yaml", "--directory", str(workflow.folder / "runs"))
    assert planned["task"] == 9
    assert planned["pretrain"] == 6 * (1 + 4 * 4) - 2 * 2
    assert planned["ranks"] == 6 * 4
    assert planned["finetune"] == 6 * 5 * 9
