"""The grid, and what rules take from it: paths, recipes, digests of programs."""

import json
import shlex
import sys
from glob import glob
from pathlib import Path

sys.path.insert(0, f"{workflow.basedir}/scripts")

from gridlaw import code, grid, recipes
from gridlaw.config import complete

# Where the programs are, whatever the working directory; logs are there to read while they run.
shell.prefix(f"export PYTHONUNBUFFERED=1; scripts={shlex.quote(workflow.basedir)}/scripts; ")

try:
    config = complete(config, workflow.configfiles)
except ValueError as mistakes:
    sys.exit(str(mistakes))

CORPUS = config["corpus"]
CELLS = list(grid.cells(config))
SCORED = sorted({cell._replace(gpus=grid.scored_at(config, cell)) for cell in CELLS})
COMPARED = grid.compared(config)
RELEASED = {name for name, model in config["catalogue"]["models"].items() if "pretrained" in model}


def digest(rule_name):
    """Identity of a rule's program."""
    return code.digest(Path(workflow.basedir, "scripts", f"{rule_name}.py"))


def recipe(step, *wildcards):
    """The canonical recipe of a step, from the configuration and the values of some wildcards."""

    def of(job):
        return recipes.canonical(getattr(recipes, step)(config, *(job[name] for name in wildcards)))

    return of


def tokenizer_folder(tokenizer):
    """Where a tokenizer lies: trained on the corpus, or a released model's own."""
    if tokenizer in RELEASED:
        return f"resources/checkpoint/{tokenizer}"
    return f"resources/tokenizer/{CORPUS}/{tokenizer}"


def pack_folder(model):
    """Where the rows in a model's tokenizer lie."""
    return f"resources/pack/{CORPUS}/{recipes.tokenizer_of(config, model)}"


def corpus_files(corpus, key):
    """Local files of a corpus, in the order of their names; none for other sources."""
    patterns = config["catalogue"]["corpora"][corpus].get(key, [])
    return sorted({file for pattern in patterns for file in glob(pattern, recursive=True)})


def task_files(task):
    """Local files of a task by split, as far as it uses them; none for other sources."""
    entry = config["catalogue"]["tasks"][task]
    return {split: entry["files"][split] for split in [entry["train"], *entry["validation"]] if "files" in entry}


def checkpoint_files(model):
    """Files of a released model that is a local folder; none for one on the hub."""
    name = config["catalogue"]["models"][model]["pretrained"]
    return sorted(glob(f"{name}/*.json") + glob(f"{name}/*.safetensors")) if name.startswith((".", "/")) else []


def slice_manifest(model, size):
    """What a slice is, in a model's tokenizer."""
    return f"resources/slice/{CORPUS}/{recipes.tokenizer_of(config, model)}/{size}/manifest.json"


def shares_trunk(model, size):
    """Whether a run branches off the trunk of its model; size 0 trains nothing."""
    trunk = recipes.pretrain_parameters(config, model)["schedule"] == "trunk"
    return trunk and grid.parse_size(size) != 0


def trunk_before(job):
    """The size whose state a trunk goes on from: the next smaller one of the grid, None for the smallest.

    A state that is there already keeps the one that it did go on from: a size added in between does not change it.
    """
    record = Path(f"results/trunk/{job.model}/{job.size}/{job.gpus}/{job.seed}/record.json")
    if record.exists():
        made = json.loads(record.read_text())
        if recipes.canonical(made["recipe"]) == recipes.canonical(recipes.trunk(config, job.model, job.gpus, job.seed)):
            states = (Path(file) for file in made["inputs"] if file.startswith("results/trunk/"))
            return next((state.parts[3] for state in states), None)
    smaller = [
        cell.size
        for cell in CELLS
        if (cell.model, cell.gpus) == (job.model, int(job.gpus))
        and 0 < grid.size_order(cell.size) < grid.size_order(job.size)
    ]
    return max(smaller, key=grid.size_order, default=None)


def network_input(job):
    """What a model's first weights and its rows are made from."""
    tokenizer = recipes.tokenizer_of(config, job.model)
    inputs = {"tokenizer": f"{tokenizer_folder(tokenizer)}/manifest.json"}
    if grid.parse_size(job.size) != 0:
        inputs["rows"] = ancient(f"{pack_folder(job.model)}/rows.bin")
        inputs["slice"] = slice_manifest(job.model, job.size)
    return inputs


def trunk_input(job):
    """A trunk's state goes on from that of a smaller size."""
    return network_input(job) | state_input(job, trunk_before(job))


def pretrain_input(job):
    """A run's text is its slice in the model's tokenizer; size 0 has none, and a grid without a corpus no held-out text."""
    inputs = network_input(job)
    if CORPUS:
        inputs["pack"] = f"{pack_folder(job.model)}/manifest.json"
        inputs["held_out"] = ancient(f"{pack_folder(job.model)}/held_out.bin")
    return inputs | state_input(job, job.size if shares_trunk(job.model, job.size) else None)


def state_input(job, size):
    """The trunk's state at a size, if any."""
    if size is None:
        return {}
    trunk = f"results/trunk/{job.model}/{size}/{job.gpus}/{job.seed}"
    return {"state": ancient(f"{trunk}/state"), "trunk": f"{trunk}/manifest.json"}


def network_arguments(job, inputs):
    """The command line of a run's inputs, those that it has."""
    tokenizer = tokenizer_folder(recipes.tokenizer_of(config, job.model))
    named = [inputs[name] for name in ("tokenizer", "trunk") if name in inputs]
    arguments = ["--tokenizer", tokenizer, "--inputs", *named]
    if job.model in RELEASED:
        arguments += ["--checkpoint", tokenizer]
    options = {"rows": "rows", "slice": "slice", "state": "trunk", "pack": "pack", "held_out": "held-out-rows"}
    for name, option in options.items():
        if name in inputs:
            arguments += [f"--{option}", inputs[name]]
    return arguments


def trunk_arguments(job):
    return network_arguments(job, trunk_input(job))


def pretrain_arguments(job):
    return network_arguments(job, pretrain_input(job))


def ranks_input(job):
    """The runs of a model at one size, on a single rank and on more."""
    runs = [
        f"results/pretrain/{job.model}/{job.size}/{gpus}/{seed}"
        for gpus in COMPARED[job.model, job.size]
        for seed in config["seeds"]["pretrain"]
    ]
    return {
        "records": [f"{run}/record.json" for run in runs],
        "manifests": [f"{run}/manifest.json" for run in runs],
        "models": ancient([f"{run}/model/model.safetensors" for run in runs]),
    }
