"""The grid, and what rules take from it: paths, recipes, digests of programs."""

import shlex
import sys
from pathlib import Path

sys.path.insert(0, f"{workflow.basedir}/scripts")

from gridlaw import code, grid, layout, preview, recipes
from gridlaw.config import complete

# Where the programs are, whatever the working directory; logs are there to read while they run.
shell.prefix(f"export PYTHONUNBUFFERED=1; scripts={shlex.quote(workflow.basedir)}/scripts; ")

try:
    config = complete(config, workflow.configfiles)
except ValueError as mistakes:
    sys.exit(str(mistakes))

if workflow.is_main_process:
    preview.announce(workflow, config)

CORPUS = config["corpus"]
CELLS = list(grid.cells(config))
SCORED = sorted({cell._replace(gpus=grid.scored_at(config, cell)) for cell in CELLS})


def digest(rule_name):
    """Identity of a rule's program."""
    return code.digest(Path(workflow.basedir, "scripts", f"{rule_name}.py"))


def recipe(step, *wildcards):
    """The canonical recipe of a step, from the configuration and the values of some wildcards."""

    def of(job):
        return recipes.canonical(getattr(recipes, step)(config, *(job[name] for name in wildcards)))

    return of


def corpus_files(key):
    """Local files of a corpus, which its record tells apart by their content, whatever their age."""

    def of(job):
        return ancient(layout.corpus_files(config, job.corpus, key))

    return of


def checkpoint_files(job):
    """Files of a released model in a local folder, told apart in the same way."""
    return ancient(layout.checkpoint_files(config["catalogue"]["models"][job.model]["pretrained"]))


def network_input(job):
    """What a model's first weights and its rows are made from."""
    tokenizer = recipes.tokenizer_of(config, job.model)
    inputs = {"tokenizer": f"{layout.tokenizer_folder(config, tokenizer)}/manifest.json"}
    if grid.parse_size(job.size) != 0:
        inputs["rows"] = ancient(f"{layout.pack_folder(config, job.model)}/rows.bin")
        inputs["slice"] = layout.slice_manifest(config, job.model, job.size)
    return inputs


def trunk_input(job):
    """A trunk's state goes on from that of a smaller size."""
    before = layout.trunk_before(config, job.model, job.size, job.gpus, job.seed, CELLS)
    return network_input(job) | state_input(job, before)


def pretrain_input(job):
    """A run's text is its slice in the model's tokenizer; size 0 has none, and a grid without a corpus no held-out text."""
    inputs = network_input(job)
    if CORPUS:
        inputs["pack"] = f"{layout.pack_folder(config, job.model)}/manifest.json"
        inputs["held_out"] = ancient(f"{layout.pack_folder(config, job.model)}/held_out.bin")
    return inputs | state_input(job, job.size if layout.shares_trunk(config, job.model, job.size) else None)


def state_input(job, size):
    """The trunk's state at a size, if any."""
    if size is None:
        return {}
    trunk = f"results/trunk/{job.model}/{size}/{job.gpus}/{job.seed}"
    return {"state": ancient(f"{trunk}/state"), "trunk": f"{trunk}/manifest.json"}


def network_arguments(job, inputs):
    """The command line of a run's inputs, those that it has."""
    tokenizer = layout.tokenizer_folder(config, recipes.tokenizer_of(config, job.model))
    named = [inputs[name] for name in ("tokenizer", "trunk") if name in inputs]
    arguments = ["--tokenizer", tokenizer, "--inputs", *named]
    if layout.is_released(config, job.model):
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
