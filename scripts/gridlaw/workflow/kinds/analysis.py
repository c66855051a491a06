"""From tables to laws, forecasts and decisions."""

from __future__ import annotations

from gridlaw.config import grid
from gridlaw.workflow.experiment import Experiment
from gridlaw.workflow.kind import Kind, Output, result
from gridlaw.workflow.kinds.data import PACKS, packs_of
from gridlaw.workflow.kinds.evaluation import AGGREGATE
from gridlaw.workflow.kinds.training import FINETUNE
from gridlaw.workflow.recipe import Recipe

RUNS = result("table of runs, CSV")
FITS = result("fitted laws, NPZ")
SCALING = "pretrain", ("scaling",)


def _laws_recipe(config: dict) -> Recipe:
    """Return a recipe with the first metric of each task, on its first validation split and largest training set."""
    first = config["models"][0]
    tasks = []
    for task in config["tasks"]:
        entry, sets = config["catalogue"]["tasks"][task], FINETUNE.recipe(config, first, task).values["train_examples"]
        score = {"metric": entry["metrics"][0], "split": entry["validation"][0], "train_set": str(sets[-1])}
        tasks.append({"task": task, **score})
    return Recipe.take(config, *SCALING) | Recipe({"tasks": tasks}, {"tasks": "tasks"})


def _laws_inputs(experiment: Experiment) -> dict[str, list[str]]:
    tables = {name: [AGGREGATE.file(name)] for name in ("runs", "curves", "summary", "baselines")}
    return tables | {"packs": packs_of(experiment.config)}


LAWS = Kind(
    name="laws",
    folder="results",
    reads={
        "runs": RUNS,
        **{name: result(f"table of {name}, CSV") for name in ("curves", "summary", "baselines")},
        "packs": PACKS,
    },
    writes={
        "laws": Output("laws.csv", "the laws and their judgements, CSV", shown=("tables", "laws")),
        "fits": Output("fits.npz", "the fitted laws, NPZ"),
        "record": Output("laws.json", "details of the laws and record of the step, JSON"),
    },
    recipe=_laws_recipe,
    inputs=_laws_inputs,
)


def _forecasts_recipe(config: dict) -> Recipe:
    sizes = {grid.size_name(size) for size in config["analysis"]["forecast_sizes"]}
    values = {"forecast_sizes": sorted(sizes, key=grid.size_order)}
    return Recipe.take(config, *SCALING) | Recipe(values, {"forecast_sizes": "analysis.forecast_sizes"})


def _forecasts_inputs(experiment: Experiment) -> dict[str, list[str]]:
    return {
        "runs": [AGGREGATE.file("runs")],
        "fits": [LAWS.file("fits")],
        "packs": packs_of(experiment.config),
    }


FORECASTS = Kind(
    name="forecasts",
    folder="results",
    reads={"runs": RUNS, "fits": FITS, "packs": PACKS},
    writes={
        "forecasts": Output("forecasts.csv", "forecasts, CSV", shown=("tables", "forecasts")),
        "record": Output("forecasts.json", "record of the step, JSON"),
    },
    recipe=_forecasts_recipe,
    inputs=_forecasts_inputs,
)


def _decisions_recipe(config: dict) -> Recipe:
    prices = config["cost"]
    axes = {
        "models": config["models"],
        "sizes": sorted(map(grid.size_name, config["sizes"]), key=grid.size_order),
        "gpus": sorted(config["gpus"]),
        "exclude": grid.exclusions(config),
    }
    others = {
        "finetune_gpus": config["finetune"]["gpus"],
        "price_per_gpu_hour": prices.get("price_per_gpu_hour", 0),
        "currency": prices["currency"],
    }
    keys = {
        "finetune_gpus": "finetune.gpus",
        "price_per_gpu_hour": "cost.price_per_gpu_hour",
        "currency": "cost.currency",
    }
    limits = Recipe.take(config, "analysis", ("budget_rank_hours", "smallest_difference"))
    return Recipe.take(config, *SCALING) | limits | Recipe(axes | others, keys)


def _decisions_inputs(experiment: Experiment) -> dict[str, list[str]]:
    return {
        "runs": [AGGREGATE.file("runs")],
        "scores": [AGGREGATE.file("scores")],
        "fits": [LAWS.file("fits")],
        "packs": packs_of(experiment.config),
    }


DECISIONS = Kind(
    name="decisions",
    folder="results",
    reads={"runs": RUNS, "scores": result("table of scores, CSV"), "fits": FITS, "packs": PACKS},
    writes={
        "next": Output("next.yaml", "overlay with the cells to run next, YAML", shown=("tables", "next")),
        "record": Output("decisions.json", "the decisions, JSON"),
    },
    recipe=_decisions_recipe,
    inputs=_decisions_inputs,
)
