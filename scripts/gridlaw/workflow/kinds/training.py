"""From slices to models, and from models to predictions."""

from __future__ import annotations

from pathlib import Path

from gridlaw import plugins
from gridlaw.config import grid, hyperparameters
from gridlaw.models import family
from gridlaw.objectives import objective
from gridlaw.workflow import record
from gridlaw.workflow.experiment import Experiment
from gridlaw.workflow.kind import Kind, Output, Setting, content, result
from gridlaw.workflow.kinds.data import TASK, pack_of, slice_of, tokenizer_manifest
from gridlaw.workflow.recipe import Recipe

# Options that supervise a training.
SUPERVISION = {
    "work": Setting("folder for the checkpoints of an interrupted run", "work/{run}", required=True),
    "checkpoint_minutes": Setting("minutes between checkpoints (default: 5)", "{checkpoint_minutes}", float, 5.0),
    "tensorboard": Setting("folder for TensorBoard's files", "logs/tensorboard/{run}"),
}
EVALUATIONS = Setting(
    "times the held-out loss is measured, for TensorBoard (default: 1)", "{evaluations}", type=int, default=1
)
# Inputs of every pre-training.
READS_NETWORK = {
    "tokenizer": result("folder of the model's tokenizer; of a released model, of its checkpoint", folder=True),
    "rows": content("rows of token ids", optional=True),
    "slice": result("manifest of the slice to train on, JSON", optional=True),
}
READS_TRUNK = {
    "trunk": content("folder of the trunk's state to continue from", optional=True),
    "trunk_manifest": result("manifest of that state, JSON", optional=True),
}


def pretrain_recipe(config: dict, model: str, size: str, gpus: int | str, seed: int | str) -> Recipe:
    """Return the recipe of a pre-training.

    Size 0 trains nothing, so its recipe has only the hyper-parameters of the model and of its evaluation.
    """
    values = hyperparameters.pretrain_parameters(config, model)
    keys = hyperparameters.pretrain_keys(config, model)
    if config["pretrain"]["scaling"] == "weak":
        values["batch_size"] *= int(gpus)
    if grid.parse_size(size) == 0:
        kept = ("dropout", "attention", "held_out_mask_rate", "device_batch_size", "precision")
        values = {name: values[name] for name in kept}
    entry = config["catalogue"]["models"][model]
    fixed = {"model": {} if "pretrained" in entry else _network(entry), "gpus": int(gpus), "seed": int(seed)}
    if "pretrained" in entry:
        fixed |= family_entry(config, model)
    return Recipe(
        fixed | values,
        {
            "": "pretrain.*",
            "model": f"catalogue.models.{model}.*",
            "family": f"catalogue.models.{model}.model_type",
            "seed": "seeds.pretrain",
            "gpus": "gpus",
        }
        | keys,
    )


def family_entry(config: dict, model: str) -> dict:
    """The recipe's entry for the family of a model; empty for a released one whose family is not known."""
    known = hyperparameters.family_of(config, model)
    return {"family": known} if known else {}


def network_plugins(recipe: dict) -> list[tuple[str, str | None]]:
    """Plug-ins of a pre-training: its objective and the family of its model."""
    model_type = recipe["model"].get("model_type", recipe.get("family"))
    return [("objective", objective.name_of(recipe)), family_plugin(model_type)]


def family_plugin(model_type: str | None) -> tuple[str, str | None]:
    """The plug-in of a model's family; of an unknown one, all."""
    return "family", plugins.name_for("family", model_type) if model_type else None


def _network(entry: dict) -> dict:
    """Return the description of a from-scratch model, with the default width of its feed-forward layers."""
    shape = entry["shape"]
    described = {name: value for name, value in entry.items() if name != "tokenizer"}
    return described | {"shape": {"intermediate_size": family.feed_forward(shape)} | shape}


