"""Slurm, as the process that submits the jobs sees it: checks before the run, and the causes of failures after it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import snakemake_executor_plugin_slurm as plugin
from snakemake.scheduling.job_scheduler import JobScheduler

from gridlaw import io
from gridlaw.hooks.jobs import kind_of
from gridlaw.workflow import cause

if TYPE_CHECKING:
    from snakemake.jobs import AbstractJob
    from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

# The same as `slurm-jobname-prefix` in profiles/slurm.
PREFIX = "gridlaw_"
# Slurm's states of jobs that failed, explained.
STATES = {
    "TIMEOUT": "time: it reached its time limit",
    "OUT_OF_MEMORY": "memory: it used more than it requested",
    "CANCELLED": "cancelled: by scancel or by an administrator",
    "PREEMPTED": "preempted: a job with higher priority took its place",
    "NODE_FAIL": "node: the machine that it ran on failed",
}
# Final states that the plugin does not know, as ones that it does. A job that will run again is PENDING.
ENDED = {"PREEMPTED": "CANCELLED", "REVOKED": "CANCELLED", "SPECIAL_EXIT": "FAILED"}
# Lines of Slurm's log that give the cause if the job ended before its program began.
SLURM_ENDS = (r"\w+Error in ", r"srun: error: ")
# Slurm may send a signal this many seconds early.
WARNING_RESOLUTION = 60
# A training that got SIGTERM and wrote a checkpoint.
SAVED = "it was told to save, and did"
# Causes that only the logs show: Slurm's state is FAILED, even when a step ran out of memory.
LOG_PATTERNS = {
    STATES["OUT_OF_MEMORY"]: r"oom.kill|exceeded memory limit|Out Of Memory",
    SAVED: r"SIGTERM after optimizer step",
    "disk: no space is left": r"No space left on device|Disk quota exceeded",
}


@dataclass
class Failed:
    """An attempt at a job that failed.

    Args:
        job: Snakemake's job.
        number: Slurm's number of the job; None if Slurm refused it.
        attempt: 1 for the first.
        state: Slurm's last state of the job; None if Slurm was never asked.
        message: what the executor plugin reported.
        save_seconds: how long before its time limit Slurm tells the job to save.
    """

    job: AbstractJob
    number: str | None
    attempt: int
    state: str | None
    message: str
    save_seconds: int

    def cause(self) -> str:
        """Return the cause of the failure, in words."""
        if self.number is None:
            refusal = re.search(r"error message was '(.*?)'\.?\n", self.message, re.DOTALL)
            return "refused: " + " ".join((refusal[1] if refusal else self.message).split())
        if self.state is None:
            return self.message
        if self.state in STATES:
            return STATES[self.state]
        text = "\n".join(io.read_tail(log, cause.TAIL_BYTES) for log in self.logs())
        known = next((words for words, pattern in LOG_PATTERNS.items() if re.search(pattern, text)), self._error())
        return f"{self._reason_to_save()}: {SAVED}" if known == SAVED else known

    def logs(self) -> Iterator[Path]:
        """Yield the logs of the job's program, then Slurm's."""
        yield from map(Path, self.job.log)
        yield from self.slurm_logs()

    def slurm_logs(self) -> Iterator[Path]:
        """Yield the logs that Slurm, and Snakemake inside the job, wrote."""
        if self.number:
            yield from Path("logs/slurm").rglob(f"{self.number}.log")

    def _reason_to_save(self) -> str:
        """Return why Slurm told the job to save: its time limit was near, or it was preempted."""
        times = _seconds_used_and_minutes_asked(self.number)
        if times is None:
            return "time or preemption"
        return "time" if times[1] * 60 - times[0] <= self.save_seconds + WARNING_RESOLUTION else "preempted"

    def _error(self) -> str:
        """Return the program's last error message, else its last line, else Slurm's."""
        program, slurm = [*map(Path, self.job.log)], [*self.slurm_logs()]
        line = (
            cause.find(program) or cause.last_line(program) or cause.find(slurm, SLURM_ENDS) or cause.last_line(slurm)
        )
        return f"error: {line or 'see the log'}"


class Watch:
    """Follows the jobs of a workflow, to say at the end why some of them failed."""

    def __init__(self, site: dict):
        self._save_seconds = site["save_seconds"]
        self._failures: dict[AbstractJob, Failed] = {}
        self._states: dict[str, str] = {}
        self._patch_plugin()

    def describe(self, job: AbstractJob) -> str | None:
        """Return a line about a job that failed; None for a job that Slurm was not asked for."""
        failure = self._failures.get(job)
        if failure is None:
            return None
        jobs = list(job) if job.is_group() else [job]
        # Several jobs may share one Slurm job; those whose results are missing failed.
        missing = [job for job in jobs if not all(Path(str(file)).exists() for file in job.output)]
        name = ", ".join(" ".join([job.rule.name, *job.wildcards]) for job in missing[:3] or jobs[:3])
        name += f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        # A refused job has no log. A job that ended before its program began has only Slurm's.
        logs = [str(log) for job in missing[:1] or jobs[:1] for log in job.log if Path(log).exists()]
        see = f"; see {' '.join(logs or map(str, failure.slurm_logs()))}" if failure.number else ""
        slurm = f", Slurm job {failure.number}" if failure.number else ""
        return f"{name} (attempt {failure.attempt}{slurm}): {failure.cause()}{see}"

    def _patch_plugin(self) -> None:
        """Make the plugin end the jobs that it would wait for forever, and note those that failed."""
        query, report = plugin.query_job_status, plugin.Executor.report_job_error
        failures, last_states, save_seconds = self._failures, self._states, self._save_seconds

        async def query_and_note(*arguments: object) -> tuple:
            states, seconds = await query(*arguments)
            for number, text in (states or {}).items():
                # sacct also says who cancelled a job: "CANCELLED by 1000".
                state = text.split()[0]
                last_states[number] = state if state in STATES else ENDED.get(state, state)
                states[number] = ENDED.get(state, state)
            return states, seconds

        def note_and_report(
            executor: plugin.Executor, info: SubmittedJobInfo, msg: str | None = None, **more: object
        ) -> None:
            number, job = info.external_jobid, info.job
            failures[job] = Failed(job, number, job.attempt, last_states.get(number), msg or "", save_seconds)
            report(executor, info, msg=msg, **more)

        plugin.query_job_status, plugin.Executor.report_job_error = query_and_note, note_and_report


def pass_on_sigterm() -> None:
    """Make Snakemake inside a job forward SIGTERM to the programs that it runs.

    Slurm signals only the first process of a step, if it tracks processes by cgroups (proctrack/cgroup). Programs of
    other workflows' rules are left alone.
    """
    exit_gracefully = JobScheduler.exit_gracefully

    def forward_and_exit(scheduler: JobScheduler, *arguments: object) -> None:
        running = [part for job in list(scheduler.running) for part in (job if job.is_group() else [job])]
        if any(map(kind_of, running)):
            _terminate_programs()
        exit_gracefully(scheduler, *arguments)

    JobScheduler.exit_gracefully = forward_and_exit


def _terminate_programs() -> None:
    for shell in psutil.Process().children():
        for program in shell.children():
            # srun would end the step, which gets the signal from Slurm itself.
            if program.name() != "srun":
                program.terminate()


def check(site: dict) -> None:
    """Check that no other run uses this folder, and that the cluster has what the site file names.

    Raises:
        SystemExit: one line that says what is wrong and what was expected.
    """
    output = _run("squeue", "--noheader", "--user", str(os.getuid()), "--format", "%i|%j|%Z")
    jobs = [line.split("|", 2) for line in output.splitlines()]
    running = [number for number, name, folder in jobs if name.startswith(PREFIX) and Path(folder) == Path.cwd()]
    if running:
        sys.exit(
            f"Slurm jobs of an earlier run still work in this folder: {' '.join(running)}. Wait for them to end"
            f" (squeue --jobs {','.join(running)}) or cancel them (scancel {' '.join(running)}), then repeat the"
            " command: it resumes from their checkpoints"
        )
    lines = [line.split("|") for line in _run("sinfo", "--noheader", "--format", "%R|%G").splitlines()]
    partitions = sorted({partition for partition, _ in lines})
    for section in ("cpu", "gpu"):
        partition = (site[section] or {}).get("partition")
        if partitions and partition not in (None, *partitions):
            sys.exit(
                f"site: {section}.partition: this cluster has no partition {partition}; expected one of"
                f" {', '.join(partitions)}, in profiles/slurm/site.yaml"
            )
    gpu = site["gpu"]
    if partitions and gpu and gpu["model"]:
        gres_of_partition = [gres for partition, gres in lines if gpu["partition"] in (None, partition)]
        models = sorted({model for gres in gres_of_partition for model in re.findall(r"\bgpu:([A-Za-z_][\w.]*)", gres)})
        if gpu["model"] not in models:
            expected = f"one of {', '.join(models)}" if models else "null, because Slurm names no GPU types there"
            sys.exit(
                f"site: gpu.model: partition {gpu['partition']} has no GPU {gpu['model']}; expected {expected},"
                " in profiles/slurm/site.yaml"
            )


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    except FileNotFoundError:
        sys.exit(f"{command[0]} was not found; run snakemake --profile slurm on a login node of a Slurm cluster")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{command[0]}: {error.stderr.strip()}")


def _seconds_used_and_minutes_asked(job: str) -> tuple[int, int] | None:
    """Return a job's run time and time limit from Slurm's accounting; None if it does not have them."""
    command = ["sacct", "--allocations", "--noheader", "--parsable2", "--jobs", job]
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        sacct = subprocess.run([*command, "--format", "ElapsedRaw,TimelimitRaw"], capture_output=True, timeout=60)
        used, asked = sacct.stdout.split(b"|")
        return int(used), int(asked)
    return None
