"""A folder in which the experiment was run, to be changed."""

from __future__ import annotations

import shutil
from concurrent.futures import Future
from pathlib import Path

import yaml
from conftest import Workflow
from plans import planner

from .experiment import configuration

# Everything that a run leaves, and what it reads.
FOLDERS = ("results", "resources", "work", "logs", "data", ".snakemake")


class Home:
    """A folder in which the experiment was run: its entries are links to those of the origin until one is made its own.

    Args:
        folder: a new one.
        origin: where the experiment was run.
        snakefile: of the repository.

    Attributes:
        config: the configuration, to be changed in place.
    """

    def __init__(self, folder: Path, origin: Path, snakefile: Path | None = None):
        self.folder, self.origin, self.snakefile = folder, origin, snakefile
        self.config = configuration()
        folder.mkdir()
        for name in (*FOLDERS, "config.yaml"):
            if (origin / name).exists():
                (folder / name).symlink_to(origin / name)

    def own(self, name: str) -> Path:
        """Replace the link to a folder by a copy, mtimes kept."""
        path = self.folder / name
        if path.is_symlink():
            path.unlink()
            shutil.copytree(self.origin / name, path, symlinks=True)
        return path

    def clone(self) -> Path:
        """A copy of the repository, which this folder is planned and run with from now on."""
        clone = self.folder / "clone"
        if not clone.exists():
            shutil.copytree(self.snakefile.parent, clone, symlinks=True)
            self.snakefile = clone / "Snakefile"
        return clone

    def write(self) -> None:
        """Write the configuration."""
        file = self.folder / "config.yaml"
        file.unlink()
        file.write_text(yaml.safe_dump(self.config, sort_keys=False))

    def plan(self) -> Future[str]:
        """Begin a dry run; gives its output."""
        self.write()
        return planner().submit(self.snakefile, self.folder)


def run(clone: Workflow, folder: Path, *targets: str, snakefile: Path | str = "Snakefile", **environment: str) -> None:
    """Run the experiment, or some targets of it, in a folder."""
    arguments = ["--cores", "2", "--snakefile", str(snakefile), "--directory", str(folder)]
    done = clone.snakemake(*arguments, *targets, environment=environment)
    logs = "".join(path.read_text() for path in (folder / "logs").rglob("*.log"))
    assert done.returncode == 0, done.stderr + logs
