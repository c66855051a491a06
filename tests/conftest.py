"""What tests share: programs run in-process, and the workflow run from a copy of the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def program(monkeypatch):
    """Runs a program's main() with a command line."""

    def run(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__file__, *map(str, arguments)])
        module.main()

    return run


class Workflow:
    """A copy of the repository as a clone would have it, and Snakemake in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in listed.stdout.splitlines():
            if (ROOT / name).exists() or (ROOT / name).is_symlink():
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
            timeout=900,
        )

    def logs(self) -> str:
        """All logs, for the message of a failed test."""
        return "\n".join(f"{log}:\n{log.read_text()}" for log in (self.folder / "logs").rglob("*.log"))

    def planned(self, *arguments, overlay=None) -> dict[str, int]:
        """Jobs that a dry run plans, by rule."""
        done = self.snakemake("-n", *arguments, overlay=overlay)
        assert done.returncode == 0, done.stderr
        lines = iter((done.stdout + done.stderr).splitlines())
        for line in lines:
            if line.startswith("Job stats:"):
                next(lines), next(lines)
                return {
                    rule: int(count)
                    for rule, count in (row.split() for row in iter(lambda: next(lines), ""))
                    if rule != "total"
                }
        assert "Nothing to be done" in done.stdout + done.stderr
        return {}


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    return Workflow(tmp_path_factory.mktemp("clone with space"))
