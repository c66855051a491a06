"""The head process on a cluster: what it asks Slurm before it submits, and what it says when jobs have failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import snakemake_executor_plugin_slurm as plugin
from snakemake.scheduling.job_scheduler import JobScheduler

if TYPE_CHECKING:
    from snakemake.jobs import AbstractJob
    from snakemake.workflow import Workflow
    from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

# Of the profile's `slurm-jobname-prefix`.
PREFIX = "gridlaw_"
# Slurm's states of a job that has ended otherwise than well, in a person's words.
STATES = {
    "TIMEOUT": "time: it ran into its time limit",
    "OUT_OF_MEMORY": "memory: it used more than it had asked for",
    "CANCELLED": "cancelled: by scancel, or by whoever runs the cluster",
    "PREEMPTED": "preempted: a job of more importance took its place",
    "NODE_FAIL": "node: the machine that it ran on was lost",
}
# How logs tell why a program failed: in a line of its own, by an exception, or in what torchrun says of a killed rank.
ENDS = (r"error: ", r"(?!torch\.distributed)[\w.]*(Error|Exception)\b", r" *traceback : (?=Signal)")
# The same in Slurm's logs, where a job ended before its program said anything.
SLURM_ENDS = (r"\w+Error in ", r"srun: error: ")
# Bytes at the end of a log in which the cause of a failure is looked for. A rank that loses the others to the end of
# their node prints a stack of 8 kB after it.
TAIL = 1 << 18
# Slurm may send a warning so many seconds early.
WARNING_RESOLUTION = 60
# Of a training that Slurm told to save.
SAVED = "it was told to save, and did"
# What logs say of causes that Slurm has no state for: its own says FAILED when a step ran out of memory.
WORDS = {
    STATES["OUT_OF_MEMORY"]: r"oom.kill|exceeded memory limit|Out Of Memory",
    SAVED: r"SIGTERM after update",
    "disk: no space is left": r"No space left on device|Disk quota exceeded",
}


@dataclass
class Failed:
    """An attempt at a job that failed.

    Args:
        job: of Snakemake.
        number: Slurm's number of the job; None if it was not even submitted.
        said: the plugin's message.
        save_seconds: how long before its time limit Slurm tells it to save.
    """

    job: AbstractJob
    number: str | None
    attempt: int
    said: str
    save_seconds: int

    def why(self) -> str:
        """The cause, in words."""
        if self.number is None:
            refused = re.search(r"error message was '(.*?)'\.?\n", self.said, re.DOTALL)
            return "refused: " + " ".join((refused[1] if refused else self.said).split())
        state = re.search(r"SLURM status is: '(\w+)'|failed due to a node failure", self.said)
        if state is None or state[1] is None:
            return STATES["NODE_FAIL"] if state else self.said
        if state[1] in STATES:
            return STATES[state[1]]
        text = "\n".join(_tail(log) for log in self.logs())
        why = next((why for why, words in WORDS.items() if re.search(words, text)), self._error())
        return f"{self._told()}: {SAVED}" if why == SAVED else why

    def logs(self) -> Iterator[Path]:
        """What the job's programs said, then Slurm."""
        yield from map(Path, self.job.log)
        yield from self.slurm_logs()

    def slurm_logs(self) -> Iterator[Path]:
        """What Slurm said of it, and Snakemake in the job."""
        if self.number:
            yield from Path("logs/slurm").rglob(f"{self.number}.log")

    def _told(self) -> str:
        """Why Slurm told it to save: the time limit was near, or it was not."""
        times = _seconds_used_and_minutes_asked(self.number)
        if times is None:
            return "time or preemption"
        return "time" if times[1] * 60 - times[0] <= self.save_seconds + WARNING_RESOLUTION else "preempted"

    def _error(self) -> str:
        """The last that the program said of why it failed, or at all, else what Slurm did."""
        said = _said(map(Path, self.job.log), ENDS) or _said(self.slurm_logs(), SLURM_ENDS) or "see the log"
        return "error: " + re.sub(r"error: | *traceback : ", "", said)


