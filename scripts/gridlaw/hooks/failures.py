"""Messages about failed jobs: the cause instead of the command, and at the end of the run a line for each of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from gridlaw.hooks.jobs import step_of
from gridlaw.workflow import cause
from gridlaw.workflow.status import Verdicts
from gridlaw.workflow.steps import Step

if TYPE_CHECKING:
    from snakemake.jobs import AbstractJob
    from snakemake.workflow import Workflow

    from gridlaw.hooks.slurm import Watch

# Ends the last message of a run with failed jobs.
LAST = "At least one job did not complete successfully."
# What to do after a failure. Snakemake has the exit status 1 for all of them.
ADVICE = (
    "Correct the cause, then run the same command again: finished results are kept, and interrupted trainings resume."
)
# Parts of the message on a command of ours that failed: the record that it should write, and how it ended.
COMMAND = re.compile(
    r"Command '.* --record (?P<record>\S+) .*' (?P<end>returned non-zero exit .*|died with .*)", re.DOTALL
)
# How a shell reports SIGKILL, which the kernel sends to a process if memory runs out.
KILLED = re.compile(r"\b137\b|SIGKILL")
# Largest number of failed jobs that are listed.
SHOWN = 10


class Failures(logging.Handler):
    """Rewrites Snakemake's messages about failed jobs of the grid; those about jobs of other rules are left alone.

    Args:
        workflow: Snakemake's workflow.
        verdicts: know the grid's steps.
        watch: knows why jobs of the cluster failed, if there is one.
    """

    def __init__(self, workflow: Workflow, verdicts: Verdicts, watch: Watch | None):
        super().__init__()
        self._workflow, self._verdicts, self._watch = workflow, verdicts, watch
        # How the programs of failed steps ended.
        self._ends: dict[Step, str] = {}

    def emit(self, message: logging.LogRecord) -> None:
        """Rewrite a message before the handlers after this one print it."""
        event = getattr(message, "event", None)
        if event == LogEvent.JOB_ERROR:
            self._explain(message)
        elif event == LogEvent.ERROR and str(message.msg).rstrip().endswith(LAST):
            lines = list(self._summary())
            if lines:
                message.msg = "\n".join([str(message.msg).rstrip(), *lines, ADVICE])
        elif event == LogEvent.ERROR:
            self._shorten(message)

    def _explain(self, message: logging.LogRecord) -> None:
        """Give the cause of a failed job instead of its command, which holds a whole recipe.

        Args:
            message: its attributes are those that `Job.get_log_error_info` gives.
        """
        step = self._find(message.output[0]) if message.output else None
        if step:
            message.shellcmd, message.rule_msg = None, self._cause(step)

    def _shorten(self, message: logging.LogRecord) -> None:
        """Shorten a message that repeats a whole command of ours."""
        command = COMMAND.search(str(message.msg))
        step = self._find(command["record"]) if command else None
        if step:
            self._ends[step] = command["end"].splitlines()[0].rstrip(".")
            message.msg = f"{step.name}: its program {self._ends[step]}"

    def _summary(self) -> Iterator[str]:
        """Yield a line for each job that failed after its last attempt."""
        lines = [line for job in self._workflow.scheduler.failed for line in self._describe(job)]
        yield from (f"failed: {line}" for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            yield f"and {len(lines) - SHOWN} more; snakemake -n lists them"

    def _describe(self, job: AbstractJob) -> Iterator[str]:
        line = self._watch and self._watch.describe(job)
        if line:
            yield line
            return
        for part in job if job.is_group() else [job]:
            step = step_of(part, self._verdicts.steps)
            # In a group, only jobs that left a message have failed.
            if step and (not job.is_group() or cause.find([step.log])):
                values = "".join(f" {name}={value}" for name, value in step.wildcards.items())
                yield f"{step.rule}{values}: {self._cause(step)}; see {step.log}"

    def _find(self, file: str) -> Step | None:
        """Return the step that makes a file; None for a file of another rule."""
        step = self._verdicts.steps.find(file)
        return step if step and file in step.outputs else None

    def _cause(self, step: Step) -> str:
        """Return why the program of a step failed, in one line."""
        end = self._ends.get(step, "")
        if KILLED.search(end):
            return "killed, perhaps because memory ran out"
        return cause.find([step.log]) or cause.last_line([step.log]) or f"the program {end or 'left no message'}"


def connect(workflow: Workflow, verdicts: Verdicts, watch: Watch | None) -> None:
    """Connect a workflow with the messages about its failed jobs."""
    # The handlers after this one print.
    logger.handlers.insert(0, Failures(workflow, verdicts, watch))
