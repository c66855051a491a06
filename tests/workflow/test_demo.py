"""The workflow from a clone to its tables, on a grid of minutes made seconds."""

import copy
import json
import re
import shutil

import pandas as pd
import pytest
import yaml
from conftest import configuration

from gridlaw.steps import FIGURES, FILES, Steps

GRID = {
    "models": ["tiny"],
    "sizes": ["2k", "4k"],
    "gpus": [1, 2],
    "tasks": ["sentiment", "similarity"],
    "seeds": {"pretrain": [1], "finetune": [1, 2]},
    "exclude": [{"gpus": 2, "size": "2k"}],
    "data": {"held_out_words": 500},
    "finetune": {"epochs": 1, "per_task": {"sentiment": {"train_examples": [16, "all"]}}},
    "catalogue": {
        "tokenizers": {"wordpiece": {"vocab_size": 600}},
        "corpora": {"toy": {"words": "8k"}},
        "tasks": {
            "sentiment": {"train_size": 40, "validation_size": 40},
            "similarity": {"train_size": 40, "validation_size": 40},
        },
    },
}


@pytest.fixture(scope="module")
def finished(workflow):
    done = workflow.snakemake("--cores", "2", "all", overlay=GRID)
    assert done.returncode == 0, done.stderr + workflow.logs()
    return workflow


def table(workflow, name):
    csv = pd.read_csv(workflow.folder / f"results/{name}.csv")
    assert len(pd.read_parquet(workflow.folder / f"results/{name}.parquet")) == len(csv)
    return csv


def test_runs(finished):
    runs = table(finished, "runs").set_index(["size", "gpus"])
    assert list(runs.index) == [("2k", 1), ("4k", 1), ("4k", 2)]
    assert (runs["status"] == "done").all()
    assert (runs["ranks"] == runs.index.get_level_values("gpus")).all()
    assert (runs["size_tokens"] >= [2000, 4000, 4000]).all()
    assert runs["held_out_loss"].notna().all()
    assert runs["tokens_per_second"].gt(0).all()
    one, two = runs.loc[("4k", 1), "held_out_loss"], runs.loc[("4k", 2), "held_out_loss"]
    assert one == pytest.approx(two, abs=1e-4), "ranks compute the same optimisation"
    assert runs.loc[("4k", 2), "weights_identical_to_one_rank"], "two ranks sum as one does"


def test_distance_of_two_ranks_from_one(finished):
    runs = table(finished, "runs").set_index(["size", "gpus"])
    apart = [name for name in runs if name.endswith("_one_rank")] + [
        "weights_from_one_rank_max",
        "weights_from_one_rank_relative",
    ]
    assert len(apart) == 5
    assert runs.loc[[("2k", 1), ("4k", 1)], apart].isna().all(axis=None)
    two = runs.loc["4k", 2]
    losses = runs.loc["4k", "held_out_loss"]
    assert two["held_out_loss_from_one_rank"] == pytest.approx(losses[2] - losses[1], abs=1e-9)
    assert abs(two["final_loss_from_one_rank"]) < 1e-4
    assert two["weights_from_one_rank_max"] < 0.01
    assert two["weights_from_one_rank_relative"] < 0.01


def test_scores(finished):
    scores = table(finished, "scores")
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
    # Three cells, two sizes of the training set, two seeds.
    assert len(sentiment) == 12
    assert set(sentiment["train_examples"]) == {16, 40}
    carried = scores[scores["gpus"] == 2]
    assert set(carried["note"]) == {"fine-tuned at gpus 1"}
    own = scores[(scores["gpus"] == 1) & (scores["size"] == "4k")]
    assert carried["value"].tolist() == own["value"].tolist()


def test_macro_average(finished):
    scores = table(finished, "scores")
    one = scores[(scores["size"] == "2k") & (scores["finetune_seed"] == 1) & (scores["train_set"] == "all")]
    average = one[one["metric"] == "macro_average"]["value"].item()
    tasks = one[one["metric"] != "macro_average"].groupby("task")["value"].mean()
    assert average == pytest.approx(tasks.mean())


def test_records_repeat_recipe_and_inputs(finished):
    record = json.loads((finished.folder / "results/pretrain/tiny/4k/1/1/record.json").read_text())
    assert record["recipe"]["learning_rate"] > 0
    assert any(name.endswith("slice/toy/wordpiece/4k/manifest.json") for name in record["inputs"])
    assert record["environment"]["torch"]


def test_report(finished):
    page = (finished.folder / "results/report.html").read_text()
    assert "<title>How tiny scales</title>" in page
    assert page.count('src="data:image/svg+xml;base64,') == len(FIGURES)
    assert not re.search(r'(src|href)="(?!data:|#)', page), "it asks nothing of the network"
    assert not re.search(r">\s*(nan|None|inf)\s*<", page)
    assert "2 values of tokens are too few" in page, "what cannot be said is told"
    for section in ("answers", "figures", "tables", "grid", "methods", "provenance"):
        assert f'id="{section}"' in page


