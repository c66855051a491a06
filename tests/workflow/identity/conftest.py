"""The experiment, really run once, and copies of it to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Workflow

from .experiment import write
from .home import Home, run

# The first process of each program, and its first rank, note the functions that they enter.
WATCH = """
import inspect, os, sys, threading
scripts, notes = os.environ["SCRIPTS"], os.environ["NOTES"]
program = next((argument for argument in sys.orig_argv[1:] if argument.startswith(scripts)), None)
try:
    name = f"{os.path.basename(program or '')} {'RANK' in os.environ}"
    out = program and os.open(os.path.join(notes, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
except FileExistsError:
    out = None
seen = set()
def enter(frame, event, argument):
    code = frame.f_code
    own = code.co_filename.startswith(scripts) and code.co_filename.endswith(".py")
    # The body of a class is no function, and what is in a template no module.
    if own and code.co_flags & inspect.CO_OPTIMIZED and code not in seen:
        seen.add(code)
        os.write(out, f"{os.path.relpath(code.co_filename, scripts)}: {code.co_qualname.partition('.')[0]}\\n".encode())
if out is not None:
    sys.settrace(enter)
    threading.settrace(enter)
"""


class Run(NamedTuple):
    """The folder in which the experiment was run, and the functions of the project that each program entered."""

    folder: Path
    entered: dict[str, set[str]]


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A copy of the repository."""
    return Workflow(tmp_path_factory.mktemp("clone with space"))


@pytest.fixture(scope="session")
def real_run(clone, tmp_path_factory):
    """The experiment, run by Snakemake under the eyes of a tracer."""
    folder, watch = tmp_path_factory.mktemp("origin"), tmp_path_factory.mktemp("watch")
    write(folder)
    (watch / "sitecustomize.py").write_text(WATCH)
    (watch / "notes").mkdir()
    run(clone, folder, PYTHONPATH=str(watch), NOTES=str(watch / "notes"), SCRIPTS=str(clone.folder / "scripts"))
    entered: dict[str, set[str]] = {}
    for path in (watch / "notes").iterdir():
        entered.setdefault(path.name.split()[0], set()).update(path.read_text().splitlines())
    return Run(folder, entered)


@pytest.fixture
def home(real_run, clone, tmp_path):
    """A folder of the real run that a test may change."""
    return Home(tmp_path / "home", real_run.folder, clone.folder / "Snakefile")
