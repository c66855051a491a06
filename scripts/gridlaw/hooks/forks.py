"""Programs of a run as forks of one process, which imports the libraries once, where this is possible."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gridlaw.hooks.commands import INTERPRETER
from gridlaw.runtime import forked, forkserver, gpus

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


def start(workflow: Workflow, config: dict) -> None:
    """Have the programs of a run started as forks, if they may be."""
    if may_fork(workflow, config):
        os.environ.update({INTERPRETER: str(forkserver.CLIENT), forked.SOCKET: forkserver.start()})


def may_fork(workflow: Workflow, config: dict) -> bool:
    """Return whether a run may fork its programs: it runs on this machine, in its own environment, without a GPU."""
    is_same_python = Path(shutil.which("python") or "").parent == Path(sys.executable).parent
    may = config["fork_programs"] and sys.platform == "linux" and is_same_python
    # The file may lie where nothing is executed.
    may = may and os.access(forkserver.CLIENT, os.X_OK)
    return may and not workflow.deployment_settings.deployment_method and not gpus.visible()
