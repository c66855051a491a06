"""The jobs that Snakemake plans, from many dry runs at a time."""

from __future__ import annotations

import multiprocessing
import os
import re
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from pathlib import Path

JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", re.MULTILINE)
WILDCARDS = re.compile(r"^    wildcards: (.*)$", re.MULTILINE)


class Planner:
    """Dry runs, two at a time. Importing Snakemake takes longer than most of them, so it is done once, before forking."""

    def __init__(self):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["plans", "snakemake.cli", "jsonschema", "pandas"])
        self.pool = ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1)

    def submit(self, snakefile: Path, folder: Path, *arguments: str) -> Future[str]:
        """Begin a dry run of a workflow in a folder; gives its output."""
        return self.pool.submit(_dry_run, folder, ["-n", "-s", str(snakefile), "-d", str(folder), *arguments])


@cache
def planner() -> Planner:
    """The one that the tests of a process share."""
    return Planner()


def jobs(output: str) -> set[str]:
    """The jobs that a dry run plans: the rule and the values of its wildcards, in the order of its paths."""
    found = set()
    for rule, about in JOB.findall(output):
        wildcards = WILDCARDS.search(about)
        values = [pair.split("=", 1)[1] for pair in wildcards[1].split(", ")] if wildcards else []
        found.add(" ".join([rule, *values]))
    assert found or "Nothing to be done" in output, output
    return found


def _dry_run(folder: Path, arguments: list[str]) -> str:
    from snakemake.cli import main

    os.chdir(folder)
    with tempfile.TemporaryFile() as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        try:
            main(arguments)
            status = 0
        except SystemExit as end:
            status = end.code
        output.seek(0)
        text = output.read().decode()
    if status:
        raise RuntimeError(text)
    return text
