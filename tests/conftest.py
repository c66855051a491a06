"""What tests share: programs run in-process, and the workflow run from a copy of the repository."""

import copy
import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import chdir
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import plans
import pytest
import yaml
from filelock import FileLock
from snakemake.utils import update_config
from world import GRID, watching, write_data

from gridlaw import io
from gridlaw.config import loading
from gridlaw.workflow import acceptance, record, status, steps, work_folder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def program(monkeypatch):
    """Runs a program's main() with a command line."""

    def run(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__file__, *map(str, arguments)])
        module.main()

    return run


# The grid that tests take as given; the default one may change.
AXES = {
    "sizes": [0, "1k", "8k", "32k", "100k"],
    "seeds": {"pretrain": [1], "finetune": [1, 2, 3]},
    "exclude": [{"gpus": 2, "size": [0, "1k", "32k", "100k"]}, {"model": "small", "size": 0}],
}


def default() -> dict:
    """The default configuration with the tests' axes."""
    whole = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(whole, copy.deepcopy(AXES))
    return whole


def configuration(overlay: dict | str = "{}") -> dict:
    """The default configuration with the tests' axes and an overlay, completed."""
    whole = default()
    update_config(whole, yaml.safe_load(overlay) if isinstance(overlay, str) else copy.deepcopy(overlay))
    return loading.complete(whole)


def finish(step: steps.Step, **facts: object) -> None:
    """Write a result and its record, as if the step's program had run in this folder."""
    outputs = [Path(step.folder, output.name) for name, output in step.kind.writes.items() if name != "record"]
    outputs = [file / "model.safetensors" if file.name == "state" else file for file in outputs]
    for file in outputs:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{step.name}: {file.name}")
    content = {"pretrain": "model", "trunk": "state"}.get(step.rule)
    if content:
        digests = {file.name: io.sha256(file) for file in outputs if file.parent.name == content}
        io.write_json(Path(step.folder, "manifest.json"), {"files": digests})
    made = {
        "step": step.rule,
        "recipe": step.recipe,
        "code": step.code,
        "definitions": step.definitions,
        "inputs": {file: io.sha256(file) for file in step.inputs},
        "outputs": {str(file): io.sha256(file) for file in outputs if file.parent.name != content},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": 2.0,
        "host": "elsewhere",
    }
    io.write_json(step.record, made | facts)


def begin(step: steps.Step, **facts: object) -> Path:
    """Write what an attempt at a training notes in its work folder, as if it had begun now; gives the folder."""
    basis = work_folder.fixed(
        acceptance.present_basis(step, dict.fromkeys(step.inputs, "0" * 64)) | {"libraries": record.libraries()},
        step.kind.extendable,
    )
    work_folder.write_basis(step.work, {"fingerprint": record.fingerprint(basis), **basis, **facts})
    Path(step.work, work_folder.ATTEMPTS).write_text('{"started": "2026-11-24T10:00:00+00:00", "host": "node7"}\n')
    return Path(step.work)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """Makes the folder of a test one in which a grid is finished."""
    monkeypatch.chdir(tmp_path)

    def of(whole: dict) -> dict[str, steps.Step]:
        found = {step.name: step for step in steps.Steps(whole)}
        for step in found.values():
            finish(step)
        return found

    return of


def repository() -> list[str]:
    """The files of the repository, as a clone would have them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists() or (ROOT / name).is_symlink()]


class Workflow:
    """A copy of the repository as a clone would have it, and Snakemake in it.

    Args:
        folder: of the copy.
        origin: the folder of another one, to be copied with all that was made in it.
    """

    def __init__(self, folder: Path, origin: Path | None = None):
        self.folder = folder
        if origin:
            shutil.copytree(origin, folder, symlinks=True, dirs_exist_ok=True)
            return
        for name in repository():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)

    def snakemake(self, *arguments, overlay=None, environment=None):
        """Run Snakemake; output is text."""
        if overlay is not None:
            (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
            arguments = [*arguments, "--configfile", "overlay.yaml"]
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **(environment or {})},
            capture_output=True,
            text=True,
            timeout=3600,
        )

    def logs(self) -> str:
        """All logs, for the message of a failed test."""
        return "\n".join(f"{log}:\n{log.read_text()}" for log in (self.folder / "logs").rglob("*.log"))

    def undone(self, overlay: dict) -> dict[str, tuple[str, ...]]:
        """Steps of a grid that are not done by their records alone, and what these say of them."""
        with chdir(self.folder):
            found = status.Verdicts(configuration(overlay))
            of = {step.name: found.verdict(step) for step in found.steps}
        return {name: verdict.lines() for name, verdict in of.items() if verdict.state != status.DONE}

    def dry_run(self, *arguments, overlay=None) -> str:
        """The output of a dry run."""
        if overlay is not None:
            (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
            arguments = [*arguments, "--configfile", "overlay.yaml"]
        return plans.planner().submit(self.folder / "Snakefile", self.folder, *arguments).result()

    def planned(self, *arguments, overlay=None) -> dict[str, int]:
        """Jobs that a dry run plans, by rule."""
        jobs = plans.jobs(self.dry_run(*arguments, overlay=overlay))
        return dict(Counter(job.partition(" ")[0] for job in jobs))


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    return Workflow(tmp_path_factory.mktemp("clone with space"))


def _digest_of_what_runs() -> str:
    """Of all files of the repository but those that only test or explain it, and of what is installed."""
    files = [name for name in repository() if not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file()]
    whole = [(name, io.sha256(ROOT / name)) for name in [*files, "tests/world.py"]]
    whole += [(package.name, package.version) for package in metadata.distributions()]
    return hashlib.sha256(repr(sorted(map(str, whole))).encode()).hexdigest()[:16]


@pytest.fixture(scope="session")
def world_folder(request):
    """The folder of the grid that is really run, once for all processes and all runs of the tests on the same code."""
    kept = request.config.cache.mkdir("world")
    made = kept / _digest_of_what_runs()
    with FileLock(kept / "lock"):
        if not (made / "finished").exists():
            for earlier in kept.glob("*/"):
                shutil.rmtree(earlier)
            workflow = Workflow(made / "clone with space")
            write_data(workflow.folder)
            watch = watching(made / "watch", workflow.folder / "scripts")
            done = workflow.snakemake("--cores", "2", "all", overlay=GRID, environment=watch)
            assert done.returncode == 0, done.stderr + workflow.logs()
            (made / "finished").touch()
    return made / "clone with space"


@pytest.fixture(scope="module")
def world(world_folder, tmp_path_factory):
    """A copy of it, for the tests of a file to change."""
    return Workflow(tmp_path_factory.mktemp("clone with space"), world_folder)
