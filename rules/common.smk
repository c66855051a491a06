"""The grid, and what rules take from it: paths, recipes, digests of programs."""

import shlex
import sys
from glob import glob
from pathlib import Path

sys.path.insert(0, f"{workflow.basedir}/scripts")

from gridlaw import code, grid, recipes
from gridlaw.config import complete

# Where the programs are, whatever the working directory.
shell.prefix(f"scripts={shlex.quote(workflow.basedir)}/scripts; ")

try:
    config = complete(config, workflow.configfiles)
except ValueError as mistakes:
    sys.exit(str(mistakes))

CORPUS = config["corpus"]
CELLS = list(grid.cells(config))
SCORED = sorted({cell._replace(gpus=grid.scored_at(config, cell)) for cell in CELLS})
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


def pretrain_input(job):
    """A run's text is its slice in the model's tokenizer; size 0 has none, and a grid without a corpus no held-out text."""
    tokenizer = recipes.tokenizer_of(config, job.model)
    inputs = {"tokenizer": f"{tokenizer_folder(tokenizer)}/manifest.json"}
    if CORPUS:
        inputs["pack"] = f"{pack_folder(job.model)}/manifest.json"
        inputs["held_out"] = ancient(f"{pack_folder(job.model)}/held_out.bin")
    if grid.parse_size(job.size) != 0:
        inputs["rows"] = ancient(f"{pack_folder(job.model)}/rows.bin")
        inputs["slice"] = f"resources/slice/{CORPUS}/{tokenizer}/{job.size}/manifest.json"
    return inputs


def pretrain_arguments(job):
    """The command line of a run's inputs, those that its size has."""
    tokenizer = tokenizer_folder(recipes.tokenizer_of(config, job.model))
    arguments = ["--tokenizer", tokenizer, "--inputs", f"{tokenizer}/manifest.json"]
    if job.model in RELEASED:
        arguments += ["--checkpoint", tokenizer]
    if CORPUS:
        arguments += ["--pack", f"{pack_folder(job.model)}/manifest.json"]
        arguments += ["--held-out-rows", f"{pack_folder(job.model)}/held_out.bin"]
    if grid.parse_size(job.size) != 0:
        slice_manifest = f"resources/slice/{CORPUS}/{recipes.tokenizer_of(config, job.model)}/{job.size}/manifest.json"
        arguments += ["--rows", f"{pack_folder(job.model)}/rows.bin", "--slice", slice_manifest]
    return arguments
