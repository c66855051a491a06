"""The command line of the programs that users run on a grid, beside Snakemake."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from gridlaw.cli import Failure
from gridlaw.config import grid, loading
from gridlaw.config.grid import Cell
from gridlaw.words import join_comma
from gridlaw.workflow import known
from gridlaw.workflow.steps import SCRIPTS

# Stands for every value of an axis.
ANY = "all"


def parser(doc: str, cells: bool = True, folder: str | None = None) -> argparse.ArgumentParser:
    """A parser whose help is the program's docstring, with the options that Snakemake has for the same grid.

    Args:
        cells: whether the program takes a model, size and gpus value.
        folder: help text of the folder that the program takes first, if it takes one.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if folder:
        parser.add_argument("folder", help=folder)
    if cells:
        parser.add_argument("model", nargs="?", help="model of the grid, or all")
        parser.add_argument("size", nargs="?", help="one of its sizes (default: all)")
        parser.add_argument("gpus", nargs="?", help="one of its gpus values (default: all)")
    parser.add_argument("--configfile", nargs="+", default=[], metavar="FILE", help="overlays, as given to Snakemake")
    parser.add_argument("--directory", default=".", help="the grid's folder, as given to Snakemake")
    return parser


def configuration(args: argparse.Namespace, absent: bool = False) -> dict:
    """Change to the grid's folder and read its configuration; mistakes end the program with a line each.

    Args:
        absent: whether the user's files may be missing.
    """
    overlays = [Path(file).absolute() for file in args.configfile]
    try:
        os.chdir(args.directory)
    except OSError as error:
        raise Failure(f"--directory: {error}") from error
    try:
        return loading.load(overlays, absent, known.packed_tokens)
    except ValueError as mistakes:
        sys.exit(str(mistakes))


def command(
    overlays: Iterable[str | Path],
    directory: str | Path,
    settings: Iterable[str] = (),
    snakefile: str | Path | None = None,
) -> str:
    """The command that runs a grid from the folder of gridlaw.

    Args:
        overlays: files given with `--configfile`.
        directory: the grid's folder.
        settings: settings given with `--config`.
        snakefile: of the workflow that uses gridlaw as a module, if one does.
    """
    home = SCRIPTS.parent

    def shorten(path: str | Path) -> str:
        path = Path(path).absolute()
        return str(path.relative_to(home) if path.is_relative_to(home) else path)

    parts = ["snakemake", "--cores", "all"]
    options = {
        "--snakefile": [shorten(snakefile)] if snakefile else [],
        "--configfile": [shorten(file) for file in overlays],
        "--directory": [] if Path(directory).resolve() == home else [shorten(directory)],
        "--config": list(settings),
    }
    for option, values in options.items():
        parts += [option, *values] if values else []
    return shlex.join(parts)


def cells(args: argparse.Namespace, whole: dict) -> list[Cell]:
    """The cells that the command line names.

    Raises:
        Failure: the grid has no such cell.
    """
    chosen = list(grid.cells(whole))
    for axis in Cell._fields:
        value, names = getattr(args, axis), list(dict.fromkeys(str(getattr(cell, axis)) for cell in chosen))
        if value is None or (value == ANY and ANY not in names):
            continue
        if axis == "size":
            try:
                value = grid.size_name(value)
            except ValueError as error:
                raise Failure(f"size: {error}") from error
        if value not in names:
            raise Failure(f"{axis}: {value} is not in this part of the grid; expected one of {join_comma(names)}")
        chosen = [cell for cell in chosen if str(getattr(cell, axis)) == value]
    return chosen
