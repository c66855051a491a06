"""Runs that diverged or learnt nothing: what tables say of them, and that every program of the analysis copes."""

import importlib
import json
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import score
import synthetic

from gridlaw import io
from gridlaw.tables import read_table
from gridlaw.tasks.classes import Classes
from gridlaw.workflow.steps import Steps

GRID = {
    "models": ["tiny", "small"], "sizes": [0, "8k", "32k", "100k"], "gpus": [1, 2], "tasks": ["sentiment", "similarity"],
    "seeds": {"pretrain": [1, 2], "finetune": [1, 2, 3]}, "exclude": [{"gpus": 2, "size": [0, "8k", "100k"]}],
}  # fmt: skip
NAN = float("nan")


@pytest.fixture
def analyse(tmp_path, monkeypatch):
    """Makes the tables of a grid after a change of its results, and runs every program that reads them."""
    monkeypatch.chdir(tmp_path)

    def run(change, draw=False, overlay=GRID):
        config = synthetic.write(overlay)
        change()
        steps = {
            step: [other for other in step.after if other.kind.single] for step in Steps(config) if step.kind.single
        }
        for step in TopologicalSorter(steps).static_order():
            settings = {
                "aggregate": {"results": ["results"], "work": ["work"]},
                "report": {"predictions": ["logs/predictions.jsonl"], "command": ["snakemake"]},
            }
            if step.rule.startswith("figure_") and not draw:
                for file in map(Path, step.kind.files()):
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text('<svg width="100pt"></svg>')
                continue
            monkeypatch.setattr(sys, "argv", step.command(lambda file: file, **settings.get(step.rule, {})))
            importlib.import_module(step.rule).main()
        for file in Path("results").glob("*.json"):
            json.loads(file.read_text(), parse_constant=pytest.fail)
        return Tables()

    return run


class Tables:
    """The results of a grid."""

    def __init__(self):
        names = ("runs", "scores", "summary", "forecasts")
        self.runs, self.scores, self.summary, self.forecasts = (read_table(f"results/{name}.csv") for name in names)
        self.decisions, self.laws = (io.read_json(f"results/{name}.json") for name in ("decisions", "laws"))
        self.page = Path("results/report.html").read_text()
        self.paper = "".join(Path(f"results/latex/{name}.tex").read_text() for name in ("scores", "loss", "forecasts"))


def finetunings(choose, **facts):
    """Change rows of the cells' scores."""
    for file in Path("results/score").rglob("scores.csv"):
        table = pd.read_csv(file)
        rows = choose(table.assign(model=file.parts[2], size=file.parts[3]))
        for name, value in facts.items():
            table.loc[rows, name] = value
        table.to_csv(file, index=False)


def pretrainings(choose, **facts):
    """Change records of pre-trainings, written as an early release did, with NaN."""
    for file in Path("results/pretrain").rglob("record.json"):
        if choose(*file.parts[2:6]):
            file.write_text(json.dumps(io.read_json(file) | facts))


def diverge(choose):
    finetunings(choose, value=np.nan, item_se=np.nan, trained=False, diverged=True)


def every(table):
    return table["seed"].notna() if "seed" in table else table["value"].notna()


