"""gridlaw: how pre-trained language models scale, over a grid of models, corpus sizes and GPU counts."""

import runpy
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


# Of a module from a host of repositories, Snakemake fetches only the files that are asked for.
HOME = runpy.run_path(workflow.source_path("scripts/gridlaw/hooks/home.py"))["find"](workflow)
sys.path.insert(0, f"{HOME}/scripts")

if Path(workflow.basedir).resolve() == HOME:

    # A folder given with --directory may bring its own configuration. A module is handed one.
    configfile: "config.yaml" if Path("config.yaml").exists() else f"{HOME}/config.yaml"


# A turn is taken within a Slurm job; Slurm jobs do not wait for each other's.
resource_scopes:
    turn="local",


include: "rules/common.smk"


report: "scripts/gridlaw/report/captions/workflow.rst"


if SITE and SITE["container"]:

    container: SITE["container"]


include: "rules/data.smk"
include: "rules/pretrain.smk"
include: "rules/finetune.smk"
include: "rules/evaluate.smk"
include: "rules/aggregate.smk"
include: "rules/analyse.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


# The first rule of this file is the default target; that of a workflow that uses gridlaw stays its own.
rule all:
    """The whole grid: tables, figures, laws, forecasts, decisions and the report of them."""
    input:
        [kind.files() for kind in steps.SINGLE.values()],
    localrule: True


onstart:
    RUN.prepare()


onerror:
    RUN.conclude_failure()
