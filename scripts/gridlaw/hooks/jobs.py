"""Which jobs of Snakemake make steps of the grid; a workflow that uses gridlaw has other ones, which are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridlaw.workflow.kind import Kind
from gridlaw.workflow.steps import Step, Steps, identify

if TYPE_CHECKING:
    from snakemake.jobs import Job


def step_of(job: Job, steps: Steps) -> Step | None:
    """Return the step that a job makes, whatever the name of its rule; None for a job of another workflow's rule."""
    if not job.output:
        return None
    file = str(job.output[0])
    step = steps.find(file)
    # Another rule may write into the folder of a result.
    return step if step and file in step.outputs else None


def kind_of(job: Job) -> Kind | None:
    """Return the kind of step that a job makes, of any grid; None for a job of another workflow's rule."""
    # The first output may lie in a folder of the result; a manifest or a record does not.
    for file in map(str, job.output):
        kind, values = identify(file) or (None, [])
        if kind and file in {kind.file(output, *values) for output in kind.writes}:
            return kind
    return None