CHANGES = {
    "nothing": lambda: None,
    "one run": lambda: diverge(lambda rows: (rows["model"] == "tiny") & (rows["size"] == "8k") & (rows["finetune_seed"] == 2)),
    "a seed of pre-training": lambda: diverge(lambda rows: rows["pretrain_seed"] == 2),
    "a cell": lambda: diverge(lambda rows: (rows["model"] == "tiny") & (rows["size"] == "32k")),
    "a size": lambda: diverge(lambda rows: rows["size"] == "100k"),
    "a model": lambda: diverge(lambda rows: rows["model"] == "small"),
    "a task": lambda: diverge(lambda rows: rows["task"] == "sentiment"),
    "all fine-tunings": lambda: diverge(every),
    "all untrained": lambda: finetunings(every, trained=False),
    "one pre-training": lambda: pretrainings(lambda model, size, gpus, seed: (model, size, seed) == ("tiny", "8k", "1"), held_out_loss=NAN, final_loss=NAN, trained=False),
    "pre-trainings of a model": lambda: pretrainings(lambda model, size, *_: model == "small" and size != "0", held_out_loss=NAN, held_out_loss_se=NAN, final_loss=NAN, trained=False, curve={"step": [1, 2], "loss": [6.0, NAN]}, warmup_steps=1, decay_from=1),
    "all pre-trainings": lambda: pretrainings(lambda model, size, *_: size != "0", held_out_loss=NAN, final_loss=NAN, trained=False),
    "all, as null": lambda: pretrainings(lambda model, size, *_: size != "0", held_out_loss=None, held_out_loss_se=None, final_loss=None, trained=False, curve={"step": [1, 2], "loss": [None, None]}, warmup_steps=1, decay_from=1),
    "infinite losses": lambda: pretrainings(lambda model, size, *_: size == "32k", held_out_loss=float("inf"), final_loss=float("inf"), trained=False),
}  # fmt: skip


# Drawing every figure takes longer than the rest of the analysis.
DRAWN = ("one run", "all fine-tunings", "all, as null")


@pytest.mark.parametrize("name", CHANGES)
def test_every_program_copes(analyse, name):
    tables = analyse(CHANGES[name], draw=name in DRAWN)
    assert tables.scores.loc[tables.scores["diverged"], "value"].isna().all()
    assert tables.scores.loc[~tables.scores["diverged"], "value"].notna().all()
    summary = tables.summary
    assert (summary["diverged"] + summary["n"]).gt(0).all()
    assert summary.loc[summary["n"] > 0, "mean"].notna().all()
    assert summary["caveat"].notna().equals((summary["diverged"] + summary["untrained"]).gt(0))
    assert ">nan<" not in tables.page.lower()
    assert not re.search(r"\b(nan|inf|None)\b", tables.paper)


def test_a_diverged_run_is_in_no_mean_and_said(analyse):
    tables = analyse(CHANGES["one run"])
    cell = {"model": "tiny", "size": "8k", "task": "sentiment"}
    runs = tables.scores[(tables.scores[list(cell)] == pd.Series(cell)).all(axis=1)]
    (mean,) = tables.summary[(tables.summary[list(cell)] == pd.Series(cell)).all(axis=1)].itertuples()
    assert (mean.n, mean.diverged, mean.untrained) == (4, 2, 0)
    assert mean.mean == pytest.approx(runs.loc[~runs["diverged"], "value"].mean())
    assert mean.caveat == "2 of 6 runs diverged"
    averages = tables.summary[(tables.summary["task"] == "all tasks") & (tables.summary["caveat"].notna())]
    assert averages[["model", "size", "diverged"]].to_numpy().tolist() == [["tiny", "8k", 2]]
    assert "tiny at 8k on sentiment (2 of 6)" in tables.page
    assert "They have no score, and enter no mean" in tables.page
    assert r"\dagger$: tiny at 8k on sentiment (2 of 6 runs diverged)" in tables.paper
    pairs = [pair for pair in tables.decisions["scores"] if pair["task"] == "sentiment"]
    assert {pair["size"]: pair["caveat"] for pair in pairs}["8k"] == "2 of 12 runs diverged"
    assert all(pair["verdict"].endswith("; 2 of 12 runs diverged") == (pair["size"] == "8k") for pair in pairs)


def test_an_untrained_run_is_in_the_mean_and_said(analyse):
    tables = analyse(CHANGES["all untrained"])
    assert tables.summary["untrained"].equals(tables.summary["n"].astype(int))
    assert tables.summary["mean"].notna().all()
    assert "6 of 6 runs untrained" in tables.paper
    assert "They predict the same for every example" in tables.page


