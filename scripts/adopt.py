"""Take over results of a grid that were computed elsewhere: in another folder, or in an unpacked archive.

    python scripts/adopt.py ../elsewhere
    python scripts/adopt.py ../elsewhere tiny 64k 2

The folder holds the other results/, and resources/ as far as they are missing here. A result is adopted if it was made
by the same recipe and code and from the same inputs as one of this grid, and if its files are as its record says; the
record then tells where it came from. What does not match is refused with the reason, and what is valid here is kept.
Killed at any moment, no half result counts as done; the same command goes on.
"""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

from gridlaw import cli, console, io, reasons, record, work
from gridlaw.cli import Failure
from gridlaw.steps import TRAININGS, Step, maker
from gridlaw.verdicts import NEEDED, Verdicts, to_run
from gridlaw.words import size

# Where the files lie that a manifest has the digests of.
CONTENT = {"pretrain": "model", "trunk": "state", "checkpoint": ""}
# Of a result that is being brought here, and of the one that it takes the place of.
COMING, GOING = ".coming", ".going"


class Refused(Exception):
    """Why a result is not adopted."""


def main() -> None:
    parser = console.parser(__doc__, folder="folder that holds the other results/")
    args = parser.parse_args()
    folder = Path(args.folder).resolve()
    config = console.configuration(args)
    if not (folder / "results").is_dir():
        raise Failure(f"{folder}: no results/ in it; right would be the folder of a grid, or of its unpacked archive")
    if folder.samefile("."):
        raise Failure(f"{folder}: this grid's own folder; right would be another one")
    if work.locked():
        raise Failure("Snakemake runs in this grid's folder; wait for it, or if none does: snakemake --unlock")
    cells = console.cells(args, config)
    adoption = Adoption(Verdicts(config), folder)
    for step in adoption.verdicts.steps:
        if step.cell in cells:
            adoption.take(step)
    count = adoption.count
    print(f"{count['adopted']} results adopted ({size(adoption.bytes)}), {count['refused']} refused;"
          f" {count['here']} are valid here, {count['without']} not there, or made from what is not")  # fmt: skip


class Adoption:
    """Takes over results one by one, each after those that it is made from.

    Args:
        verdicts: on this grid.
        folder: where the other results are.
    """

    def __init__(self, verdicts: Verdicts, folder: Path):
        self.verdicts, self.folder = verdicts, folder
        self.count = dict.fromkeys(["adopted", "here", "refused", "without"], 0)
        self.bytes = 0
        self._due = to_run(verdicts)
        self._taken: dict[Step, bool] = {}

    def take(self, step: Step) -> bool:
        """Adopt a result, unless it is valid here; whether it is here afterwards."""
        if step not in self._taken:
            self._taken[step] = self._take(step)
        return self._taken[step]

    def _take(self, step: Step) -> bool:
        for left_over in beside(step):
            shutil.rmtree(left_over, ignore_errors=True)
        if step not in self._due:
            self.count["here"] += 1
            return True
        made = io.find_json(self.folder / step.record)
        try:
            if made:
                self._compare(step, made)
            if not made or not all(self.take(earlier) for earlier in step.after):
                self.count["without"] += 1
                return False
            self._bring(step, made)
        except (Refused, Failure) as reason:
            print(f"refused: {step.name}: {reason}", flush=True)
            self.count["refused"] += 1
            return False
        self.count["adopted"] += 1
        return True

    def _compare(self, step: Step, made: dict) -> None:
        """Refuse a result that was made in another way."""
        config, basis = self.verdicts.config, record.basis(made)
        if not basis.keys() >= NEEDED:
            raise Refused("its record is none of this version of gridlaw")
        differences = reasons.of(config, step, basis)
        if differences:
            raise Refused("; ".join(differences))

    def _bring(self, step: Step, made: dict) -> None:
        """Copy a result, check the copy, and put it in its place."""
        used = record.basis(made)["inputs"]
        # What the user's own files hold is part of the recipe.
        others = [file for file in step.inputs if maker(file) and io.digest(file) != used.get(file)]
        if others:
            raise Refused(f"it was made from another {' and '.join(others)} than is here")
        source, target = self.folder / step.folder, Path(step.folder)
        coming, going = beside(step)
        plain(source)
        shutil.copytree(source, coming, copy_function=shutil.copyfile)
        try:
            check(step, coming, made["outputs"])
        except Refused:
            shutil.rmtree(coming)
            raise
        io.write_json(coming / "record.json", made | {"adopted": record.signed(**{"from": str(self.folder)})})
        # Between the two the result is not there, and no record says that it is.
        with work.claimed(step.work) if step.rule in TRAININGS else nullcontext():
            if target.exists():
                target.rename(going)
            coming.rename(target)
        shutil.rmtree(going, ignore_errors=True)
        taken = sum(file.stat().st_size for file in target.rglob("*"))
        self.bytes += taken
        print(f"adopted: {step.name} ({size(taken)}, computed on {made['host']})", flush=True)


def beside(step: Step) -> list[Path]:
    """Folders beside a result, of one that is coming in its place and of one that is going."""
    target = Path(step.folder)
    return [target.with_name(f".{target.name}{suffix}") for suffix in (COMING, GOING)]


def plain(folder: Path) -> None:
    """Make sure that a result is files and folders only: a link could lead anywhere."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Refused(f"{path} is a link or no ordinary file")


def check(step: Step, folder: Path, outputs: dict[str, str]) -> None:
    """Make sure that a copied result is what its record, and the manifests that the record vouches for, say."""
    compare(step, folder, {Path(file).relative_to(step.folder): digest for file, digest in outputs.items()})
    described = [(folder / "manifest.json", CONTENT.get(step.rule)), (folder / "state" / "seal.json", "state")]
    for manifest, place in described:
        if place is not None and manifest.exists():
            files = io.read_json(manifest)["files"]
            compare(step, folder, {Path(place, name): digest for name, digest in files.items()})


def compare(step: Step, folder: Path, digests: dict[Path, str]) -> None:
    """Make sure that a copied result's files are those with some digests."""
    for file, digest in digests.items():
        found = io.digest(folder / file)
        if found != digest:
            raise Refused(f"{Path(step.folder, file)} is {'missing' if found is None else 'not what its record says'}")


if __name__ == "__main__":
    cli.run(main)
