"""gridlaw in a workflow of Snakemake: its own one, or one that uses gridlaw as a module."""

from __future__ import annotations

import os
import sys
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from snakemake.utils import update_config

from gridlaw.canonical_json import canonical
from gridlaw.config import hyperparameters, loading, schema, site
from gridlaw.hooks import touched
from gridlaw.hooks.commands import INTERPRETER
from gridlaw.hooks.jobs import kind_of
from gridlaw.views import console
from gridlaw.workflow import known
from gridlaw.workflow.kinds.reporting import REPORT
from gridlaw.workflow.status import Verdicts
from gridlaw.workflow.steps import SCRIPTS

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

HOME = SCRIPTS.parent
# Top folders of the grid, in the working directory.
FOLDERS = ("resources/", "results/", "logs/")
SITE = Path("profiles/slurm/site.yaml")

# The attachment of the last workflow that was parsed in this process.
_attachment: Attachment | None = None


@dataclass(frozen=True)
class Attachment:
    """Values and functions that the rules take from their run.

    Args:
        workflow: Snakemake's workflow.
        config: the completed configuration.
        site: the completed site file; None on one machine.
        command: the command that makes the results, for the report.
    """

    workflow: Workflow
    config: dict
    site: dict | None
    command: str

    @property
    def before(self) -> str:
        """Shell commands that each job runs first."""
        # Slurm tells all processes of a job that its time is over, the shell too, which waits for the program to save.
        return f"trap : TERM; {self.site['before'] or ''}\n" if self.workflow.remote_exec else ""

    @property
    def settings(self) -> dict[str, object]:
        """Settings of programs; no result depends on them, and as parameters of rules they would make results stale."""
        return {
            "checkpoint_minutes": self.config["checkpoint_minutes"],
            "evaluations": self.config["pretrain"]["evaluations"],
            "command": self.command,
            "lengths": canonical(
                {
                    model: hyperparameters.longest_sequences(self.config, model)
                    for model in self.config["models"]
                    if hyperparameters.is_released(self.config, model)
                }
            ),
        }

    def prepare(self) -> None:
        """Prepare for a run that is about to begin; a cluster without what the site file names ends it."""
        # Imported here, as below, because a dry run does not need it.
        from gridlaw.hooks import forks

        if self.site:
            from gridlaw.hooks import slurm

            slurm.check(self.site)
        forks.start(self.workflow, self.config)

    def conclude_failure(self) -> None:
        """Write the report of the results so far after a failed run."""
        # A run that was stopped has no failed jobs, and not every run makes the report.
        if self.workflow.scheduler.failed and any(kind_of(job) is REPORT for job in self.workflow.dag.jobs):
            from gridlaw.views import partial_report

            partial_report.after_failure(self.config, self.command)


def attach(workflow: Workflow, config: dict) -> Attachment:
    """Attach gridlaw to a workflow while its Snakefile is parsed; what is wrong ends the run with a line each.

    Args:
        workflow: Snakemake's workflow: of gridlaw itself, or one that uses gridlaw as a module.
        config: the configuration that Snakemake has read; of a module, what its workflow hands in.
    """
    if "{" in str(HOME) or "}" in str(HOME):
        sys.exit(f"error: {HOME}: Snakemake takes braces for wildcards; expected gridlaw in a folder without them")
    # Slurm hands a job the environment of the process that submits it, whose fork server is on another machine.
    os.environ.pop(INTERPRETER, None)
    cluster = workflow.nodes is not None or workflow.remote_exec
    hooks = touched.usable(touched.TESTED if cluster else ("snakemake",))
    module = is_module(workflow)
    try:
        config = complete(workflow, config, module)
        place = site.read(SITE if SITE.exists() else HOME / SITE) if cluster else None
    except ValueError as mistakes:
        sys.exit(str(mistakes))
    # A workflow that takes single rules of a module one after the other includes its Snakefile each time.
    global _attachment
    if _attachment is None or _attachment.workflow is not workflow:
        _attachment = _connect(workflow, config, place, hooks, module)
    elif _attachment.config != config:
        sys.exit("error: gridlaw is used with two configurations in one workflow; expected one grid in a folder")
    return _attachment


def is_module(workflow: Workflow) -> bool:
    """Return whether another workflow includes gridlaw's Snakefile."""
    return Path(workflow.basedir).resolve() != HOME


def complete(workflow: Workflow, config: dict, module: bool) -> dict:
    """Return the completed configuration; that of a module is laid over gridlaw's own, like an overlay.

    Raises:
        ValueError: the configuration is wrong, or the module's paths are changed; one line for each mistake.
    """
    if not module:
        return loading.complete(config, workflow.configfiles, packed=known.packed_tokens)
    modifier = workflow.modifier.path_modifier
    changed = [folder for folder in FOLDERS if modifier.replace_prefix(folder) != folder]
    if changed:
        raise ValueError(
            f"error: the module's prefix: or replace_prefix: changes {changed[0]}; expected a module without them,"
            " and another --directory for another grid"
        )
    whole = yaml.load((HOME / "config.yaml").read_text(), schema.LOADER)
    update_config(whole, deepcopy(config))
    return loading.complete(whole, packed=known.packed_tokens)


def _connect(workflow: Workflow, config: dict, place: dict | None, hooks: set[str], module: bool) -> Attachment:
    """Connect Snakemake with the grid, as far as the hooks are usable; jobs of a module's workflow are left alone."""
    # Imported here because they need names that an untested version may lack.
    if "throttle" in hooks and not module:
        from gridlaw.hooks import throttle

        throttle.replace_timers()
    if "slurm" in hooks and workflow.remote_exec:
        from gridlaw.hooks import slurm

        slurm.pass_on_sigterm()
    if workflow.is_main_process:
        from gridlaw.hooks import preview

        verdicts, watch = Verdicts(config), None
        preview.connect(workflow, verdicts)
        if "slurm" in hooks and place and not module:
            from gridlaw.hooks import slurm

            watch = slurm.Watch(place)
        if "failures" in hooks:
            from gridlaw.hooks import failures

            failures.connect(workflow, verdicts, watch)
    # Jobs that share a Slurm job take turns in it.
    workflow.global_resources["turn"] = 1
    command = console.command(
        workflow.overwrite_configfiles,
        Path.cwd(),
        [f"{key}={value}" for key, value in workflow.config_settings.config.items()],
        snakefile=workflow.main_snakefile if module else None,
    )
    return Attachment(workflow, config, place, command)