class Watch:
    """Follows the jobs of a workflow, so that it can say at the end what became of those that failed."""

    def __init__(self, workflow: Workflow, site: dict):
        self._workflow, self._save_seconds = workflow, site["save_seconds"]
        self._failures: dict[AbstractJob, Failed] = {}
        self._mend()

    def summary(self) -> Iterator[str]:
        """A line for each job that failed for good."""
        failed = [self._failures[job] for job in self._workflow.scheduler.failed if job in self._failures]
        for one in failed:
            jobs = list(one.job) if one.job.is_group() else [one.job]
            # Of jobs that share one of Slurm's, those whose results are not there.
            missing = [job for job in jobs if not all(Path(str(file)).exists() for file in job.output)]
            # Results of a job depend on those before it.
            name = ", ".join(" ".join([job.rule.name, *job.wildcards]) for job in missing[:3] or jobs[:3])
            name += f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            # A job that Slurm refused has none; one that ended before its program began has Slurm's.
            logs = [str(log) for job in missing[:1] or jobs[:1] for log in job.log if Path(log).exists()]
            see = f"; see {' '.join(logs or map(str, one.slurm_logs()))}" if one.number else ""
            slurm = f", Slurm job {one.number}" if one.number else ""
            yield f"failed: {name} (attempt {one.attempt}{slurm}): {one.why()}{see}"

    def _mend(self) -> None:
        """Have the plugin end the jobs that it would wait for without an end, and tell of those that failed."""
        query, report = plugin.query_job_status, plugin.Executor.report_job_error
        failures, save_seconds = self._failures, self._save_seconds

        async def queried(*arguments: object) -> tuple:
            states, seconds = await query(*arguments)
            # One that is to run again is PENDING. sacct says who cancelled a job: "CANCELLED by 1000".
            plain = {"PREEMPTED": "CANCELLED", "REVOKED": "CANCELLED", "SPECIAL_EXIT": "FAILED"}
            for number, state in (states or {}).items():
                if state == "PREEMPTED":
                    preempted.add(number)
                first = state.split()[0]
                states[number] = plain.get(first, first)
            return states, seconds

        def reported(executor: plugin.Executor, info: SubmittedJobInfo, msg: str | None = None, **more: object) -> None:
            said = (msg or "").replace("'CANCELLED'", "'PREEMPTED'") if info.external_jobid in preempted else msg or ""
            failures[info.job] = Failed(info.job, info.external_jobid, info.job.attempt, said, save_seconds)
            report(executor, info, msg=msg, **more)

        preempted: set[str] = set()
        plugin.query_job_status, plugin.Executor.report_job_error = queried, reported


def pass_on_sigterm() -> None:
    """Have a job's Snakemake pass SIGTERM on to the programs that it runs.

    With its usual way of telling processes apart (proctrack/cgroup) Slurm signals the first process of a step alone.
    """
    wind_up = JobScheduler.exit_gracefully

    def passed(*arguments: object) -> None:
        for shell in psutil.Process().children():
            for program in shell.children():
                # It would end the step, which gets the signal from Slurm itself.
                if program.name() != "srun":
                    program.terminate()
        wind_up(*arguments)

    JobScheduler.exit_gracefully = passed


def check(site: dict) -> None:
    """See that nothing else works in this folder, and that the cluster has what the site file names.

    Raises:
        SystemExit: with a line of what is wrong and what would be right.
    """
    answer = _answer("squeue", "--noheader", "--user", str(os.getuid()), "--format", "%i|%j|%Z")
    jobs = [line.split("|", 2) for line in answer.splitlines()]
    running = [number for number, name, folder in jobs if name.startswith(PREFIX) and Path(folder) == Path.cwd()]
    if running:
        sys.exit(
            f"Slurm jobs of an earlier run still work in this folder: {' '.join(running)}. Wait for them to end"
            f" (squeue --jobs {','.join(running)}), or cancel them (scancel {' '.join(running)}); then the same command"
            " goes on from what they leave"
        )
    lines = [line.split("|") for line in _answer("sinfo", "--noheader", "--format", "%R|%G").splitlines()]
    known = sorted({partition for partition, _ in lines})
    for section in ("cpu", "gpu"):
        partition = (site[section] or {}).get("partition")
        if known and partition not in (None, *known):
            sys.exit(
                f"site: {section}.partition: {partition} is no partition of this cluster; right would be one of"
                f" {', '.join(known)}, in profiles/slurm/site.yaml"
            )
    gpu = site["gpu"]
    if known and gpu and gpu["model"]:
        here = [gres for partition, gres in lines if gpu["partition"] in (None, partition)]
        models = sorted({model for gres in here for model in re.findall(r"\bgpu:([A-Za-z_][\w.]*)", gres)})
        if gpu["model"] not in models:
            right = f"one of {', '.join(models)}" if models else "null, for Slurm names no types there"
            sys.exit(
                f"site: gpu.model: {gpu['model']} is no GPU of partition {gpu['partition']}; right would be {right},"
                " in profiles/slurm/site.yaml"
            )


def _answer(*question: str) -> str:
    try:
        return subprocess.run(question, check=True, capture_output=True, text=True, timeout=60).stdout
    except FileNotFoundError:
        sys.exit(f"{question[0]} is not there; snakemake --profile slurm runs on a login node of a Slurm cluster")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{question[0]}: {error.stderr.strip()}")


def _seconds_used_and_minutes_asked(job: str) -> tuple[int, int] | None:
    """Run time of a job and its limit, from the accounting; None where it does not tell."""
    question = ["sacct", "--allocations", "--noheader", "--parsable2", "--jobs", job]
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run([*question, "--format", "ElapsedRaw,TimelimitRaw"], capture_output=True, timeout=60)
        used, asked = done.stdout.split(b"|")
        return int(used), int(asked)
    return None


def _said(logs: Iterable[Path], ends: Sequence[str]) -> str:
    """The last line of logs that matches the first pattern that any does, else the last at all."""
    lines = [line for log in logs for line in _tail(log).splitlines() if line.strip()]
    found = next(filter(None, ([line for line in lines if re.match(end, line)] for end in ends)), lines)
    return found[-1] if found else ""


def _tail(log: Path) -> str:
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
