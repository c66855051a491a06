"""What `snakemake -n` shows before its job list: the grid, what is stale and why, what running it would take."""

from __future__ import annotations

import atexit
import gc
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from gridlaw import provenance
from gridlaw.bill import PREDICTIONS, Limits, bill, predicted, step_counts
from gridlaw.cost import Rates
from gridlaw.overview import Overview
from gridlaw.steps import Step
from gridlaw.terminal import Terminal
from gridlaw.verdicts import Verdicts, causes, to_run

if TYPE_CHECKING:
    from snakemake.jobs import Reason
    from snakemake.workflow import Workflow

# What Snakemake advises where a change did no harm, which helps against that of a command only.
ADVICE = "wipe its metadata"
OURS = (
    "If you are sure that a change does not change a result, keep it:"
    " python scripts/accept.py MODEL SIZE GPUS --note WHY; where only a rule's command changed:"
    " snakemake --cleanup-metadata FILES"
)


class Preview(logging.Handler):
    """Follows Snakemake's messages: has it ask records before it builds the DAG, and shows the grid once that is there.

    Args:
        workflow: Snakemake's.
        config: a completed configuration.
    """

    def __init__(self, workflow: Workflow, config: dict):
        super().__init__()
        self._workflow, self._verdicts = workflow, Verdicts(config)
        self._asked = self._shown = False

    def emit(self, message: logging.LogRecord) -> None:
        """See how far Snakemake has come."""
        if not self._asked and self._workflow._persistence is not None:
            self._asked = True
            provenance.ask_records(self._workflow.persistence, self._verdicts)
        planned = getattr(message, "event", None) == LogEvent.RUN_INFO
        if not self._shown and (planned or message.msg == NOTHING_TO_BE_DONE_MSG):
            self._shown = True
            self._show()
        if ADVICE in str(message.msg):
            message.msg = OURS

    def _show(self) -> None:
        try:
            if self._workflow.dryrun:
                lines = list(self._whole(Terminal.from_stream(sys.stderr)))
            else:
                planned = self._planned()
                lines = list(self._short(planned))
                self._follow(planned)
        except Exception as error:
            # A preview is not worth a run.
            lines = [f"the grid cannot be shown: {type(error).__name__}: {error}"]
        print(*lines, sep="\n", file=sys.stderr, flush=True)

    def _whole(self, terminal: Terminal) -> Iterator[str]:
        """The grid, and what running would take."""
        planned = self._planned()
        due = to_run(self._verdicts) | planned.keys()
        overview = Overview(self._verdicts, due, causes(self._verdicts, due, planned))
        yield from ["", *overview.lines(terminal), ""]
        if planned:
            rates = self._rates()
            yield from terminal.table({"to run": step_counts(rates, planned), **bill(rates, planned, self._limits())})
            yield ""

    def _short(self, planned: dict[Step, str]) -> Iterator[str]:
        """What is about to run, in a line."""
        if planned:
            rates = self._rates()
            about = bill(rates, planned, self._limits())
            yield f"{step_counts(rates, planned)}: {about['time']}; snakemake -n shows the grid"
            _note(predicted(rates, planned, self._limits()))

    def _follow(self, planned: dict[Step, str]) -> None:
        """Report how far the run is, from now on."""
        # A dry run need not wait for it.
        from gridlaw import progress
        from gridlaw.reporter import Reporter

        before = {step.record: progress.stamp(step.record) for step in planned}
        run = progress.Run(before, self._limits(), time.time(), self._workflow.execution_settings.retries > 0)
        remote = self._workflow.nodes is not None
        reporter = Reporter(_say, sys.stderr)
        atexit.register(reporter.stop)

        def begin() -> progress.Progress:
            return progress.Progress(self._verdicts.config, run, remote)

        threading.Thread(target=reporter.run, args=[begin], name="progress", daemon=True).start()

    def _rates(self) -> Rates:
        return Rates(self._verdicts, remote=self._workflow.nodes is not None)

    def _planned(self) -> dict[Step, str]:
        """The steps that Snakemake would run, upstream first, each with its reason."""
        dag = self._workflow.dag
        jobs = {self._verdicts.steps.of(str(job.output[0])): job for job in dag.needrun_jobs() if job.output}
        return {step: _words(step, dag.reason(jobs[step])) for step in self._verdicts.steps if step in jobs}

    def _limits(self) -> Limits:
        there = self._workflow.global_resources
        gpus = there["gpu"].value if "gpu" in there else None
        if self._workflow.nodes is not None:
            return Limits(jobs=self._workflow.nodes, gpus=gpus)
        return Limits(cores=self._workflow._cores, gpus=gpus)


def _note(prediction: dict) -> None:
    """Keep what a run was predicted to take, for the report to compare with what it took."""
    if prediction["trainings"]:
        PREDICTIONS.parent.mkdir(exist_ok=True)
        with PREDICTIONS.open("a") as stream:
            stream.write(json.dumps({"begun": datetime.now(UTC).isoformat(timespec="seconds"), **prediction}) + "\n")


def _words(step: Step, reason: Reason) -> str:
    """What Snakemake has against a result that its record does not know of."""
    if reason.forced:
        return "asked for on the command line"
    if reason.code_changed:
        return f"the command of rule {step.rule} changed"
    if reason.software_stack_changed:
        return f"the environment of rule {step.rule} changed"
    if reason.missing_output:
        return f"files of {step.rule} results were removed, and are needed"
    return str(reason)


def _say(text: str) -> None:
    """Have Snakemake print a text between its own, unless it was told to be quiet about progress."""
    logger.info(text, extra={"quietness": Quietness.PROGRESS})


def announce(workflow: Workflow, config: dict) -> None:
    """Have a workflow ask records, and show its grid."""
    # Jobs live as long as Snakemake does: to look for garbage among 20,000 of them took a quarter of a dry run.
    gc.set_threshold(100_000, 50, 100)
    # Before the handler that prints the job list.
    logger.handlers.insert(0, Preview(workflow, config))
