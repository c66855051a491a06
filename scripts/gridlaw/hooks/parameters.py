"""Parameters of rules: functions that Snakemake calls for each job."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from gridlaw.canonical_json import canonical
from gridlaw.workflow import identity
from gridlaw.workflow.kind import Kind
from gridlaw.workflow.steps import program

if TYPE_CHECKING:
    from snakemake.io import Wildcards


def recipe(kind: Kind, config: dict) -> Callable[[Wildcards], str]:
    """Return the function that gives the canonical recipe of a job."""
    return _by_recipe(kind, config, canonical)


def digest(kind: Kind, config: dict) -> Callable[[Wildcards], str]:
    """Return the function that gives the identity of a job's program, with the plug-ins that its recipe names."""
    return _by_recipe(kind, config, lambda values: identity.digest(program(kind.name), kind.plugin_modules(values)))


def _by_recipe(kind: Kind, config: dict, work_out: Callable[[dict], str]) -> Callable[[Wildcards], str]:
    # Many jobs have the same recipe.
    @cache
    def find(*values: str) -> str:
        return work_out(kind.recipe(config, *values).values)

    def find_for(job: Wildcards) -> str:
        return find(*(job[name] for name in kind.recipe_wildcards))

    # Snakemake asks for it several times a job, and to find it out takes longer than the call.
    find_for.__signature__ = inspect.signature(find_for)
    return find_for