def network_inputs(experiment: Experiment, model: str, size: str) -> dict[str, list[str]]:
    """Return the files of `READS_NETWORK`; size 0 reads no text."""
    config = experiment.config
    text = grid.parse_size(size) != 0
    return {
        "tokenizer": [tokenizer_manifest(config, hyperparameters.tokenizer_of(config, model))],
        "rows": [pack_of(config, model, "rows")] if text else [],
        "slice": [slice_of(config, model, size)] if text else [],
    }


def trunk_inputs(model: str, size: str | None, gpus: str, seed: str) -> dict[str, list[str]]:
    """Return the files of `READS_TRUNK`.

    Args:
        size: size of the state; None if the run does not use one.
    """
    if size is None:
        return {"trunk": [], "trunk_manifest": []}
    return {
        "trunk": [TRUNK.file("state", model, size, gpus, seed)],
        "trunk_manifest": [TRUNK.file("manifest", model, size, gpus, seed)],
    }


def shares_trunk(config: dict, model: str, size: str) -> bool:
    """Return whether a run branches off the trunk of its model; size 0 trains nothing."""
    return hyperparameters.pretrain_parameters(config, model)["schedule"] == "trunk" and grid.parse_size(size) != 0


def _trunk_recipe(config: dict, model: str, gpus: int | str, seed: int | str) -> Recipe:
    """Return the recipe of a pre-training without the keys of a branch: the shape of the decay and the evaluation."""
    whole = pretrain_recipe(config, model, grid.ALL, gpus, seed)
    of_branch = ("decay_shape", "held_out_mask_rate")
    return Recipe({name: value for name, value in whole.values.items() if name not in of_branch}, whole.keys)


def _trunk_inputs(experiment: Experiment, model: str, size: str, gpus: str, seed: str) -> dict[str, list[str]]:
    before = size_before(experiment, model, size, gpus, seed)
    return network_inputs(experiment, model, size) | trunk_inputs(model, before, gpus, seed)


