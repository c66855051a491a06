"""The grid, and what rules take from it: paths, recipes, digests of programs."""

import inspect
import shlex
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, f"{workflow.basedir}/scripts")

from gridlaw import (
    caption,
    console,
    demands,
    files,
    forkserver,
    grid,
    identity,
    layout,
    preview,
    recipes,
    site,
    steps,
    throttle,
)
from gridlaw.config import complete

# Jobs are submitted to a cluster, or run on one.
CLUSTER = workflow.nodes is not None or workflow.remote_exec
try:
    config = complete(config, workflow.configfiles)
    SITE = site.read(Path(workflow.basedir, "profiles/slurm/site.yaml")) if CLUSTER else None
except ValueError as mistakes:
    sys.exit(str(mistakes))

throttle.replace_timers()
if workflow.is_main_process:
    preview.announce(workflow, config)

# What made the results, for the report.
COMMAND = console.command(
    workflow.overwrite_configfiles,
    Path.cwd(),
    [f"{key}={value}" for key, value in workflow.config_settings.config.items()],
)
# Logs are there to read while they run. What no result depends on is a variable of the shell's: where the programs are,
# whatever the working directory, how often a checkpoint is written. A change of a parameter would re-run.
# Slurm tells all processes of a job that its time is over, the shell too: it is to wait for the program to save.
PREFIX = (
    f"export PYTHONUNBUFFERED=1; scripts={shlex.quote(workflow.basedir)}/scripts;"
    f" checkpoint_minutes={config['checkpoint_minutes']}; evaluations={config['pretrain']['evaluations']};"
    f" command={shlex.quote(COMMAND)}; " + (f"trap : TERM; {SITE['before'] or ''}\n" if workflow.remote_exec else "")
)


def shell_prefix(text):
    """Have every command begin with a text; Snakemake would look for its own variables in braces."""
    shell.prefix(text.replace("{", "{{").replace("}", "}}"))


shell_prefix(PREFIX)
demand = demands.Demands(config, SITE, plans=workflow.is_main_process).request

# Jobs that share a Slurm job take turns in it.
workflow.global_resources["turn"] = 1
# CPUs that cutting, counting and tokenising a corpus take.
THREADS = SITE["cpu"]["cpus"] if CLUSTER else 16

# Jobs that share a Slurm job: the fine-tunings of a cell; all comparisons of ranks.
EVALUATION = "evaluation_{model}_{size}_{gpus}" if CLUSTER else None
RANKS = "ranks" if CLUSTER else None

CORPUS = config["corpus"]
CELLS = list(grid.cells(config))
SCORED = sorted({cell._replace(gpus=gpus) for cell, gpus in grid.scored(config).items()})
PACKS = sorted({f"{layout.pack_folder(config, model)}/manifest.json" for model in config["models"]}) if CORPUS else []
FIGURES = list(steps.FIGURES)
COMPARED = recipes.aggregate(config)["compared"]


def digest(rule_name):
    """Identity of a rule's program."""
    return identity.digest(Path(workflow.basedir, "scripts", f"{rule_name}.py"))


def shown(file, kind, name):
    """A result that `snakemake --report` shows, with its title and caption."""
    title, _ = caption.read(kind, name)
    labels = {"what": title, "file": Path(file).name}
    return report(file, caption=str(caption.file(kind, name)), category=kind.capitalize(), labels=labels)


def recipe(step, *wildcards):
    """The canonical recipe of a step, from the configuration and the values of some wildcards."""

    # Many jobs have the same one.
    @cache
    def of(*values):
        return recipes.canonical(getattr(recipes, step)(config, *values))

    def of_job(job):
        return of(*(job[name] for name in wildcards))

    # Snakemake asks for it several times a job, and to find it out takes longer than the call.
    of_job.__signature__ = inspect.signature(of_job)
    return of_job


def corpus_files(key):
    """Local files of a corpus; its recipe tells what is in them, their age does not matter."""

    def of(job):
        return ancient(files.find_corpus_files(config, job.corpus, key))

    return of


def checkpoint_files(job):
    """Files of a released model in a local folder, likewise."""
    return ancient(files.find_checkpoint_files(config["catalogue"]["models"][job.model]["pretrained"]))


def network_input(job):
    """What a model's first weights and its rows are made from; a text that size 0 or the grid does not have is nothing."""
    tokenizer = recipes.tokenizer_of(config, job.model)
    text = grid.parse_size(job.size) != 0
    return {
        "tokenizer": f"{layout.tokenizer_folder(config, tokenizer)}/manifest.json",
        "rows": ancient(f"{layout.pack_folder(config, job.model)}/rows.bin") if text else [],
        "slice": layout.slice_manifest(config, job.model, job.size) if text else [],
    }


def trunk_input(job):
    """A trunk's state goes on from that of a smaller size."""
    before = layout.trunk_before(config, job.model, job.size, job.gpus, job.seed, CELLS)
    return network_input(job) | state_input(job, before)


def pretrain_input(job):
    """A run's text is its slice in the model's tokenizer; a grid without a corpus has no held-out text."""
    folder = layout.pack_folder(config, job.model)
    return {
        **network_input(job),
        "pack": f"{folder}/manifest.json" if CORPUS else [],
        "held_out": ancient(f"{folder}/held_out.bin") if CORPUS else [],
        **state_input(job, job.size if layout.shares_trunk(config, job.model, job.size) else None),
    }


def state_input(job, size):
    """The trunk's state at a size, if any."""
    trunk = f"results/trunk/{job.model}/{size}/{job.gpus}/{job.seed}"
    return {"state": ancient(f"{trunk}/state") if size else [], "trunk": f"{trunk}/manifest.json" if size else []}


def ranks_input(job):
    """The runs of a model at one size, on a single rank and on more."""
    runs = [
        f"results/pretrain/{job.model}/{job.size}/{gpus}/{seed}"
        for gpus in grid.compared(config, job.model, job.size)
        for seed in sorted(config["seeds"]["pretrain"])
    ]
    return {
        "records": [f"{run}/record.json" for run in runs],
        "manifests": [f"{run}/manifest.json" for run in runs],
        "models": ancient([f"{run}/model/model.safetensors" for run in runs]),
    }