def test_analysis(finished):
    laws, decisions = (
        json.loads((finished.folder / f"results/{name}.json").read_text()) for name in ("laws", "decisions")
    )
    assert {law["state"] for law in laws["laws"]} == {"refused"}
    assert decisions["spent_rank_hours"] > 0
    assert pd.read_csv(finished.folder / "results/forecasts.csv")["forecast"].isna().all()
    overlay = yaml.safe_load((finished.folder / "results/next.yaml").read_text())
    chosen = [cell for group in decisions["groups"] for cell in group["next"]["cells"]]
    planned = finished.planned(overlay={**GRID, **overlay})
    assert planned.get("pretrain", 0) == len(chosen), "the overlay adds the chosen cells and nothing else"


def test_slices_are_nested(finished):
    small, large = (
        json.loads((finished.folder / f"resources/slice/toy/wordpiece/{size}/manifest.json").read_text())
        for size in ("2k", "4k")
    )
    assert small["segments"] < large["segments"]
    assert small["end"] < large["end"]
    assert 2000 <= small["size_tokens"] < 2050


def test_model_is_an_ordinary_folder(finished):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder = finished.folder / "results/pretrain/tiny/4k/1/1/model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder)
    assert model(**tokenizer("the", return_tensors="pt")).logits.shape[-1] == len(tokenizer)


def test_figures(finished):
    for name in FIGURES:
        for suffix in ("png", "svg", "pdf", "csv"):
            # A table may have nothing but its columns' names.
            least = 20 if suffix == "csv" else 200
            assert (finished.folder / f"results/figures/{name}.{suffix}").stat().st_size > least


def test_tensorboard(finished):
    place = finished.folder / "logs/tensorboard"
    assert list((place / "pretrain/tiny/4k/1/1").glob("events*.training"))
    for kind in ("training", "scores"):
        assert len(list((place / "finetune/tiny/4k/1/1/sentiment/all/2").glob(f"events*.{kind}"))) == 1


def test_nothing_is_left_to_do(finished):
    assert finished.planned(overlay=GRID) == {}


def test_records_alone_know_that_it_is_done(finished):
    assert finished.undone(GRID) == {}
    made = {file for root in ("results", "resources") for file in (finished.folder / root).rglob("*record.json")}
    assert len(made) == len(list(Steps(configuration(GRID)))) - len(FILES), (
        "the tables and figures have none of that name"
    )


def test_nothing_is_left_to_do_without_snakemakes_own_folder(finished, tmp_path):
    (finished.folder / ".snakemake").rename(tmp_path / ".snakemake")
    assert finished.planned(overlay=GRID) == {}
    shutil.rmtree(finished.folder / ".snakemake")
    (tmp_path / ".snakemake").rename(finished.folder / ".snakemake")


def test_a_new_size_plans_only_its_cells(finished):
    grid = copy.deepcopy(GRID)
    grid["sizes"] += ["6k"]
    grid["exclude"] = [{"gpus": 2, "size": ["2k", "6k"]}]
    figures = dict.fromkeys(
        ["laws", "forecasts", "decisions", "report", "latex", *(f"figure_{one}" for one in FIGURES)], 1
    )
    assert finished.planned(overlay=grid) == {
        "slice": 1,
        "pretrain": 1,
        "finetune": 2,
        "score": 1,
        "aggregate": 1,
        "all": 1,
        **figures,
    }


def test_a_metric_retrains_nothing(finished):
    grid = copy.deepcopy(GRID)
    grid["catalogue"]["tasks"]["sentiment"]["metrics"] = ["accuracy", "f1"]
    planned = finished.planned(overlay=grid)
    assert not {"pretrain", "finetune", "task"} & set(planned)
    assert planned["score"] == 2


def test_spelling_changes_nothing(finished):
    grid = copy.deepcopy(GRID)
    grid["sizes"] = [2000, "0.004M"]
    assert finished.planned(overlay=grid) == {}


def test_a_hyper_parameter_of_one_task(finished):
    grid = copy.deepcopy(GRID)
    grid["finetune"]["per_task"]["similarity"] = {"epochs": 2}
    planned = finished.planned(overlay=grid)
    assert planned["finetune"] == 2
    assert "pretrain" not in planned


@pytest.mark.parametrize(
    ("overlay", "line"),
    [
        ({"finetune": {"epoch": 3}}, "config: finetune.epoch: unknown key"),
        ({"sizes": ["64k", "900M"]}, "config: sizes: 900M is more than the corpus toy holds"),
        ({"gpus": [1, 3]}, "cannot be shared equally by 3 ranks"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(workflow, overlay, line):
    done = workflow.snakemake("--cores", "1", overlay=overlay)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = [one for one in done.stderr.splitlines() if one.startswith("config: ")]
    assert len(said) == 1
    assert line in said[0]


@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_profiles_are_found_as_typed(workflow, profile):
    done = workflow.snakemake("-n", "--quiet", "all", "--profile", profile)
    assert done.returncode == 0, done.stderr


def test_paper_size_grid_previews(workflow):
    planned = workflow.planned("--configfile", "grids/glue.yaml", "--directory", str(workflow.folder / "runs"))
    assert planned["task"] == 9
    assert planned["pretrain"] == 6 * (1 + 4 * 4) - 2 * 2
    assert planned["ranks"] == 6 * 4
    assert planned["finetune"] == 6 * 5 * 9
