"""The undocumented parts of Snakemake and its Slurm plugin that gridlaw touches, and the check of them.

A release may rename or change any of this. At the start of a run, versions are compared with those that gridlaw is
tested with, and every name is looked up. A difference is one line that says what may not work.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata

# The tested versions; requirements.txt has the same.
PLUGIN = "snakemake-executor-plugin-slurm"
TESTED = {"snakemake": "9.27.1", PLUGIN: "2.8.0"}


@dataclass(frozen=True, slots=True)
class Touch:
    """A name that gridlaw depends on.

    Args:
        module: Python module of the name.
        name: dotted name in the module; an attribute of a class may be one that only its instances have.
        hook: module of `gridlaw.hooks` that touches it.
        why: what it is needed for.
    """

    module: str
    name: str
    hook: str
    why: str

    def exists(self) -> bool:
        """Return whether the installed version has the name."""
        owner = importlib.import_module(self.module)
        *path, last = self.name.split(".")
        for part in path:
            owner = getattr(owner, part, None)
        return hasattr(owner, last) or _is_used_by_methods(owner, last)


# What does not work without each hook.
EFFECTS = {
    "attachment": "use as a module, turns of jobs that share a Slurm job",
    "failures": "the cause of each failed job, in one line",
    "home": "use as a module from a host of repositories",
    "preview": "the grid, the estimates and the progress of a run",
    "records": "the state of results, of which stale ones would count as current",
    "slurm": "the causes of failed Slurm jobs, and checkpoints before their time limit",
    "throttle": "fewer passes of the scheduler",
}
# Hooks that a run can do without. Without one of the others, it would end with an exception, or keep stale results.
DISPENSABLE = {"failures", "home", "slurm", "throttle"}

SLURM = PLUGIN.replace("-", "_")
PERSISTENCE, SCHEDULER = "snakemake.persistence", "snakemake.scheduling.job_scheduler"
EVENTS = "snakemake_interface_logger_plugins.common"
TABLE = (
    Touch("snakemake.sourcecache", "HostingProviderFile.hosted_repo", "home", "the whole repository is copied"),
    Touch("snakemake.sourcecache", "HostingProviderFile.fetch_if_required", "home", "the clone has the commit"),
    Touch("snakemake.sourcecache", "HostingProviderFile.cache_path", "home", "Snakemake's clone is used"),
    Touch("snakemake.workflow", "Workflow.modifier", "attachment", "a module's `prefix:` is refused"),
    Touch("snakemake.modules", "WorkflowModifier.path_modifier", "attachment", "a module's `prefix:` is refused"),
    Touch("snakemake.path_modifier", "PathModifier.replace_prefix", "attachment", "a module's `prefix:` is refused"),
    Touch("snakemake.workflow", "Workflow.global_resources", "attachment", "one job at a time has the `turn`"),
    Touch("snakemake.logging", "logger", "preview", "messages tell what Snakemake has reached"),
    Touch("snakemake.logging", "logger.handlers", "preview", "the grid is shown before the job list is printed"),
    Touch("snakemake.common", "NOTHING_TO_BE_DONE_MSG", "preview", "the grid of a finished run is shown"),
    Touch("snakemake.settings.enums", "Quietness", "preview", "--quiet progress is heeded"),
    Touch(EVENTS, "LogEvent", "preview", "the grid is shown when jobs are known"),
    Touch("snakemake.workflow", "Workflow._persistence", "preview", "records are connected before the DAG is built"),
    Touch("snakemake.workflow", "Workflow._cores", "preview", "estimates are for the cores of the run"),
    Touch("snakemake.dag", "DAG.needrun_jobs", "preview", "the jobs to run are counted"),
    Touch("snakemake.dag", "DAG.reason", "preview", "the grid says why jobs run"),
    Touch("snakemake.jobs", "Reason.is_provenance_triggered", "preview", "advice on other rules is kept"),
    Touch("snakemake.logging", "logger", "failures", "messages about failed jobs pass through it"),
    Touch("snakemake.logging", "logger.handlers", "failures", "messages are changed before they are printed"),
    Touch(
        "snakemake_interface_logger_plugins.common",
        "LogEvent",
        "failures",
        "messages about failed jobs are known by their event",
    ),
    Touch("snakemake.jobs", "Job.get_log_error_info", "failures", "the parts of a message about a failed job"),
    Touch(SCHEDULER, "JobScheduler.failed", "failures", "a failure is reported after the last attempt"),
    Touch(PERSISTENCE, "PersistenceBase.metadata", "records", "a result without metadata has its record's"),
    Touch(PERSISTENCE, "PersistenceBase.params_changed", "records", "a stale result is made again"),
    Touch(PERSISTENCE, "PersistenceBase.code_changed", "records", "a rule's command makes no result stale"),
    Touch(PERSISTENCE, "PersistenceBase.incomplete", "records", "a result with a record is complete"),
    Touch(PERSISTENCE, "PersistenceBase._clear_cache", "records", "answers are not older than metadata"),
    Touch(PERSISTENCE, "PersistenceBase", "records", "its class is replaced by a subclass"),
    Touch(PERSISTENCE, "MetadataRecord", "records", "answers have its form"),
    Touch(PERSISTENCE, "RECORD_FORMAT_VERSION", "records", "answers have its form"),
    Touch(PERSISTENCE, "ParamsChange", "records", "the reason of a stale result is printed"),
    Touch(SCHEDULER, "JobScheduler", "throttle", "its passes are timed"),
    Touch(SCHEDULER, "JobScheduler._schedule_reevalutation", "throttle", "it starts a thread in each pass"),
    Touch(SCHEDULER, "JobScheduler._open_jobs", "throttle", "the semaphore of its passes gets a moment to wake at"),
    Touch(SCHEDULER, "JobScheduler.job_rate_limiter", "throttle", "the moment is when the limit lets a job start"),
    Touch(SCHEDULER, "JobRateLimiter", "throttle", "the moment is when the limit lets a job start"),
    Touch(SCHEDULER, "JobRateLimiter._jobs", "throttle", "starts that count"),
    Touch(SCHEDULER, "JobScheduler", "slurm", "its end is extended"),
    Touch(SCHEDULER, "JobScheduler.exit_gracefully", "slurm", "SIGTERM reaches the programs of a job"),
    Touch(SCHEDULER, "JobScheduler.running", "slurm", "SIGTERM reaches the programs of gridlaw's rules only"),
    Touch(SLURM, "query_job_status", "slurm", "final states that the plugin does not know become known ones"),
    Touch(SLURM, "Executor.report_job_error", "slurm", "the cause of each failure is noted"),
)


def usable(packages: Iterable[str] = tuple(TESTED)) -> set[str]:
    """Return the hooks that the installed versions support, and print a line if they differ from the tested ones.

    Args:
        packages: the packages that the run uses.

    Raises:
        SystemExit: one line, if a hook is lost that no run can do without.
    """
    versions = {package: metadata.version(package) for package in packages}
    changed = {package: version for package, version in versions.items() if version != TESTED[package]}
    table = [touch for touch in TABLE if touch.hook != "slurm" or PLUGIN in versions]
    missing = [touch for touch in table if not touch.exists()]
    lost = {touch.hook for touch in missing}
    if "snakemake" in changed:
        # What it replaces is known for the tested version only.
        lost.add("throttle")
    if changed or missing:
        line = difference(changed, missing, table)
        if lost - DISPENSABLE:
            sys.exit(f"error: {line}")
        print(line, file=sys.stderr)
    return EFFECTS.keys() - lost


def difference(changed: dict[str, str], missing: Sequence[Touch], table: Iterable[Touch]) -> str:
    """Return one line about what differs from the tested versions.

    Args:
        changed: installed versions of packages that are not the tested ones.
        missing: names that the installed versions lack.
        table: all names that the run needs.
    """
    installed = [f"{package} {version} instead of {TESTED[package]}" for package, version in changed.items()]
    lacking = [f"no {touch.module}.{touch.name}" for touch in missing]
    effects = "; ".join(EFFECTS[hook] for hook in dict.fromkeys(touch.hook for touch in missing or table))
    expected = " ".join(f"{package}=={TESTED[package]}" for package in changed or TESTED)
    return (
        f"gridlaw is not tested with this Snakemake ({', '.join(installed + lacking)});"
        f" {'without' if missing else 'in doubt'}: {effects}; expected: pip install {expected}"
    )


def _is_used_by_methods(owner: object, name: str) -> bool:
    """Return whether a class uses an attribute that only its instances have."""
    functions = filter(inspect.isfunction, vars(owner).values()) if inspect.isclass(owner) else ()
    return any(name in function.__code__.co_names for function in functions)
