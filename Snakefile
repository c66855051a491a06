"""gridlaw: how pre-trained language models scale, over a grid of models, corpus sizes and GPU counts."""

from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


# A folder given with --directory may bring its own configuration.
configfile: "config.yaml" if Path("config.yaml").exists() else f"{workflow.basedir}/config.yaml"


# A turn is taken within a Slurm job; Slurm jobs do not wait for each other's.
resource_scopes:
    turn="local",


include: "rules/common.smk"


report: "scripts/gridlaw/report/captions/workflow.rst"


if CLUSTER and SITE["container"]:

    container: SITE["container"]


include: "rules/data.smk"
include: "rules/pretrain.smk"
include: "rules/finetune.smk"
include: "rules/evaluate.smk"
include: "rules/aggregate.smk"
include: "rules/analyse.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


rule all:
    """The whole grid: tables, figures, laws, forecasts, decisions and the report of them."""
    default_target: True
    input:
        [kind.files() for kind in steps.SINGLE.values()],
    localrule: True


if workflow.remote_exec:
    from gridlaw.hooks import slurm

    slurm.pass_on_sigterm()

if CLUSTER and workflow.is_main_process:
    from gridlaw.hooks import slurm

    WATCH = slurm.Watch(workflow, SITE)

if workflow.is_main_process:

    onstart:
        if CLUSTER:
            slurm.check(SITE)
        if forkserver.serves(workflow, config):
            shell_prefix(PREFIX + forkserver.start())

    onerror:
        if CLUSTER:
            print("", *WATCH.summary(), sep="\n", file=sys.stderr)
        # Of a run that was stopped nothing has failed; and not every run is to make the report.
        if workflow.scheduler.failed and any(job.rule.name == "report" for job in workflow.dag.jobs):
            from gridlaw.views import partial_report

            partial_report.after_failure(config, COMMAND)
