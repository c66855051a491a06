"""The grid, and what rules take from it: inputs, outputs, commands, recipes, digests of programs."""

from pathlib import Path

from gridlaw.hooks import attachment, commands, demands, parameters
from gridlaw.report import caption
from gridlaw.workflow import file_lists, steps
from gridlaw.workflow.experiment import Experiment

RUN = attachment.attach(workflow, config)
# What jobs are submitted to, if it is a cluster.
SITE = RUN.site
EXPERIMENT = Experiment(RUN.config)
# CPUs that cutting, counting and tokenising a corpus take.
THREADS = SITE["cpu"]["cpus"] if SITE else 16

# Jobs that share a Slurm job: the fine-tunings of a cell; all comparisons of ranks.
EVALUATION = "evaluation_{model}_{size}_{gpus}" if SITE else None
RANKS = "ranks" if SITE else None

demand = demands.Demands(RUN.config, SITE, plans=workflow.is_main_process).request


def recipe(rule_name):
    """The canonical recipe of a job of a rule."""
    return parameters.recipe(steps.KINDS[rule_name], RUN.config)


def digest(rule_name):
    """Identity of the program of a job of a rule, with the plug-ins that its recipe names."""
    return parameters.digest(steps.KINDS[rule_name], RUN.config)


def inputs(rule_name):
    """Input files of a job of a rule, by name."""
    kind = steps.KINDS[rule_name]

    def find(job):
        values = [job[name] for name in kind.wildcards]
        files = file_lists.replace(kind, values, kind.inputs(EXPERIMENT, *values))
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
    return f"{Path('logs', rule_name, *values)}.log"


def command(rule_name):
    """The shell command of a rule."""
    return commands.shell_command(steps.KINDS[rule_name], RUN.settings, RUN.before)
