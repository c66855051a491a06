"""What `snakemake -n` shows before its job list: the grid, what is stale and why, and what running it would cost."""

from __future__ import annotations

import logging

from snakemake.logging import logger
from snakemake.workflow import Workflow

from gridlaw import provenance
from gridlaw.verdicts import Verdicts


class Preview(logging.Handler):
    """Follows Snakemake's messages, and acts when the DAG is about to be built and when it is there."""

    def __init__(self, workflow: Workflow, config: dict):
        super().__init__()
        self.workflow, self.verdicts = workflow, Verdicts(config)
        self._asking = False

    def emit(self, message: logging.LogRecord) -> None:
        """Look where Snakemake is."""
        if not self._asking and self.workflow._persistence is not None:
            self._asking = True
            provenance.ask_records(self.workflow.persistence, self.verdicts)


def announce(workflow: Workflow, config: dict) -> None:
    """Have a workflow ask records and show its grid."""
    # Before the handler that prints the job list.
    logger.handlers.insert(0, Preview(workflow, config))
