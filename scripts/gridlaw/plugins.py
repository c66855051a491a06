"""Plug-ins: model families, objectives, kinds of tasks and metrics. A file in its package is one, by its name.

This is the only place that imports a module by a computed name. A step's recipe names the plug-ins that its program
loads, and the program's identity follows these only, so that a new plug-in makes no result stale.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent
# The file of everything without a file of its own.
OTHER = "_other"
PACKAGES = {
    "family": "models.families",
    "objective": "objectives.kinds",
    "task": "tasks.kinds",
    "metric": "tasks.metrics",
}


@cache
def names(seam: str) -> tuple[str, ...]:
    """Names of the plug-ins of a seam, sorted.

    Args:
        seam: a key of `PACKAGES`.
    """
    files = (file for file in _files(seam) if file[0] != "_")
    return tuple(sorted(file.replace("_", "-") if seam == "family" else file for file in files))


def name_for(seam: str, name: str) -> str:
    """Name of the plug-in for something: its own, or that of all without a file of their own."""
    return name if name in names(seam) else OTHER


def load(seam: str, name: str) -> ModuleType:
    """Import a plug-in.

    Args:
        name: one of `names`.
    """
    return importlib.import_module(module(seam, name))


def module(seam: str, name: str) -> str:
    """Dotted name of a plug-in's module."""
    return f"{ROOT.name}.{PACKAGES[seam]}.{name.replace('-', '_')}"


def modules(named: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    """Dotted names of the modules of some plug-ins, sorted.

    Args:
        named: seam and name of each; a name of None stands for all of the seam.
    """
    chosen = {(seam, each) for seam, name in named for each in ([name] if name else _files(seam))}
    return tuple(sorted(module(seam, name) for seam, name in chosen))


@cache
def _files(seam: str) -> tuple[str, ...]:
    folder = ROOT.joinpath(*PACKAGES[seam].split("."))
    return tuple(sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__"))
