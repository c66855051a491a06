"""The command line that the pipeline's programs share."""

from __future__ import annotations

import argparse
import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path


class Failure(Exception):
    """A mistake that the user can correct; it is printed as one line, without a traceback."""


def parser(doc: str) -> argparse.ArgumentParser:
    """Return a parser with the option that every program has; its help is the program's docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--recipe", type=_recipe, required=True, help="the step's configuration, as JSON or as a file that holds it"
    )
    return parser


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
        sys.exit(f"error: {error}; free some space, then run the same command again")
