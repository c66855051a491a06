"""The command line that the pipeline's programs share."""

from __future__ import annotations

import argparse
import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path


class Failure(Exception):
    """Something the user can mend; printed as one line, without a traceback."""


def parser(doc: str) -> argparse.ArgumentParser:
    """A parser whose help is the program's docstring, with the option that every program has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--recipe", type=_recipe, required=True, help="the step's configuration, as JSON or as a file that holds it"
    )
    return parser


def figure_parser(doc: str, **tables: str) -> argparse.ArgumentParser:
    """A parser with the options of programs that draw a figure from some tables, by what is in them."""
    figure = parser(doc)
    for table, what in tables.items():
        figure.add_argument(f"--{table}", required=True, help=what)
    figure.add_argument("--figure", required=True, help="figure to write (.png; .svg, .pdf and .csv beside it)")
    figure.add_argument("--record", required=True, help="how it was drawn, JSON to write")
    return figure


def training_parser(doc: str) -> argparse.ArgumentParser:
    """A parser with the options of programs that train."""
    training = parser(doc)
    training.add_argument("--work", required=True, help="folder for what an interrupted run is continued from")
    training.add_argument(
        "--checkpoint-minutes", type=float, default=5, help="minutes between checkpoints (default: 5)"
    )
    training.add_argument("--tensorboard", help="folder for TensorBoard's files")
    return training


def pretraining_parser(doc: str) -> argparse.ArgumentParser:
    """A parser with the options of programs that pre-train; one without a value is as if it were not there."""
    pretraining = training_parser(doc)
    pretraining.add_argument(
        "--tokenizer", required=True, help="folder of the model's tokenizer; of a released model, of its checkpoint"
    )
    pretraining.add_argument("--trunk", nargs="?", help="folder of the trunk's state to go on from")
    pretraining.add_argument("--rows", nargs="?", help="rows of token ids")
    pretraining.add_argument("--slice", nargs="?", help="manifest of the slice to train on, JSON")
    pretraining.add_argument(
        "--inputs", nargs="*", default=[], help="further manifests that the record names as inputs"
    )
    pretraining.add_argument("--manifest", required=True, help="what the result is, JSON to write")
    pretraining.add_argument("--record", required=True, help="how it came about, JSON to write")
    return pretraining


def _recipe(text: str) -> dict:
    if not text.lstrip().startswith("{"):
        text = Path(text).read_text()
    recipe = json.loads(text)
    # A record is a file that holds a recipe, too: a finished step can be run again from it.
    return recipe.get("recipe", recipe)


def run(main: Callable[[], None]) -> None:
    """Run a program; a `Failure`, or a full disk, ends it with its message on one line and status 1."""
    try:
        main()
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.exit(f"error: {error}; right would be more room, then the same command again")
