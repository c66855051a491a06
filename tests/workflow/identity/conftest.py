"""The experiment, really run once, and copies of it to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Workflow
from world import entered

from .home import Home


class Run(NamedTuple):
    """The folder in which the experiment was run, and the functions of the project that each program entered."""

    folder: Path
    entered: dict[str, set[str]]


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A copy of the repository."""
    return Workflow(tmp_path_factory.mktemp("clone with space"))


@pytest.fixture(scope="session")
def real_run(world_folder):
    """The experiment, which was run under the eyes of a tracer."""
    return Run(world_folder, entered(world_folder.parent / "watch"))


@pytest.fixture
def home(real_run, clone, tmp_path):
    """A folder of the real run that a test may change."""
    return Home(tmp_path / "home", real_run.folder, clone.folder / "Snakefile")
