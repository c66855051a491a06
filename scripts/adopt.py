"""Import results that were computed elsewhere: in another folder, or in an unpacked archive.

    python scripts/adopt.py ../elsewhere
    python scripts/adopt.py ../elsewhere tiny 64k 2

The folder contains the other results/, and those resources/ that are missing here. A result is adopted if its recipe,
code and inputs are the same as for this grid, and if its files match the digests in its record. The record then also
says where the result came from. Results that do not match are refused with the reason, and valid results here are kept.
After a kill, no incomplete result counts as done; the same command resumes.
"""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

from gridlaw import cli, io
from gridlaw.cli import Failure
from gridlaw.views import console
from gridlaw.words import size
from gridlaw.workflow import reasons, record, work_folder
from gridlaw.workflow.status import NEEDED, Verdicts, to_run
from gridlaw.workflow.steps import TRAININGS, Step, identify

# Subfolder of the files whose digests are in a manifest.
CONTENT = {"pretrain": "model", "trunk": "state", "checkpoint": ""}


class Refused(Exception):
    """The reason why a result is not adopted."""


def main() -> None:
    parser = console.parser(__doc__, folder="folder that contains the other results/")
    args = parser.parse_args()
    folder = Path(args.folder).resolve()
    config = console.configuration(args)
    if not (folder / "results").is_dir():
        raise Failure(f"{folder}: it has no results/; expected the folder of a grid, or of an unpacked archive")
    if folder.samefile("."):
        raise Failure(f"{folder}: this is the grid's own folder; expected another one")
    if work_folder.locked_files():
        raise Failure("Snakemake is running in this folder; wait for it, or if it was killed, use snakemake --unlock")
    cells = console.cells(args, config)
    adoption = Adoption(Verdicts(config), folder)
    for step in adoption.verdicts.steps:
        if step.cell in cells:
            adoption.take(step)
    count = adoption.count
    print(f"{count['adopted']} results adopted ({size(adoption.bytes)}), {count['refused']} refused;"
          f" {count['here']} are valid here already, {count['without']} lack their files or inputs")  # fmt: skip


class Adoption:
    """Imports results one by one, each after the results that it is made from.

    Args:
        verdicts: states of this grid's results.
        folder: folder of the other results.
    """

    def __init__(self, verdicts: Verdicts, folder: Path):
        self.verdicts, self.folder = verdicts, folder
        self.count = dict.fromkeys(["adopted", "here", "refused", "without"], 0)
        self.bytes = 0
        self._due = to_run(verdicts)
        self._taken: dict[Step, bool] = {}

    def take(self, step: Step) -> bool:
        """Adopt a result, unless it is valid here; return whether it is here afterwards."""
        if step not in self._taken:
            self._taken[step] = self._take(step)
        return self._taken[step]

    def _take(self, step: Step) -> bool:
        for folder in io.temporary_folders(Path(step.folder)):
            shutil.rmtree(folder, ignore_errors=True)
        if step not in self._due:
            self.count["here"] += 1
            return True
        facts = io.find_json(self.folder / step.record)
        try:
            if facts:
                self._compare(step, facts)
            if not facts or not all(self.take(earlier) for earlier in step.after):
                self.count["without"] += 1
                return False
            self._bring(step, facts)
        except (Refused, Failure) as reason:
            print(f"refused: {step.name}: {reason}", flush=True)
            self.count["refused"] += 1
            return False
        self.count["adopted"] += 1
        return True

    def _compare(self, step: Step, facts: dict) -> None:
        """Refuse a result with another recipe or other code."""
        basis = record.basis(facts)
        if not basis.keys() >= NEEDED:
            raise Refused("its record is not from this version of gridlaw")
        differences = reasons.differences(step, basis)
        if differences:
            raise Refused("; ".join(differences))

    def _bring(self, step: Step, facts: dict) -> None:
        """Copy a result, check the copy, and move it into place."""
        used = record.basis(facts)["inputs"]
        # The content of the user's own files is part of the recipe.
        changed = [file for file in step.inputs if identify(file) and io.digest(file) != used.get(file)]
        if changed:
            raise Refused(f"it was made from other versions of {' and '.join(changed)}")
        source, target = self.folder / step.folder, Path(step.folder)
        refuse_links(source)
        # Between two renames the result is missing, record included.
        with (
            work_folder.claim(step.work) if step.rule in TRAININGS else nullcontext(),
            io.replaced_folder(target) as coming,
        ):
            shutil.copytree(source, coming, copy_function=shutil.copyfile, dirs_exist_ok=True)
            check(step, coming, facts["outputs"])
            io.write_json(coming / "record.json", facts | {"adopted": record.signed(**{"from": str(self.folder)})})
        number = sum(file.stat().st_size for file in target.rglob("*"))
        self.bytes += number
        print(f"adopted: {step.name} ({size(number)}, computed on {facts['host']})", flush=True)


def refuse_links(folder: Path) -> None:
    """Refuse a result that contains anything but files and folders: a link could lead anywhere."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Refused(f"{path} is a link or a special file")


def check(step: Step, folder: Path, outputs: dict[str, str]) -> None:
    """Check a copied result against its record, and against the manifests that the record covers."""
    compare(step, folder, {Path(file).relative_to(step.folder): digest for file, digest in outputs.items()})
    described = [(folder / "manifest.json", CONTENT.get(step.rule)), (folder / "state" / "seal.json", "state")]
    for manifest, place in described:
        if place is not None and manifest.exists():
            files = io.read_json(manifest)["files"]
            compare(step, folder, {Path(place, name): digest for name, digest in files.items()})


def compare(step: Step, folder: Path, digests: dict[Path, str]) -> None:
    """Check the digests of a copied result's files."""
    for file, digest in digests.items():
        actual = io.digest(folder / file)
        if actual != digest:
            fault = "is missing" if actual is None else "does not match its record"
            raise Refused(f"{Path(step.folder, file)} {fault}")


if __name__ == "__main__":
    cli.run(main)
