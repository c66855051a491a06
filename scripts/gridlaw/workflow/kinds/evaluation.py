"""From predictions to scores, and from records and scores to tables."""

from __future__ import annotations

from pathlib import Path

from gridlaw.config import grid, hyperparameters
from gridlaw.tasks import metric
from gridlaw.workflow.experiment import Experiment
from gridlaw.workflow.kind import Kind, Output, Setting, content, result
from gridlaw.workflow.kinds.data import PACKS, SEGMENTS, TASK, packs_of
from gridlaw.workflow.kinds.training import FINETUNE, PRETRAIN, RANKS
from gridlaw.workflow.recipe import Recipe


def _scoring_plugins(task: dict) -> list[tuple[str, str]]:
    """Plug-ins that score a task: its kind and its metrics."""
    return [("task", task["kind"]), *(("metric", name) for name in task["metrics"])]


def _scored(task: dict) -> dict:
    """Entries of a task of the catalogue that its scores depend on."""
    chosen = {"positive": task["positive"]} if "positive" in task else {}
    return {"metrics": sorted(task["metrics"]), "kind": task["kind"], **chosen}


def _score_recipe(config: dict) -> Recipe:
    values = {task: _scored(config["catalogue"]["tasks"][task]) for task in config["tasks"]}
    entries = ("metrics", "kind", "positive")
    keys = {f"{task}.{name}": f"catalogue.tasks.{task}.{name}" for task in config["tasks"] for name in entries}
    return Recipe(values, {"": "tasks"} | keys)


def _score_inputs(experiment: Experiment, model: str, size: str, gpus: str) -> dict[str, list[str]]:
    # Sorted, because the order in the configuration has no meaning.
    runs = [
        (model, size, gpus, seed, task)
        for seed in sorted(experiment.config["seeds"]["pretrain"])
        for task in sorted(experiment.config["tasks"])
    ]
    outputs = {"predictions": "predictions", "manifests": "manifest"}
    return {
        **{name: [FINETUNE.file(output, *run) for run in runs] for name, output in outputs.items()},
        "tasks": [TASK.file("manifest", task) for task in sorted(experiment.config["tasks"])],
    }


SCORE = Kind(
    name="score",
    folder="results/score/{model}/{size}/{gpus}",
    reads={
        "predictions": content("predictions of the cell, Parquet", many=True),
        "manifests": result("their manifests, JSON", many=True),
        "tasks": result("manifests of the tasks, JSON", many=True),
    },
    writes={
        "scores": Output("scores.csv", "metrics, CSV"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    settings={
        "tensorboard": Setting(
            "folder of TensorBoard's files of the cell's fine-tunings", "logs/tensorboard/finetune/{values}"
        )
    },
    recipe=_score_recipe,
    plugins=lambda recipe: [plugin for task in recipe.values() for plugin in _scoring_plugins(task)],
    inputs=_score_inputs,
)


def _baseline_recipe(config: dict, task: str) -> Recipe:
    entry = config["catalogue"]["tasks"][task]
    split = {"train": entry["train"], "validation": sorted(entry["validation"])}
    return Recipe(split | _scored(entry), {"": f"catalogue.tasks.{task}.*"})


def _baseline_inputs(experiment: Experiment, task: str) -> dict[str, list[str]]:
    return {"examples": [TASK.file("examples", task)], "task": [TASK.file("manifest", task)]}


BASELINE = Kind(
    name="baseline",
    folder="results/baseline/{task}",
    reads={
        "examples": content("the task's examples, Parquet"),
        "task": result("manifest of the task, JSON"),
    },
    writes={
        "scores": Output("scores.csv", "metrics, CSV"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    recipe=_baseline_recipe,
    plugins=_scoring_plugins,
    inputs=_baseline_inputs,
)


TABLES = ("runs", "curves", "scores", "summary", "baselines", "attempts", "texts")


def _aggregate_recipe(config: dict) -> Recipe:
    """Return a recipe that describes the grid.

    It has the gpus value that gives each cell its scores, the models and sizes whose runs on several ranks are compared
    with the one on a single rank, tokenizers, seeds, tasks, and the lowest value of metrics that may be negative.
    """
    cells: dict[str, dict[str, dict[str, int]]] = {}
    for cell, scored_at in grid.scored(config).items():
        cells.setdefault(cell.model, {}).setdefault(cell.size, {})[str(cell.gpus)] = scored_at
    names = sorted({name for task in config["tasks"] for name in config["catalogue"]["tasks"][task]["metrics"]})
    values = {
        "models": config["models"],
        "cells": cells,
        "compared": sorted(map(list, Experiment(config).compared)),
        "tokenizers": {model: hyperparameters.tokenizer_of(config, model) for model in config["models"]},
        "seeds": sorted(config["seeds"]["pretrain"]),
        "lowest": {name: lowest for name in names if (lowest := metric.find(name).lowest)},
        "tasks": {task: {"glue": config["catalogue"]["tasks"][task]["glue"]} for task in config["tasks"]},
    }
    keys = {
        "seeds": "seeds.pretrain",
        "lowest": "tasks",
        **{f"tokenizers.{model}": f"catalogue.models.{model}.tokenizer" for model in config["models"]},
        **{f"tasks.{task}.glue": f"catalogue.tasks.{task}.glue" for task in config["tasks"]},
        "tasks": "tasks",
    }
    return Recipe(values, keys)


def _aggregate_inputs(experiment: Experiment) -> dict[str, list[str]]:
    config = experiment.config
    seeds = config["seeds"]["pretrain"]
    return {
        "records": [PRETRAIN.file("record", *cell, seed) for cell in experiment.cells for seed in seeds],
        "ranks": [RANKS.file("ranks", *run) for run in experiment.compared],
        "scores": [SCORE.file(output, *cell) for cell in experiment.scored for output in ("scores", "record")],
        "baselines": [BASELINE.file("scores", task) for task in config["tasks"]],
        "segments": [SEGMENTS.file("manifest", config["corpus"])] if config["corpus"] else [],
        "packs": packs_of(config),
    }


AGGREGATE = Kind(
    name="aggregate",
    folder="results",
    # Too many for a command line, so the program finds them in their folders.
    reads={
        name: result(text, many=True, optional=True, passed=False)
        for name, text in {
            "records": "records of the pre-trainings",
            "ranks": "comparisons of ranks",
            "scores": "scores of the cells, and their records",
            "baselines": "scores of the majority class",
        }.items()
    }
    | {"segments": result("manifest of the segments, JSON", optional=True), "packs": PACKS},
    writes={
        **{
            output: file
            for name in TABLES
            for output, file in {
                name: Output(f"{name}.csv", f"table of {name}, CSV", shown=("tables", name)),
                f"{name}_parquet": Output(f"{name}.parquet", beside=name),
            }.items()
        },
        "record": Output("aggregate.json", "record of the step, JSON"),
    },
    settings={
        "results": Setting("folder of the results", "results", type=Path, required=True),
        "work": Setting("folder of unfinished trainings", "work", type=Path, required=True),
    },
    recipe=_aggregate_recipe,
    inputs=_aggregate_inputs,
)