TRUNK = Kind(
    name="trunk",
    folder="results/trunk/{model}/{size}/{gpus}/{seed}",
    reads=READS_NETWORK | READS_TRUNK,
    writes={
        "state": Output("state", "folder of the state", directory=True, recorded=False),
        "manifest": Output("manifest.json", "description of the state, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    settings=SUPERVISION,
    recipe=_trunk_recipe,
    plugins=network_plugins,
    inputs=_trunk_inputs,
)


def size_before(experiment: Experiment, model: str, size: str, gpus: int | str, seed: int | str) -> str | None:
    """Return the size whose state a trunk continues: the next smaller one of the grid; None for the smallest.

    A finished state keeps the size that it continued, even if a size in between is added to the grid.
    """
    known = experiment.read(TRUNK.file("record", model, size, gpus, seed))
    if known and record.basis(known)["recipe"] == TRUNK.recipe(experiment.config, model, gpus, seed).values:
        states = (Path(file) for file in known["inputs"] if file.startswith("results/trunk/"))
        return next((state.parts[3] for state in states), None)
    smaller = [
        cell.size
        for cell in experiment.cells
        if (cell.model, cell.gpus) == (model, int(gpus)) and 0 < grid.size_order(cell.size) < grid.size_order(size)
    ]
    return max(smaller, key=grid.size_order, default=None)


def _pretrain_recipe(config: dict, model: str, size: str, gpus: int | str, seed: int | str) -> Recipe:
    return pretrain_recipe(config, model, size, gpus, seed)


def _pretrain_inputs(experiment: Experiment, model: str, size: str, gpus: str, seed: str) -> dict[str, list[str]]:
    config = experiment.config
    held_out = {"pack": [], "held_out_rows": []}
    # A grid without a corpus has no held-out text.
    if config["corpus"]:
        held_out = {
            "pack": [pack_of(config, model)],
            "held_out_rows": [pack_of(config, model, "held_out_rows")],
        }
    state = size if shares_trunk(config, model, size) else None
    return held_out | network_inputs(experiment, model, size) | trunk_inputs(model, state, gpus, seed)


PRETRAIN = Kind(
    name="pretrain",
    folder="results/pretrain/{model}/{size}/{gpus}/{seed}",
    reads=(
        {
            "pack": result("manifest of the rows, JSON", optional=True),
            "held_out_rows": content("held-out rows of token ids", optional=True),
        }
        | READS_NETWORK
        | READS_TRUNK
    ),
    writes={
        "model": Output("model/model.safetensors", "folder of the model", folder=True, recorded=False),
        "manifest": Output("manifest.json", "description of the model, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    settings={"evaluations": EVALUATIONS} | SUPERVISION,
    recipe=_pretrain_recipe,
    plugins=network_plugins,
    inputs=_pretrain_inputs,
)


def _ranks_recipe(config: dict, model: str, size: str) -> Recipe:
    values = {"gpus": grid.compared(config, model, size), "seeds": sorted(config["seeds"]["pretrain"])}
    return Recipe(values, {"gpus": "gpus", "seeds": "seeds.pretrain"})


def _ranks_inputs(experiment: Experiment, model: str, size: str) -> dict[str, list[str]]:
    config = experiment.config
    runs = [
        (model, size, gpus, seed)
        for seed in sorted(config["seeds"]["pretrain"])
        for gpus in grid.compared(config, model, size)
    ]
    outputs = {"records": "record", "manifests": "manifest", "models": "model"}
    return {name: [PRETRAIN.file(output, *run) for run in runs] for name, output in outputs.items()}


RANKS = Kind(
    name="ranks",
    folder="results/ranks/{model}/{size}",
    reads={
        "records": result("records of the runs, JSON", many=True),
        "manifests": result("manifests of their models, JSON", many=True),
        "models": content("their weights", many=True),
    },
    writes={
        "ranks": Output("ranks.csv", "differences, CSV"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    recipe=_ranks_recipe,
    inputs=_ranks_inputs,
)


def _finetune_recipe(config: dict, model: str, task: str) -> Recipe:
    entry = config["catalogue"]["tasks"][task]
    values = hyperparameters.finetune_parameters(config, model, task)
    keys = hyperparameters.finetune_keys(config, model, task)
    described = ("text", "label", "kind", "train")
    return Recipe(
        {
            **{name: entry[name] for name in described},
            **family_entry(config, model),
            **values,
            "validation": sorted(entry["validation"]),
            "seeds": sorted(config["seeds"]["finetune"]),
            "train_examples": sorted(values["train_examples"], key=lambda size: grid.size_order(str(size))),
        },
        {
            "": "finetune.*",
            "family": f"catalogue.models.{model}.model_type",
            **{name: f"catalogue.tasks.{task}.{name}.*" for name in (*described, "validation")},
            "seeds": "seeds.finetune",
            **keys,
        },
    )


def _finetune_inputs(
    experiment: Experiment, model: str, size: str, gpus: str, seed: str, task: str
) -> dict[str, list[str]]:
    run = (model, size, gpus, seed)
    return {
        "model": [PRETRAIN.file("model", *run)],
        "model_manifest": [PRETRAIN.file("manifest", *run)],
        "examples": [TASK.file("examples", task)],
        "task": [TASK.file("manifest", task)],
    }


FINETUNE = Kind(
    name="finetune",
    folder="results/finetune/{model}/{size}/{gpus}/{seed}/{task}",
    reads={
        "model": content("folder of the pre-trained model", folder=True),
        "model_manifest": result("manifest of the pre-trained model, JSON"),
        "examples": content("the task's examples, Parquet"),
        "task": result("manifest of the task, JSON"),
    },
    writes={
        "predictions": Output("predictions.parquet", "predictions, Parquet"),
        "manifest": Output("manifest.json", "description of the predictions, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    settings=SUPERVISION,
    extendable=("seeds", "train_examples"),
    recipe=_finetune_recipe,
    plugins=lambda recipe: [("task", recipe["kind"]), family_plugin(recipe.get("family"))],
    inputs=_finetune_inputs,
)
