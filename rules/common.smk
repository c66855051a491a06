"""The grid, and what rules take from it: inputs, outputs, commands, recipes, digests of programs."""

import inspect
import shlex
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, f"{workflow.basedir}/scripts")

from gridlaw.config import site
from gridlaw.config.loading import complete
from gridlaw.hooks import demands, preview, throttle
from gridlaw.report import caption
from gridlaw.runtime import forkserver
from gridlaw.views import console
from gridlaw.workflow import identity, known, steps
from gridlaw.workflow.experiment import Experiment
from gridlaw.canonical_json import canonical

# Jobs are submitted to a cluster, or run on one.
CLUSTER = workflow.nodes is not None or workflow.remote_exec
try:
    config = complete(config, workflow.configfiles, packed=known.packed_tokens)
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

EXPERIMENT = Experiment(config)


def recipe(rule_name):
    """The canonical recipe of a job of a rule."""
    return by_recipe(rule_name, canonical)


def digest(rule_name):
    """Identity of the program of a job of a rule, with the plug-ins that its recipe names."""
    kind = steps.KINDS[rule_name]
    return by_recipe(
        rule_name, lambda values: identity.digest(steps.program(rule_name), kind.plugin_modules(values))
    )


def by_recipe(rule_name, work_out):
    """A parameter of a rule that is worked out from the values of a job's recipe."""
    kind = steps.KINDS[rule_name]

    # Many jobs have the same recipe.
    @cache
    def find(*values):
        return work_out(kind.recipe(config, *values).values)

    def find_for(job):
        return find(*(job[name] for name in kind.recipe_wildcards))

    # Snakemake asks for it several times a job, and to find it out takes longer than the call.
    find_for.__signature__ = inspect.signature(find_for)
    return find_for


def inputs(rule_name):
    """Input files of a job of a rule, by name."""
    kind = steps.KINDS[rule_name]

    def find(job):
        files = kind.inputs(EXPERIMENT, *(job[name] for name in kind.wildcards))
        return {name: files[name] if source.aged else ancient(files[name]) for name, source in kind.reads.items()}

    return find


def outputs(rule_name):
    """Output files of a rule, by name."""
    kind = steps.KINDS[rule_name]
    return {name: flagged(kind.pattern(name), output) for name, output in kind.writes.items()}


def flagged(file, output):
    """An output file as Snakemake has to know it; `snakemake --report` shows some, with title and caption."""
    if output.directory:
        return directory(file)
    if not output.shown:
        return file
    title, _ = caption.read(*output.shown)
    labels = {"what": title, "file": Path(file).name}
    category = output.shown[0].capitalize()
    return report(file, caption=str(caption.file(*output.shown)), category=category, labels=labels)


def log_file(rule_name):
    """The file of a job's messages."""
    values = [f"{{{name}}}" for name in steps.KINDS[rule_name].wildcards]
    return "/".join(["logs", rule_name, *values]) + ".log"


def command(rule_name):
    """The shell command of a rule."""
    return steps.shell_command(steps.KINDS[rule_name])
