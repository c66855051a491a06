"""The command line that the pipeline's programs share."""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

# What libraries say of a full disk: the C library, Rust's, NumPy, PyTorch's writer of zip files.
FULL = re.compile(
    r"No space left on device|quota exceeded|os error (28|122)\b|Not enough free space|unexpected pos \d+ vs \d+"
)


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
    """Run a program; a `Failure`, or a fault of the machine, ends it with its message on one line and status 1."""
    if not sys.stderr.isatty():
        _disable_progress_bars()
    try:
        main()
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except Exception as error:
        line = _fault_of_machine(error)
        if line is None:
            raise
        sys.exit(f"error: {line}")


def _disable_progress_bars() -> None:
    """Keep progress bars of libraries out of a log."""
    # For libraries that are imported later. The others have read their variables.
    os.environ.update(HF_HUB_DISABLE_PROGRESS_BARS="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")
    functions = {
        "huggingface_hub": ("utils", "disable_progress_bars"),
        "datasets": ("utils", "disable_progress_bars"),
        "transformers": ("utils.logging", "disable_progress_bar"),
    }
    for library, (module, function) in functions.items():
        if sys.modules.get(library):
            getattr(import_module(f"{library}.{module}"), function)()


def _fault_of_machine(error: BaseException) -> str | None:
    """Return a line about a disk that is full or read-only; None for other errors.

    Libraries report a full disk by exceptions of their own, some without an error number.
    """
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    texts = [" ".join(str(cause).split()) for cause in chain]
    numbers = {getattr(cause, "errno", None) for cause in chain}
    if numbers & {errno.ENOSPC, errno.EDQUOT} or any(map(FULL.search, texts)):
        text = next((text for text in texts if "No space left" in text or "quota" in text), "No space left on device")
        return f"{text}; free some space ({_free_space()}), then run the same command again"
    if numbers & {errno.EROFS, errno.EACCES}:
        return f"{texts[0]}; expected a folder that can be written, for the hub's cache see HF_HOME"
    if any("No usable temporary directory" in text for text in texts):
        return f"{texts[0]}; set TMPDIR to a folder that can be written and has some space"
    return None


def _free_space() -> str:
    """Free space of the disks that programs write to, in words."""
    folders = {"this folder": Path.cwd(), "TMPDIR": Path(os.environ.get("TMPDIR", "/tmp"))}
    free = {name: shutil.disk_usage(folder).free for name, folder in folders.items() if folder.is_dir()}
    return ", ".join(f"{name} has {size >> 20} MB" for name, size in free.items())