def test_a_cell_without_a_score_says_so(analyse):
    tables = analyse(CHANGES["a cell"])
    assert "diverged$^\\dagger$" in tables.paper
    sizes = [pair["size"] for pair in tables.decisions["scores"] if pair["task"] == "sentiment"]
    assert "32k" not in sizes
    assert "8k" in sizes


def test_a_diverged_pretraining_makes_its_finetunings_diverge(analyse):
    tables = analyse(CHANGES["one pre-training"])
    runs, scores = tables.runs, tables.scores
    assert runs.loc[runs["diverged"].eq(True), ["model", "size", "pretrain_seed"]].to_numpy().tolist() == [
        ["tiny", "8k", 1]
    ]
    assert runs.loc[runs["diverged"].eq(True), "held_out_loss"].isna().all()
    keys = ["model", "size", "pretrain_seed"]
    assert set(scores.loc[scores["diverged"], keys].itertuples(index=False, name=None)) == {("tiny", "8k", 1)}
    assert tables.laws["left_out"]["tiny 8k (gpus 1, seed 1)"] == "it diverged: a loss is not a finite number"
    assert "1 run that diverged is left out" in tables.paper


def test_tables_of_early_releases_say_nothing_of_it(analyse):
    def strip():
        for file in Path("results/score").rglob("scores.csv"):
            pd.read_csv(file).drop(columns=["positive", "trained", "diverged"]).to_csv(file, index=False)

    tables = analyse(strip)
    assert not tables.scores["diverged"].any()
    assert tables.summary["caveat"].isna().all()


def predictions(outputs, labels, split="validation"):
    outputs = np.asarray(outputs, float)
    said = outputs.argmax(1) if outputs.shape[1] > 1 else outputs[:, 0]
    run = {"train_set": "all", "train_examples": 10, "seed": 1, "split": split}
    return pd.DataFrame({"label": labels, "prediction": said, "outputs": outputs.tolist()}).assign(**run)


CLASSES, REGRESSION = (
    {"kind": "classification", "metrics": ["accuracy"]},
    {"kind": "regression", "metrics": ["pearson"]},
)
HALF = [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("task", "outputs", "labels", "trained", "diverged"),
    [
        (CLASSES, [[1, 0], [0, 1], [1, 0], [0, 1]], HALF, True, False),
        (CLASSES, [[1, 0]] * 4, HALF, False, False),
        (CLASSES, [[1, 0]] * 4, [0] * 4, True, False),
        (CLASSES, [[1, 0], [0, 1], [1, 0], [0, NAN]], HALF, False, True),
        (CLASSES, [[1, 0], [0, 1], [1, 0], [0, float("inf")]], HALF, False, True),
        (REGRESSION, [[0.1], [0.9], [0.2], [0.7]], HALF, True, False),
        (REGRESSION, [[0.5], [0.5001], [0.5], [0.5]], HALF, False, False),
        (REGRESSION, [[NAN]] * 4, HALF, False, True),
    ],
)
def test_what_a_run_has_learnt_is_in_its_predictions(tmp_path, task, outputs, labels, trained, diverged):
    classes = Classes.of_task("mine", [0, 1]) if task is CLASSES else None
    predictions(outputs, labels).to_parquet(tmp_path / "predictions.parquet")
    (row,) = score.scores(pd.read_parquet(tmp_path / "predictions.parquet"), task, classes).itertuples()
    assert (row.trained, row.diverged) == (trained, diverged)
    assert np.isnan(row.value) == diverged


def test_a_run_that_diverged_on_one_split_has_no_score_on_any():
    both = pd.concat([
        predictions([[1, 0], [0, 1]], [0, 1]),
        predictions([[1, 0], [NAN, NAN]], [0, 1], "other"),
    ])  # fmt: skip
    table = score.scores(both, CLASSES, Classes.of_task("mine", [0, 1]))
    assert table["split"].tolist() == ["validation", "other"]
    assert table["value"].isna().all()
