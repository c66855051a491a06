"""The preview of `snakemake -n`, before its job list: the grid, what is stale and why, and the cost of running it."""

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

from gridlaw.cost import capacity
from gridlaw.cost.estimates import Rates
from gridlaw.hooks import records
from gridlaw.hooks.jobs import step_of
from gridlaw.views.estimate_text import PREDICTIONS, Limits, bill, predicted, step_counts
from gridlaw.views.overview import Overview
from gridlaw.views.terminal import Terminal
from gridlaw.workflow.status import Verdicts, causes, to_run
from gridlaw.workflow.steps import Step

if TYPE_CHECKING:
    from snakemake.jobs import Reason
    from snakemake.workflow import Workflow

# Snakemake's own advice after a harmless change, which does not help where records decide; and ours.
ADVICE = "wipe its metadata"
OURS = "If a change does not affect a result, keep the result: python scripts/accept.py MODEL SIZE GPUS --note WHY"


class Preview(logging.Handler):
    """Watches Snakemake's messages: connects records before the DAG is built, and shows the grid after that.

    Args:
        workflow: Snakemake's workflow.
        verdicts: on the results of the grid.
    """

    def __init__(self, workflow: Workflow, verdicts: Verdicts):
        super().__init__()
        self._workflow, self._verdicts = workflow, verdicts
        self._asked = self._shown = False

    def emit(self, message: logging.LogRecord) -> None:
        """Act on the stage that Snakemake has reached."""
        if not self._asked and self._workflow._persistence is not None:
            self._asked = True
            records.ask_records(self._workflow.persistence, self._verdicts)
        planned = getattr(message, "event", None) == LogEvent.RUN_INFO
        if not self._shown and (planned or message.msg == NOTHING_TO_BE_DONE_MSG):
            self._shown = True
            self._show()
        if ADVICE in str(message.msg):
            message.msg = self._advice(message.msg)

    def _show(self) -> None:
        try:
            if self._workflow.dryrun:
                lines = list(self._whole(Terminal.from_stream(sys.stderr)))
            else:
                planned = self._planned()
                lines = list(self._short(planned))
                self._follow(planned)
        except Exception as error:
            # A failed preview must not stop a run.
            lines = [f"the grid cannot be shown: {type(error).__name__}: {error}"]
        print(*lines, sep="\n", file=sys.stderr, flush=True)

    def _advice(self, text: str) -> str:
        """Return the advice after a harmless change: ours for steps of the grid, Snakemake's `text` for other jobs."""
        dag = self._workflow.dag
        jobs = [job for job in dag.needrun_jobs(exclude_finished=False) if dag.reason(job).is_provenance_triggered()]
        advice = {OURS if step_of(job, self._verdicts.steps) else text: None for job in jobs}
        return "\n".join(advice)

    def _whole(self, terminal: Terminal) -> Iterator[str]:
        """Yield the grid, and the cost of running it."""
        planned = self._planned()
        due = to_run(self._verdicts) | planned.keys()
        overview = Overview(self._verdicts, due, causes(self._verdicts, due, planned))
        yield from ["", *overview.lines(terminal), ""]
        if planned:
            rates = self._rates()
            yield from terminal.table({"to run": step_counts(rates, planned), **bill(rates, planned, self._limits())})
            yield ""

    def _short(self, planned: dict[Step, str]) -> Iterator[str]:
        """Yield one line about what is about to run."""
        if planned:
            rates = self._rates()
            estimate = bill(rates, planned, self._limits())
            yield f"{step_counts(rates, planned)}: {estimate['time']}; snakemake -n shows the grid"
            yield from (f"! {line}" for line in capacity.doubts(self._verdicts.config))
            _note(predicted(rates, planned, self._limits()))

    def _follow(self, planned: dict[Step, str]) -> None:
        """Report the progress of the run from now on."""
        # Imported here because a dry run does not need it.
        from gridlaw.views import grid_progress
        from gridlaw.views.reporter import Reporter

        before = {step.record: grid_progress.stamp(step.record) for step in planned}
        run = grid_progress.Run(before, self._limits(), time.time(), self._workflow.execution_settings.retries > 0)
        remote = self._workflow.nodes is not None
        reporter = Reporter(_say, sys.stderr)
        atexit.register(reporter.stop)

        def begin() -> grid_progress.Progress:
            return grid_progress.Progress(self._verdicts.config, run, remote)

        threading.Thread(target=reporter.run, args=[begin], name="progress", daemon=True).start()

    def _rates(self) -> Rates:
        return Rates(self._verdicts, remote=self._workflow.nodes is not None)

    def _planned(self) -> dict[Step, str]:
        """Return the steps that Snakemake would run, upstream first, each with its reason."""
        dag = self._workflow.dag
        jobs = {step_of(job, self._verdicts.steps): job for job in dag.needrun_jobs()}
        return {step: _words(step, dag.reason(jobs[step])) for step in self._verdicts.steps if step in jobs}

    def _limits(self) -> Limits:
        resources = self._workflow.global_resources
        gpus = resources["gpu"].value if "gpu" in resources else None
        if self._workflow.nodes is not None:
            return Limits(jobs=self._workflow.nodes, gpus=gpus)
        return Limits(cores=self._workflow._cores, gpus=gpus)


def _note(prediction: dict) -> None:
    """Save the predicted cost of a run; the report compares it with the real cost."""
    if prediction["trainings"]:
        PREDICTIONS.parent.mkdir(exist_ok=True)
        with PREDICTIONS.open("a") as stream:
            stream.write(json.dumps({"begun": datetime.now(UTC).isoformat(timespec="seconds"), **prediction}) + "\n")


def _words(step: Step, reason: Reason) -> str:
    """Return why Snakemake runs a step, for reasons that the step's record does not know."""
    if reason.forced:
        return "requested on the command line"
    if reason.software_stack_changed:
        return f"the environment of rule {step.rule} changed"
    if reason.missing_output:
        return f"files of {step.rule} results were removed and are needed"
    return str(reason)


def _say(text: str) -> None:
    """Print a text through Snakemake, unless it is quiet about progress."""
    logger.info(text, extra={"quietness": Quietness.PROGRESS})


def connect(workflow: Workflow, verdicts: Verdicts) -> None:
    """Connect a workflow with the records of its results, and show its grid."""
    # Jobs live as long as Snakemake. Garbage collection among 20,000 of them took a quarter of the time of a dry run.
    gc.set_threshold(100_000, 50, 100)
    # The handler after this one prints the job list.
    logger.handlers.insert(0, Preview(workflow, verdicts))
